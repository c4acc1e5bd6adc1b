"""How rows come out of files: a path or pattern, its shards, the array chosen from each, joined into one `Source`."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_tensor, flattened
from repgeom.data.choice import chosen_arrays
from repgeom.data.column_choice import choose, settled_by_options, unknown_column
from repgeom.data.columns import VECTOR, Selection, patterns_of
from repgeom.data.formats import FORMATS, LABEL_FORMATS, TEXT_TABLES, Opener
from repgeom.data.formats.stored import StoredArray, StoredTable, damage_named, extension_of
from repgeom.data.labels import as_labels
from repgeom.data.places import Place, named_places, places_of
from repgeom.data.settings import own_settings
from repgeom.data.sources import Source


@own_settings
def open_source(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    key: str | None = None,
    columns: str | Sequence[str] | None = None,
    drop: str | Sequence[str] | None = None,
    labels_column: str | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    format: str | None = None,
) -> Source:
    """The rows of a file, or of all files that match a pattern, as one `Source` that `audit` takes.

    A table's columns are features where they can be nothing else: one column of vectors, columns whose names differ in their
    numbers (`f0` to `f767`), or columns of fractions. Ids, labels and text are left out, and the report says so. Where a column
    may or may not be a feature, that is an error, and `columns` or `drop` settles it.

    Args:
        path: a file of any kind in `docs/files.md`; a pattern such as `"dump/part-*.npy"`, or a folder of files of one
            kind, which are joined in natural order (`part-2` before `part-10`) and promoted to one dtype; a list of paths,
            which are joined in its order; the URI of any of these (`s3://`, `gs://`, `hf://`, `https://`), whose files are
            copied here one at a time while they are read; or `"-"` for what comes through standard input.
        key: the array where a file holds several, or a pattern such as `"*"`, whose arrays are joined row after row; or the
            columns of a table: one column of vectors, or numeric columns separated by commas.
        columns: columns of a table that are features: names or patterns (`"f*"`), as a list or separated by commas.
        drop: columns of a table that are not, likewise.
        labels_column: the column of a table that holds labels. It is left out; `read_labels(path, key=labels_column)` reads it.
        header: whether the first line of a text table holds names; by default what it looks like.
        delimiter: what stands between the cells of a text table, one character or `"tab"`; by default what it looks like.
        format: the kind of file, such as `"npy"`, for standard input and URIs that do not say so by their end.

    Raises:
        FileNotFoundError: no such file, or nothing matches; close names are suggested.
        ValueError, TypeError: content that is damaged, pickled, of another kind or shape; several arrays and no key; a column
            that may or may not be a feature; a number that cannot be read, with its row.
        PermissionError, OSError: no permission; what lies elsewhere cannot be reached; no room for a temporary copy.
        ImportError: the format or the protocol needs a package that is not installed.
    """
    selection = Selection(key, patterns_of(columns, "columns"), patterns_of(drop, "drop"), labels_column)
    if key is not None and columns is not None:
        raise ValueError("give `key` or `columns`, not both: either names the columns of a table.")
    layout = {name: said for name, said in (("header", header), ("delimiter", delimiter)) if said is not None}
    name, places = named_places(path, format)
    if any(labels_column in place.partitions for place in places):
        selection = dataclasses.replace(selection, labels=None)  # it is no column of the files
    shards = []
    for place in places:
        with place.at_hand():
            arrays = [place.kept(_with_partitions(array, place)) for array in _features(place.path, selection, layout)]
        for array in arrays:
            shards.append(_Shard(place, array, _read(place, array, 0, 0).dtype))
            if len(places) > 1:
                array.release()  # a single file may keep what was read of it for its first rows; of many, none does
    source = _joined(name, shards)
    reads = selection.sentence()
    return dataclasses.replace(source, reads=reads) if reads else source


def read_labels(path: str | os.PathLike[str], *, key: str | None = None, **layout: Any) -> np.ndarray:
    """One label per row, as stored: integers, text, bools or floats, shape (n_samples,).

    Reads what `open_source` reads (a 1-D array, n x 1, or one column of a table), and `.txt` with one label per line.
    `layout`: `header` and `delimiter` of a text table, as `open_source`.
    """
    return labels_by(path, key, "labels-key", **layout)


def labels_by(path: str | os.PathLike[str], key: str | None, option: str, **layout: Any) -> np.ndarray:
    """Labels as `read_labels` reads them; `option` of the command line names the key, for messages."""
    places = places_of(os.fsdecode(path))
    labels = []
    for place in places:
        with place.at_hand():
            labels.append(_labels_at(place, key, option, layout))
        place.check()
        place.let_go()
    for place, values in zip(places, labels, strict=True):
        # NumPy would join numbers and text as text, without a word.
        if (values.dtype.kind == "U") != (labels[0].dtype.kind == "U"):
            kinds = f"{labels[0].dtype} in {places[0].name}, {values.dtype} in {place.name}"
            raise ValueError(f"The labels are of two kinds: {kinds}. Save both as text or both as numbers.")
    return np.concatenate(labels)


def labels_of(labels: Any, n_samples: int, name: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Codes from 0 (n_samples,) and names of labels, one per row, in memory or in a file of this path."""
    if isinstance(labels, (str, os.PathLike)):
        labels = read_labels(labels)
    return as_labels(labels, n_samples, name)


# ---- from a file to one array ----


def _opened(path: str, formats: Mapping[str, Opener], layout: Mapping[str, Any]) -> Mapping[str, StoredArray]:
    """The arrays or columns of a file by name."""
    extension = extension_of(path)
    if extension not in formats:
        kind = "files without an extension"
        if extension:
            kind = f"files ending in {extension!r}"
        raise ValueError(f"{path} cannot be read: {kind} are not supported. Supported: {', '.join(formats)}.")
    if layout and extension not in TEXT_TABLES:
        raise ValueError(f"{path}: a header and a delimiter belong to text tables ({', '.join(TEXT_TABLES)}).")
    if not os.path.isdir(path):
        with damage_named(path), open(path, "rb") as file:  # a PermissionError passes, whatever the format
            if not file.read(1):
                raise ValueError("it is empty (0 bytes)")
    return formats[extension](path, **layout)


def _readable(path: str, array: StoredArray, where: str) -> StoredArray:
    """The same array, once it is known that it can be read."""
    if array.problem:
        raise ValueError(f"{where} {array.problem}")
    with damage_named(path):
        array.check()
    return array


def _where(path: str, key: str | None) -> str:
    if key is None:
        return path
    return f"{path} ({key})"


def _side_by_side(path: str, table: StoredTable, selection: Selection) -> StoredArray:
    """The columns of a table that are features, with what was decided about all of them."""
    chosen = choose(table.facts, selection, path, settled_by_options)
    first = chosen.used[0]
    if table.facts[first].kind == VECTOR:
        array = table[first]
    else:
        array = table.side_by_side(chosen.used)
    return dataclasses.replace(array, chosen=chosen)


def _features(path: str, selection: Selection, layout: Mapping[str, Any]) -> list[StoredArray]:
    """The array of a file that is read; several where a pattern joins them."""
    arrays, where = _opened(path, FORMATS, layout), _where(path, selection.key)
    if isinstance(arrays, StoredTable):
        found = [_side_by_side(path, arrays, selection)]
    elif selection.only_tables:
        raise ValueError(f"{path} is no table: `columns`, `drop` and a column of labels belong to tables.")
    else:
        found = chosen_arrays(path, arrays, selection.key, "key", labels=False)
    for array in found:
        _check_features(_readable(path, array, where), where)
    return found


def _check_features(array: StoredArray, where: str) -> None:
    seen = f"{where} has shape {array.shape} ({array.dtype})"
    if array.dtype.startswith("complex"):
        raise TypeError(f"{seen}: complex values. Save `x.real` and `x.imag` side by side as features, or `abs(x)`.")
    if not re.match("b?float|u?int|bool", array.dtype):
        raise TypeError(f"{seen}: not numbers. Save an array of floats.")
    if len(array.shape) < 2:
        raise ValueError(f"{seen} and needs n_samples x n_features: one row per sample, one column per feature.")
    if len(array.shape) > 2:
        raise ValueError(f"{seen} and needs n_samples x n_features. {flattened(array.shape)}")
    if 0 in array.shape:
        missing = "columns"
        if array.shape[0] == 0:
            missing = "rows"
        raise ValueError(f"{seen}: it has no {missing}.")


def _with_partitions(array: StoredArray, place: Place) -> StoredArray:
    if not place.partitions:
        return array
    note = f"The values in the names of folders are no features: {', '.join(place.partitions)}."
    return dataclasses.replace(array, notes=(*array.notes, note))


def _labels_at(place: Place, key: str | None, option: str, layout: Mapping[str, Any]) -> np.ndarray:
    """The labels in a file, or the one that the folder it lies in gives all its rows."""
    if key is None or key not in place.partitions:
        return _labels(place.path, key, option, layout)
    arrays = _opened(place.path, FORMATS, layout)
    if key in arrays:
        raise ValueError(
            f"{place.name} has a column {key!r}, and its folder says {key}={place.partitions[key]}: rename one."
        )
    n_rows = {array.shape[0] for array in arrays.values() if array.shape}
    if len(n_rows) != 1:
        raise ValueError(
            f"{place.name} holds arrays of different length, so that {key!r} of its folder has no rows to label."
        )
    return np.full(n_rows.pop(), place.partitions[key])


def _labels(path: str, key: str | None, option: str, layout: Mapping[str, Any]) -> np.ndarray:
    arrays, where = _opened(path, FORMATS | LABEL_FORMATS, layout), _where(path, key)
    if key is None and isinstance(arrays, StoredTable):
        key = _only_column(arrays)
    if isinstance(arrays, StoredTable) and key is not None and key not in arrays and "*" not in key:
        raise unknown_column([key], arrays, path, option=option, labels=True)
    found = chosen_arrays(path, arrays, key, option, labels=True)
    return np.concatenate([_labels_of_array(path, _readable(path, array, where), where) for array in found])


def _labels_of_array(path: str, array: StoredArray, where: str) -> np.ndarray:
    seen = f"{where} has shape {array.shape} ({array.dtype})"
    if len(array.shape) not in (1, 2) or array.shape[1:] not in ((), (1,)) or array.shape[0] == 0:
        raise ValueError(f"{seen} and needs one label per sample: shape (n_samples,).")
    with damage_named(path):
        values = array.read(0, array.shape[0])
        if isinstance(values, Tensor):
            if values.dtype is torch.bfloat16:
                values = values.float()
            values = values.numpy()
        if values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8")
    values = np.asarray(values).reshape(-1)
    if values.dtype.kind == "O":
        bad = next((i for i, value in enumerate(values) if not isinstance(value, str)), None)
        if bad is not None:
            raise ValueError(f"{seen}: row {bad} holds {values[bad]!r:.60}, not text. Fill in or drop such rows.")
        values = values.astype(str)
    if values.dtype.kind not in "biufU":
        raise TypeError(f"{seen}: labels must be integers, text, bools or floats.")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _only_column(table: StoredTable) -> str | None:
    """The column of a table that holds values when the numbers of its rows are set aside, if it is the only one."""
    others = [name for name, facts in table.facts.items() if name != "Unnamed: 0" and not facts.counts_rows]
    return others[0] if len(others) == 1 else None


# ---- from shards to one source ----


@dataclasses.dataclass(frozen=True)
class _Shard:
    place: Place
    array: StoredArray
    dtype: torch.dtype  # of the rows that `_read` gives

    @property
    def name(self) -> str:
        return self.place.name


def _read(place: Place, array: StoredArray, start: int, stop: int) -> Tensor:
    try:
        with damage_named(place.name):
            rows = array.read(start, stop)
    except Exception:
        place.check()  # a file that has changed is seldom damaged
        raise
    place.check()
    return as_tensor(rows, place.name)


def _joined(name: str, shards: list[_Shard]) -> Source:
    _check_alike(name, shards)
    width = shards[0].array.shape[1]
    starts = np.cumsum([0, *(shard.array.shape[0] for shard in shards)]).tolist()
    dtype = functools.reduce(torch.promote_types, [shard.dtype for shard in shards])
    read_last: set[int] = set()  # the shards that may hold something in memory: one, while rows are read in order
    lock = threading.Lock()  # for `read_last`: rows are read ahead by a second thread

    def read(start: int, stop: int) -> Tensor:
        start, stop, _ = slice(start, stop).indices(starts[-1])
        pieces = [torch.empty((0, width), dtype=dtype)]
        for i, (shard, at) in enumerate(zip(shards, starts, strict=False)):
            n_rows = shard.array.shape[0]
            if start < stop and start < at + n_rows and at < stop:
                rows = _read(shard.place, shard.array, max(start - at, 0), min(stop - at, n_rows))
                pieces.append(rows.to(dtype))
                release_others(i)
        # Rows of a single shard need no copy.
        if len(pieces) == 2:
            return pieces[1]
        return torch.cat(pieces)

    def release_others(i: int) -> None:
        """Let go of the shards read before this one, so that memory does not grow with their number."""
        with lock:
            finished = read_last - {i}
            read_last.difference_update(finished)
            read_last.add(i)
        for other in finished:
            shards[other].array.release()

    notes = dict.fromkeys(note for shard in shards for note in shard.array.notes)
    chosen = shards[0].array.chosen
    paths = dict.fromkeys(shard.place.identity for shard in shards if shard.place.identity)
    parts = tuple((shard.name, shard.array.shape[0]) for shard in shards)
    return Source(name, starts[-1], width, dtype, read, tuple(notes), tuple(paths), columns=chosen, parts=parts)


def _check_alike(name: str, shards: list[_Shard]) -> None:
    first = shards[0]
    columns, width = first.array.columns, first.array.shape[1]
    for shard in shards[1:]:
        if shard.array.shape[1] != width:
            widths = f"{first.name} has {width} features, {shard.name} has {shard.array.shape[1]}"
            raise ValueError(f"The shards of {name} differ in width: {widths}. Give a pattern that matches one kind.")
        for ours, theirs in itertools.zip_longest(columns, shard.array.columns):
            if ours != theirs:
                difference = f"{ours!r} in {first.name}, {theirs!r} in {shard.name}"
                raise ValueError(f"The shards of {name} differ in columns: {difference}.")
        if first.array.chosen and shard.array.chosen and first.array.chosen.used != shard.array.chosen.used:
            raise ValueError(_differ(name, first, shard))


def _differ(name: str, first: _Shard, shard: _Shard) -> str:
    """The sentence on two shards of a table whose vectors stand in columns of different names."""
    read = " ".join(f"{one.name}: {one.array.chosen.sentence()}" for one in (first, shard) if one.array.chosen)
    return f"The shards of {name} differ in columns. {read} Name them: `--columns` (`columns=` in Python)."
