"""The one expensive state: a `Spectrum`, and every way to work it out."""
