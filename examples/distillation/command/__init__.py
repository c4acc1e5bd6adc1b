"""What the command's arguments say, how far a run has come, and how much work it will be."""
