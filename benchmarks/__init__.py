"""How fast, how exact and how large: `python -m benchmarks` from the repository root. See README.md here."""
