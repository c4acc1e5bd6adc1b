"""Training and measuring every cell of a run, by one process or several."""
