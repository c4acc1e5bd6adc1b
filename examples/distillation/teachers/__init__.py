"""Networks whose features are distilled, and the files that keep those features."""
