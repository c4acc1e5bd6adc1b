"""How do rows spread about their mean, and how does each row move a rank of that spread?"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from repgeom.data.arrays import centred
from repgeom.inference.intervals import Reading
from repgeom.measures.rank import effective_rank, participation_ratio
from repgeom.spectral.spectrum import Spectrum


class Spread:
    """Centred rows over their largest entry, with their variances and directions, leading first.

    `flat` says that all rows are equal, but for rounding; there are no directions then.
    """

    def __init__(self, rows: Tensor) -> None:
        self.mean = rows.mean(0)
        self.rows = centred(rows)
        largest = self.rows.abs().max()
        self.flat = bool(largest <= rows.abs().max() * 8 * torch.finfo(rows.dtype).eps)
        if self.flat:
            return
        self.rows = self.rows / largest
        n, d = self.rows.shape
        if n >= d:
            squares, vectors = torch.linalg.eigh(self.rows.mT @ self.rows)
        else:
            squares, vectors = torch.linalg.eigh(self.rows @ self.rows.mT)
            vectors = self.rows.mT @ vectors / squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt()
        # What rounding alone can leave is no direction.
        kept = squares > squares[-1] * max(n, d) * torch.finfo(squares.dtype).eps
        self.variances = squares[kept].flip(0) / n
        self.directions = vectors[:, kept].flip(1)
        self.scores = self.rows @ self.directions

    def spectrum(self) -> Spectrum:
        return Spectrum.from_variances(self.variances, n_samples=len(self.rows), n_features=self.rows.shape[1])

    def effective_rank(self) -> Reading:
        """Without an interval: few samples bias a rank by more than they scatter it."""
        note = "no interval: a rank reads low where samples are few; read the ratio"
        return Reading("effective_rank", float(effective_rank(self.spectrum())), len(self.rows), note=note)

    def log_rank(self, name: str) -> tuple[float, Tensor]:
        """ln of a rank and its influence function: what each row adds to it, (n,), mean zero as no rank feels scale."""
        value, slope = RANKS[name](self.spectrum(), self.variances)
        return math.log(value), self.scores.square() @ slope


def _entropy_slope(s: Spectrum, variances: Tensor) -> tuple[float, Tensor]:
    """d ln exp H(p) / dλ_j = −(ln p_j + H) / Σλ, p = λ / Σλ."""
    value = float(effective_rank(s))
    return value, -((variances / variances.sum()).log() + math.log(value)) / variances.sum()


def _sigma_entropy_slope(s: Spectrum, variances: Tensor) -> tuple[float, Tensor]:
    """The same of q = σ / Σσ, with dσ/dλ = 1 / 2σ."""
    value, sigma = float(effective_rank(s, of="singular_values")), variances.sqrt()
    return value, -((sigma / sigma.sum()).log() + math.log(value)) / sigma.sum() / (2 * sigma)


def _participation_slope(s: Spectrum, variances: Tensor) -> tuple[float, Tensor]:
    """d ln ((Σλ)² / Σλ²) / dλ_j = 2 / Σλ − 2 λ_j / Σλ²."""
    return float(participation_ratio(s)), 2 / variances.sum() - 2 * variances / variances.square().sum()


# The ratios of ranks, each with its rank and the slope of the rank's logarithm along each variance.
RANKS: dict[str, Callable[[Spectrum, Tensor], tuple[float, Tensor]]] = {
    "effective_rank_ratio": _entropy_slope,
    "effective_rank_ratio_sigma": _sigma_entropy_slope,
    "participation_ratio_ratio": _participation_slope,
}
