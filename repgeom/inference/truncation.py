"""What is left of features cut to fewer dimensions: their own leading columns (Matryoshka), or principal directions?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import finite_matrix, unit_rows
from repgeom.data.kinds import Features, Groups, Labels, MeasureName
from repgeom.data.labels import as_labels
from repgeom.data.numbers import whole_number
from repgeom.data.progress_bar import with_bar
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings
from repgeom.data.sources import Source, nonfinite_error_of
from repgeom.inference.estimate import Estimate, estimate_or_reason
from repgeom.inference.holdout import fitted_half
from repgeom.inference.intervals import check_confidence
from repgeom.inference.neighbours import Neighbours
from repgeom.inference.sample import opened
from repgeom.measures.measure import DIMENSIONS, Measure, estimable, register
from repgeom.measures.nearest_rows import group_codes, point_one_way, refuse_one_direction
from repgeom.spectral.directions import directions_of

if TYPE_CHECKING:
    import pandas as pd

OWN, PRINCIPAL = "features", "principal"
_NEIGHBOUR_ROWS = 8_192  # as many as an audit searches


@own_settings
def truncation_curve(
    features: Features,
    labels: Labels = None,
    *,
    dims: Sequence[int] | None = None,
    measure: MeasureName = "effective_rank",
    principal: bool = True,
    k: int = 10,
    groups: Groups = None,
    max_rows: int = _NEIGHBOUR_ROWS,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """A measure, neighbours kept and kNN accuracy of the first m dimensions, of the features as they are and of their principal directions.

    Rows are scaled to unit length after the cut. Kept: the share of each row's k nearest by cosine that are so before the cut
    (`mutual_knn`). Accuracy: the leave-one-out vote of the k nearest (`knn_accuracy`). Models trained for it (Matryoshka, Kusupati et al.
    2022) keep nearly everything in their leading columns; of others principal directions keep more.

    Principal directions are those of half of the rows, drawn with a seed; then every number of the table is read on the other half, so
    that both kinds of cuts are read alike and no direction has seen the rows that it is judged by. Rows are projected as they are, not
    centred: all directions together are a rotation, and keep every neighbour.

    Args:
        features: (n_samples, n_features) of any array kind, 2 features or more, or the path of a file.
        labels: (n_samples,), whole numbers or text, for the accuracy.
        dims: numbers of dimensions, each from 2 to n_features; by default powers of two, and all. (Of one dimension rows of unit length
            are 1 or −1.)
        measure: as `estimate`, of the rows of unit length.
        principal: False leaves principal directions out, and reads all rows.
        k: neighbours.
        groups: (n_samples,), whole numbers or text: rows of one group depend on each other, go to one half and are no neighbours.
        max_rows: of more rows so many are drawn for what needs neighbours.
        confidence: of the intervals.
        seed: of the half, of the rows that are drawn, and of the splits behind intervals of neighbours.
        progress: show a bar on standard error where that is a terminal.

    Returns:
        A data frame with a row per kind of directions ("features", "principal") and n_dims: value, low, high of the measure in the
        population; kept with kept_low and kept_high; with labels accuracy, accuracy_low, accuracy_high, and lost, lost_low, lost_high:
        the accuracy of all dimensions less this one, row by row. NaN where no interval is known. `attrs`: measure, k, n_samples,
        n_neighbour_rows and no_interval, which lists why.

    Raises:
        ValueError: numbers of dimensions out of range, fewer than 20 rows if `principal`, k out of range, an unknown measure, rows
            that all point one way; else as `effective_rank`.

    Of rows in the plane of the first two columns, two dimensions keep every neighbour:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((80, 2)) @ np.eye(2, 4)
    >>> truncation_curve(x)[["directions", "n_dims", "kept"]].values.tolist()
    [['features', 2, 1.0], ['features', 4, 1.0], ['principal', 2, 1.0], ['principal', 4, 1.0]]
    """
    import pandas as pd

    check_confidence(confidence)
    require_same_order(features, labels=labels, groups=groups)
    record = estimable(measure)
    source = opened(features)
    n, width = source.n_samples, source.n_features
    wanted = _dims(dims, width)
    error = nonfinite_error_of(source, "features")  # before halves are drawn, whose rows have other numbers
    if error is not None:
        raise error
    own = None if groups is None else as_labels(groups, n, "groups")[0]
    classes = None if labels is None else as_labels(labels, n)[0]
    cuts = [(OWN, m, _cut(source, m)) for m in wanted]
    if principal:
        fitted = fitted_half(n, seed, own)
        rotation = _completed(directions_of(source.select(fitted), center=True, normalize=None, tail=False).vectors)
        read = np.flatnonzero(~fitted)
        source = source.select(~fitted)
        cuts = [(OWN, m, _cut(source, m)) for m in wanted]
        cuts += [(PRINCIPAL, m, _rotated(source, rotation[:, :m])) for m in wanted]
        own = None if own is None else np.unique(own[read], return_inverse=True)[1]
        classes = None if classes is None else classes[read]
    reader = _Reader(source, record.name, k, own, classes, max_rows, confidence, seed)
    table = pd.DataFrame([reader.row(*cut) for cut in with_bar(cuts, "cuts", progress)])
    table.attrs["measure"] = record.name
    table.attrs["k"], table.attrs["n_samples"] = k, source.n_samples
    table.attrs["n_neighbour_rows"] = len(reader.drawn)
    table.attrs["no_interval"] = list(reader.reasons)
    return table


def _dims(dims: Sequence[int] | None, width: int) -> list[int]:
    """The numbers of dimensions in ascending order."""
    if width < 2:
        raise ValueError("`features` has 1 column, so there is nothing to cut.")
    if dims is None:
        return [*(2**power for power in range(1, 64) if 2**power < width), width]
    found = [whole_number(m) for m in np.atleast_1d(np.asarray(dims, dtype=object)).tolist()]
    if not found or any(m is None or not 2 <= m <= width for m in found):
        raise ValueError(
            f"`dims` must be whole numbers from 2 to the {width:,} columns of `features`, got {dims!r:.100}."
        )
    return sorted({m for m in found if m is not None})


def _completed(vectors: Tensor) -> Tensor:
    """Directions (d, r) with as many more, at right angles to them, as make a rotation (d, d)."""
    width, rank = vectors.shape
    if rank == width:
        return vectors
    # The orthogonal factor of the directions and then the axes: its first columns are the directions, up to their sign.
    whole = torch.linalg.qr(torch.cat([vectors, torch.eye(width).to(vectors)], 1)).Q
    return torch.cat([vectors, whole[:, rank:]], 1)


def _rotated(source: Source, directions: Tensor) -> Source:
    """The same rows along these directions (d, m)."""
    made = _made_of(source, directions.shape[1], lambda rows: rows.double() @ directions.to(rows.device))
    return dataclasses.replace(made, dtype=torch.float64)


def _cut(source: Source, n_dims: int) -> Source:
    """The first columns alone."""
    return _made_of(source, n_dims, lambda rows: rows[:, :n_dims])


def _made_of(source: Source, n_dims: int, change: Callable[[Tensor], Tensor]) -> Source:
    """Rows of fewer columns, each made of a row of the source."""

    def read(start: int, stop: int) -> Tensor:
        step, found = source.chunk_rows, None
        # Of few columns many rows are asked for at once: before they are cut these would take ten times the memory.
        for first in range(start, stop, step):
            rows = change(source.read(first, min(stop, first + step)))
            if found is None:
                found = rows.new_empty(stop - start, n_dims)
            found[first - start : first - start + len(rows)] = rows
        assert found is not None
        return found

    return dataclasses.replace(source, n_features=n_dims, columns=None, read=read)


def _units(rows: Tensor) -> Tensor:
    return unit_rows(finite_matrix(rows, "features"))


class _Reader:
    """Reads one row of the table after the other, beside the features that are not cut."""

    def __init__(
        self,
        source: Source,
        measure: str,
        k: int,
        groups: np.ndarray | None,
        classes: np.ndarray | None,
        max_rows: int,
        confidence: float,
        seed: int,
    ) -> None:
        most = whole_number(max_rows)
        if most is None or most < 2:
            raise ValueError(f"`max_rows` must be a whole number of at least 2, got {max_rows!r}.")
        n = source.n_samples
        self.measure, self.k, self.confidence, self.seed = measure, k, confidence, seed
        self.groups = groups
        self.drawn = np.arange(n)
        if n > most:
            self.drawn = np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
        self.reasons: dict[str, None] = {}  # a dict keeps the order
        rows = source.rows(self.drawn)
        self.own = group_codes(None if groups is None else groups[self.drawn], len(rows), rows.device)
        self.labels = None if classes is None else torch.as_tensor(classes[self.drawn], device=rows.device)
        units = _units(rows)
        refuse_one_direction(units, "features")
        self.whole = self._neighbours(units)

    def _neighbours(self, units: Tensor) -> Neighbours:
        return Neighbours(units, self.k, self.seed, self.own)

    def row(self, name: str, n_dims: int, cut: Source) -> dict[str, Any]:
        """One kind of directions, cut to so many."""
        found: dict[str, Any] = {"directions": name, "n_dims": n_dims}
        rank = estimate_or_reason(cut, self.measure, normalize="l2", groups=self.groups, confidence=self.confidence)
        found |= self._ends("", rank, "value", f"{self.measure} of {n_dims} dimensions of {name}")
        units = _units(cut.rows(self.drawn))
        if point_one_way(units):
            self.reasons[f"neighbours: all rows of {n_dims} dimensions of {name} point one way, so none is nearer"] = (
                None
            )
            return found
        here = self._neighbours(units)
        kept = self.whole.shared_between(here).estimate(self.confidence)
        found |= self._ends("kept_", kept, "kept", "neighbours")
        if self.labels is None:
            return found
        accuracy = here.votes(self.labels).estimate(self.confidence, share_of_rows=True)
        found |= self._ends("accuracy_", accuracy, "accuracy", "neighbours")
        lost = self.whole.votes_gained(here, self.labels).estimate(self.confidence, least=-1.0)
        return found | self._ends("lost_", lost, "lost", "neighbours")

    def _ends(self, prefix: str, e: Estimate, name: str, what: str) -> dict[str, float]:
        """A value and its interval as columns; why there is none is kept."""
        if e.low is None and e.warnings:
            self.reasons[f"{what}: {e.warnings[-1]}"] = None
        low, high = (np.nan if end is None else end for end in (e.low, e.high))
        return {name: e.value, f"{prefix}low": low, f"{prefix}high": high}


register(
    Measure(
        "truncation_curve", "truncation curve", DIMENSIONS, truncation_curve, (),
        formula="a measure, neighbours kept and kNN accuracy of the first m dimensions, rows of unit length",
        source="Kusupati et al. 2022",
        question="How many dimensions can be cut off before neighbours change?",
        cannot_tell="what a model trained on the cut features would do",
        rows_needed="500; 2 per dimension for an interval of the rank",
        convention="rows scaled after the cut; principal directions of the other half of the rows",
        baseline=None,
        invariances=("scale", "order"),
        no_interval="each number of the table has its own",
    )
)  # fmt: skip
