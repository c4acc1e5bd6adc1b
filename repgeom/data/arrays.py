"""The one gate: whatever a user holds becomes float rows of shape (..., n_samples, n_features).

Nothing behind this module checks its input again.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.frames import is_table, whole_table

# 2,097,152 values a chunk: 8 MB of float32, large enough for the matrix product to run at full speed. Where that would be
# fewer than two rows for each feature it is so many, so that adding a wide product up costs little beside the product, and
# that the first rows show whether a spectrum is steep. A GPU needs larger pieces to be busy.
CHUNK_VALUES = 1 << 21
_GPU_TIMES = 32
# A hundred million values of this size can be added in float64.
LARGEST = 1e300


def as_features(features: Any, name: str = "features", *, min_rows: int = 2) -> Tensor:
    """Any array kind as a float tensor (..., n_samples, n_features) that shares its memory where it can.

    Raises TypeError for complex, text, object, sparse or masked data and ValueError for a wrong shape.
    """
    x = as_tensor(features, name)
    if x.ndim < 2:
        raise ValueError(
            f"`{name}` must have shape (n_samples, n_features), got shape {shape_of(x)}. If these are singular values or "
            "variances, wrap them: `Spectrum.from_singular_values(values)` or `Spectrum.from_variances(values)`; if they "
            "are one sample, a spectrum needs at least two."
        )
    if x.shape[-1] == 0 or 0 in x.shape[:-2]:
        raise ValueError(
            f"`{name}` is empty: shape {shape_of(x)}. It needs at least one feature and no empty dimension."
        )
    if x.shape[-2] < min_rows:
        raise ValueError(
            f"`{name}` has {x.shape[-2]} row{'s' * (x.shape[-2] != 1)} (shape {shape_of(x)}) and needs at least {min_rows}: "
            "rows are samples, columns are features. If yours lie the other way, transpose first."
        )
    return x


def flattened(shape: tuple[int, ...]) -> str:
    """The sentence on how an array of this shape becomes rows of features, in the usual layouts."""
    if len(shape) == 4 and shape[2:] == (1, 1):
        return "These look like pooled maps: pass `x.reshape(len(x), -1)` (`x.flatten(1)` in PyTorch)."
    if len(shape) == 4:
        return (
            "If these are maps of channels x height x width, take the mean over space, `x.mean((2, 3))`, or all of it as one "
            "vector, `x.reshape(len(x), -1)`; if channels come last, `x.mean((1, 2))`."
        )
    if len(shape) == 3:
        return (
            "If these are sequences of positions x features, take the mean over positions, `x.mean(1)`, or one of them, "
            f"`x[:, 0]`; `x.reshape(-1, {shape[-1]})` makes each position a sample, which then depend on each other (`groups=`)."
        )
    return "Bring it to two dimensions: a row for each sample, `x.reshape(len(x), -1)`."


def as_tensor(values: Any, name: str) -> Tensor:
    """Any numeric array kind as a tensor of float16, bfloat16, float32 or float64."""
    if isinstance(values, Tensor):
        x = values
    elif _is_list_of_matrices(values):
        x = _joined(values, name)
    elif isinstance(values, (list, tuple)) and values and isinstance(values[0], (str, os.PathLike)):
        raise TypeError(
            f"`{name}` is a list of {len(values)} texts, not an array. To join files, open them: `repgeom.open_source([...])`, or "
            "pass a pattern to `repgeom.audit`."
        )
    elif isinstance(values, (str, bytes)):
        raise TypeError(
            f"`{name}` is text ({values!r:.60}), not an array. To read a file, pass its path to `repgeom.audit`."
        )
    elif hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray):
        # Not by way of NumPy, so that arrays on a GPU stay there.
        x = torch.utils.dlpack.from_dlpack(values)
    else:
        x = _from_numpy(_as_numpy(values, name), name)
    if x.layout is not torch.strided:
        raise TypeError(f"`{name}` is a sparse tensor ({x.layout}); call `.to_dense()` first.")
    if x.is_quantized:
        x = x.dequantize()
    if x.is_complex():
        raise TypeError(f"`{name}` is complex ({x.dtype}); stack `x.real` and `x.imag` as features, or take `abs()`.")
    if x.is_floating_point():
        return x if x.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64) else x.float()
    # float32 holds every integer up to 16 bits exactly, float64 up to 53.
    return x.to(torch.float32 if x.element_size() <= 2 else torch.float64)


def _is_list_of_matrices(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and bool(values) and all(getattr(one, "ndim", 0) == 2 for one in values)


def _joined(batches: Sequence[Any], name: str) -> Tensor:
    """Batches of rows, one below the other: a list of matrices means the same everywhere. A stack is one array."""
    tensors = [as_tensor(batch, f"{name}[{i}]") for i, batch in enumerate(batches)]
    if len({x.shape[1] for x in tensors}) > 1:
        widths = ", ".join(str(x.shape[1]) for x in tensors[:6])
        raise ValueError(
            f"`{name}` is a list of batches of different widths ({widths}); all must have the same features."
        )
    dtype = functools.reduce(torch.promote_types, [x.dtype for x in tensors])
    return torch.cat([x.to(dtype) for x in tensors])


def _as_numpy(values: Any, name: str) -> np.ndarray:
    if isinstance(values, np.ndarray) and hasattr(values, "mask"):  # numpy.ma itself takes a while to import
        raise TypeError(f"`{name}` is a masked array; fill it or drop the masked rows first: a mask cannot be kept.")
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        raise TypeError(f"`{name}` is a sparse matrix ({type(values).__name__}); call `.toarray()` first.")
    if hasattr(values, "dask"):
        raise TypeError(
            f"`{name}` is a Dask collection, which this would compute whole in one process. `repgeom.audit(array)` adds it up "
            "where it lies, and its report has the `spectrum`; or pass rows that fit, `array[:100_000].compute()`, or the paths "
            "of files."
        )
    if is_table(values):
        return whole_table(values, name)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"`{name}` cannot be made into one array; its rows may differ in length ({error}).") from None
    if array.ndim == 0 and hasattr(values, "spectrum"):
        raise TypeError(f"`{name}` is a {type(values).__name__}; read what it holds: `accumulator.spectrum()`.")
    if isinstance(values, torch.nn.Module):
        raise TypeError(
            f"`{name}` is a model ({type(values).__name__}): audit what it gives, `repgeom.models.layer_profile(model, loader)`."
        )
    if array.ndim == 0 and hasattr(values, "__code__"):
        raise TypeError(f"`{name}` is a function; call it, and pass what it gives.")
    if array.ndim == 0 and array.dtype == object:
        raise TypeError(f"`{name}` is a {type(values).__name__}; this needs an array of n_samples x n_features.")
    return array


def _from_numpy(array: np.ndarray, name: str) -> Tensor:
    if array.dtype.name == "bfloat16":  # ml_dtypes, which JAX hands out
        array = array.astype(np.float32)
    if array.dtype.names is not None:
        raise TypeError(
            f"`{name}` is a structured array with the fields {', '.join(array.dtype.names[:5])}. Make them columns: "
            f"`numpy.lib.recfunctions.structured_to_unstructured(x[[...]])` with the fields that are features."
        )
    if array.dtype.kind not in "fiubc":
        raise TypeError(
            f"`{name}` holds {array.dtype} values (shape {array.shape}), not numbers. Text or object columns often come from "
            "a table read whole; select the numeric columns, or convert with `astype(float)`."
        )
    # What torch cannot take over: long doubles, wide unsigned numbers, another byte order, negative strides.
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():  # not safe where several threads do so at once, and therefore only where it must be
        # A read-only array (a mapped file) is shared on purpose: nothing here writes to its input.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)


def give_back(features: Any) -> Callable[[Tensor], Any]:
    """How results return to the user: tensors for tensors, else Python numbers (NumPy arrays for stacks)."""
    if isinstance(features, Tensor):
        return lambda value: value
    return lambda value: value.item() if value.ndim == 0 else value.detach().cpu().numpy()


def check_normalize(normalize: str | None) -> None:
    if normalize not in (None, "l2"):
        raise ValueError(f'`normalize` must be None or "l2" (rows scaled to unit length), got {normalize!r}.')


def unit_rows(x: Tensor) -> Tensor:
    """Rows scaled to unit length; a row of zeros has no direction and stays zero."""
    norms = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    if _far_from_limits(norms):
        return x / norms
    # Dividing by the largest entry first keeps tiny and huge rows from under- or overflowing when squared.
    largest = x.abs().amax(-1, keepdim=True)
    x = x / torch.where(largest > 0, largest, 1)
    norms = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / torch.where(norms > 0, norms, 1)


def row_norms(x: Tensor) -> Tensor:
    """Lengths of rows, (...,), whose squares may lie beyond the range of their type."""
    norms = torch.linalg.vector_norm(x, dim=-1)
    if _far_from_limits(norms):
        return norms
    largest = x.abs().amax(-1)
    scale = torch.where(largest > 0, largest, 1)
    return torch.linalg.vector_norm(x / scale[..., None], dim=-1) * scale


def _far_from_limits(norms: Tensor) -> bool:
    """Whether no square of an entry that matters can have left the range of floats: the usual case, and the quick one."""
    # Squares of these stay inside 1e±38 and 1e±308.
    limits = {torch.float32: (1e-12, 1e18), torch.float64: (1e-140, 1e150)}
    if norms.dtype not in limits or not norms.numel():
        return False
    least, most = norms.detach().aminmax()
    return bool((least > limits[norms.dtype][0]) & (most < limits[norms.dtype][1]))


def centred(x: Tensor) -> Tensor:
    """Rows minus their mean. The second pass removes what rounding of a mean far above the spread left."""
    rows = x - x.mean(-2, keepdim=True)
    return rows - rows.mean(-2, keepdim=True)


def chunk_rows(values_per_row: int, device: str = "cpu") -> int:
    """Rows of a piece: two for each feature or more, at most 16,384 for the sake of what is added up in float32."""
    rows = min(max(CHUNK_VALUES // values_per_row, CHUNK_VALUES * values_per_row >> 20), 1 << 14)
    return max(1, rows * (_GPU_TIMES if device == "cuda" else 1))


def row_chunks(x: Tensor) -> Iterator[Tensor]:
    """A tensor (..., n_samples, n_features) in pieces of rows, so that temporaries stay small."""
    rows = chunk_rows(x.shape[-1], x.device.type) // x.shape[:-2].numel()
    return iter(torch.split(x, max(1, rows), dim=-2))


def mean_row(x: Tensor) -> Tensor:
    """The mean row (..., 1, d) in float64, without a copy of the rows; its second pass is that of `centred`."""
    mean = x.new_zeros((), dtype=torch.float64)
    for _ in range(2):
        away = torch.zeros_like(mean)
        for rows in row_chunks(x):
            away = away + (rows.double() - mean).sum(-2, keepdim=True)
        mean = mean + away / x.shape[-2]
    return mean


def finite_rows(features: Any, name: str = "features", *, double: bool = True) -> Tensor:
    """Rows in float64 (`double=False`: in their own type), or an error that counts what is not finite."""
    x = as_features(features, name)
    refuse_nonfinite(x, name)
    return x.double() if double else x


def finite_matrix(features: Any, name: str, dtype: torch.dtype | None = None) -> Tensor:
    """(n, d) finite rows, detached; of `dtype`, else float64 where they are that and float32 where not."""
    x = as_features(features, name, min_rows=1).detach()
    if x.ndim != 2:
        raise ValueError(f"`{name}` must be (n_samples, n_features), got shape {shape_of(x)}.")
    refuse_nonfinite(x, name)
    cast = x.to(dtype or (torch.float64 if x.dtype == torch.float64 else torch.float32))
    if cast.dtype != x.dtype and not bool(torch.isfinite(cast).all()):
        raise ValueError(f"`{name}` holds values beyond the range of {cast.dtype}; divide by their largest.")
    return cast


def pair_blocks(x: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(start, rows) pieces whose products with all rows stay within a few ten megabytes."""
    step = max(1, CHUNK_VALUES // max(1, x.shape[:-2].numel() * x.shape[-2]))
    return ((start, x[..., start : start + step, :]) for start in range(0, x.shape[-2], step))


def refuse_nonfinite(x: Tensor, name: str) -> None:
    """Raises ValueError for NaN and infinity, which are counted, and for values that cannot be added in float64."""
    if not x.numel():
        return
    low, high = x.detach().aminmax()
    if bool((low >= -LARGEST) & (high <= LARGEST)):  # neither holds where a value is NaN
        return
    raise nonfinite_error(x.detach(), name) or too_large_error(name)


class ZeroVarianceError(ValueError):
    """All rows are equal, so there is nothing to measure."""


class TooLargeError(ValueError):
    """Values are finite, and sums that a measure rests on are not."""


def too_large_error(name: str) -> TooLargeError:
    """The error for rows whose sums leave the range of float64."""
    return TooLargeError(
        f"`{name}` holds values too large to be squared or added in float64; divide them by their largest."
    )


def nonfinite_error(x: Tensor, name: str) -> ValueError | None:
    """The error for NaN or infinity in `x`: how many, and where the first one is. None if there are none."""
    return nonfinite_error_in(row_chunks(x), shape_of(x), x.dtype, f"`{name}`")


def nonfinite_error_in(
    chunks: Iterable[Tensor], shape: tuple[int, ...], dtype: torch.dtype, what: str
) -> ValueError | None:
    """The same of rows that come in pieces; `what` names them."""
    count, start, first = 0, 0, ""
    for chunk in chunks:
        bad = ~torch.isfinite(chunk)
        if bad.any():
            first = first or first_nonfinite(chunk, bad, start)
            count += int(bad.sum())
        start += chunk.shape[-2]
    return nonfinite_message(count, first, shape, dtype, what) if count else None


def first_nonfinite(chunk: Tensor, bad: Tensor, start: int) -> str:
    """The first value of a piece that is not finite, with its place; the piece's first row is row `start`."""
    at = [int(i) for i in bad.nonzero()[0]]
    value = chunk[tuple(at)].item()
    place = f"{value} at row {at[-2] + start}, column {at[-1]}"
    return place if len(at) == 2 else f"{place} of batch {tuple(at[:-2])}"


def nonfinite_message(count: int, first: str, shape: tuple[int, ...], dtype: torch.dtype, what: str) -> ValueError:
    """The error that counts values which are not finite and names the first."""
    cause = "Half-precision activations often overflow: use float32."
    if dtype == torch.float64:
        cause = "An empty cell of a table reads as NaN."
    return ValueError(
        f"{what} has {count:,} non-finite value{'s' * (count != 1)}; the first is {first} (shape {shape}, "
        f"{str(dtype).removeprefix('torch.')}). {cause} `audit` can go on without those rows: `drop_nonfinite=True`, or "
        "`--drop-nonfinite` on the command line."
    )


def shape_of(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)
