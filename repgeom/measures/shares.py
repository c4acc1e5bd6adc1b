"""What every measure of a spectrum starts from: a `Spectrum` that can answer, and its shares of variance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from repgeom.data.arrays import ZeroVarianceError, give_back
from repgeom.spectral.decompose import spectrum_of
from repgeom.spectral.spectrum import Spectrum

Give = Callable[[Tensor], Any]


class InexactTailError(ValueError):
    """A measure rests on singular values that may be rounding."""


def read_spectrum(
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
        raise ZeroVarianceError(
            f"the features have zero variance{where}: all {s.n_samples or ''} rows are equal, so a rank is not defined. "
            "The model may have collapsed to a point, or the file holds one row repeated."
        )
    if tail and not s.exact_tail:
        raise InexactTailError(
            f"this Spectrum was made by {s.method}, and its smallest singular values may be rounding; this measure rests "
            'on them. Use `spectrum(features)`, or `SpectrumAccumulator(method="qr")` for a stream.'
        )
    return s, give_back(features.singular_values if isinstance(features, Spectrum) else features)


def shares(
    features: Any, *, of: str = "variances", center: bool = True, normalize: str | None = None, tail: bool = False
) -> tuple[Tensor, Give]:
    """p_i, descending and summing to one: λ_i / Σλ, or σ_i / Σσ."""
    if of not in ("variances", "singular_values"):
        raise ValueError(
            f'`of` must be "variances" (σ², the default) or "singular_values" (Roy & Vetterli), got {of!r}.'
        )
    s, give = read_spectrum(features, center=center, normalize=normalize, tail=tail or of == "singular_values")
    sigma = torch.as_tensor(s.singular_values)
    sigma = sigma / sigma[..., :1]  # squares of tiny or huge values stay in range
    weights = sigma if of == "singular_values" else sigma.square()
    return weights / weights.sum(-1, keepdim=True), give


def entropy_of(p: Tensor) -> Tensor:
    """−Σ p ln p with 0 ln 0 = 0. Unlike `torch.special.entr` its gradient at p = 0 is 0, not infinite."""
    # 0.0 − x where −x would give −0.0 for a single direction.
    return 0.0 - (p * torch.where(p > 0, p, 1).log()).sum(-1)


def largest_rank(s: Spectrum) -> int:
    """min(n_samples − 1, n_features): as many singular values as can differ from zero."""
    length = int(s.singular_values.shape[-1])
    return length if s.n_samples is None else max(1, min(length, s.n_samples - s.centered))
