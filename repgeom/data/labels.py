"""The gate for labels: whole numbers or text, one per row, become class codes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_labels(labels: Any, n_samples: int, name: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Class codes 0..C−1 (n_samples,) and the classes' names (C,)."""
    values = as_values(labels, n_samples, name)
    names, codes = np.unique(values, return_inverse=True)
    if len(names) == n_samples > 1 and values.dtype.kind == "f" and (values != np.round(values)).any():
        raise ValueError(f"`{name}` holds {len(names):,} different fractions: it looks like features, not classes.")
    return codes, names


def as_values(labels: Any, n_samples: int, name: str = "labels") -> np.ndarray:
    """Labels as whole numbers, floats or text, (n_samples,).

    Raises ValueError for another shape or length and for missing values, TypeError for another kind.
    """
    if isinstance(labels, (str, os.PathLike)):
        raise TypeError(
            f"`{name}` is text ({str(labels)!r:.60}), not one value for each row. If it is the path of a file, load it first."
        )
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu()
        # NumPy has no bfloat16.
        labels = labels.float() if labels.dtype == torch.bfloat16 else labels
    values = np.asarray(labels)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"`{name}` must be one label per row, shape (n_samples,), got shape {values.shape}.")
    if len(values) != n_samples:
        header = ", or was a first line without a header read as one" * (n_samples - len(values) == 1)
        raise ValueError(
            f"`{name}` has {len(values):,} entries and `features` {n_samples:,} rows: there must be one for each "
            f"row. Was one of them extracted with a last batch dropped, or from another split{header}?"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise _missing_error(~np.isfinite(values), name, "not finite")
    if values.dtype.kind == "O":
        missing = np.array([v is None or v != v for v in values])
        if missing.any():
            raise _missing_error(missing, name, "missing")
        values = values.astype(str)
    if values.dtype.kind not in "iufbUS":
        raise TypeError(f"`{name}` must be whole numbers or text, got {values.dtype}.")
    return values


def _missing_error(missing: np.ndarray, name: str, what: str) -> ValueError:
    values = f"{missing.sum():,} of {len(missing):,} values that are {what}"
    return ValueError(
        f"`{name}` has {values}; the first is at {missing.argmax()}. Leave those rows out of all arrays, or give them a value of their own, "
        "such as -1, which is then one more class or group."
    )


def codes_among(labels: Any, n_samples: int, classes: np.ndarray) -> Tensor:
    """Places of labels among known classes, (n_samples,), −1 for others. Raises ValueError if none is known."""
    codes, names = as_labels(labels, n_samples)
    known = {name: i for i, name in enumerate(classes.tolist())}
    places = np.array([known.get(name, -1) for name in names.tolist()])
    if (places < 0).all():
        raise ValueError(
            f"none of `labels` ({', '.join(map(repr, names[:5].tolist()))} ...) is among the classes that the probe was fitted "
            f"on ({', '.join(map(repr, classes[:5].tolist()))} ...)."
        )
    return torch.as_tensor(places[codes])
