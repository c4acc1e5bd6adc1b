"""How alike are two representations of the same samples by kernels: nearby rows, or all pairs of rows as an angle?"""

from __future__ import annotations

import torch
from torch import Tensor

from repgeom.data.arrays import give_back
from repgeom.data.kinds import Features, Numbers
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings, warn_caller
from repgeom.measures.kernels import alignment_of, double_centred, has_structure, rbf_kernel, without_diagonal
from repgeom.measures.measure import REFERENCE, Measure, register
from repgeom.measures.pair_sums import as_pair, cka_of, varying

__all__ = ["angular_cka", "rbf_cka"]

MOST_ROWS = 16_384  # whose kernels are held: 2 GB of float64 each


@own_settings
def rbf_cka(features: Features, reference: Features, *, bandwidth: float = 1.0, debiased: bool = True) -> Numbers:
    """Centred kernel alignment of Gaussian kernels (Kornblith et al. 2019): alike where the same rows lie near each other.

    k(x_i, x_j) = exp(−‖x_i − x_j‖² / (2 σ²)), σ = bandwidth × median distance of two rows, of each representation by itself.
    A large bandwidth reads what `linear_cka` reads; a small one sees the nearest rows alone. Debiased by the unbiased HSIC of
    Song et al. (2012). Costs O(n² n_features), and memory for eight n × n kernels: 1 GB for 4,096 rows, 17 GB for
    16,384, beyond which draw some.

    Args:
        features, reference: (..., n, d1) and (..., n, d2), the same n samples in the same order; n ≥ 4 if debiased.
        bandwidth: in median distances; Kornblith et al. use 0.2 to 0.8. The median is taken as a constant in gradients.
        debiased: False gives the original, which is above 0 for unrelated features.

    Returns:
        1 for equal features up to rotation, translation and scale; debiased about 0 for unrelated ones, in [−1, 1]. NaN, with a
        warning, where all rows of one lie equally far apart.

    Raises:
        ValueError: other numbers of rows, too few or too many of them, no variance, a bandwidth that is not positive; else as
            `effective_rank`.

    >>> x = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -2.0], [3.0, 1.0]]
    >>> round(rbf_cka(x, [[2 * b, -2 * a] for a, b in x]), 12)
    1.0
    """
    number = real_number(bandwidth)
    if number is None or not 0 < number < float("inf"):
        raise ValueError(f"`bandwidth` must be a positive number of median distances, got {bandwidth!r}.")
    x, y = as_pair(features, reference, same_rows=True, min_rows=4 if debiased else 2, double=False)
    if x.shape[-2] > MOST_ROWS:
        raise ValueError(
            f"`features` has {x.shape[-2]:,} rows, whose kernels would take {8 * x.shape[-2] ** 2 / 1e9:.0f} GB each. Draw up to "
            f"{MOST_ROWS:,} rows of both, the same ones."
        )
    centre = without_diagonal if debiased else double_centred
    kernels = [rbf_kernel(varying(z.double(), name), number) for z, name in ((x, "features"), (y, "reference"))]
    centred = [centre(kernel) for kernel in kernels]
    known = has_structure(centred[0], kernels[0]) & has_structure(centred[1], kernels[1])
    found = torch.where(known, alignment_of(*centred), torch.nan)
    if bool(torch.isnan(found.detach()).any()):
        warn_caller(
            "RBF CKA is NaN: all rows of `features` or of `reference` lie equally far apart, exactly or to rounding, so nothing of "
            "the kernel is left once it is centred. Fewer equal rows, or `linear_cka(debiased=False)`, may be defined."
        )
    return give_back(features)(found)


register(
    Measure(
        "rbf_cka", "RBF CKA", REFERENCE, rbf_cka, (),
        formula="debiased HSIC of Gaussian kernels, σ = median distance",
        source="Kornblith et al. 2019; Song et al. 2012",
        question="Do two models hold the same rows close together?",
        cannot_tell="at which distances: that is what the bandwidth chooses; wide kernels read linear CKA",
        rows_needed="300; all pairs, so at most 16,384",
        convention="σ is the median distance times the bandwidth, debiased; many codes give the biased form",
        baseline=lambda size: 0.0,
        better="higher",
    )
)  # fmt: skip


@own_settings
def angular_cka(features: Features, reference: Features, *, debiased: bool = True) -> Numbers:
    """The angle whose cosine is linear CKA: a distance, of which three representations obey the triangle inequality.

    arccos of `linear_cka`. Centred kernels are vectors, with their diagonal or (debiased) without it, so that it is an angle
    between vectors (Williams et al. 2021, who take the biased form).

    Args:
        features, reference, debiased: as `linear_cka`.

    Returns:
        (...,) in radians: 0 for equal features up to rotation, translation and scale, about π/2 for unrelated ones if debiased.

    Raises:
        ValueError: as `linear_cka`.

    >>> x = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -2.0], [3.0, 1.0]]
    >>> abs(round(angular_cka(x, [[2 * b, -2 * a] for a, b in x]), 6))
    0.0
    """
    cosine = cka_of(features, reference, debiased)
    if bool(torch.isnan(cosine.detach()).any()):
        warn_caller("angular CKA is NaN where debiased linear CKA is: all rows of one lie equally far apart.")
    return give_back(features)(angle_of(cosine))


def angle_of(cosine: Tensor) -> Tensor:
    """arccos of a cosine that rounding may have carried past 1."""
    return torch.arccos(cosine.clamp(-1, 1))


register(
    Measure(
        "angular_cka", "angular CKA", REFERENCE, angular_cka, (),
        formula="arccos of debiased linear CKA",
        source="Williams et al. 2021",
        question="How far apart are models, so that they can be clustered or laid out?",
        cannot_tell="more than linear CKA: it is that on another scale",
        rows_needed="as linear CKA: 100",
        convention="debiased, so unrelated features lie π/2 apart; netrep and others take the biased form",
        unit="radians",
        baseline=None,
        better="lower",
    )
)  # fmt: skip
