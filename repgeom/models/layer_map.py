"""How alike are the layers of one model, or of two, layer by layer?"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.data.notebook import ShownInNotebook
from repgeom.data.progress_bar import with_bar
from repgeom.data.row_names import require_one_order
from repgeom.data.saving import write_whole
from repgeom.data.settings import own_settings
from repgeom.inference.differences import Difference
from repgeom.inference.intervals import check_confidence
from repgeom.models.kept_rows import KeptRows, kept_of, require_same_samples
from repgeom.models.layer_similarities import MEASURES, Similarity, ceilings
from repgeom.robustness.measurement import Measurement

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_ROWS = 1024  # of which all pairs are held for each layer: 8 MB
AT_CHANCE = 0.02  # CKA that random orders of a thousand rows stay below


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class LayerMap(ShownInNotebook):
    """What `cka_map` and `LayerProfile.compare` return: a value for each layer of one and each of the other.

    Attributes:
        measure: its name.
        rows, columns: the layers, in the order in which they run.
        row_name, column_name: of the two models.
        values, low, high: (rows, columns); low and high are NaN where no interval is known.
        n_samples, n_used: rows of the features, and those of the sample that was read.
        notes: what a reader must know.
        ceiling: (columns, 2) lower and upper noise ceiling of RSA, where repeats were given.
    """

    measure: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_name: str
    column_name: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_samples: int
    n_used: int
    notes: tuple[str, ...] = ()
    ceiling: np.ndarray | None = None
    confidence: float = 0.95
    measured: Mapping[tuple[str, str], Measurement] = dataclasses.field(default_factory=dict)  # behind each cell

    def __repr__(self) -> str:
        return f"<LayerMap {self.measure}: {len(self.rows)} × {len(self.columns)} layers, {self.n_used:,} rows>"

    def __str__(self) -> str:
        import sys

        from repgeom.presenting.layer_map_text import layer_map_text
        from repgeom.presenting.screen import screen_of

        return layer_map_text(self, screen_of(sys.stdout, colour=False))

    def to_frame(self) -> pd.DataFrame:
        """The values, layers of one down and of the other across, each axis with its model's name."""
        import pandas as pd

        index, columns = pd.Index(self.rows, name=self.row_name), pd.Index(self.columns, name=self.column_name)
        return pd.DataFrame(self.values, index, columns)

    def difference(self, first: tuple[str, str], second: tuple[str, str]) -> Difference:
        """Cell `second` minus cell `first`, each (row, column), with an interval and a test of the same rows, paired.

        Raises ValueError for layers that are not there. Without interval where one of the two has none.
        """
        for row, column in (first, second):
            if row not in self.rows or column not in self.columns:
                raise ValueError(
                    f"there is no cell ({row!r}, {column!r}): rows are {', '.join(self.rows)}; columns are {', '.join(self.columns)}."
                )
        one, other = self.measured[first], self.measured[second]
        found = one.difference(other, self.confidence)
        if not (one.known and other.known):
            return Difference(found["difference"])
        return Difference(found["difference"], found["low"], found["high"], found["p_value"], _degrees(one))

    def plot(self, ax: Axes | None = None) -> Axes:
        """A heat map with labelled axes; an open circle marks the best column of each row."""
        from repgeom.presenting.layer_map import plot_layer_map

        return plot_layer_map(self, ax)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""

        def plain(values: np.ndarray | None) -> Any:
            if values is None:
                return None
            return [[None if v != v else float(v) for v in row] for row in values]

        return {
            "measure": self.measure,
            "rows": list(self.rows),
            "columns": list(self.columns),
            "row_name": self.row_name,
            "column_name": self.column_name,
            "values": plain(self.values),
            "low": plain(self.low),
            "high": plain(self.high),
            "n_samples": self.n_samples,
            "n_used": self.n_used,
            "confidence": self.confidence,
            "notes": list(self.notes),
            "ceiling": plain(self.ceiling),
        }

    def to_json(self, path: str | os.PathLike[str] | None = None, *, indent: int | None = 2) -> str:
        """The dictionary as JSON text; written to `path` if given, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)
        if path is not None:
            write_whole(path, text + "\n")
        return text


def _degrees(measurement: Measurement) -> float:
    """Degrees of freedom of a measurement's error."""
    assert measurement.contributions is not None
    return len(measurement.contributions) - 1.0


@own_settings
def cka_map(
    a: Mapping[str, Any],
    b: Mapping[str, Any] | None = None,
    *,
    measure: str = "linear_cka",
    max_rows: int = MOST_ROWS,
    k: int = 10,
    bandwidth: float = 1.0,
    distance: str = "correlation",
    repeats: Sequence[Mapping[str, Any]] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    names: tuple[str, str] | None = None,
    progress: bool = False,
) -> LayerMap:
    """How alike layers are, each of `a` with each of `b`, from a sample of the rows (Kornblith et al. 2019).

    `a` and `b` are profiles of `models.layer_profile`, which keep a sample of each layer's rows, or mappings from names to
    features. Row i of all must be one sample: profiles of other numbers of samples, of other labels, or from a loader that shuffles
    are refused. Intervals leave out one row at a time (jackknife), from which `LayerMap.difference` compares two cells row by row;
    for "mutual_knn" they are of halves of the rows, and "svcca" and "pwcca" have none. Of linear and angular CKA there is none
    where a few rows carry all lengths, or lengths fall off more slowly than their fourth power (tail index below 4). A sample does not
    always show that: of 300 or 1,000 rows of Student's t with 5 degrees two samples in three have an interval, and 92 to 95 % hold; with 4
    degrees one in three, and 84 to 86 % hold; with 2.5 degrees one in a hundred.

    Args:
        a, b: `LayerProfile`, or {name: (n_samples, n_features)}; None for `b` compares the layers of `a` with each other.
        measure: "linear_cka" (debiased), "angular_cka", "rbf_cka", "mutual_knn", "procrustes_distance", "rsa", "svcca" or "pwcca"; see
            the functions of these names.
        max_rows: rows that are read; a profile keeps 1,024, and all pairs are held: 8 max_rows² bytes a layer.
        k: neighbours of "mutual_knn". bandwidth: of "rbf_cka". distance: of "rsa".
        repeats: more of `b` for "rsa" (other seeds or augmentations), from which each column gets a noise ceiling.
        seed: of the rows that are drawn of features.
        confidence: of intervals, in (0, 1).
        names: of the two for labels and plots; by default the profiles' own.
        progress: show a bar on standard error where that is a terminal.

    Returns:
        A `LayerMap`.

    Raises:
        ValueError: another measure, no layers, rows that are not the same samples; else as the measure.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((100, 5))
    >>> found = cka_map({"first": x, "second": x[:, ::-1]})
    >>> found.to_frame().round(3).to_numpy().tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    check_confidence(confidence)
    if measure not in MEASURES:
        raise ValueError(f"`measure` must be one of {', '.join(MEASURES)}, got {measure!r}.")
    if repeats is not None and measure != "rsa":
        raise ValueError(f'`repeats` give a noise ceiling for "rsa" alone; the measure is {measure!r}.')
    _require_one_order(a=a, b=b, **{f"repeats[{i}]": one for i, one in enumerate(repeats or ())})
    first = kept_of(a, "a", max_rows, seed)
    second = first if b is None else kept_of(b, "b", max_rows, seed)
    require_same_samples(first, second)
    others = [kept_of(one, f"repeats[{i}]", max_rows, seed) for i, one in enumerate(repeats or ())]
    for one in others:
        require_same_samples(second, one)
    similarity = MEASURES[measure](k=k, bandwidth=bandwidth, distance=distance, seed=seed)
    measured = _measured(first, second, similarity, progress)
    shape = len(first.rows), len(second.rows)
    ends = np.array([similarity.interval(m, confidence) for m in measured.values()]).reshape(*shape, 2)
    row_name, column_name = names or _names(a, first, second)
    found = LayerMap(
        measure=measure,
        rows=tuple(first.rows),
        columns=tuple(second.rows),
        row_name=row_name,
        column_name=column_name,
        values=np.array([m.value for m in measured.values()]).reshape(shape),
        low=ends[..., 0],
        high=ends[..., 1],
        n_samples=first.n_samples,
        n_used=first.n_used,
        ceiling=ceilings(second, others, distance) if others else None,
        confidence=confidence,
        measured=measured,
    )
    return dataclasses.replace(found, notes=_notes(found, first, b is not None))


def _require_one_order(**given: Any) -> None:
    """Raises ValueError where features of one, by their index, have their rows in another order than others."""
    layers = {name: one for name, one in given.items() if isinstance(one, Mapping)}
    require_one_order({f"{name}[{layer!r}]": x for name, one in layers.items() for layer, x in one.items()})


def _names(a: Any, first: KeptRows, second: KeptRows) -> tuple[str, str]:
    """What the two are called: two models of one name are told apart, and the layers of a mapping have no model's name."""
    if second is first:
        name = first.name if hasattr(a, "samples") else "layers"
        return name, name
    if first.name == second.name:
        return f"{first.name} (a)", f"{second.name} (b)"
    return first.name, second.name


def _measured(
    first: KeptRows, second: KeptRows, similarity: Similarity, progress: bool
) -> dict[tuple[str, str], Measurement]:
    """Each cell, row after row. What is worked out of a layer alone is held for some of the second at a time."""
    found: dict[tuple[str, str], Measurement] = {}
    names = list(second.rows)
    together = max(1, similarity.layers_at_once(second.n_used))
    parts = [(names[start : start + together], row) for start in range(0, len(names), together) for row in first.rows]
    prepared: dict[str, Any] = {}
    for columns, row in with_bar(parts, "layers", progress):
        if list(prepared) != columns:
            prepared.clear()
            for name in columns:
                prepared[name] = similarity.prepared(
                    second.rows[name], f"layer {name!r} of {second.name}", second.groups
                )
        mine = similarity.prepared(first.rows[row], f"layer {row!r} of {first.name}", first.groups)
        for column, theirs in prepared.items():
            found[row, column] = similarity.measured(mine, theirs)
    return {(row, column): found[row, column] for row in first.rows for column in names}


def _notes(found: LayerMap, first: KeptRows, two: bool) -> tuple[str, ...]:
    notes = []
    if found.n_used < found.n_samples:
        notes.append(f"Read from {found.n_used:,} of {found.n_samples:,} rows, drawn with a fixed seed.")
    reasons = sorted({m.note for m in found.measured.values() if m.note})
    notes += [f"{reason[0].upper()}{reason[1:]}." for reason in reasons[:3]]
    if two and found.measure == "linear_cka" and first.n_used >= 50 and float(np.nanmax(found.values)) < AT_CHANCE:
        notes.append(
            "No layer of one has anything in common with any layer of the other: are row i of both the same sample?"
        )
    return tuple(notes)
