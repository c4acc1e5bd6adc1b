"""What does corruption do to a representation? Drift tables of clean and corrupted pairs, scores, and Fourier maps."""
