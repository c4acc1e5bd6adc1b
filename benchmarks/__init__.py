"""How fast, how exact and how large: `python -m benchmarks` from the repository root writes README.md here."""
