"""The measures: each a function of arrays or of a `Spectrum` that gives plain numbers, with its record beside it."""

# Whoever imports one module of measures sees the records of all.
from repgeom.measures import (
    canonical,
    classes,
    cloud,
    concentration,
    directions,
    dissimilarities,
    hubness,
    kernel_similarity,
    near_duplicates,
    neural_collapse,
    pairs,
    rank,
    steepness,
    views,
)

__all__ = [
    "canonical",
    "classes",
    "cloud",
    "concentration",
    "directions",
    "dissimilarities",
    "hubness",
    "kernel_similarity",
    "near_duplicates",
    "neural_collapse",
    "pairs",
    "rank",
    "steepness",
    "views",
]
