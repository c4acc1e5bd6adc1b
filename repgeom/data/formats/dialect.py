"""How a text table is written: what stands between its cells, its decimal sign, and whether its first line holds names."""

from __future__ import annotations

import bz2
import csv
import dataclasses
import gzip
import itertools
import lzma
import re
from collections.abc import Iterable
from typing import IO, Any

from repgeom.data.formats.stored import damage_named, listing

DELIMITERS = (",", ";", "\t", "|", " ")
SAMPLE_LINES = 20
_THOUSANDS = re.compile(r"^[+-]?[1-9]\d{0,2}(,\d{3})+$")
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How a table is written; `notes` says what a reader of the report should know about it."""

    delimiter: str
    decimal: str
    has_names: bool
    first_line: tuple[str, ...]
    notes: tuple[str, ...] = ()


def dialect_of(path: str, usual: str, header: bool | None = None, delimiter: str | None = None) -> Dialect:
    """How the table at `path` is written.

    Args:
        path: of the file, which may be compressed.
        usual: the delimiter that its extension promises.
        header, delimiter: what the user said.

    Raises:
        ValueError: a first line that may hold names or values; a delimiter of several characters.
    """
    if delimiter is not None:
        delimiter = {"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter)
        if len(delimiter) != 1:
            raise ValueError(f"The delimiter must be one character (or `tab`), got {delimiter!r}.")
    notes: tuple[str, ...] = ()
    with damage_named(path):
        found = delimiter or _delimiter(path, usual)
        lines = _first_rows(path, found)
    if found != usual and delimiter is None:
        notes = (f"Cells are separated by {found!r} here.",)
    if not lines:
        return Dialect(found, ".", False, ())
    if delimiter is not None:
        _check_that_it_cuts(path, delimiter, lines)
    decimal = "."
    if found != "," and _has_decimal_commas(lines[1:] or lines):
        _check_thousands(path, lines[1:] or lines)
        decimal = ","
    has_names, note = _first_line_holds_names(path, lines, decimal, header)
    return Dialect(found, decimal, has_names, tuple(lines[0]), notes + ((note,) if note else ()))


def opened_text(path: str) -> IO[str]:
    """A text file, perhaps compressed, for reading."""
    for extension, opener in _OPENERS.items():
        if path.lower().endswith(extension):
            compressed: IO[str] = opener(path, "rt", encoding="utf-8-sig", newline="")
            return compressed
    return open(path, encoding="utf-8-sig", newline="")


def _first_rows(path: str, delimiter: str) -> list[list[str]]:
    with opened_text(path) as file:
        rows = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        return list(itertools.islice((row for row in rows if any(cell.strip() for cell in row)), SAMPLE_LINES))


def _delimiter(path: str, usual: str) -> str:
    """The usual delimiter, unless another one cuts all of the first lines into equally many cells, of which more are numbers.

    With decimal commas, "1,5;2,5" is cut into equally many cells by either sign, but only one of them leaves numbers.
    """
    best, best_share = usual, max(_share_of_numbers(path, usual), 0.5)
    for delimiter in DELIMITERS:
        share = _share_of_numbers(path, delimiter)
        if share > best_share + 1e-9:
            best, best_share = delimiter, share
    return best


def _share_of_numbers(path: str, delimiter: str) -> float:
    """The share of numbers among the cells of the first lines; 0 where the lines have one cell or not equally many."""
    try:
        rows = _first_rows(path, delimiter)
    except csv.Error:
        return 0.0
    widths = {len(row) for row in rows}
    if len(widths) != 1 or widths == {1}:
        return 0.0
    cells = [cell for row in rows[1:] or rows for cell in row]
    decimals = {".", "," if delimiter != "," else "."}
    numbers = [cell for cell in cells if any(_number(cell, decimal) is not None for decimal in decimals)]
    return len(numbers) / len(cells)


def _number(cell: str, decimal: str) -> float | None:
    try:
        return float(cell.replace(decimal, ".")) if "_" not in cell else None
    except ValueError:
        return None


def _has_decimal_commas(rows: list[list[str]]) -> bool:
    """Whether numbers have a comma before their fractions, and none has a point there."""
    cells = [cell.strip() for row in rows for cell in row]
    commas = [cell for cell in cells if "," in cell and _number(cell, ",") is not None]
    points = [cell for cell in cells if "." in cell and _number(cell, ".") is not None]
    return bool(commas) and not points


def _check_thousands(path: str, rows: list[list[str]]) -> None:
    """Raise ValueError where every comma may stand between thousands: 1,234 is another number then."""
    with_comma = [cell.strip() for row in rows for cell in row if "," in cell]
    if all(_THOUSANDS.match(cell) for cell in with_comma):
        raise ValueError(
            f"{path}: its numbers have a comma before three digits ({with_comma[0]}), which may be thousands or fractions. Write "
            "fractions with a point, and nothing between thousands."
        )


def _check_that_it_cuts(path: str, delimiter: str, rows: list[list[str]]) -> None:
    """Raise ValueError where a given delimiter leaves each line whole, and another one stands in all of them."""
    if {len(row) for row in rows} != {1}:
        return
    for other in DELIMITERS:
        counts = {row[0].count(other) for row in rows}
        if other not in (delimiter, " ") and len(counts) == 1 and counts != {0}:
            raise ValueError(
                f"{path}: the delimiter {delimiter!r} does not stand in its first lines, and {other!r} stands in each. Give "
                f"`--delimiter '{other}'`, or none."
            )


def _first_line_holds_names(path: str, rows: list[list[str]], decimal: str, said: bool | None) -> tuple[bool, str]:
    """Whether the first line holds names, and what to note about that. Raises ValueError where it may or may not."""
    first, rest = rows[0], rows[1:]
    if said is not None:
        return said, ""
    cells = first[1:] if first[0] == "" else first
    filled = [cell.strip() for cell in cells if cell.strip()]
    if not filled:
        return True, ""
    numbers = [_number(cell, decimal) for cell in filled]
    if any(number is None and not cell.startswith("[") for number, cell in zip(numbers, filled, strict=True)):
        fractions = sum(number != round(number) for number in _finite(numbers))
        if 2 * fractions > len(filled):
            raise _doubt(path, first, "mixes words with fractions, and may be a row of data or names")
        if _holds_names_too(rest, decimal):
            raise ValueError(
                f"{path}: its first two lines both hold names. Write one line of names, or give `--header` to read on."
            )
        return True, ""
    shown = f"read the first line ({listing(filled, most=3)}) as column names"
    if first[0] == "" and _counts_rows([row[0] for row in rest]):
        return True, shown  # the corner above the index of a data frame
    has_fractions = any(number != round(number) for number in _finite(numbers))
    if has_fractions and _rises_alone(_finite(numbers), [_numbers_of(row[-len(filled) :], decimal) for row in rest]):
        raise _doubt(path, first, "rises from cell to cell, as no other does, and may be names or a row of data")
    whole = [number for number in _finite(numbers) if number == round(number)]
    if len(whole) < len(filled) or len(filled) < 2 or len(set(whole)) < len(whole):
        return False, ""
    follow = all(b - a == 1 for a, b in itertools.pairwise(whole))
    # A data frame without names is written with the names 0, 1, 2, ...
    if follow and whole[0] == 0:
        return True, shown
    known = _finite([_number(cell, decimal) for row in rest for cell in row])
    fractions_below = sum(number != round(number) for number in known)
    if known and 2 * fractions_below > len(known):
        if follow:
            return True, shown
        raise _doubt(path, first, "holds whole numbers above fractions, and may be names or a row of data")
    if follow and len(whole) > 3:
        raise _doubt(path, first, "counts up, and may be names or a row of data")
    return False, ""


def _counts_rows(cells: list[str]) -> bool:
    """Whether these cells, one below the other, are 0, 1, 2, ... or another count."""
    numbers = _numbers_of(cells, ".")
    return len(numbers) == len(cells) > 1 and all(b - a == 1 for a, b in itertools.pairwise(numbers))


def _rises_alone(first: list[float], rest: list[list[float]]) -> bool:
    """Whether the first line rises from cell to cell, as wavelengths do, no other does, and it is no coincidence.

    None are seven numbers, or fewer that rise by equal steps, or that are larger than all below.
    """
    if len(first) < 3 or not _rises(first) or any(map(_rises, rest)):
        return False
    steps = [b - a for a, b in itertools.pairwise(first)]
    equal = max(steps) - min(steps) <= 1e-6 * max(steps)
    largest = max((abs(number) for row in rest for number in row), default=0.0)
    return len(first) >= 7 or equal or first[0] > largest


def _rises(numbers: list[float]) -> bool:
    return all(a < b for a, b in itertools.pairwise(numbers))


def _numbers_of(cells: list[str], decimal: str) -> list[float]:
    return _finite(_number(cell, decimal) for cell in cells)


def _holds_names_too(rows: list[list[str]], decimal: str) -> bool:
    """Whether the first of these rows, below a line of names, numbers the columns: a second line of names."""
    if len(rows) < 3:
        return False
    second = _finite(_number(cell, decimal) for cell in rows[0])
    below = _finite(_number(cell, decimal) for row in rows[1:] for cell in row)
    fractions = sum(number != round(number) for number in below)
    counts_up = second[:2] in ([0.0, 1.0], [1.0, 2.0]) and all(number == round(number) for number in second)
    return counts_up and 2 * fractions > len(below)


def _finite(numbers: Iterable[float | None]) -> list[float]:
    return [number for number in numbers if number is not None and abs(number) < float("inf")]


def _doubt(path: str, first: list[str], why: str) -> ValueError:
    return ValueError(
        f"{path}: its first line ({listing(first, most=4)}) {why}. Say which: `--header` or `--no-header` (`header=True` or "
        "`False` of `open_source` in Python)."
    )
