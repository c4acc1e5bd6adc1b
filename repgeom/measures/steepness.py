"""How steeply do the variances fall? How many directions hold most of them, how small is the last, and by which law?"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from repgeom.data.kinds import Features, Numbers
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings
from repgeom.measures.functionals import components
from repgeom.measures.measure import DIMENSIONS, Family, Measure, register, register_family
from repgeom.measures.shares import largest_rank, read_spectrum, shares
from repgeom.spectral.rounding import rounding
from repgeom.spectral.spectrum import Spectrum

__all__ = ["condition_number", "n_components", "numerical_rank", "power_law"]

_SMALLEST = "it rests on the smallest variances, of which samples say too little"


@own_settings
class PowerLaw(NamedTuple):
    """λ_i ∝ i^(−exponent) over the directions first..last (1-based, both included)."""

    exponent: Any
    r_squared: Any
    first: int
    last: int


@own_settings
def n_components(
    features: Features, *, variance: float = 0.9, center: bool = True, normalize: str | None = None
) -> Numbers:
    """Smallest k whose leading k directions hold at least this share of the variance ("d90" for 0.9).

    This is the number in these rows; `estimate(features, "n_components_90")` gives the population's.

    Args:
        features: (..., n_samples, n_features) or a `Spectrum`.
        variance: share of the total, in (0, 1].
        center, normalize: as `effective_rank`.

    Returns:
        A whole number from 1 to min(n_samples − 1, n_features).

    Raises:
        ValueError: as `effective_rank`, or a share outside (0, 1].

    >>> n_components(Spectrum.from_variances([6.0, 3.0, 1.0]), variance=0.9)
    2
    """
    share = real_number(variance)
    if share is None or not 0 < share <= 1:
        raise ValueError(f"`variance` is a share of the total variance, in (0, 1]; got {variance!r}.")
    p, give = shares(features, center=center, normalize=normalize)
    # 9 × 0.1 must count as 0.9, whatever the last bit says.
    short = p.cumsum(-1) < share * (1 - 1e-12)
    return give((short.sum(-1) + 1).clamp(max=p.shape[-1]))


def _components_record(percent: str) -> Measure | None:
    """The record of n_components for a share of the variance, in whole percent."""
    share = int(percent) / 100
    if share == 0:
        return None
    return Measure(
        f"n_components_{percent}", f"components for {int(percent)} %", DIMENSIONS, n_components, ("spectrum",),
        formula="σ² of centred features",
        source="classical",
        question="How many principal components hold this share of the variance?",
        cannot_tell="how even they are; one large direction makes it small",
        rows_needed="many per feature: it moves in whole steps",
        convention="share of σ², centred; the smallest whole number that reaches it",
        unit="dimensions",
        better="higher",
        no_interval="it moves in whole steps; `rg.estimate` corrects the value",
        arguments={"variance": share},
        functional=components(share),
    )  # fmt: skip


# The first one is what the function does unless told otherwise.
for _percent in ("90", "99"):
    _record = _components_record(_percent)
    assert _record is not None
    register(_record)
register_family(Family("n_components_([0-9]{2})", "n_components_NN (NN % of the variance)", _components_record))


@own_settings
def numerical_rank(
    features: Features, *, tolerance: float | None = None, center: bool = True, normalize: str | None = None
) -> Numbers:
    """Number of singular values that are more than rounding.

    Counts σ_i > tolerance · σ_1. By default the bound is 4 ε · rms(x) · (√n + √d), the largest singular value of noise
    of a few units in the last place of features with ε of their own type and root mean square rms(x); and never less
    than NumPy's rule in float64, max(n, d) · ε · σ_1, which alone is used where only the singular values are known.

    Args:
        features: (..., n_samples, n_features) or a `Spectrum`.
        tolerance: share of the largest singular value, in [0, 1).
        center, normalize: as `effective_rank`.

    Returns:
        A whole number from 1 to min(n_samples − 1, n_features).

    Raises:
        ValueError: as `effective_rank`, or a tolerance outside [0, 1).

    >>> numerical_rank([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 0.0, 0.0]])
    1
    """
    if tolerance is not None:
        number = real_number(tolerance)
        if number is None or not 0 <= number < 1:
            raise ValueError(f"`tolerance` is a share of the largest singular value, in [0, 1); got {tolerance!r}.")
        tolerance = number
    s, give = read_spectrum(features, center=center, normalize=normalize, tail=True)
    sigma = torch.as_tensor(s.singular_values)
    # Rows that differ vary along one direction at least, however little of it is more than rounding.
    return give((sigma > rounding(s, tolerance)[..., None]).sum(-1).clamp(min=1))


register(
    Measure(
        "numerical_rank", "numerical rank", DIMENSIONS, numerical_rank, ("spectrum",),
        formula="σ above rounding of the features' own type",
        source="classical",
        question="Along how many directions do the rows vary at all?",
        cannot_tell="how much they vary there: noise of any size counts",
        rows_needed="more than features; else it reads n − 1",
        convention="σ above rounding of the features' own type; other tools use other bounds",
        unit="dimensions",
        better="higher",
        aliases=("Hill number of order 0",),
        no_interval=_SMALLEST,
    )
)  # fmt: skip


@own_settings
def condition_number(features: Features, *, center: bool = True, normalize: str | None = None) -> Numbers:
    """Largest over smallest singular value, of the min(n_samples − 1, n_features) that can differ from zero.

    Args:
        features: (..., n_samples, n_features) or a `Spectrum`.
        center, normalize: as `effective_rank`.

    Returns:
        ≥ 1; infinity where the smallest singular value is rounding (see `numerical_rank`).

    Raises:
        ValueError, TypeError: as `effective_rank`.

    >>> condition_number(Spectrum.from_singular_values([6.0, 3.0]))
    2.0
    """
    s, give = read_spectrum(features, center=center, normalize=normalize, tail=True)
    sigma = torch.as_tensor(s.singular_values)
    smallest = sigma[..., largest_rank(s) - 1]
    return give(torch.where(smallest > rounding(s, None), sigma[..., 0] / smallest, float("inf")))


register(
    Measure(
        "condition_number", "condition number", DIMENSIONS, condition_number, ("spectrum",),
        formula="σ₁ / smallest σ, ∞ if that is rounding",
        source="classical",
        question="How much smaller is the smallest direction than the largest?",
        cannot_tell="anything of the directions between",
        rows_needed="many per feature: the smallest variance reads low where rows are few",
        convention="of σ, centred; ∞ where the smallest is rounding",
        range=lambda size: (1, math.inf),
        better="lower",
        no_interval=_SMALLEST,
    )
)  # fmt: skip


@own_settings
def power_law(
    features: Features, *, first: int = 11, last: int = 100, center: bool = True, normalize: str | None = None
) -> PowerLaw:
    """Decay exponent α of the variances, λ_i ∝ i^(−α): α-ReQ, with the range it was fitted on and its fit.

    Least squares of ln λ_i on ln i over i = first..last with weights 1/i, which are even along ln i (Stringer et al.
    2019; Agrawal et al. 2022). On power laws with 2,000 rows or more it is within 2 to 5 %; on other spectra it
    returns a number all the same, so read `r_squared` first.

    Args:
        features: (..., n_samples, n_features) or a `Spectrum`.
        first, last: 1-based directions; `last` is lowered to the number of directions that vary.
        center, normalize: as `effective_rank`.

    Returns:
        `PowerLaw(exponent, r_squared, first, last)`; the exponent is 0 for a flat spectrum, `r_squared` is at most 1
        (1 for a flat one).

    Raises:
        ValueError: fewer than 10 directions in the range; else as `effective_rank`.

    >>> import numpy as np
    >>> fit = power_law(Spectrum.from_variances(np.arange(1.0, 101.0) ** -1.5))
    >>> round(fit.exponent, 6), round(fit.r_squared, 6), fit.first, fit.last
    (1.5, 1.0, 11, 100)
    """
    s, give = read_spectrum(features, center=center, normalize=normalize)
    sigma = torch.as_tensor(s.singular_values)
    # A stack is fitted over one range, that of the matrix with the fewest directions.
    varying = int((sigma > rounding(s, None)[..., None]).sum(-1).min())
    last = min(last, varying)
    if first < 1 or last - first < 9:
        raise ValueError(
            f"a power law needs at least 10 directions from `first` on; directions {first} to {last} of {varying} that "
            "vary are left. Lower `first`, or use more samples."
        )
    rank = torch.arange(first, last + 1, dtype=torch.float64, device=sigma.device)
    # ln λ as 2 ln σ, because σ² may underflow.
    x, y, w = rank.log(), 2 * sigma[..., first - 1 : last].log(), 1 / rank / (1 / rank).sum()
    x = x - (w * x).sum()
    y = y - (w * y).sum(-1, keepdim=True)
    slope = (w * x * y).sum(-1) / (w * x * x).sum()
    left = (w * (y - slope[..., None] * x).square()).sum(-1)
    total = (w * y.square()).sum(-1)
    # A flat spectrum has nothing to explain; what is left of it is rounding, and so would be any share of that.
    r_squared = 1 - torch.where(total > 1e-24, left / total.clamp(min=1e-24), 0)
    return PowerLaw(give(-slope), give(r_squared), first, last)


def _exponent(spectrum: Spectrum) -> float:
    return float(power_law(spectrum).exponent)


def _r_squared(spectrum: Spectrum) -> float:
    return float(power_law(spectrum).r_squared)


register(
    Measure(
        "power_law_exponent", "power-law exponent α", DIMENSIONS, power_law, ("spectrum",),
        formula="λ_i ∝ i^−α, directions 11 to 100 or the last",
        source="Stringer et al. 2019; Agrawal et al. 2022",
        question="How fast do the variances fall?",
        cannot_tell="anything where they follow no power law: read R² first",
        rows_needed="2,000 for 2 to 5 %",
        convention="of λ = σ², weights 1/i, directions 11 to 100; of σ it halves, other ranges move it",
        range=lambda size: (0, math.inf),
        read=_exponent,
        aliases=("α-ReQ",),
        missing="needs at least 20 directions that vary",
        no_interval=_SMALLEST,
    )
)  # fmt: skip
register(
    Measure(
        "power_law_r_squared", "  its fit, R²", DIMENSIONS, power_law, ("spectrum",),
        formula="below about 0.95 the exponent means little",
        source="Stringer et al. 2019",
        question="Do the variances follow a power law?",
        cannot_tell="which other law they follow",
        rows_needed="2,000",
        convention="of the weighted fit on ln λ",
        range=lambda size: (0, 1),
        read=_r_squared,
        missing="needs at least 20 directions that vary",
        no_interval=_SMALLEST,
    )
)  # fmt: skip
