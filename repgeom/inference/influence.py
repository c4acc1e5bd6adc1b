"""What does each row add to a measure? Rows along the sample's directions, and the influence that follows.

For a measure of the sample covariance S with gradient G = Σ g(l_j) u_j u_jᵀ, row x moves its logarithm by xᵀGx / n. Where g
is a function of a variance alone, the same with the row left out of S follows without another decomposition: g is written
as a sum of c s / (l + s), and leaving a row out turns h = xᵀ(A + ns)⁻¹x, A = nS, into h / (1 − h) (Sherman & Morrison 1950).
Without that, a row that weighs much finds its own direction in S and looks more influential than it is.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repgeom.data.arrays import Source, centred, finite_rows, row_chunks, unit_rows
from repgeom.measures.functionals import Array, Functional
from repgeom.measures.shares import rounding
from repgeom.spectral.decompose import climb, dense_spectrum
from repgeom.spectral.spectrum import Spectrum

Rows = Tensor | Source
_LEADING = 10
_NODES = 24  # of the sum that stands for g


@dataclasses.dataclass(frozen=True)
class Directions:
    """A spectrum (tensors) with its mean (n_features,) and directions (n_features, r), leading first.

    Coordinates and variances are in units of the leading standard deviation, so that no square leaves the range of floats.
    """

    spectrum: Spectrum
    mean: Tensor
    vectors: Tensor

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
        return max(
            1, int((stored & (sigma > 1e-7 * sigma[0])).sum() if left_out < 1e-6 else (sigma > 1e-7 * sigma[0]).sum())
        )

    @property
    def freedom(self) -> int:
        assert self.spectrum.n_samples is not None
        return self.spectrum.n_samples - self.spectrum.centered

    @functools.cached_property
    def near(self) -> bool:
        """Whether the mean is so near zero that subtracting it in float32 leaves no rounding that matters."""
        return bool((self.mean / self.unit).square().sum() <= 100 * self.variances.sum())

    def dtype(self, rows: Tensor) -> torch.dtype:
        """In which to multiply: influences need no more than the features' own precision."""
        return torch.float64 if rows.dtype == torch.float64 else torch.float32

    def centred(self, rows: Tensor) -> Tensor:
        """Rows minus the mean; in float64 where the mean is so far from zero that float32 would leave rounding."""
        if self.near and self.dtype(rows) == torch.float32 and not self.spectrum.normalize:
            return (rows.float() - self.mean.float()) / self.unit
        rows = rows.double()
        return ((unit_rows(rows) if self.spectrum.normalize else rows) - self.mean) / self.unit


def chunks_of(x: Rows) -> Iterable[Tensor]:
    """All rows in order, in pieces."""
    return x.chunks() if isinstance(x, Source) else row_chunks(x)


def directions_of(x: Rows, *, center: bool, normalize: str | None, tail: bool, name: str) -> Directions:
    """One pass over the rows; the tail of the spectrum is exact if asked for. Raises as `spectrum`."""
    n, d = (x.n_samples, x.n_features) if isinstance(x, Source) else x.shape
    if n <= d:
        rows = torch.cat(list(chunks_of(x)))
        found = dense_spectrum(rows, center, normalize, tail, name)
        rows = finite_rows(rows, name)
        rows = unit_rows(rows) if normalize else rows
        vectors = few_directions(centred(rows) if center else rows, n - center)
    else:
        acc, (found,) = climb(x, lambda: chunks_of(x), normalize, (center,), tail, name)
        unit = float(found.singular_values[0]) or 1.0
        vectors = torch.linalg.eigh(acc.scatter(unit, center=center)).eigenvectors.flip(-1)
    mean = found.mean if center else torch.zeros_like(found.mean)
    return Directions(found, mean, vectors)


def few_directions(rows: Tensor, count: int) -> Tensor:
    """Leading `count` directions (n_features, count) of no more rows than features, by a decomposition of n × n."""
    largest = rows.abs().max()
    rows = rows / torch.where(largest > 0, largest, 1)
    squares, sides = torch.linalg.eigh(rows @ rows.mT)
    squares, sides = squares.flip(0)[:count], sides.flip(1)[:, :count]
    return rows.mT @ (sides / squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt())


@dataclasses.dataclass(frozen=True)
class Scores:
    """Per row: squared distance from the mean, of mean one, and what it adds to ln of each measure, of mean zero; (n,).

    `fingerprints` are equal for equal rows. `one_row` (≤ 10,): the share that one row holds of each leading variance.
    `leverage`: the largest share that a row and those like it hold of all directions, where rows have copies; else 0.
    """

    squares: Array
    one_row: Array
    leverage: float
    fingerprints: NDArray[np.complex128]
    influence: Mapping[str, Array]


def score(
    directions: Directions, chunks: Iterable[Tensor], functionals: Mapping[str, Functional], copies: Array | None = None
) -> Scores:
    """Reads the rows once more. `copies` (n,): as how many copies of itself a row is left out (its group); else one."""
    readers = {name: _reader(directions, f) for name, f in functionals.items()}
    vectors, turned, ones = directions.vectors, directions.vectors, torch.ones_like(directions.vectors[0])
    marks = torch.as_tensor(np.random.default_rng(0).standard_normal((len(vectors), 2)), device=vectors.device)
    start, lengths, prints, leverage = 0, [], [], 0.0
    moving = np.arange(vectors.shape[1]) < directions.moving
    shares = torch.as_tensor(np.where(moving, 1 / directions.freedom / directions.variances.clip(1e-300), 0)).to(
        vectors
    )
    largest, sums = (vectors.new_zeros(min(_LEADING, vectors.shape[1])) for _ in range(2))
    found: dict[str, list[Tensor]] = {name: [] for name in readers}
    for rows in chunks:
        x, dtype = directions.centred(rows), directions.dtype(rows)
        if turned.dtype != dtype:
            turned = vectors.to(dtype)
        prints.append(x @ marks.to(x.dtype))
        y = (x.to(dtype) @ turned).square_()
        times: Tensor | float = 1.0
        if copies is not None:
            times = torch.as_tensor(copies[start : start + len(rows)], device=y.device)[:, None]
            leverage = max(leverage, float((times * (y @ shares.to(dtype))[:, None]).max()))
        leading = y[:, : len(sums)].double()
        largest, sums = torch.maximum(largest, leading.amax(0)), sums + leading.sum(0)
        lengths.append((y @ ones.to(dtype)).double())
        for name, read in readers.items():
            found[name].append(read(y, lengths[-1], times))
        start += len(rows)
    squares = torch.cat(lengths).cpu().numpy()
    influence = {name: torch.cat(parts).cpu().numpy() for name, parts in found.items()}
    # No measure here feels the scale, so a step along S itself adds nothing: the part of an influence that goes with the
    # row's length is an error of g, and is taken out.
    mean = squares.mean()
    influence = {name: v - squares * (v.mean() / mean) for name, v in influence.items()}
    real, imaginary = torch.cat(prints).double().cpu().numpy().T
    one_row = (largest / sums.clamp(min=torch.finfo(sums.dtype).tiny)).cpu().numpy()
    return Scores(squares / mean, one_row, leverage, real + 1j * imaginary, influence)


def in_sample(directions: Directions, chunks: Iterable[Tensor], f: Functional) -> Array:
    """The plain influence function of ln of the sample's own measure, (n,)."""
    slope = torch.as_tensor(_slope(directions, f), device=directions.vectors.device)
    parts = [(directions.centred(rows).double() @ directions.vectors).square() @ slope for rows in chunks]
    found: Array = torch.cat(parts).cpu().numpy()
    return found - found.mean()


def _slope(directions: Directions, f: Functional) -> Array:
    """The slope of every direction; one without variance, but for rounding, has none."""
    at = directions.variances[: directions.moving]
    slope = np.zeros(len(directions.variances))
    slope[: len(at)] = f.slope(at, np.ones(len(at)), at)
    return slope


def _reader(directions: Directions, f: Functional) -> Callable[[Tensor, Tensor, Tensor | float], Tensor]:
    slope, variances, device = _slope(directions, f), directions.variances, directions.vectors.device
    if f.single:
        weights = torch.as_tensor(slope, device=device)
        return lambda y, length, times: y.double() @ weights
    moving = directions.moving
    nodes = np.geomspace(max(0.05 * variances[moving - 1], 1e-9), 20, _NODES)
    basis = nodes / (variances[:, None] + nodes)
    constant, *factors = _fitted(basis[:moving], slope[:moving], np.sqrt(variances[:moving] / variances.sum()))
    basis[moving:] = 0
    held = torch.as_tensor(basis, device=device)
    inverse = torch.as_tensor(1 / (directions.freedom * nodes), device=device)
    weights = torch.as_tensor(np.array(factors), device=device)
    n = directions.spectrum.n_samples or 2
    grow = n / (n - 1) if directions.spectrum.centered else 1.0  # the mean moves when a row is left out

    def read(y: Tensor, length: Tensor, times: Tensor | float) -> Tensor:
        part = (y @ held.to(y.dtype)).double()
        part = part / (1 - (grow * times * part * inverse).clamp(max=0.999))
        return grow**2 * (constant * length + part @ weights)

    return read


def _fitted(basis: Array, wanted: Array, weights: Array) -> Array:
    """Factors of a constant and the columns of `basis`, small ones, that add up to `wanted`."""
    columns = np.column_stack([np.ones(len(basis)), basis])
    width = columns.shape[1]
    scale = np.abs(wanted * weights).max() or 1.0
    left = np.vstack([columns * weights[:, None], 1e-7 * np.eye(width)])
    right = np.concatenate([wanted * weights / scale, np.zeros(width)])
    found: Array = np.linalg.lstsq(left, right, rcond=None)[0] * scale
    return found
