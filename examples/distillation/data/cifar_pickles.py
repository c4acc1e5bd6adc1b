"""CIFAR's python files: pickles of arrays, lists and text, read by constructors of our own, which NumPy has no part in."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from repgeom.files import Built, read_pickle

DTYPES = {"u1": np.uint8, "i8": np.int64}  # all that CIFAR's files hold
NAMES = {"f4": "float32", "f8": "float64", "O8": "objects"}  # of some others, for the message


class _Dtype(Built):
    """A dtype, which NumPy's pickles make of a code and of flags; no flag changes these two."""

    def __init__(self, code: Any, align: Any = 0, copy: Any = 1) -> None:
        code = _text(code).lstrip("|<")
        if code not in DTYPES:
            raise ValueError(f"it holds {NAMES.get(code, f'values of kind {code!r:.20}')}")
        self.dtype = np.dtype(DTYPES[code])

    def build(self, state: Any) -> None:
        version, order, *rest = state
        if version != 3 or _text(order) not in ("|", "<") or rest != [None, None, None, -1, -1, 0]:
            raise ValueError(f"it holds a dtype with the state {state!r:.60}")


class _Array(Built):
    """An array, which NumPy's pickles make empty and then fill."""

    values: np.ndarray

    def build(self, state: Any) -> None:
        _, shape, dtype, column_major, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(content, (bytes, str)):
            raise ValueError("it holds an array without values")
        if len(shape) not in (1, 2) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"it holds an array of shape {shape!r:.60}")
        if isinstance(content, str):
            content = content.encode("latin-1")
        if math.prod(shape) * dtype.dtype.itemsize != len(content):
            raise ValueError(f"it holds {len(content):,} bytes for an array of shape {tuple(shape)}")
        self.values = np.frombuffer(content, dtype.dtype).reshape(shape, order="F" if column_major else "C")


def read_batch(content: bytes, file: str) -> dict[str, Any]:
    """The dict of a batch: arrays, lists, text by their keys. Raises ValueError, which names the file, for anything else."""
    encoded = 0

    def encode(text: Any, encoding: Any) -> bytes:
        """Stand for `_codecs.encode`, by which Python 3 wrote bytes in the protocol of Python 2."""
        nonlocal encoded
        encoded += len(text)
        # A file that names one text again and again would fill the memory.
        if encoding not in ("latin1", "latin-1") or not isinstance(text, str) or encoded > len(content):
            raise ValueError("it encodes text as CIFAR's files do not")
        return text.encode("latin-1")

    calls: dict[str, Callable[..., Any]] = {
        "numpy.dtype": _Dtype,
        "numpy.ndarray": lambda: None,
        "_codecs.encode": encode,
        "numpy.core.multiarray._reconstruct": lambda kind, shape, code: _Array(),
        "numpy._core.multiarray._reconstruct": lambda kind, shape, code: _Array(),
    }
    try:
        found = read_pickle(io.BytesIO(content), calls)
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
        return {_text(key): _plain(value) for key, value in found.items()}
    except ValueError as error:
        raise ValueError(f"{file} is not a batch of CIFAR ({error}).") from None


def _plain(value: Any) -> Any:
    if not isinstance(value, _Array):
        return value
    if not hasattr(value, "values"):
        raise ValueError("it holds an array without values")
    return value.values


def _text(value: Any) -> str:
    """Text that either Python wrote. Raises ValueError for what is none."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        raise ValueError(f"it has a {type(value).__name__} where text was expected")
    return value


def names_of(values: Any, file: str, key: str) -> tuple[str, ...]:
    """The names of classes, a list of text."""
    if not isinstance(values, list):
        raise ValueError(f"{file} has no {key}; is it of the other CIFAR?")
    try:
        return tuple(_text(value) for value in values)
    except ValueError as error:
        raise ValueError(f"{file} has no {key}: {error}.") from None
