"""What does each row add to a measure? Rows along the sample's directions, and the influence that follows.

For a measure of the sample covariance S with gradient G = Σ g(l_j) u_j u_jᵀ, row x moves its logarithm by xᵀGx / n. Where g
is a function of a variance alone, the same with the row left out of S follows without another decomposition: g is written
as a sum of c s / (l + s), and leaving a row out turns h = xᵀ(A + ns)⁻¹x, A = nS, into h / (1 − h) (Sherman & Morrison 1950).
Without that, a row that weighs much finds its own direction in S and looks more influential than it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from repgeom.data.sources import Source
from repgeom.inference.copies import N_MARKS
from repgeom.inference.population import population
from repgeom.measures.functionals import Array, Functional
from repgeom.measures.measure import functional
from repgeom.reading.pieces import PairedRows
from repgeom.reading.reader import read
from repgeom.reading.tally import Piece, State, Tally
from repgeom.spectral.directions import Directions

_LEADING = 10  # directions of which the share that one row holds is worked out
_LARGEST_HELD = 0.8  # of a direction by one row; beyond it, the measure is too bent for its slope without the row
_NODES = 24  # of the sum that stands for the slope g


@dataclasses.dataclass(frozen=True)
class Scores:
    """Per row: squared distance from the mean, of mean one, and what it adds to ln of each measure, of mean zero; (n,).

    `marks`: (n, 8) random projections, which tell copies. `one_row` (≤ 10,): the share that one row holds of each leading
    variance. `leverages`: (n,), which share of all directions the row holds, with those like it; 1 where nothing of them is
    left without it.
    """

    squares: Array
    one_row: Array
    leverages: Array
    marks: Array
    influence: Mapping[str, Array]


class ScoreTally(Tally):
    """Works out what each row adds to measures of the rows whose directions are known.

    Args:
        directions: of the sample.
        measures: names of the measures.
        copies: (n,), as how many copies of itself the row at each place is left out (its group); one each if None.
    """

    def __init__(self, directions: Directions, measures: tuple[str, ...], copies: Array | None = None) -> None:
        self.directions, self.measures, self.copies = directions, measures, copies
        self._readers = {name: _reader(directions, name) for name in measures}
        vectors = directions.vectors
        self._vectors = vectors  # in the precision of the rows, once these are known
        # The seed is fixed, because tallies merge.
        marks = np.random.default_rng(0).standard_normal((len(vectors), N_MARKS))
        self._marks = torch.as_tensor(marks, device=vectors.device)
        varying = np.arange(vectors.shape[1]) < directions.moving
        # A row's leverage is Σ y_j² / (freedom · l_j); directions of rounding would dominate it.
        shares = np.where(varying, 1 / directions.freedom / directions.variances.clip(1e-300), 0)
        self._shares = torch.as_tensor(shares).to(vectors)
        self.leverages: list[Tensor] = []
        self.largest, self.sums = (vectors.new_zeros(min(_LEADING, vectors.shape[1])) for _ in range(2))
        self.lengths: list[Tensor] = []
        self.prints: list[Tensor] = []
        self.added: dict[str, list[Tensor]] = {name: [] for name in measures}

    def update(self, piece: Piece) -> None:
        directions, rows = self.directions, piece.rows
        x, dtype = directions.centred(rows), directions.dtype(rows)
        if self._vectors.dtype != dtype:
            self._vectors = directions.vectors.to(dtype)
        self.prints.append((x @ self._marks.to(x.dtype)).double())
        y = (x.to(dtype) @ self._vectors).square_()
        times: Tensor | float = 1.0
        leverages = (y @ self._shares.to(dtype)).double()
        if self.copies is not None:
            times = torch.as_tensor(self.copies[piece.places], device=y.device)[:, None]
            leverages = leverages * times[:, 0]
        self.leverages.append(leverages)
        leading = y[:, : len(self.sums)].double()
        self.largest = torch.maximum(self.largest, leading.amax(0))
        self.sums = self.sums + leading.sum(0)
        length = (y @ torch.ones_like(self._vectors[0])).double()
        self.lengths.append(length)
        for name, reader in self._readers.items():
            self.added[name].append(reader(y, length, times))

    def merge(self, other: ScoreTally) -> None:
        self.leverages += other.leverages
        self.largest = torch.maximum(self.largest, other.largest)
        self.sums = self.sums + other.sums
        self.lengths += other.lengths
        self.prints += other.prints
        for name, parts in other.added.items():
            self.added[name] += parts

    def state(self) -> State:
        return {
            "directions": self.directions.state(), "measures": list(self.measures), "copies": self.copies,
            "leverages": self.leverages, "largest": self.largest, "sums": self.sums, "lengths": self.lengths,
            "prints": self.prints, "added": self.added,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> ScoreTally:
        made = cls(Directions.from_state(state["directions"]), tuple(state["measures"]), state["copies"])
        for name in ("leverages", "largest", "sums", "lengths", "prints", "added"):
            setattr(made, name, state[name])
        return made

    def scores(self) -> Scores:
        """What was worked out of all rows."""
        squares = torch.cat(self.lengths).cpu().numpy()
        mean = squares.mean()
        influence = {}
        for name, parts in self.added.items():
            values = torch.cat(parts).cpu().numpy()
            # No measure here feels the scale, so a step along S itself adds nothing: the part of an influence that goes
            # with the row's length is an error of g, and is taken out.
            influence[name] = values - squares * (values.mean() / mean)
        marks, leverages = (torch.cat(parts).cpu().numpy() for parts in (self.prints, self.leverages))
        one_row = (self.largest / self.sums.clamp(min=torch.finfo(self.sums.dtype).tiny)).cpu().numpy()
        return Scores(squares / mean, one_row, leverages, marks, influence)


def score(directions: Directions, source: Source, measures: tuple[str, ...], copies: Array | None = None) -> Scores:
    """What each row of a source adds to measures of the rows whose directions are known. Reads the rows once."""
    return read(PairedRows(source), ScoreTally(directions, measures, copies)).scores()


class InSampleTally(Tally):
    """The plain influence function of ln of the sample's own measure, for each row."""

    def __init__(self, directions: Directions, measure: str) -> None:
        self.directions, self.measure = directions, measure
        self._weights = torch.as_tensor(_slope(directions, measure), device=directions.vectors.device)
        self.parts: list[Tensor] = []

    def update(self, piece: Piece) -> None:
        along = self.directions.centred(piece.rows).double() @ self.directions.vectors
        self.parts.append(along.square() @ self._weights)

    def merge(self, other: InSampleTally) -> None:
        self.parts += other.parts

    def state(self) -> State:
        return {"directions": self.directions.state(), "measure": self.measure, "parts": self.parts}

    @classmethod
    def from_state(cls, state: State) -> InSampleTally:
        made = cls(Directions.from_state(state["directions"]), state["measure"])
        made.parts = state["parts"]
        return made


def in_sample(directions: Directions, source: Source, measure: str) -> Array:
    """The plain influence function of ln of the sample's own measure, (n,), of mean zero."""
    found: Array = torch.cat(read(PairedRows(source), InSampleTally(directions, measure)).parts).cpu().numpy()
    return found - found.mean()


def _slope(directions: Directions, measure: str) -> Array:
    """The slope of the measure along every direction; one without variance, but for rounding, has none."""
    f = functional(measure)
    at = directions.variances[: directions.moving]
    slope = np.zeros(len(directions.variances))
    slope[: len(at)] = f.slope(at, np.ones(len(at)), at)
    return slope


def _reader(directions: Directions, measure: str) -> Callable[[Tensor, Tensor, Tensor | float], Tensor]:
    """A function of squared coordinates (n, r), lengths (n,) and numbers of copies: what each row adds to the measure."""
    f, variances, device = functional(measure), directions.variances, directions.vectors.device
    # Its slope is no function of a variance alone, so the row cannot be left out this way: the plain influence.
    if f.single:
        weights = torch.as_tensor(_slope(directions, measure), device=device)
        return lambda y, length, times: y.double() @ weights
    moving = directions.moving
    # From below the smallest variance to above the largest, which is 1 in these units.
    nodes = np.geomspace(max(0.05 * variances[moving - 1], 1e-9), 20, _NODES)
    basis = nodes / (variances[:, None] + nodes)
    basis[moving:] = 0
    constant, factors = _factors(directions, f, nodes)
    held = torch.as_tensor(basis, device=device)
    # `part` below has s in its numerator: times 1 / (freedom · s) it is h.
    inverse = torch.as_tensor(1 / (directions.freedom * nodes), device=device)
    weights = torch.as_tensor(factors, device=device)
    n = directions.spectrum.n_samples or 2
    grow = n / (n - 1) if directions.spectrum.centered else 1.0  # the mean moves when a row is left out

    def added(y: Tensor, length: Tensor, times: Tensor | float) -> Tensor:
        part = (y @ held.to(y.dtype)).double()
        # A row that alone makes a direction has h = 1, and without it nothing is left to be worked out.
        h = (grow * times * part * inverse).clamp(min=1e-12, max=_LARGEST_HELD)
        part = part * (1 / (1 - h) - torch.log1p(-h) / h) / 2
        return grow**2 * (constant * length + part @ weights)

    return added


def _factors(directions: Directions, f: Functional, nodes: Array) -> tuple[float, Array]:
    """The slope of the measure as a constant plus a sum of factors times s / (l + s), over the nodes s.

    A measure that is corrected moves with the population's variances t, of which the sample's l are a blurred picture. There
    the slope is fitted as a sum of k / (t + k), and k / (Σ + k) shows up in samples as s / (S + s), with
    k = s / (1 − (1/n) Σ_j l_j / (l_j + s)): the resolvent of Marchenko and Pastur (1967) at −s.
    """
    moving, freedom = directions.moving, directions.freedom
    sample = directions.variances[:moving]
    if f.at_sample:
        t, counts, k = sample, np.ones(moving), nodes
    else:
        n_features = directions.spectrum.n_features
        behind = population(sample, n_features, freedom)
        t, counts = behind.variances, behind.counts
        k = nodes / np.maximum(1 - (sample[:, None] / (sample[:, None] + nodes)).sum(0) / freedom, 1e-6)
    slope = f.slope(t, counts, t)
    # An error of the slope matters as much as rows vary along its direction.
    constant, *factors = _fitted(k / (t[:, None] + k), slope, np.sqrt(counts * t / (counts @ t)))
    return constant, np.array(factors)


def _fitted(basis: Array, wanted: Array, weights: Array) -> Array:
    """Factors of a constant and the columns of `basis`, small ones, that add up to `wanted`."""
    columns = np.column_stack([np.ones(len(basis)), basis])
    width = columns.shape[1]
    scale = np.abs(wanted * weights).max() or 1.0
    # The columns are almost dependent; a small ridge keeps the factors from growing large and cancelling.
    left = np.vstack([columns * weights[:, None], 1e-7 * np.eye(width)])
    right = np.concatenate([wanted * weights / scale, np.zeros(width)])
    found: Array = np.linalg.lstsq(left, right, rcond=None)[0] * scale
    return found
