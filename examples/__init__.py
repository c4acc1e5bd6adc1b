"""Examples that use repgeom; installed as `repgeom_examples`. Run one with `python -m repgeom_examples.NAME`."""
