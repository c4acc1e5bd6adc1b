"""The spectrum of a Dask array: each block is summed up where it lies, and only the sums travel."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from repgeom.data.arrays import as_features, as_tensor, nonfinite_error, row_chunks
from repgeom.spectral.accumulator import SpectrumAccumulator

# The gate silences one warning, and Python keeps its warning filters once for all threads.
_GATE = threading.Lock()


def accumulate_dask(array: Any, *, normalize: str | None = None, method: str = "float64") -> SpectrumAccumulator:
    """Sums up the rows of a Dask array on whatever scheduler its user has set, and returns the sums.

    Blocks i and j are joined by the update of Chan, Golub and LeVeque (1983), pair by pair in a tree:
    S = Sᵢ + Sⱼ + nᵢ nⱼ / (nᵢ + nⱼ) · (μⱼ − μᵢ)ᵀ(μⱼ − μᵢ), with n rows, mean μ and S the squares and products about it. So any
    chunking gives `spectrum` of the whole to rounding. A block's sums take n_features² float64 values, whatever its
    number of rows: blocks of fewer rows than features cost more to send than the rows themselves.

    Args:
        array: dask.array.Array (n_samples, n_features) of real numbers. Blocks may be empty, and of unknown length
            (nan), as after `array[dask.array.isfinite(array).all(axis=1)]`, which drops rows with NaN. Where the features
            are split, they are first brought together, which moves rows.
        normalize: "l2" scales each row to unit length first.
        method: "float64" or "qr", as for `SpectrumAccumulator`.

    Returns:
        A `SpectrumAccumulator` in this process: `.spectrum()` reads it, `.update` and `.merge` add to it. Its results are
        NumPy arrays. The array is computed once, in this call, with `dask.config`'s scheduler or the current
        `distributed.Client`.

    Raises:
        ImportError: Dask is not installed (`pip install 'repgeom[dask]'`); workers need `repgeom` too.
        TypeError: not a Dask array; complex, text, object, sparse or masked data.
        ValueError: not two dimensions; no rows or features; NaN or infinity (the rows of the block are named).

    >>> import dask.array as da
    >>> x = da.from_array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]], chunks=(3, 1))
    >>> acc = accumulate_dask(x)
    >>> acc.n_samples, acc.spectrum().variances * 3
    (4, array([2. , 0.5]))
    """
    try:
        from dask.array import Array
        from dask.delayed import delayed
    except ImportError as error:
        raise ImportError("`accumulate_dask` needs Dask: pip install 'repgeom[dask]'.") from error
    fresh = functools.partial(SpectrumAccumulator, normalize=normalize, method=method)
    fresh()  # refuses wrong settings before anything is computed
    _check(array, Array)
    if array.numblocks[1] > 1:
        array = array.rechunk({1: -1})
    # As an array of sums, because Dask makes one task of mapped blocks and what they are computed from.
    sums = array.map_blocks(
        _sum_up, fresh, dtype=object, chunks=((1,) * array.numblocks[0], (1,)), meta=np.empty((0, 0), object)
    )
    merged = delayed(_merged, pure=False)
    parts = list(sums.to_delayed().ravel())
    while len(parts) > 1:
        parts = [merged(fresh, *parts[i : i + 2]) for i in range(0, len(parts), 2)]
    found: SpectrumAccumulator = parts[0].compute()
    if not found.n_samples:
        raise ValueError("`array` is empty: none of its blocks has a row. It needs at least one.")
    return found


def _check(array: Any, kind: Any) -> None:
    """What can be known before anything is computed, in the words of `features.py`."""
    if not isinstance(array, kind):
        raise TypeError(
            f"`array` must be a dask.array.Array, got {type(array).__name__}. For data in memory, call `spectrum`; for a "
            "Dask data frame, pass `frame.to_dask_array()`."
        )
    shape = array.shape
    if array.ndim != 2:
        raise ValueError(
            f"`array` must be one array of n_samples x n_features, got shape {shape}. "
            "Flatten leading dimensions with `reshape(-1, n_features)`, or call once per layer."
        )
    if 0 in shape:
        raise ValueError(f"`array` is empty: shape {shape}. It needs at least one row and one feature.")
    if array.dtype.kind in "OSUMmV" and array.dtype.name != "bfloat16":
        raise TypeError(
            f"`array` holds {array.dtype} values (shape {shape}), not numbers. Select the numeric columns, or convert with "
            "`astype(float)`."
        )
    as_tensor(array._meta, "array")  # an empty array of the blocks' own kind: complex, masked or sparse
    if array.numblocks[1] > 1 and any(map(math.isnan, array.chunks[1])):
        raise ValueError(
            f"`array` is split along features into {array.numblocks[1]} blocks of unknown width. Call "
            "`array.compute_chunk_sizes()` first."
        )


def _sum_up(block: Any, fresh: Callable[[], SpectrumAccumulator], block_info: Any = None) -> SpectrumAccumulator:
    """One block's sums."""
    acc = fresh()
    if not len(block):
        return acc
    name = _name(block_info[0])
    with _GATE:
        rows = as_features(block, name, min_rows=1)
    error = nonfinite_error(rows, name)
    if error:
        raise ValueError(f"{error} Of a Dask array, `array[dask.array.isfinite(array).all(axis=1)]` keeps the others.")
    for piece in row_chunks(rows):
        acc._absorb(piece)
    return acc


def _name(place: dict[str, Any]) -> str:
    """A block as an expression that its user can evaluate: by rows where their number is known."""
    start, stop = place["array-location"][0]
    if math.isnan(start) or math.isnan(stop):
        return f"array.blocks[{place['chunk-location'][0]}]"
    return f"array[{start}:{stop}]"


def _merged(fresh: Callable[[], SpectrumAccumulator], *parts: SpectrumAccumulator) -> SpectrumAccumulator:
    """A new accumulator: a task that changed its input would count rows twice when a cluster runs it again."""
    acc = fresh()
    for part in parts:
        acc.merge(part)
    return acc
