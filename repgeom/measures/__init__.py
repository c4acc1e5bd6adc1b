"""The measures: each a function of arrays or of a `Spectrum` that gives plain numbers, with its record beside it."""

# Whoever imports one module of measures sees the records of all.
from repgeom.measures import (
    classes,
    cloud,
    concentration,
    directions,
    hubness,
    near_duplicates,
    neural_collapse,
    pairs,
    rank,
    steepness,
    views,
)

__all__ = [
    "classes",
    "cloud",
    "concentration",
    "directions",
    "hubness",
    "near_duplicates",
    "neural_collapse",
    "pairs",
    "rank",
    "steepness",
    "views",
]
