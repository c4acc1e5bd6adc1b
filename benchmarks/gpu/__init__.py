"""What this package measures on a GPU, in one command: `python -m benchmarks.gpu --budget 420`."""
