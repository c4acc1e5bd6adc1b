"""How a single result prints: a line for each of its numbers, with the digits that a reader can use."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from repgeom.inference.compare import Comparison
from repgeom.inference.differences import Difference
from repgeom.measures.neural_collapse import NeuralCollapse
from repgeom.presenting.cells import shortened
from repgeom.presenting.compared import p_words, with_interval
from repgeom.presenting.escaping import printable
from repgeom.presenting.text import number

_MOST_ENTRIES = 12  # of an array that are all shown
_MOST_CHARACTERS = 200  # of a field that is text


@functools.singledispatch
def printed(result: Any) -> str:
    """A result in words: its own `repr` where it has a short one, else a line for each field."""
    if not _has_raw_repr(type(result)):
        return repr(result)
    return _lines_of(result)


@printed.register
def _(c: Comparison) -> str:
    how = "row i of both is one sample" if c.paired else "not paired"
    lines = [
        f"{c.measure}: {number(c.first.value)}, then {number(c.second.value)} ({how})",
        f"difference {with_interval(c.difference, c.low, c.high)}{_with_p(c.p_value)}",
        f"ratio {with_interval(c.ratio, c.ratio_low, c.ratio_high)}",
    ]
    return "\n".join([*lines, *map(printable, c.warnings)])


@printed.register
def _(d: Difference) -> str:
    text = f"difference {with_interval(d.difference, d.low, d.high)}{_with_p(d.p_value)}"
    if d.ratio is None:
        return text
    return f"{text}; ratio {with_interval(d.ratio, d.ratio_low, d.ratio_high)}"


@printed.register
def _(found: NeuralCollapse) -> str:
    return f"Neural collapse of {len(found.classes):,} classes\n" + _lines_of(found, without=("classes",), title=False)


def field_words(value: Any) -> str:
    """A field of a record in few words."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float | np.number):
        return number(float(value))
    shape = getattr(value, "shape", None)
    if isinstance(value, np.ndarray) and value.ndim == 1 and len(value) <= _MOST_ENTRIES:
        return shortened(", ".join(field_words(entry) for entry in value.tolist()), _MOST_CHARACTERS) or "–"
    if shape is not None and len(shape):
        return f"array of shape {tuple(shape)}"
    if isinstance(value, tuple | list) and all(isinstance(one, str) for one in value):
        return "; ".join(value) or "–"
    return shortened(str(value), _MOST_CHARACTERS)


def _lines_of(result: Any, without: tuple[str, ...] = (), *, title: bool = True) -> str:
    """The fields of a result that have a value, one a line."""
    lines = [type(result).__name__] if title else []
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if field.name not in without and value is not None and field.repr:
            lines.append(f"  {field.name.replace('_', ' ')}: {printable(field_words(value))}")
    return "\n".join(lines)


def _has_raw_repr(kind: type) -> bool:
    """Whether `repr` is the one that `dataclass` writes, with every digit of every field."""
    return hasattr(kind.__repr__, "__wrapped__")


def _with_p(p_value: float | None) -> str:
    words = p_words(p_value)
    if not words:
        return ""
    return f", p {words}" if words.startswith("<") else f", p = {words}"
