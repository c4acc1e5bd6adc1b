"""The measures: each a function of arrays or of a `Spectrum` that gives plain numbers, with its record beside it."""
