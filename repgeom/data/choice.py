"""Which array of a file is read: its only one, the one that a key names, its only matrix, or several joined by a pattern."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Mapping, Sequence

from repgeom.data.formats.stored import StoredArray, listing, natural


def chosen_arrays(
    path: str, arrays: Mapping[str, StoredArray], key: str | None, option: str, *, labels: bool
) -> list[StoredArray]:
    """The array that is asked for; several where the key is a pattern (`*`), to be joined row after row.

    Args:
        path, option: for messages: the file, and the option of the command line by which a key is given.
        key: the name of an array or a pattern of names.
        labels: whether labels are asked for, one a row, and not features.
    """
    if not arrays:
        raise ValueError(f"{path} holds no arrays.")
    if "" in arrays and key is not None:
        raise ValueError(f"{path} holds a single array without a name: leave out the key ({key!r}).")
    if key is None and len(arrays) == 1:
        return list(arrays.values())
    if key is not None and key in arrays:
        return [arrays[key]]
    if key is not None and "*" in key:
        return _joined(path, arrays, key, labels)
    matrices = _matrices(arrays)
    if key is None and not labels and len(matrices) == 1 and _others_are_vectors(arrays, matrices[0]):
        return [_with_note(arrays, matrices, "read")]
    raise _doubt(path, arrays, key, option, labels)


def _matrices(arrays: Mapping[str, StoredArray]) -> list[str]:
    """The arrays that can be features: two dimensions, numbers."""
    return [name for name, array in arrays.items() if len(array.shape) == 2 and _is_numeric(array)]


def _is_numeric(array: StoredArray) -> bool:
    return not array.problem and re.match("b?float|u?int|bool", array.dtype) is not None


def _others_are_vectors(arrays: Mapping[str, StoredArray], name: str) -> bool:
    others = [array for other, array in arrays.items() if other != name]
    # Of an array that cannot be read, such as a link to another file, the shape may not be known.
    return all(len(array.shape) == 1 or (array.shape == () and not array.problem) for array in others)


def _with_note(arrays: Mapping[str, StoredArray], names: Sequence[str], verb: str) -> StoredArray:
    """The first of some arrays, with a note on which of the file's arrays they are."""
    left_out = [_described(name, array) for name, array in arrays.items() if name not in names]
    note = f"{verb} {listing(names, most=4)}"
    if left_out:
        note += f"; left out {listing(left_out, most=4)}"
    first = arrays[names[0]]
    return dataclasses.replace(first, notes=(*first.notes, note))


def _described(name: str, array: StoredArray) -> str:
    return f"{name} ({array.shape}, {array.dtype})"


def _joined(path: str, arrays: Mapping[str, StoredArray], key: str, labels: bool) -> list[StoredArray]:
    """The arrays whose names match a pattern and that can be features (or labels), in natural order."""
    matching = {name: array for name, array in arrays.items() if fnmatch.fnmatchcase(name, key)}
    names = _matrices(matching)
    wanted = "n_samples x n_features"
    if labels:
        names = [name for name, array in matching.items() if len(array.shape) == 1]
        wanted = "one label per sample"
    if not names:
        present = listing(_described(name, array) for name, array in arrays.items())
        raise ValueError(f"{path} holds no array of {wanted} that matches {key!r}. It holds {present}.")
    names.sort(key=natural)
    first = arrays[names[0]]
    for name in names:
        if arrays[name].shape[1:] != first.shape[1:]:
            seen = f"{_described(names[0], first)}, {_described(name, arrays[name])}"
            raise ValueError(
                f"{path} holds arrays of different width that match {key!r}: {seen}. Give a pattern that matches one kind."
            )
    return [_with_note(arrays, names, f"joined {len(names)} arrays:"), *(arrays[name] for name in names[1:])]


def _doubt(path: str, arrays: Mapping[str, StoredArray], key: str | None, option: str, labels: bool) -> ValueError:
    missing = "several"
    if key is not None:
        missing = f"no {key!r} among its"
    present = listing(_described(name, array) for name, array in arrays.items())
    way_out = f"Choose one with `--{option} NAME` (`key=` in Python)."
    if not labels and _are_batches(arrays, _matrices(arrays)):
        way_out = (
            f"Choose one with `--{option} NAME` (`key=` in Python), or join them, row after row, with `--{option} '*'`."
        )
    return ValueError(f"{path} holds {missing} arrays: {present}. {way_out}")


def _are_batches(arrays: Mapping[str, StoredArray], names: Sequence[str]) -> bool:
    """Whether arrays look like batches of one set: of one width, with names that differ in a number (`arr_0`, `arr_1`)."""
    widths = {arrays[name].shape[1] for name in names}
    stems = {re.sub("[0-9]+", "", name) for name in names}
    return len(names) > 1 and len(widths) == len(stems) == 1
