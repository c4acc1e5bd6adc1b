"""How many of the reference's dimensions are kept, and are they the same directions?"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import give_back
from repgeom.data.kinds import Features, Numbers
from repgeom.data.settings import own_settings
from repgeom.measures.measure import REFERENCE, Measure, register
from repgeom.measures.pair_sums import as_pair, check_k, varying
from repgeom.measures.rank import effective_rank
from repgeom.measures.subspaces import subspace_angles
from repgeom.spectral.spectrum import Spectrum

__all__ = ["captured_variance", "principal_angles"]

CAPTURED_K = 20  # as the paper reads it
OTHER_WIDTHS = "the two have different widths, so their directions cannot be compared"
# Intervals from the spread of rows held the population's value 0 to 90 % of the time.
_FITTED = "the directions are fitted to the same rows, which biases it by more than rows spread"


def _effective_rank(reference: Spectrum) -> float:
    return float(effective_rank(reference))


def _rank_retained(features: Spectrum, reference: Spectrum) -> float:
    return float(effective_rank(features) / effective_rank(reference))


register(
    Measure(
        "reference_effective_rank", "reference's effective rank", REFERENCE, _effective_rank, ("reference_spectrum",),
        formula="exp entropy of σ² of centred features",
        source="Giraldo et al. 2015",
        question="How many dimensions does the reference use?",
        cannot_tell="whether the features use the same ones",
        rows_needed="as effective rank",
        convention="as effective rank, of the reference",
        unit="dimensions",
        range=lambda size: (1, size.most_of_reference),
    )
)  # fmt: skip
register(
    Measure(
        "rank_retained", "rank retained", REFERENCE, _rank_retained, ("spectrum", "reference_spectrum"),
        formula="effective rank / the reference's",
        source="arXiv 2603.06698",
        question="Which share of the reference's dimensions is left?",
        cannot_tell="whether they are the same dimensions: read it with CKA",
        rows_needed="100, and 2 per feature of the wider one, for an interval",
        convention="ratio of effective ranks of σ², centred",
        range=lambda size: (0, math.inf),
        baseline=None,
        better="higher",
    )
)  # fmt: skip


@own_settings
def captured_variance(features: Features, reference: Features, *, k: int | None = None) -> Numbers:
    """Share of the features' variance that lies inside the reference's leading k directions. Both are centred.

    ‖Xc V_k‖²_F / ‖Xc‖²_F, with V_k the leading k principal directions of the reference. A student whose curve runs
    above the teacher's own lives in the teacher's leading directions.

    Args:
        features, reference: (..., n, d), same d; the rows need not be the same samples, nor as many.
        k: number of directions; None gives the whole curve.

    Returns:
        In [0, 1]: one value for `k`, else (..., min(m − 1, d)) for k = 1, 2, ..., with m the reference's rows; never
        falls along k. Isotropic features read k/d. Unchanged by a rotation of both.

    Raises:
        ValueError: different widths, k out of range, no variance in the features; else as `effective_rank`.

    >>> student = [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]]
    >>> captured_variance(student, [[0.0, 3.0], [0.0, -3.0], [1.0, 0.0], [-1.0, 0.0]], k=1)
    0.2
    """
    x, y = as_pair(features, reference, same_rows=False, same_width=True)
    x, y = varying(x, "features"), varying(y, "reference")
    # m centred rows span m − 1 directions; one more would be rounding.
    directions = torch.linalg.svd(y, full_matrices=False).Vh.mT[..., : y.shape[-2] - 1]
    curve = captured_curve((x @ directions).square().sum(-2), x.square().sum((-2, -1)))
    return give_back(features)(curve if k is None else curve[..., check_k(k, curve.shape[-1]) - 1])


def _captured_by_leading(curve: np.ndarray) -> float:
    return float(curve[min(CAPTURED_K, len(curve)) - 1])


register(
    Measure(
        "captured_variance", "captured variance", REFERENCE, captured_variance, ("captured_curve",),
        formula=f"inside the reference's leading {CAPTURED_K} directions, both centred",
        source="arXiv 2603.06698",
        question="Does the variance lie in the reference's leading directions?",
        cannot_tell="whether samples lie in the same places: rows need not even be paired",
        rows_needed="many per feature; it depends on n and has no interval",
        convention="leading 20 directions, both centred, one width",
        range=lambda size: (0, 1),
        baseline=lambda size: min(1.0, CAPTURED_K / size.n_features),
        read=_captured_by_leading,
        missing=OTHER_WIDTHS,
        no_interval=_FITTED,
    )
)  # fmt: skip


def captured_curve(energy: Tensor, total: Tensor) -> Tensor:
    """Cumulative share from the energy along each direction."""
    return (energy.cumsum(-1) / total[..., None]).clamp(max=1)


@own_settings
def principal_angles(features: Features, reference: Features, *, k: int = 10) -> Numbers:
    """Angles between the spans of the leading k principal directions of both (Björck & Golub 1973).

    cos θ_i are the singular values of V_kᵀ W_k; small angles are taken from their sines, so that 1e-9 is not lost.

    Args:
        features, reference: (..., n, d), same d.
        k: directions of each; at most the rank of either.

    Returns:
        (..., k), ascending, in radians, each in [0, π/2]; all 0 for the same subspace.

    Raises:
        ValueError: different widths, or k larger than n − 1 or d; else as `effective_rank`.

    >>> x = [[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 0.1], [0.0, 0.0, -0.1]]
    >>> y = [[0.0, 0.0, 3.0], [0.0, 0.0, -3.0], [0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]]
    >>> principal_angles(x, y, k=1).round(6)
    array([1.570796])
    """
    x, y = as_pair(features, reference, same_rows=False, same_width=True)
    k = check_k(k, min(x.shape[-2] - 1, y.shape[-2] - 1, x.shape[-1]))
    v, w = (_leading(varying(z, name), k, name) for z, name in ((x, "features"), (y, "reference")))
    return give_back(features)(subspace_angles(v, w))


register(
    Measure(
        "mean_principal_angle", "mean principal angle", REFERENCE, principal_angles, ("principal_angles",),
        formula="leading 10 directions of both, radians",
        source="Björck & Golub 1973",
        question="Do the leading directions of both agree?",
        cannot_tell="anything up to rotation: a rotated copy reads far away",
        rows_needed="many per feature; it has no interval",
        convention="leading 10 of both, centred, one width",
        unit="radians",
        range=lambda size: (0, math.pi / 2),
        baseline=None,
        better="lower",
        read=np.mean,
        missing=f"{OTHER_WIDTHS}, or there are fewer than 10 of them",
        no_interval=_FITTED,
    )
)  # fmt: skip


def _leading(rows: Tensor, k: int, name: str) -> Tensor:
    """The first k principal directions as columns."""
    _, sigma, directions = torch.linalg.svd(rows, full_matrices=False)
    # NumPy's rule for the rank of a matrix.
    varying = (sigma > sigma[..., :1] * max(rows.shape[-2:]) * torch.finfo(rows.dtype).eps).sum(-1)
    if bool((varying < k).any()):
        raise ValueError(
            f"`{name}` varies along {int(varying.min())} directions only, so there are no {k} leading ones."
        )
    return directions.mT[..., :k]
