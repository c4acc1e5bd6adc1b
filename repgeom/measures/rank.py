"""How many dimensions are in use? Every measure here is a few lines that read one `Spectrum`.

Four of them are Hill numbers of the same shares p_i = λ_i / Σλ, so for any input
stable_rank ≤ participation_ratio ≤ effective_rank ≤ effective_rank(of="singular_values") ≤ min(n − 1, d).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repgeom.data.arrays import give_back
from repgeom.spectral.decompose import spectrum_of
from repgeom.spectral.rounding import rounding
from repgeom.spectral.spectrum import Spectrum

Give = Callable[[Tensor], Any]


class InexactTailError(ValueError):
    """A measure rests on singular values that may be rounding."""


class PowerLaw(NamedTuple):
    """λ_i ∝ i^(−exponent) over the directions first..last (1-based, both included)."""

    exponent: Any
    r_squared: Any
    first: int
    last: int


def effective_rank(features: Any, *, of: str = "variances", center: bool = True, normalize: str | None = None) -> Any:
    """Number of dimensions in use: exp of the Shannon entropy of the spectrum's shares.

    exp(−Σ p_i ln p_i) with p_i = σ_i² / Σσ² for `of="variances"` (the default; Giraldo et al. 2015, and the paper this
    project reproduces, arXiv 2603.06698) or p_i = σ_i / Σσ for `of="singular_values"` (Roy & Vetterli 2007). The
    second is never smaller. No ε: 0 ln 0 = 0. Its logarithm is the spectral entropy, in nats.

    Args:
        features: (..., n_samples, n_features) of any array kind, or a `Spectrum`.
        of: "variances" or "singular_values".
        center: subtract the mean row first.
        normalize: "l2" scales rows to unit length before centring.

    Returns:
        Between 1 and min(n_samples − 1, n_features), in dimensions. A Python number; for a tensor a float64 tensor on
        its device, differentiable; for a stack one value each. Unchanged by rotation, translation, scale, the order
        of rows and repeating them all. Reads low where samples are few: isotropic features with n = 2d read 78 % of d
        (see `isotropic_baseline`).

    Raises:
        ValueError: NaN or infinity, fewer than two rows, no variance at all, a 1-D array.
        TypeError: complex, text, sparse or masked data.

    >>> s = Spectrum.from_singular_values([1.0, 1.0, 1.0, 0.0])
    >>> round(effective_rank(s), 12)
    3.0
    """
    p, give = _shares(features, of=of, center=center, normalize=normalize)
    return give(_entropy(p).exp())


def rankme(features: Any) -> Any:
    """RankMe exactly as published: exp entropy of the singular values of the features as they are, with its ε.

    exp(−Σ p_i ln p_i), p_i = σ_i / Σσ + 1e-7, not centred, not normalised (Garrido et al., ICML 2023, arXiv 2210.02885).
    ε adds up: with d = 2,048 features of rank one it reads 1.004, and a spectrum that is full can read above d by
    about d · 1e-7 · ln d. A mean far from zero pulls it towards 1; `effective_rank` is not moved by the mean.

    Args:
        features: (..., n_samples, n_features), or a `Spectrum` made with `center=False`. The authors use 25,600 rows.

    Returns:
        Between 1 and min(n_samples, n_features), in dimensions, as `effective_rank` returns it.

    Raises:
        ValueError: as `effective_rank`; also for a `Spectrum` of centred features.

    >>> round(rankme([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), 5)
    2.0
    """
    if isinstance(features, Spectrum) and features.centered:
        raise ValueError("RankMe is defined on features that are not centred; make the spectrum with `center=False`.")
    p, give = _shares(features, of="singular_values", center=False)
    p = p + 1e-7
    return give((-(p * p.log()).sum(-1)).exp())


def hill_number(features: Any, *, order: float, center: bool = True, normalize: str | None = None) -> Any:
    """Hill number of the variances: one family for all ranks of a covariance.

    (Σ p_i^q)^(1/(1−q)) with p_i = λ_i / Σλ (Hill 1973; for features Pasarkar & Dieng 2024). Order 0 is the numerical
    rank, 1 the effective rank, 2 the participation ratio, infinity the stable rank. Never rises with the order.
    Orders below 1 rest on the smallest variances, which are mostly noise.

    Args:
        features: (..., n_samples, n_features) or a `Spectrum`.
        order: q ≥ 0, `float("inf")` allowed.
        center, normalize: as `effective_rank`.

    Returns:
        Between 1 and min(n_samples − 1, n_features), as `effective_rank` returns it.

    Raises:
        ValueError: a negative order; else as `effective_rank`.

    >>> s = Spectrum.from_variances([4.0, 2.0, 1.0, 1.0])
    >>> [round(hill_number(s, order=q), 3) for q in (0, 2, float("inf"))]
    [4, 2.909, 2.0]
    """
    if not order >= 0:
        raise ValueError(f"`order` must be a number ≥ 0, got {order!r}.")
    if order == 0:
        return numerical_rank(features, center=center, normalize=normalize)
    p, give = _shares(features, center=center, normalize=normalize, tail=order < 1)
    if order == 1:
        return give(_entropy(p).exp())
    if order == float("inf"):
        return give(1 / p[..., 0])
    # Powers of p / p_1 stay in [0, 1]; the gradient at p = 0 is left out as in `_entropy`.
    ratio = p / p[..., :1]
    powers = torch.where(ratio > 0, torch.where(ratio > 0, ratio, 1) ** order, 0).sum(-1)
    return give((powers.log() + order * p[..., 0].log()).div(1 - order).exp())


def participation_ratio(features: Any, *, center: bool = True, normalize: str | None = None) -> Any:
    """Number of dimensions in use, weighted to the large ones: (Σλ)² / Σλ².

    Also tr(C)² / tr(C²), and 1 + (d − 1) · IsoScore (Gao et al. 2017; Rudman et al. 2022). Reads low where samples
    are few: isotropic features read d / (1 + (d + 1)/(n − 1)).

    Args:
        features: (..., n_samples, n_features) or a `Spectrum`.
        center, normalize: as `effective_rank`.

    Returns:
        Between 1 and min(n_samples − 1, n_features), as `effective_rank` returns it, with the same invariances.

    Raises:
        ValueError, TypeError: as `effective_rank`.

    Singular values 3, 2, 1 are variances in the ratio 9 : 4 : 1, so 14² / (81 + 16 + 1) = 2:

    >>> round(participation_ratio(Spectrum.from_singular_values([3.0, 2.0, 1.0])), 12)
    2.0
    """
    p, give = _shares(features, center=center, normalize=normalize)
    return give(1 / p.square().sum(-1))


def stable_rank(features: Any, *, center: bool = True, normalize: str | None = None) -> Any:
    """Total variance over the largest: Σλ / λ_1 = ‖X‖²_F / ‖X‖²_2 (Rudelson & Vershynin 2007; NESum, He & Ozay 2022).

    Args:
        features: (..., n_samples, n_features) or a `Spectrum`.
        center, normalize: as `effective_rank`.

    Returns:
        Between 1 and min(n_samples − 1, n_features), as `effective_rank` returns it. Isotropic features read about
        d / (1 + √(d/(n − 1)))².

    Raises:
        ValueError, TypeError: as `effective_rank`.

    >>> stable_rank(Spectrum.from_variances([4.0, 2.0, 2.0]))
    2.0
    """
    p, give = _shares(features, center=center, normalize=normalize)
    return give(1 / p[..., 0])


def numerical_rank(
    features: Any, *, tolerance: float | None = None, center: bool = True, normalize: str | None = None
) -> Any:
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
    if tolerance is not None and not 0 <= tolerance < 1:
        raise ValueError(f"`tolerance` is a share of the largest singular value, in [0, 1); got {tolerance!r}.")
    s, give = _read(features, center=center, normalize=normalize, tail=True)
    sigma = torch.as_tensor(s.singular_values)
    return give((sigma > rounding(s, tolerance)[..., None]).sum(-1))


def n_components(features: Any, *, variance: float = 0.9, center: bool = True, normalize: str | None = None) -> Any:
    """Smallest k whose leading k directions hold at least this share of the variance ("d90" for 0.9).

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
    if not 0 < variance <= 1:
        raise ValueError(f"`variance` is a share of the total variance, in (0, 1]; got {variance!r}.")
    p, give = _shares(features, center=center, normalize=normalize)
    # 9 × 0.1 must count as 0.9, whatever the last bit says.
    short = p.cumsum(-1) < variance * (1 - 1e-12)
    return give((short.sum(-1) + 1).clamp(max=p.shape[-1]))


def condition_number(features: Any, *, center: bool = True, normalize: str | None = None) -> Any:
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
    s, give = _read(features, center=center, normalize=normalize, tail=True)
    sigma = torch.as_tensor(s.singular_values)
    smallest = sigma[..., _largest_rank(s) - 1]
    return give(torch.where(smallest > rounding(s, None), sigma[..., 0] / smallest, float("inf")))


def power_law(
    features: Any, *, first: int = 11, last: int = 100, center: bool = True, normalize: str | None = None
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
    s, give = _read(features, center=center, normalize=normalize)
    sigma = torch.as_tensor(s.singular_values)
    varying = int((sigma > rounding(s, None)[..., None]).sum(-1).min())
    last = min(last, varying)
    if first < 1 or last - first < 9:
        raise ValueError(
            f"a power law needs at least 10 directions from `first` on; directions {first} to {last} of {varying} that "
            "vary are left. Lower `first`, or use more samples."
        )
    rank = torch.arange(first, last + 1, dtype=torch.float64, device=sigma.device)
    x, y, w = rank.log(), 2 * sigma[..., first - 1 : last].log(), 1 / rank / (1 / rank).sum()
    x = x - (w * x).sum()
    y = y - (w * y).sum(-1, keepdim=True)
    slope = (w * x * y).sum(-1) / (w * x * x).sum()
    left = (w * (y - slope[..., None] * x).square()).sum(-1)
    total = (w * y.square()).sum(-1)
    r_squared = 1 - torch.where(total > 1e-24, left / total.clamp(min=1e-24), 0)
    return PowerLaw(give(-slope), give(r_squared), first, last)


def _read(
    features: Any, *, center: bool = True, normalize: str | None = None, tail: bool = False
) -> tuple[Spectrum, Give]:
    """A Spectrum as it is, or the one of `features`; refuses what it cannot answer."""
    if not isinstance(features, Spectrum):
        s = spectrum_of(features, center=center, normalize=normalize, tail=tail)
    else:
        s = features
        if (normalize and normalize != s.normalize) or (not center and s.centered):
            raise ValueError(
                f"this Spectrum was made with center={s.centered}, normalize={s.normalize!r}; `center={center}, "
                f"normalize={normalize!r}` cannot be applied to it. Make it anew from the features."
            )
    largest = torch.as_tensor(s.singular_values)[..., 0]
    if bool((largest <= 0).any()):
        where = "" if largest.ndim == 0 else f" in batch {tuple(int(i) for i in (largest <= 0).nonzero()[0])}"
        raise ValueError(
            f"the features have zero variance{where}: all {s.n_samples or ''} rows are equal, so a rank is not defined. "
            "The model may have collapsed to a point, or the file holds one row repeated."
        )
    if tail and not s.exact_tail:
        raise InexactTailError(
            f"this Spectrum was made by {s.method}, and its smallest singular values may be rounding; this measure rests "
            'on them. Use `spectrum(features)`, or `SpectrumAccumulator(method="qr")` for a stream.'
        )
    return s, give_back(features.singular_values if isinstance(features, Spectrum) else features)


def _shares(
    features: Any, *, of: str = "variances", center: bool = True, normalize: str | None = None, tail: bool = False
) -> tuple[Tensor, Give]:
    """p_i, descending and summing to one: λ_i / Σλ, or σ_i / Σσ."""
    if of not in ("variances", "singular_values"):
        raise ValueError(
            f'`of` must be "variances" (σ², the default) or "singular_values" (Roy & Vetterli), got {of!r}.'
        )
    s, give = _read(features, center=center, normalize=normalize, tail=tail or of == "singular_values")
    sigma = torch.as_tensor(s.singular_values)
    sigma = sigma / sigma[..., :1]  # squares of tiny or huge values stay in range
    weights = sigma if of == "singular_values" else sigma.square()
    return weights / weights.sum(-1, keepdim=True), give


def _entropy(p: Tensor) -> Tensor:
    """−Σ p ln p with 0 ln 0 = 0. Unlike `torch.special.entr` its gradient at p = 0 is 0, not infinite."""
    return 0.0 - (p * torch.where(p > 0, p, 1).log()).sum(-1)


def _largest_rank(s: Spectrum) -> int:
    """min(n_samples − 1, n_features): as many singular values as can differ from zero."""
    length = int(s.singular_values.shape[-1])
    return length if s.n_samples is None else max(1, min(length, s.n_samples - s.centered))
