"""How far have the classes of an audit collapsed? From the sums that it has added up."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeom.measures.class_tally import ClassTally
from repgeom.measures.neural_collapse import NeuralCollapse, collapse_of, means_of
from repgeom.spectral.tally import SpectrumTally


def class_collapse(classes: ClassTally, spectra: SpectrumTally) -> NeuralCollapse | None:
    """Neural collapse of the classes; None where it is not defined."""

    def within_along(directions: Tensor) -> Tensor:
        # Within is all less between: along each direction, of all rows.
        total = _squares_along(spectra, directions)
        means, sizes = means_of(classes), torch.from_numpy(classes.sizes()).double()
        centre = (sizes[:, None] * means).sum(0) / sizes.sum()
        of_means = ((means - centre) @ directions).square()
        return ((total - (sizes[:, None] * of_means).sum(0)) / sizes.sum()).clamp(min=0)

    try:
        return collapse_of(classes, within_along)
    except ValueError:
        return None


def _squares_along(spectra: SpectrumTally, directions: Tensor) -> Tensor:
    """Sum of the squares of all centred rows along each direction, (r,)."""
    rows = spectra.rows_held()
    if rows is None:
        scatter = spectra.sums["spectrum"].scatter().cpu()
        return (directions * (scatter @ directions)).sum(0)
    x = spectra.about_mean(rows, spectra.wanted["spectrum"].normalize, True).cpu()
    return (x @ directions).square().sum(0)
