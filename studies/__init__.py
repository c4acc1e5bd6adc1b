"""What the README's claims rest on: simulations and comparisons with a known answer. `python -m studies NAME` runs one."""
