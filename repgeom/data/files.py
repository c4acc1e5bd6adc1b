"""How rows come out of files: a path or pattern, its shards, the array chosen from each, joined into one `Source`."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import glob
import itertools
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_tensor
from repgeom.data.formats import FORMATS, LABEL_FORMATS
from repgeom.data.formats.stored import StoredArray, StoredTable, damage_named, extension_of, listing
from repgeom.data.labels import as_labels
from repgeom.data.sources import Source
from repgeom.data.unchanged import OpenedFile


def open_source(path: str | os.PathLike[str], *, key: str | None = None) -> Source:
    """The rows of a file, or of all files that match a pattern, as one `Source` that `audit` takes.

    Args:
        path: `.npy` (read in pieces, never whole), `.npz`, `.pt`, `.pth`, `.safetensors`, `.parquet`, `.csv`, `.tsv` or
            `.h5`; or a pattern such as `"dump/part-*.npy"`, whose files are joined in natural order (`part-2` before
            `part-10`) and promoted to one dtype.
        key: the array where a file holds several, or the columns of a table: one column of lists, or numeric columns
            separated by commas. Without it a table's numeric columns are read, and a note says what was left out.

    Raises:
        FileNotFoundError: no such file, or nothing matches; close names are suggested.
        ValueError, TypeError: content that is damaged, pickled, of another kind or shape; several arrays and no key.
        ImportError: the format needs a package that is not installed.
    """
    name = os.fsdecode(path)
    paths = _shards(name)
    shards = []
    for shard in paths:
        opened = OpenedFile.of(shard)
        array = _features(shard, key)
        shards.append(_Shard(opened, array, _read(opened, array, 0, 0).dtype))
        if len(paths) > 1:
            array.release()  # a single file may keep what was read of it for its first rows; of many, none does
    source = _joined(name, shards)
    if key is None:
        return source
    return dataclasses.replace(source, reads=f"key {key}")


def read_labels(path: str | os.PathLike[str], *, key: str | None = None) -> np.ndarray:
    """One label per row, as stored: integers, text, bools or floats, shape (n_samples,).

    Reads what `open_source` reads (a 1-D array, n x 1, or one column of a table), and `.txt` with one label per line.
    """
    shards = _shards(os.fsdecode(path))
    labels = []
    for shard in shards:
        opened = OpenedFile.of(shard)
        labels.append(_labels(shard, key))
        opened.check()
    for shard, values in zip(shards, labels, strict=True):
        # NumPy would join numbers and text as text, without a word.
        if (values.dtype.kind == "U") != (labels[0].dtype.kind == "U"):
            kinds = f"{labels[0].dtype} in {shards[0]}, {values.dtype} in {shard}"
            raise ValueError(f"The labels are of two kinds: {kinds}. Save both as text or both as numbers.")
    return np.concatenate(labels)


def labels_of(labels: Any, n_samples: int, name: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Codes from 0 (n_samples,) and names of labels, one per row, in memory or in a file of this path."""
    if isinstance(labels, (str, os.PathLike)):
        labels = read_labels(labels)
    return as_labels(labels, n_samples, name)


# ---- from a path to shards ----


def _shards(name: str) -> list[str]:
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        raise _folder_error(path)
    if os.path.exists(path):
        return [path]
    if os.path.islink(path):
        return [path]  # it leads nowhere, which is said when it is opened
    if not glob.has_magic(path):
        raise FileNotFoundError(f"There is no file {path}.{_nearby(path)}")
    # Only folders are passed over: a pipe or a broken link among the shards is refused when it is opened.
    matches = [match for match in glob.glob(path, recursive=True) if not os.path.isdir(match)]
    if not matches:
        raise FileNotFoundError(f"No file matches the pattern {path!r}.{_nearby(path)}")
    return sorted(matches, key=_natural)


def _natural(path: str) -> list[tuple[str, int]]:
    """The key of natural order, in which `part-2` comes before `part-10`."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", path)]


def _nearby(path: str) -> str:
    """A sentence on what the folder of a missing file or fruitless pattern does hold."""
    folder = Path(path).parent
    if not folder.is_dir():
        return f" There is no folder {folder} either."
    present = sorted((entry.name for entry in folder.iterdir() if entry.is_file()), key=_natural)
    if not glob.has_magic(path):
        close = difflib.get_close_matches(Path(path).name, present)
        if not close:
            return ""
        return f" Did you mean {listing(str(folder / name) for name in close)}?"
    return f" The folder {folder} holds {listing(present, most=5) or 'no files'}."


def _folder_error(path: str) -> ValueError:
    found = sorted({extension_of(entry.name) for entry in Path(path).iterdir()} & FORMATS.keys())
    way_out = f"It has none of {', '.join(FORMATS)}"
    if found:
        patterns = " or ".join(f"'{os.path.join(path, '*')}{extension}'" for extension in found)
        way_out = f"To join its files, give a quoted pattern: {patterns}"
    return ValueError(f"{path} is a folder, not a file. {way_out}.")


# ---- from a file to one array ----


def _chosen(path: str, key: str | None, *, labels: bool) -> StoredArray:
    """The array of a file that the key names, or its only one, once it is known to be readable."""
    formats, option = FORMATS, "key"
    if labels:
        formats, option = FORMATS | LABEL_FORMATS, "labels-key"
    extension = extension_of(path)
    if extension not in formats:
        kind = "files without an extension"
        if extension:
            kind = f"files ending in {extension!r}"
        raise ValueError(f"{path} cannot be read: {kind} are not supported. Supported: {', '.join(formats)}.")
    with damage_named(path), open(path, "rb") as file:  # a PermissionError passes, whatever the format
        if not file.read(1):
            raise ValueError("it is empty (0 bytes)")
    arrays = formats[extension](path)
    way_out = f"Choose one with `--{option} NAME` (`key=` in Python)."
    if isinstance(arrays, StoredTable) and not labels:
        array = _choose_columns(path, arrays, key, way_out)
    else:
        array = _choose(path, arrays, key, way_out)
    if array.problem:
        raise ValueError(f"{_where(path, key)} {array.problem}")
    with damage_named(path):
        array.check()
    return array


def _where(path: str, key: str | None) -> str:
    if key is None:
        return path
    return f"{path} ({key})"


def _choose(path: str, arrays: Mapping[str, StoredArray], key: str | None, way_out: str) -> StoredArray:
    if not arrays:
        raise ValueError(f"{path} holds no arrays.")
    if "" in arrays and key is not None:
        raise ValueError(f"{path} holds a single array without a name: leave out the key ({key!r}).")
    if key is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    if key is not None and key in arrays:
        return arrays[key]
    missing = "several"
    if key is not None:
        missing = f"no {key!r} among its"
    present = listing(f"{name} ({array.shape}, {array.dtype})" for name, array in arrays.items())
    raise ValueError(f"{path} holds {missing} arrays: {present}. {way_out}")


def _choose_columns(path: str, table: StoredTable, key: str | None, way_out: str) -> StoredArray:
    """The columns that a key names, or the column of lists, or the columns of numbers."""
    lists, numbers = table.of_kind("list"), table.of_kind("number")
    if key is None:
        if len(lists) > 1:
            raise ValueError(f"{path} has {len(lists)} columns of lists: {listing(lists)}. {way_out}")
        names = lists or numbers
    elif key in table:
        names = [key]
    else:
        names = [part.strip() for part in key.split(",")]
    if unknown := [name for name in names if name not in table]:
        raise ValueError(f"{path} has no column {listing(map(repr, unknown))}; its columns are {listing(table)}.")
    if len(names) == 1 and names[0] in lists:
        return table[names[0]]
    if bad := [name for name in names or table if name not in numbers]:
        with damage_named(path):
            seen = listing(f"{name} (first value {table[name].read(0, 1)[0]!r:.60})" for name in bad)
        raise TypeError(f"{path} has no numbers to read in its column{'s' * (len(bad) > 1)} {seen}. Name others.")
    array = table.side_by_side(names)
    left_out = [name for name in table if name not in numbers]
    if key is not None or not left_out:
        return array
    what = "1 column that is not a number"
    if len(left_out) > 1:
        what = f"{len(left_out)} columns that are not numbers"
    return dataclasses.replace(array, notes=(*array.notes, f"left out {what}: {listing(left_out, most=5)}"))


def _features(path: str, key: str | None) -> StoredArray:
    array, where = _chosen(path, key, labels=False), _where(path, key)
    seen = f"{where} has shape {array.shape} ({array.dtype})"
    if array.dtype.startswith("complex"):
        raise TypeError(f"{seen}: complex values. Save `x.real` and `x.imag` side by side as features, or `abs(x)`.")
    if not re.match("b?float|u?int|bool", array.dtype):
        raise TypeError(f"{seen}: not numbers. Save an array of floats.")
    if len(array.shape) < 2:
        raise ValueError(f"{seen} and needs n_samples x n_features: one row per sample, one column per feature.")
    if len(array.shape) > 2:
        raise ValueError(
            f"{seen} and needs n_samples x n_features. Make each position a sample: `x.reshape(-1, {array.shape[-1]})`,"
            ' for example with `np.save("flat.npy", x.reshape(-1, x.shape[-1]))`, or average over the positions.'
        )
    if 0 in array.shape:
        missing = "columns"
        if array.shape[0] == 0:
            missing = "rows"
        raise ValueError(f"{seen}: it has no {missing}.")
    return array


def _labels(path: str, key: str | None) -> np.ndarray:
    array, where = _chosen(path, key, labels=True), _where(path, key)
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


# ---- from shards to one source ----


@dataclasses.dataclass(frozen=True)
class _Shard:
    opened: OpenedFile
    array: StoredArray
    dtype: torch.dtype  # of the rows that `_read` gives

    @property
    def path(self) -> str:
        return self.opened.path


def _read(opened: OpenedFile, array: StoredArray, start: int, stop: int) -> Tensor:
    try:
        with damage_named(opened.path):
            rows = array.read(start, stop)
    except Exception:
        opened.check()  # a file that has changed is seldom damaged
        raise
    opened.check()
    return as_tensor(rows, opened.path)


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
                rows = _read(shard.opened, shard.array, max(start - at, 0), min(stop - at, n_rows))
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
    return Source(name, starts[-1], width, dtype, read, tuple(notes), tuple(shard.path for shard in shards))


def _check_alike(name: str, shards: list[_Shard]) -> None:
    first = shards[0]
    columns, width = first.array.columns, first.array.shape[1]
    for shard in shards[1:]:
        if shard.array.shape[1] != width:
            widths = f"{first.path} has {width} features, {shard.path} has {shard.array.shape[1]}"
            raise ValueError(f"The shards of {name} differ in width: {widths}. Give a pattern that matches one kind.")
        for ours, theirs in itertools.zip_longest(columns, shard.array.columns):
            if ours != theirs:
                difference = f"{ours!r} in {first.path}, {theirs!r} in {shard.path}"
                raise ValueError(f"The shards of {name} differ in columns: {difference}.")
