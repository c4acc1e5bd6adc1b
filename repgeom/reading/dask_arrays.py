"""Rows of a Dask array: each block is added up where it lies, and only the sums travel."""

from __future__ import annotations

import dataclasses
import functools
import threading
from typing import Any, TypeVar

import numpy as np

from repgeom.data.arrays import as_features, as_tensor, chunk_rows
from repgeom.data.labels import as_values
from repgeom.reading.tally import Piece, Tally, class_of, from_bytes, kind_of, to_bytes

T = TypeVar("T", bound=Tally)

# The gate silences one warning, and Python keeps its warning filters once for all threads.
_GATE = threading.Lock()


def is_dask(features: Any) -> bool:
    """Whether these are features in a Dask collection."""
    return hasattr(features, "dask") and hasattr(features, "numblocks")


@dataclasses.dataclass(frozen=True)
class DaskRows:
    """Features in a Dask array, and what stands beside them, with the same blocks of rows.

    Attributes:
        array: dask.array.Array (n_samples, n_features), in blocks of whole rows of known length.
        beside: by name ("labels", "groups", "reference", "corrupted") Dask arrays (n_samples, ...) in the same blocks.
    """

    array: Any
    beside: dict[str, Any]

    @property
    def n_samples(self) -> int:
        return int(self.array.shape[0])

    def fold(self, tally: T) -> T:
        """Add every block up on the scheduler that the user has set, and return the sum of all.

        The array is computed once, after its first rows, by which the tally chooses how to add up.
        """
        from dask.delayed import delayed

        step = chunk_rows(self.array.shape[1])
        first = _piece(
            {"rows": self.array[:step].compute()} | {k: x[:step].compute() for k, x in self.beside.items()}, 0
        )
        # Before `prepare`, which may add the first rows: blocks begin with nothing.
        empty = to_bytes({"tally": _of_kind(tally)})
        tally.prepare(first)
        plan = to_bytes(tally.plan())
        block_tally = functools.partial(_block_state, empty=empty, plan=plan, names=tuple(self.beside))
        # As an array of states, because Dask makes one task of mapped blocks and what they are computed from.
        states = self.array.map_blocks(
            block_tally,
            *self.beside.values(),
            dtype=object,
            chunks=((1,) * self.array.numblocks[0], (1,)),
            meta=np.empty((0, 0), object),
        )
        merged = delayed(_merged_state, pure=False)
        parts = list(states.to_delayed().ravel())
        # Two by two, so that no task holds more than two states.
        while len(parts) > 1:
            parts = [merged(*parts[i : i + 2]) for i in range(0, len(parts), 2)]
        found = np.asarray(parts[0].compute(), object)
        return _restored(found.item())  # type: ignore[return-value]


def dask_rows(features: Any, **beside: Any) -> DaskRows:
    """Rows of a Dask array with what stands beside them: Dask or NumPy arrays of as many rows, or None.

    Raises TypeError and ValueError for what cannot be added up, before anything is computed. Blocks of unknown length are
    computed once to count their rows.
    """
    array = checked(features, "features")
    if np.isnan(array.shape[0]):
        array = array.copy().compute_chunk_sizes()
    if array.numblocks[1] > 1:
        array = array.rechunk({1: -1})
    given = {name: values for name, values in beside.items() if values is not None}
    return DaskRows(array, {name: _in_blocks(values, array, name) for name, values in given.items()})


def _in_blocks(values: Any, array: Any, name: str) -> Any:
    """The same rows as `array` in each block; one column for labels and groups."""
    from dask.array import from_array

    found = values if is_dask(values) else from_array(np.asarray(values))  # type: ignore[no-untyped-call]
    if np.isnan(found.shape[0]):
        found = found.copy().compute_chunk_sizes()
    if name in ("labels", "groups") and found.ndim > 1 and found.shape[1:] != (1,):
        raise ValueError(f"`{name}` must be one label per row, shape (n_samples,), got shape {found.shape}.")
    if name in ("reference", "corrupted"):
        found = checked(found, name)
    if found.shape[0] != array.shape[0]:
        raise ValueError(
            f"`features` has {array.shape[0]:,} rows and `{name}` {found.shape[0]:,}: row i of both must be the same sample."
        )
    if found.ndim == 1:
        found = found[:, None]
    return found.rechunk({0: array.chunks[0], 1: -1})


def checked(array: Any, name: str) -> Any:
    """The array, once all that can be known before anything is computed has been checked."""
    shape = array.shape
    if array.ndim != 2:
        raise ValueError(
            f"`{name}` must be one array of n_samples x n_features, got shape {shape}. "
            "Flatten leading dimensions with `reshape(-1, n_features)`, or call once per layer."
        )
    if 0 in shape:
        raise ValueError(f"`{name}` is empty: shape {shape}. It needs at least one row and one feature.")
    if array.dtype.kind in "OSUMmV" and array.dtype.name != "bfloat16":
        raise TypeError(
            f"`{name}` holds {array.dtype} values (shape {shape}), not numbers. Select the numeric columns, or convert with "
            "`astype(float)`."
        )
    as_tensor(array._meta, name)  # an empty array of the blocks' own kind: complex, masked or sparse
    if array.numblocks[1] > 1 and np.isnan(array.chunks[1]).any():
        raise ValueError(
            f"`{name}` is split along features into {array.numblocks[1]} blocks of unknown width. Call "
            "`array.compute_chunk_sizes()` first."
        )
    return array


def _of_kind(tally: Tally) -> dict[str, Any]:
    return {"kind": kind_of(tally), "state": tally.state()}


def _restored(content: bytes) -> Tally:
    state = from_bytes(content)["tally"]
    return class_of(state["kind"]).from_state(state["state"])


def _block_state(*blocks: Any, empty: bytes, plan: bytes, names: tuple[str, ...], block_info: Any = None) -> Any:
    """The state of one block, as an array of one item."""
    tally = _restored(empty)
    tally.follow(from_bytes(plan))
    start = int(block_info[0]["array-location"][0][0])
    if len(blocks[0]):
        with _GATE:
            piece = _piece(dict(zip(("rows", *names), blocks, strict=True)), start)
        for part in piece.split():
            tally.update(part)
    found = np.empty((1, 1), object)
    found[0, 0] = to_bytes({"tally": _of_kind(tally)})
    return found


def _piece(columns: dict[str, Any], start: int) -> Piece:
    made: dict[str, Any] = {}
    for name, values in columns.items():
        if name in ("labels", "groups"):
            made[name] = as_values(np.asarray(values)[:, 0], len(values), name)
        else:
            made[name] = as_features(values, name, min_rows=0)
    return Piece.numbered(made.pop("rows"), start, **made)


def _merged_state(*parts: Any) -> Any:
    """One state of several. From bytes, so that a task that a cluster runs again counts nothing twice."""
    first, *others = (np.asarray(part, object).item() for part in parts)
    tally = _restored(first)
    for other in others:
        tally.merge(_restored(other))
    found = np.empty((1, 1), object)
    found[0, 0] = to_bytes({"tally": _of_kind(tally)})
    return found
