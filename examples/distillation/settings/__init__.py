"""What a run is: its settings, its grid of cells, and the presets."""
