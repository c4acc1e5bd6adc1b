"""Principal directions: along which the rows vary, and how much along each."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repgeom.data.arrays import unit_rows
from repgeom.data.sources import Source
from repgeom.reading.tally import State
from repgeom.spectral.decompose import decomposed
from repgeom.spectral.rounding import rounding
from repgeom.spectral.spectrum import Spectrum
from repgeom.spectral.sums import SpectrumRead

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Directions:
    """A spectrum (tensors) with its mean (n_features,) and directions (n_features, r), leading first.

    Coordinates and variances are in units of the leading standard deviation, so that no square leaves the range of floats.
    """

    spectrum: Spectrum
    mean: Tensor
    vectors: Tensor

    def state(self) -> State:
        """Everything, as tensors and plain values."""
        fields = {f.name: getattr(self.spectrum, f.name) for f in dataclasses.fields(self.spectrum)}
        return {"spectrum": fields, "mean": self.mean, "vectors": self.vectors}

    @classmethod
    def from_state(cls, state: State) -> Directions:
        """The directions that have this state."""
        return cls(Spectrum(**state["spectrum"]), state["mean"], state["vectors"])

    @functools.cached_property
    def unit(self) -> float:
        return float(self.spectrum.singular_values[0]) / max(1, (self.spectrum.n_samples or 2) - 1) ** 0.5

    @functools.cached_property
    def variances(self) -> Array:
        """Variances (r,) along the directions."""
        sigma = self.spectrum.singular_values[: self.vectors.shape[1]]
        found: Array = (sigma / sigma[0]).square().cpu().numpy()
        return found

    @functools.cached_property
    def moving(self) -> int:
        """How many directions vary by more than rounding.

        That is rounding of the features' own type where what lies below it holds next to no variance; a mean far from zero
        can lift it above directions that matter, and then it is the rounding of products of rows.
        """
        sigma = self.spectrum.singular_values[: self.vectors.shape[1]]
        stored = sigma > rounding(self.spectrum, None)
        left_out = (sigma[~stored] / sigma[0]).square().sum() / (sigma / sigma[0]).square().sum()
        # Products in float64 round variances to about 1e-14 of the largest, which is 1e-7 in singular values.
        return max(
            1, int((stored & (sigma > 1e-7 * sigma[0])).sum() if left_out < 1e-6 else (sigma > 1e-7 * sigma[0]).sum())
        )

    @functools.cached_property
    def feature_variances(self) -> Array:
        """The variance (n_features,) of each feature; 0 for one that changes by no more than the rounding of its type."""
        along = torch.as_tensor(self.variances[: self.moving]).to(self.vectors)
        found = self.vectors[:, : self.moving].square() @ along
        eps = torch.finfo(getattr(torch, self.spectrum.dtype)).eps
        rounding = (4 * eps * (self.spectrum.mean.to(found) / self.unit)).square()
        moves = found > rounding.clamp(min=1e-24 * float(found.max()))
        variances: Array = torch.where(moves, found, 0).double().cpu().numpy()
        return variances

    @property
    def live_features(self) -> int:
        """How many features change by more than rounding."""
        return int((self.feature_variances > 0).sum())

    @property
    def freedom(self) -> int:
        assert self.spectrum.n_samples is not None
        return self.spectrum.n_samples - self.spectrum.centered

    @functools.cached_property
    def near(self) -> bool:
        """Whether the mean is so near zero that subtracting it in float32 leaves no rounding that matters."""
        # Up to ten times the spread: float32 then rounds a difference by less than 1e-6 of the spread.
        # Beyond these spreads, differences and squares would leave the range of float32.
        within_float32 = 1e-30 < self.unit < 1e30
        return within_float32 and bool((self.mean / self.unit).square().sum() <= 100 * self.variances.sum())

    def dtype(self, rows: Tensor) -> torch.dtype:
        """In which to multiply: influences need no more than the features' own precision."""
        return torch.float64 if rows.dtype == torch.float64 else torch.float32

    def centred(self, rows: Tensor) -> Tensor:
        """Rows minus the mean; in float64 where the mean is so far from zero that float32 would leave rounding."""
        if self.near and self.dtype(rows) == torch.float32 and not self.spectrum.normalize:
            return (rows.float() - self.mean.float()) / self.unit
        rows = rows.double()
        return ((unit_rows(rows) if self.spectrum.normalize else rows) - self.mean) / self.unit


def directions_of(source: Source, *, center: bool, normalize: str | None, tail: bool) -> Directions:
    """Directions of rows that can be read again; the tail of the spectrum is exact if asked for. Raises as `spectrum`."""
    return directions_in(decomposed(source, normalize, center, tail=tail, vectors=True))


def directions_in(found: SpectrumRead) -> Directions:
    """The directions that were read with a spectrum."""
    assert found.directions is not None
    spectrum = found.spectrum
    mean = spectrum.mean if spectrum.centered else torch.zeros_like(spectrum.mean)
    # Sums of few rows know more directions than the rows span.
    return Directions(spectrum, mean, found.directions[:, : spectrum.singular_values.shape[-1]])
