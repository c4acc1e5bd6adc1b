"""How rows come out of files: a path or pattern, its shards, the array chosen from each, joined into one `Source`.

And how a text is written whole or not at all.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import glob
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_tensor
from repgeom.data.formats import (
    FORMATS,
    LABEL_FORMATS,
    TABLES,
    StoredArray,
    damage_named,
    extension_of,
    in_memory,
    listing,
)
from repgeom.data.labels import as_labels
from repgeom.data.sources import Source


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
    found = _joined(name, [(shard, _features(shard, key)) for shard in _shards(name)])
    return found if key is None else dataclasses.replace(found, reads=f"key {key}")


def read_labels(path: str | os.PathLike[str], *, key: str | None = None) -> np.ndarray:
    """One label per row, as stored: integers, text, bools or floats, shape (n_samples,).

    Reads what `open_source` reads (a 1-D array, n x 1, or one column of a table), and `.txt` with one label per line.
    """
    shards = _shards(os.fsdecode(path))
    labels = [_labels(shard, key) for shard in shards]
    for shard, values in zip(shards, labels, strict=True):
        if (values.dtype.kind == "U") != (labels[0].dtype.kind == "U"):
            kinds = f"{labels[0].dtype} in {shards[0]}, {values.dtype} in {shard}"
            raise ValueError(f"The labels are of two kinds: {kinds}. Save both as text or both as numbers.")
    return np.concatenate(labels)


def labels_of(labels: Any, n_samples: int, name: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Codes from 0 (n_samples,) and names of labels, one per row, in memory or in a file of this path."""
    return as_labels(read_labels(labels) if isinstance(labels, (str, os.PathLike)) else labels, n_samples, name)


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes beside the target and renames, so that a reader never sees half a file."""
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise OSError(f"{target} cannot be written: {error.strerror or error}.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp makes it private; a report is as readable as any new file
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


# ---- from a path to shards ----


def _shards(name: str) -> list[str]:
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        raise _folder_error(path)
    if os.path.exists(path):
        return [path]
    if not glob.has_magic(path):
        raise FileNotFoundError(f"There is no file {path}.{_nearby(path)}")
    matches = [match for match in glob.glob(path, recursive=True) if os.path.isfile(match)]
    if not matches:
        raise FileNotFoundError(f"No file matches the pattern {path!r}.{_nearby(path)}")
    return sorted(matches, key=_natural)


def _natural(path: str) -> list[tuple[str, int]]:
    return [(text, int(digits or 0)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", path)]


def _nearby(path: str) -> str:
    """A sentence on what the folder of a missing file or fruitless pattern does hold."""
    folder = Path(path).parent
    if not folder.is_dir():
        return f" There is no folder {folder} either."
    present = sorted((entry.name for entry in folder.iterdir() if entry.is_file()), key=_natural)
    if not glob.has_magic(path):
        close = difflib.get_close_matches(Path(path).name, present)
        return f" Did you mean {listing(str(folder / name) for name in close)}?" if close else ""
    return f" The folder {folder} holds {listing(present, most=5) or 'no files'}."


def _folder_error(path: str) -> ValueError:
    found = sorted({extension_of(entry.name) for entry in Path(path).iterdir()} & FORMATS.keys())
    patterns = " or ".join(f"'{os.path.join(path, '*')}{extension}'" for extension in found)
    way_out = (
        f"To join its files, give a quoted pattern: {patterns}" if found else f"It has none of {', '.join(FORMATS)}"
    )
    return ValueError(f"{path} is a folder, not a file. {way_out}.")


# ---- from a file to one array ----


def _chosen(path: str, key: str | None, *, labels: bool) -> StoredArray:
    formats = FORMATS | LABEL_FORMATS if labels else FORMATS
    if extension_of(path) not in formats:
        kind = f"files ending in {extension_of(path)!r}" if extension_of(path) else "files without an extension"
        raise ValueError(f"{path} cannot be read: {kind} are not supported. Supported: {', '.join(formats)}.")
    with damage_named(path), open(path, "rb") as file:  # a PermissionError passes, whatever the format
        if not file.read(1):
            raise ValueError("it is empty (0 bytes)")
    arrays = formats[extension_of(path)](path)
    choose = _choose_columns if extension_of(path) in TABLES and not labels else _choose
    array = choose(path, arrays, key, f"Choose one with `--{'labels-' * labels}key NAME` (`key=` in Python).")
    if array.problem:
        raise ValueError(f"{_where(path, key)} {array.problem}")
    return array


def _where(path: str, key: str | None) -> str:
    return path if key is None else f"{path} ({key})"


def _choose(path: str, arrays: dict[str, StoredArray], key: str | None, way_out: str) -> StoredArray:
    if not arrays:
        raise ValueError(f"{path} holds no arrays.")
    if "" in arrays and key is not None:
        raise ValueError(f"{path} holds a single array without a name: leave out the key ({key!r}).")
    if key is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    if key in arrays:
        return arrays[key]
    present = listing(f"{name} ({array.shape}, {array.dtype})" for name, array in arrays.items())
    missing = "several" if key is None else f"no {key!r} among its"
    raise ValueError(f"{path} holds {missing} arrays: {present}. {way_out}")


def _choose_columns(path: str, arrays: dict[str, StoredArray], key: str | None, way_out: str) -> StoredArray:
    lists = [name for name, array in arrays.items() if len(array.shape) == 2]
    numbers = [name for name, array in arrays.items() if name not in lists and re.match("float|u?int", array.dtype)]
    if key is None and len(lists) > 1:
        raise ValueError(f"{path} has {len(lists)} columns of lists: {listing(lists)}. {way_out}")
    asked = [key] if key in arrays else [part.strip() for part in (key or "").split(",")]
    names = (lists or numbers) if key is None else asked
    if unknown := [name for name in names if name not in arrays]:
        raise ValueError(f"{path} has no column {listing(map(repr, unknown))}; its columns are {listing(arrays)}.")
    if len(names) == 1 and names[0] in lists:
        return arrays[names[0]]
    if bad := [name for name in names or arrays if name not in numbers]:
        seen = listing(f"{name} (first value {arrays[name].read(0, 1)[0]!r:.60})" for name in bad)
        raise TypeError(f"{path} has no numbers to read in its column{'s' * (len(bad) > 1)} {seen}. Name others.")
    joined = in_memory(np.column_stack([arrays[name].read(0, arrays[name].shape[0]) for name in names]))
    out = [name for name in arrays if name not in numbers] if key is None else []
    what = "1 column that is not a number" if len(out) == 1 else f"{len(out)} columns that are not numbers"
    notes = (f"left out {what}: {listing(out, most=5)}",) if out else ()
    return dataclasses.replace(joined, columns=tuple(names), notes=arrays[names[0]].notes + notes)


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
        raise ValueError(f"{seen}: it has no {'rows' if array.shape[0] == 0 else 'columns'}.")
    return array


def _labels(path: str, key: str | None) -> np.ndarray:
    array, where = _chosen(path, key, labels=True), _where(path, key)
    seen = f"{where} has shape {array.shape} ({array.dtype})"
    if len(array.shape) not in (1, 2) or array.shape[1:] not in ((), (1,)) or array.shape[0] == 0:
        raise ValueError(f"{seen} and needs one label per sample: shape (n_samples,).")
    with damage_named(path):
        values = array.read(0, array.shape[0])
        if isinstance(values, Tensor):
            values = (values.float() if values.dtype is torch.bfloat16 else values).numpy()
        values = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    values = np.asarray(values).reshape(-1)
    if values.dtype.kind == "O":
        bad = next((i for i, value in enumerate(values) if not isinstance(value, str)), None)
        if bad is not None:
            raise ValueError(f"{seen}: row {bad} holds {values[bad]!r:.60}, not text. Fill in or drop such rows.")
        values = values.astype(str)
    if values.dtype.kind not in "biufU":
        raise TypeError(f"{seen}: labels must be integers, text, bools or floats.")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


# ---- reading ----


def _read(path: str, array: StoredArray, start: int, stop: int) -> Tensor:
    with damage_named(path):
        rows = array.read(start, stop)
    return as_tensor(rows, path)


def _joined(name: str, shards: list[tuple[str, StoredArray]]) -> Source:
    first_path, first = shards[0]
    for path, array in shards[1:]:
        if array.shape[1] != first.shape[1]:
            widths = f"{first_path} has {first.shape[1]} features, {path} has {array.shape[1]}"
            raise ValueError(f"The shards of {name} differ in width: {widths}. Give a pattern that matches one kind.")
        if array.columns != first.columns:
            ours, theirs = next(pair for pair in zip(first.columns, array.columns, strict=True) if pair[0] != pair[1])
            raise ValueError(f"The shards of {name} differ in columns: {ours!r} in {first_path}, {theirs!r} in {path}.")
    starts = np.cumsum([0, *(array.shape[0] for _, array in shards)]).tolist()
    dtype = functools.reduce(torch.promote_types, [_read(path, array, 0, 0).dtype for path, array in shards])

    def read(start: int, stop: int) -> Tensor:
        start, stop, _ = slice(start, stop).indices(starts[-1])
        pieces = [
            _read(path, array, max(start - at, 0), min(stop - at, array.shape[0])).to(dtype)
            for at, (path, array) in zip(starts, shards, strict=False)
            if start < at + array.shape[0] and at < stop and start < stop
        ]
        return pieces[0] if len(pieces) == 1 else torch.cat([torch.empty((0, first.shape[1]), dtype=dtype), *pieces])

    notes = dict.fromkeys(note for _, array in shards for note in array.notes)
    return Source(name, starts[-1], first.shape[1], dtype, read, tuple(notes), tuple(path for path, _ in shards))
