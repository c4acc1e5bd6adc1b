"""The small networks, the objectives that they are trained on, and their training."""
