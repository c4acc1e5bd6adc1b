"""What an audit takes from all rows, in memory that does not grow with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from repgeom.auditing.preparation import NOTHING, Preparation
from repgeom.data.arrays import first_nonfinite, nonfinite_message
from repgeom.measures.class_tally import ClassTally
from repgeom.measures.cloud_tally import CloudTally
from repgeom.measures.pair_sums import check_pair
from repgeom.measures.pair_tally import PairTally
from repgeom.reading.counting_columns import CountingColumns
from repgeom.reading.first_places import FirstPlaces
from repgeom.reading.pieces import finite_rows_of
from repgeom.reading.sample import RowSample
from repgeom.reading.tally import Piece, State, Tallies, Tally
from repgeom.spectral.tally import FIRST_ROWS_MARGIN, SpectrumTally, Wanted

GROUPED_ROWS = 32_768  # of whole groups, so that a hundred groups, which an interval needs, may have 300 rows each
ROW_KINDS = ("rows", "reference", "corrupted")  # of a piece: what may hold NaN


@dataclasses.dataclass(frozen=True)
class Asked:
    """What an audit is asked for.

    Attributes:
        normalize: None, or "l2".
        seed: of the samples.
        scored_rows: rows from whose influence intervals are worked out, and that are compared with corrupted ones.
        pair_rows: rows for what needs all pairs.
        drop_nonfinite: go on without rows that hold NaN or infinity.
        beside: what stands beside the rows: any of "labels", "groups", "reference", "corrupted".
        n: how many rows there will be; None where that is not known.
        method: the least exact way to add rows up; None for the cheapest that suits them.
        margin: see `Sums.will_not_do`.
        preparation: what is done to the rows before anything is read from them.
    """

    normalize: str | None
    seed: int
    scored_rows: int
    pair_rows: int
    drop_nonfinite: bool = False
    beside: tuple[str, ...] = ()
    n: int | None = None
    method: str | None = None
    margin: float = FIRST_ROWS_MARGIN
    preparation: Preparation = NOTHING

    def state(self) -> State:
        """Everything asked, as plain values."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return plain | {"preparation": self.preparation.state()}

    @classmethod
    def from_state(cls, state: State) -> Asked:
        """What `state` wrote down."""
        # A list would not equal the tuple that another tally has, and `merge` compares the two.
        beside, preparation = tuple(state["beside"]), Preparation.from_state(state["preparation"])
        return cls(**(state | {"beside": beside, "preparation": preparation}))

    def tallies(self) -> Tallies:
        """Everything that adds up in the first pass."""
        # One sum of squares serves the audit's spectrum and that of the rows as they are, which RankMe is defined on.
        wanted = {"spectrum": Wanted(None, (True, False))}
        if self.normalize is not None:
            wanted = {"spectrum": Wanted(self.normalize, (True,)), "raw": Wanted(None, (False,))}
        has = self.beside.__contains__
        # One sample serves intervals, drift and pairs: each takes as many of its rows as it needs.
        most = max(self.scored_rows, self.pair_rows)
        return Tallies(
            {
                "spectrum": self._spectra(wanted, "rows"),
                "cloud": CloudTally(),
                "counting": CountingColumns(),
                "sample": RowSample(most, self.seed, self.n),
                "grouped": RowSample(GROUPED_ROWS, self.seed, whole_groups=True) if has("groups") else None,
                "classes": ClassTally(self.normalize, self.seed) if has("labels") else None,
                "reference": self._spectra({"spectrum": Wanted(self.normalize)}, "reference")
                if has("reference")
                else None,
                "pairs": PairTally(self.normalize) if has("reference") else None,
            }
        )

    def _spectra(self, wanted: Mapping[str, Wanted], of: str) -> SpectrumTally:
        return SpectrumTally(wanted, method=self.method, of=of, margin=self.margin, n=self.n, vectors=True)


@dataclasses.dataclass
class Nonfinite:
    """Values of one kind of rows that are not finite: how many, and where the first is."""

    nan: int = 0
    inf: int = 0
    first: str = ""

    def add(self, rows: Tensor, start: int, left: Tensor) -> None:
        """Count those among these rows, of which the first is row `start` of all, in the columns that are `left` (d,)."""
        bad = ~torch.isfinite(rows) & left.to(rows.device)
        # A reader gives pieces in the order of rows, so the first with such a value names the place.
        self.first = self.first or first_nonfinite(rows, bad, start)
        self.nan += int((torch.isnan(rows) & bad).sum())
        self.inf += int((torch.isinf(rows) & bad).sum())


class AuditTally(Tally):
    """Spectra, cloud, samples, classes and pairs of rows, and counts of the rows that hold NaN or infinity.

    Such rows are left out of everything else, whether the audit may then go on without them or not.
    """

    def __init__(self, asked: Asked, tallies: Tallies | None = None) -> None:
        self.asked = asked
        self.tallies = asked.tallies() if tallies is None else tallies
        self.nonfinite = {kind: Nonfinite() for kind in ROW_KINDS}
        self.n_read = self.n_dropped = self.n_repeats = 0
        self.dropped = FirstPlaces()
        self.n_features: dict[str, int] = {}
        self.dtypes: dict[str, torch.dtype] = {}
        self._prepared: tuple[Piece, Piece] | None = None  # the first piece as it came, and without the rows left out

    def prepare(self, first: Piece) -> None:
        finite = self._finite(first)
        self._prepared = first, finite
        if len(finite):
            self.tallies.prepare(finite)

    def plan(self) -> State:
        return self.tallies.plan()

    def follow(self, plan: State) -> None:
        self.tallies.follow(plan)

    def update(self, piece: Piece) -> None:
        if self._prepared is not None and piece is self._prepared[0]:
            # `prepare` has counted this piece already; a second count would double its rows.
            finite = self._prepared[1]
        else:
            finite = self._finite(piece)
        self._prepared = None
        if len(finite):
            self.tallies.update(finite)

    def _finite(self, piece: Piece) -> Piece:
        """The rows of a piece that are finite in all that belongs together; the others are counted."""
        self.n_read += len(piece)
        for kind in ROW_KINDS[1:]:
            beside = getattr(piece, kind)
            if beside is not None:
                shapes = tuple(piece.rows.shape), tuple(beside.shape)
                check_pair(*shapes, True, kind == "corrupted", ("features", kind))
        preparation = self.asked.preparation
        first_of_equal = preparation.is_kept(piece.places)
        finite = np.ones(len(piece), bool)
        for kind in ROW_KINDS:
            rows = getattr(piece, kind)
            if rows is None:
                continue
            left = preparation.columns_left(kind, rows.shape[1])
            self.n_features[kind], self.dtypes[kind] = int(left.sum()), rows.dtype
            is_finite = finite_rows_of(rows if left.all() else rows[:, left.to(rows.device)])
            if is_finite is not None:
                self.nonfinite[kind].add(rows, int(piece.places[0]), left)
                # A row that is bad in one kind is left out of all: row i of each must stay the same sample.
                finite &= is_finite
        self.n_repeats += int((~first_of_equal).sum())
        self.n_dropped += int((first_of_equal & ~finite).sum())
        self.dropped.add(piece.places[first_of_equal & ~finite])
        piece = piece.selected(first_of_equal & finite)
        return preparation.applied(preparation.grouped(piece))

    def merge(self, other: AuditTally) -> None:
        pairs = self.tallies.get("pairs")
        if pairs is not None:
            other.tallies["pairs"].move(pairs, other.scatter("spectrum"), other.scatter("reference"))
        self.tallies.merge(other.tallies)
        for kind, counts in self.nonfinite.items():
            more = other.nonfinite[kind]
            counts.nan, counts.inf, counts.first = (
                counts.nan + more.nan,
                counts.inf + more.inf,
                counts.first or more.first,
            )
        self.n_read, self.n_dropped = self.n_read + other.n_read, self.n_dropped + other.n_dropped
        self.n_repeats += other.n_repeats
        self.dropped.add(other.dropped.places)
        # A process without rows knows no widths and no types; the other one does.
        self.n_features |= other.n_features
        self.dtypes |= other.dtypes

    def state(self) -> State:
        return {
            "asked": self.asked.state(),
            "tallies": self.tallies.state(),
            "nonfinite": {kind: dataclasses.asdict(counts) for kind, counts in self.nonfinite.items()},
            "n_read": self.n_read, "n_dropped": self.n_dropped, "dropped": self.dropped.places,
            "n_repeats": self.n_repeats, "n_features": self.n_features,
            "dtypes": {kind: str(dtype).removeprefix("torch.") for kind, dtype in self.dtypes.items()},
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> AuditTally:
        made = cls(Asked.from_state(state["asked"]), Tallies.from_state(state["tallies"]))
        made.nonfinite = {kind: Nonfinite(**counts) for kind, counts in state["nonfinite"].items()}
        made.n_read, made.n_dropped, made.n_features = state["n_read"], state["n_dropped"], state["n_features"]
        made.dropped, made.n_repeats = FirstPlaces(state["dropped"]), state["n_repeats"]
        made.dtypes = {kind: getattr(torch, name) for kind, name in state["dtypes"].items()}
        return made

    # What is read at the end -----------------------------------------------------------------------------------------

    @property
    def n_samples(self) -> int:
        """Rows that everything is read from."""
        return self.n_read - self.n_dropped - self.n_repeats

    def refuse_nonfinite(self, names: Mapping[str, str]) -> None:
        """Raises ValueError where rows hold NaN or infinity. `names`: what to call each kind of rows."""
        for kind, counts in self.nonfinite.items():
            count = counts.nan + counts.inf
            if count:
                shape = (self.n_read, self.n_features[kind])
                raise nonfinite_message(count, counts.first, shape, self.dtypes[kind], names[kind])

    def scatter(self, name: str) -> Tensor | None:
        """Sums of squares and products about the mean of the features or the reference; None where rows are held."""
        sums = self.tallies[name].sums.get("spectrum")
        if sums is None or sums.mean is None:
            return None
        found: Tensor = sums.scatter()
        return found

    def more_exact(self) -> AuditTally | None:
        """A tally for a second pass over the rows, of the spectra that this one did not add up exactly enough."""
        again: dict[str, Tally | None] = {}
        for name in ("spectrum", "reference"):
            spectra: SpectrumTally | None = self.tallies.get(name)
            if spectra is not None:
                names = spectra.inexact()
                again[name] = spectra.more_exact(names) if names else None
        if not any(again.values()):
            return None
        return AuditTally(self.asked, Tallies(again))

    def adopt(self, other: AuditTally) -> None:
        """Take the spectra of a second pass in place of the first's."""
        for name in ("spectrum", "reference"):
            if other.tallies.get(name) is not None:
                self.tallies[name].adopt(other.tallies[name])

    def overflowed(self) -> str | None:
        """Which of features and reference hold values that could not be added up in float64; None if neither does."""
        for name, what in (("spectrum", "features"), ("reference", "reference")):
            spectra: SpectrumTally | None = self.tallies.get(name)
            if spectra is not None and any(not sums.is_finite() for sums in spectra.sums.values()):
                return what
        return None
