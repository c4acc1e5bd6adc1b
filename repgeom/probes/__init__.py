"""What can be read off features: a linear probe over many regularisation strengths, and a vote of nearest neighbours."""
