"""What is measured of a trained student."""
