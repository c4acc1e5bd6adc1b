"""What counts as a number that a caller gives? Python's, NumPy's, and arrays and tensors without dimensions; not bools."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor


def real_number(value: Any) -> float | None:
    """The number as a float; None for anything that is not one real number."""
    if isinstance(value, (Tensor, np.ndarray)):
        if value.ndim:
            return None
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, np.number)):
        return None
    if isinstance(value, np.complexfloating):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number beyond the range of floats
        return None


def one_or_several(values: Any) -> list[Any]:
    """The items of a list or array, or one value as a list of its own; they are not checked."""
    if real_number(values) is not None or isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    return list(values)


def whole_number(value: Any) -> int | None:
    """The number as an int; None for anything that is not one whole number of a whole type."""
    if isinstance(value, (Tensor, np.ndarray)):
        if value.ndim:
            return None
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Integral, np.integer)):
        return None
    return int(value)


def whole_from(least: int, value: Any, name: str) -> int:
    """A whole number of at least `least`, as an int. Raises ValueError, which calls it `name`, for any other value."""
    number = whole_number(value)
    if number is None or number < least:
        raise ValueError(f"`{name}` must be a whole number of at least {least}, got {value!r}.")
    return number
