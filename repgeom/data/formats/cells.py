"""Cells of tables: what kind of column they make, numbers with empty cells, and vectors in the forms they are written in."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from repgeom.data.columns import NUMBER, OTHER, TEXT, UNREAD, VECTOR, Column

SHOWN = 3  # cells that a message shows
SEEN = 1000  # cells of a column of text that are looked at
NUMBERS_IN_TEXT = 0.1  # a column of text with a larger share of numbers is a column of numbers with bad cells

COUNTED = 10  # rows from which a column that counts them is no coincidence

# What may stand around numbers: tensor(...), array(..., dtype=float32), np.float32(...).
_WRAPPED = re.compile(r"^(?:torch\.)?(?:tensor|Tensor|array|np\.array|numpy\.array)\((.*)\)$", re.DOTALL)
_AFTER_ARRAY = re.compile(r",\s*(?:dtype|device|grad_fn|requires_grad|size|shape)=.*$", re.DOTALL)
_SCALAR = re.compile(r"(?:np\.|numpy\.)?float\d*\(([^()]*)\)")
_BETWEEN = re.compile(r"[\s,;|]+")
_LOOKS_LIKE_A_VECTOR = re.compile(
    r"^\s*(?!\(\d+\)\s*\d)(?:(?:torch\.|np\.|numpy\.)?(?:tensor|Tensor|array|float\d+)\(|[\[(]\s*(?:[-+.\d]|nan|inf|np\.|\[))"
)
_NUMBER_IN_ANOTHER_WAY = re.compile(r"^[+-]?[\d.,][\d.,_' ]*(?:[eEdD][+-]?\d*)?\s*%?$")
# Forms of vectors that are not read: many fractions, in whatever signs; whole numbers alone; bytes; their base64 or hex.
_FRACTIONS = (
    re.compile(r"(?<![\w.])[+-]?\d*\.\d+(?:[eE][+-]?\d+)?(?![\w.])"),
    re.compile(r"(?<![\w,])[+-]?\d*,\d+(?:[eE][+-]?\d+)?(?![\w,])"),
)
_WHOLE_NUMBERS = re.compile(r"^[\"'{<(\[]*\s*[+-]?\d+(?:[\s,;|_]+[+-]?\d+){7,}\s*[]\"'}>)]*$")
_BYTES = re.compile(r"^b(['\"])(?=.*\\x).*\1$", re.DOTALL)
# Longer than a checksum; sequences of proteins have no digits.
_ENCODED = re.compile(r"^(?=.*[a-zA-Z])(?=.*\d)[A-Za-z0-9+/=_-]{160,}$")


# ---- columns ----


def facts_of_numbers(cells: np.ndarray) -> Column:
    """What cells of numbers or bools show of their column."""
    first = tuple(f"{cell:.6g}" if cell.dtype.kind == "f" else str(cell) for cell in cells[:SHOWN])
    finite = cells[np.isfinite(cells)] if cells.dtype.kind == "f" else cells
    if cells.dtype.kind == "f" and np.isnan(cells).all():
        return Column(NUMBER, first, empty=True)
    # Most columns of fractions show so at once.
    if cells.dtype.kind == "f" and (finite[:64] != np.round(finite[:64])).any():
        return Column(NUMBER, first)
    whole = len(finite) > 0 and (cells.dtype.kind != "f" or bool((finite == np.round(finite)).all()))
    counts = whole and len(cells) >= COUNTED and len(finite) == len(cells) and _numbers_its_rows(finite)
    equal = len(finite) > 0 and bool((finite == finite[0]).all())
    return Column(NUMBER, first, whole=whole, counts_rows=counts, all_zero=bool((finite == 0).all()), all_equal=equal)


def _numbers_its_rows(cells: np.ndarray) -> bool:
    """Whether whole numbers are those from one to another, each once, in whatever order."""
    low, high = int(cells.min()), int(cells.max())
    return high - low == len(cells) - 1 and len(np.unique(cells)) == len(cells)


def facts_of_objects(cells: np.ndarray) -> Column:
    """What cells of text, lists and other objects show of their column. Row numbers in its doubt count from 0."""
    filled = [i for i, cell in enumerate(cells) if not _is_empty(cell)]
    if not filled:
        return Column(NUMBER, ("none",), empty=True)
    first = tuple(f"{cells[i]!r:.40}" for i in filled[:SHOWN])
    cell = cells[filled[0]]
    row = vector_of(cell)
    if isinstance(row, np.ndarray):
        return Column(VECTOR, first, width=len(row))
    if row:
        return Column(UNREAD, first, doubt=f"its cells look like vectors, but {row}")
    seen = filled[:SEEN]
    are_numbers = np.array([_is_number(cells[i]) for i in seen])
    bad = next((i for i in filled if not _is_number(cells[i])), None) if are_numbers.any() else filled[0]
    if bad is None:
        if isinstance(cell, str):
            return Column(
                TEXT, first, doubt=f"its cells are text that spells numbers ({cell!r:.40}); write them as numbers."
            )
        return dataclasses.replace(facts_of_numbers(numbers_of(cells)), first=first)
    if are_numbers.mean() >= NUMBERS_IN_TEXT:
        n = int(are_numbers.sum())
        doubt = f"row {bad} holds {cells[bad]!r:.40} where {n:,} of {len(seen):,} cells are numbers; mend or empty it."
        return Column(TEXT, first, doubt=doubt)
    texts = [cells[i] for i in seen if isinstance(cells[i], str)]
    if not texts:
        return Column(OTHER, first, doubt=_doubt_of_object(cell))
    like_vectors = [i for i in seen if isinstance(cells[i], str) and _LOOKS_LIKE_A_VECTOR.match(cells[i])]
    if 2 * len(like_vectors) > len(seen):
        i = like_vectors[0]
        return Column(UNREAD, first, doubt=f"its cells look like vectors, but row {i} holds {cells[i]!r:.40}.")
    like_numbers = [text for text in texts if _NUMBER_IN_ANOTHER_WAY.match(text.strip())]
    if 2 * len(like_numbers) >= len(texts):
        return Column(
            TEXT, first, doubt=f"its cells look like numbers written in another way: {like_numbers[0]!r:.40}."
        )
    like_data = [text for text in texts if _may_hold_a_vector(text.strip())]
    if 2 * len(like_data) > len(texts):
        return Column(TEXT, first, doubt=f"its cells may be vectors in a form that is not read: {like_data[0]!r:.40}.")
    return Column(TEXT, first)


def _may_hold_a_vector(text: str) -> bool:
    """Whether most of a text is numbers, or it is data that was encoded as text."""
    if _BYTES.match(text) or _ENCODED.match(text) or _WHOLE_NUMBERS.match(text):
        return True
    n_signs = len("".join(text.split()))
    for fraction in _FRACTIONS:
        found = fraction.findall(text.replace("_", " "))
        if len(found) >= 4 and 5 * sum(map(len, found)) > 3 * n_signs:
            return True
    return False


def _doubt_of_object(cell: Any) -> str:
    """Why an object may hold numbers that cannot be read; nothing where it surely holds none, such as a date."""
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return f"its cells are {len(cell):,} bytes; write numbers, or lists of them (`numpy.frombuffer` reads bytes)."
    if isinstance(cell, dict):
        return f"its cells are records with {', '.join(map(str, list(cell)[:5]))}; write a column for each."
    if type(cell).__name__ == "Decimal":
        return "its cells are decimals; write them as floats."
    return ""


def _is_empty(cell: Any) -> bool:
    return cell is None or type(cell).__name__ == "NAType" or (isinstance(cell, float) and cell != cell)


def _is_number(cell: Any) -> bool:
    if isinstance(cell, str):
        return _float_of(cell) is not None
    # A span of time is a number to NumPy.
    return isinstance(cell, (bool, int, float, np.bool_, np.number)) and not isinstance(cell, np.timedelta64)


def _float_of(text: str) -> float | None:
    if "_" in text:  # 1_000 is a number to Python alone
        return None
    try:
        return float(text)
    except ValueError:
        return None


def numbers_of(cells: np.ndarray) -> np.ndarray:
    """Objects that are numbers, text of numbers, bools or empty as float64; empty ones are NaN."""
    return np.array([np.nan if _is_empty(cell) else _as_float(cell) for cell in cells])


def _as_float(cell: Any) -> float:
    try:
        return float(cell)
    except OverflowError:  # a whole number of 400 digits; as text of a fraction it would be infinity too
        return float("inf") if cell > 0 else float("-inf")


def cells_of(series: Any) -> np.ndarray:
    """The cells of a pandas column. An empty cell among whole numbers or bools makes all of them floats."""
    dtype = series.dtype
    if type(dtype).__name__ == "SparseDtype":
        return np.asarray(series.sparse.to_dense().to_numpy())
    if isinstance(dtype, np.dtype) or dtype.kind not in "iufb":
        return np.asarray(series.to_numpy())
    # What remains is one of pandas' own nullable types.
    if not series.hasnans:
        return np.asarray(series.to_numpy("bool" if dtype.kind == "b" else f"{dtype.kind}{dtype.itemsize}"))
    return np.asarray(series.to_numpy("f8", na_value=np.nan))


def first_filled(series: Any) -> int:
    """The place of the first cell that is not empty, or 0 where all are."""
    return int(series.notna().to_numpy().argmax())


# ---- vectors ----


@dataclasses.dataclass(frozen=True)
class Vectors:
    """Cells that hold vectors: how many numbers each has (−1 where it is none), and all numbers in a row."""

    lengths: np.ndarray
    numbers: np.ndarray
    cell: Callable[[int], Any]  # a cell as it stands in the table, for a message

    def rows(self, width: int) -> np.ndarray:
        return self.numbers.reshape(len(self.lengths), width)


def vector_of(cell: Any) -> np.ndarray | str:
    """The numbers of a cell that holds a vector, as a list or as text; else why it cannot be read, "" where it is none.

    Text may be JSON, what NumPy, PyTorch or Python print, or fractions with spaces between them.
    """
    if isinstance(cell, str):
        return _vector_in_text(cell)
    if hasattr(cell, "detach"):  # a tensor
        cell = cell.detach().cpu().float().numpy()
    if not isinstance(cell, (list, tuple, np.ndarray)):
        return ""
    return _checked(cell)


def _checked(values: Any) -> np.ndarray | str:
    try:
        row = np.asarray(values)
        if row.dtype == object and row.ndim == 1 and all(v is None or isinstance(v, (int, float)) for v in row):
            row = row.astype(float)  # an empty place in a list is NaN
    except (ValueError, TypeError):
        return "it holds lists of lists of different lengths."
    if row.dtype == object and row.size and isinstance(row.flat[0], (list, tuple, np.ndarray)):
        return "it holds lists of lists; flatten them, or take the mean over the positions."
    if row.ndim > 1 and row.dtype.kind in "fiu":
        return f"it holds an array of shape {row.shape}; flatten it, or take the mean over its positions."
    if row.ndim != 1 or row.dtype.kind not in "fiu" or not row.size:
        return ""
    return row


def _vector_in_text(text: str) -> np.ndarray | str:
    text = text.strip()
    wrapped = _WRAPPED.match(text)
    if wrapped:
        text = _AFTER_ARRAY.sub("", wrapped[1]).strip()
    bracketed = text[:1] + text[-1:] in ("[]", "()")
    if not bracketed and not wrapped:
        return _joined_numbers(text)
    if re.search(r"\.\.\.|…", text):
        return (
            "its values are gone: '...' stands for those that NumPy did not print. Write the arrays with `.tolist()`."
        )
    if text.startswith("["):
        try:
            return _checked(json.loads(text))
        except (ValueError, RecursionError):
            pass  # not JSON: as NumPy or Python print it
    inner = _SCALAR.sub(r"\1", text[1:-1]).strip()
    if inner[:1] in ("[", "("):
        return "it holds nested lists; flatten them, or take the mean over the positions."
    numbers = [_float_of(part) if part != "None" else np.nan for part in _BETWEEN.split(inner) if part]
    if not numbers or None in numbers:
        return ""
    return np.array(numbers, dtype=float)


def _joined_numbers(text: str) -> np.ndarray | str:
    """Numbers with spaces, bars or commas between them; three or more, with a fraction among them: "1,5" is no vector."""
    parts = _BETWEEN.split(text)
    if len(parts) < 3 or not any("." in part or "e" in part for part in parts):
        return ""
    numbers = [_float_of(part) for part in parts]
    if None in numbers:
        return ""
    return np.array(numbers, dtype=float)


def vectors_of(cells: np.ndarray) -> Vectors:
    """Vectors from cells of any kind, looked at one by one."""
    rows = [vector_of(cell) for cell in cells]
    lengths = np.array([len(row) if isinstance(row, np.ndarray) else -1 for row in rows])
    numbers = [row for row in rows if isinstance(row, np.ndarray)]
    return Vectors(lengths, np.concatenate(numbers or [np.empty(0)]), lambda i: cells[i])


def dtype_of_vectors(pieces: Iterable[Vectors], name: str, first: int, width: int) -> tuple[np.dtype, str]:
    """The dtype that holds the numbers of all vectors of a column, and, where lengths differ, the sentence on the first that does.

    Args:
        pieces: the vectors of the column, from its first row on.
        first, width: the row that the others are compared with, and how many numbers it has.
    """
    dtypes: list[np.dtype] = []
    start = 0
    for piece in pieces:
        others = np.flatnonzero(piece.lengths != width)
        if len(others):
            i = int(others[0])
            cell = piece.cell(i)
            found = f"{piece.lengths[i]} numbers"
            if piece.lengths[i] < 0:
                found = f"{cell!r:.60}"
            found += f" in row {start + i}, {width} in row {first}"
            reason = vector_of(cell)
            why = f" ({reason.rstrip('.')})" if isinstance(reason, str) and reason else ""
            problem = f"has lists of different lengths: column {name!r} has {found}{why}. Pad or drop those rows."
            return np.dtype(object), problem
        dtypes.append(piece.numbers.dtype)
        start += len(piece.lengths)
    return np.result_type(*dtypes), ""
