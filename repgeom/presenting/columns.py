"""Tables of text that fit a width: which columns stay, and which names lose their middle."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from repgeom.presenting.cells import cells, shortened, to_left, to_right, told_apart
from repgeom.presenting.screen import Screen

_GAP = 2  # cells between two columns
_USUAL = 24  # cells that names keep as long as there is any column that can go


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        head: what stands above it.
        cells: what it holds, as it can be shown.
        left: whether its cells begin at the same place, as words do. Numbers end at the same place.
        goes: where a line is too narrow, columns go in this order, the lowest first. None stays.
        brief: the cells without their intervals.
        shortens: when these take the place of `cells`, in the same order.
        fewest: of names: so many cells are left of them at least, the rest of their middle is cut.
    """

    head: str
    cells: Sequence[str]
    left: bool = False
    goes: int | None = None
    brief: Sequence[str] | None = None
    shortens: int | None = None
    fewest: int | None = None

    def width(self) -> int:
        """Cells that the column takes."""
        return max(map(cells, [self.head, *self.cells]))

    def narrowed(self, width: int, mark: str) -> Column:
        """The column with names of at most so many cells."""
        names = told_apart(self.cells, width, mark)
        return dataclasses.replace(self, head=shortened(self.head, width, mark), cells=names)


def table_lines(
    columns: Sequence[Column], screen: Screen, *, indent: int = 0, groups: Sequence[str] = ()
) -> list[str] | None:
    """The lines of a table, its head first; None where it does not fit, whatever goes.

    Args:
        columns: from left to right, with as many cells each.
        screen: whose width holds.
        indent: of every line, in cells.
        groups: of each row, the heading that it stands under.

    >>> names, values = ["teacher", "student"], ["29.14 [26.35, 32.21]", "6.855 [6.768, 6.943]"]
    >>> columns = [Column("", names, left=True), Column("rank", values, brief=["29.14", "6.855"], shortens=0)]
    >>> print("\\n".join(table_lines(columns, Screen(width=20))))
              rank
    teacher  29.14
    student  6.855
    """
    kept = fitted(columns, screen.width - indent, screen.mark)
    if kept is None:
        return None
    widths = [column.width() for column in kept]
    space = " " * indent
    lines, group = [], ""
    if any(column.head for column in kept):
        lines.append(space + _line([column.head for column in kept], kept, widths))
    for i in range(len(kept[0].cells)):
        if groups and groups[i] != group:
            group = groups[i]
            lines.append(screen.coloured(group, "heading"))
        lines.append(space + _line([column.cells[i] for column in kept], kept, widths))
    return lines


def fitted(columns: Sequence[Column], width: int, mark: str = "…") -> list[Column] | None:
    """Those columns that fit beside each other, with names cut where they must be; None where nothing helps."""
    turns = {turn for column in columns for turn in (column.goes, column.shortens) if turn is not None}
    for names_keep in (_USUAL, 0):
        for last_gone in [-1, *sorted(turns)]:
            kept = [_after(column, last_gone) for column in columns]
            there = [column for column in kept if column is not None]
            room = width - _GAP * (len(there) - 1)
            if sum(_least(column, names_keep) for column in there) <= room:
                return _with_names_cut(there, room, names_keep, mark)
    return None


def _after(column: Column, last_gone: int) -> Column | None:
    """What is left of a column once all went whose turn is as early as this."""
    if column.goes is not None and column.goes <= last_gone:
        return None
    if column.brief is not None and column.shortens is not None and column.shortens <= last_gone:
        return dataclasses.replace(column, cells=column.brief)
    return column


def _least(column: Column, names_keep: int) -> int:
    if column.fewest is None:
        return column.width()
    return min(column.width(), max(names_keep, column.fewest))


def _with_names_cut(columns: list[Column], room: int, names_keep: int, mark: str) -> list[Column]:
    """The same columns, of which those of names are cut until all fit: evenly, the widest first."""
    widths = [column.width() for column in columns]
    least = [_least(column, names_keep) for column in columns]
    while sum(widths) > room:
        spare = [width - fewest for width, fewest in zip(widths, least, strict=True)]
        widest = max((i for i in range(len(columns)) if spare[i] > 0), key=lambda i: widths[i])
        widths[widest] -= 1
    return [
        column if width == column.width() else column.narrowed(width, mark)
        for column, width in zip(columns, widths, strict=True)
    ]


def _line(texts: list[str], columns: list[Column], widths: list[int]) -> str:
    placed = [
        to_left(text, width) if column.left else to_right(text, width)
        for text, column, width in zip(texts, columns, widths, strict=True)
    ]
    return (" " * _GAP).join(placed).rstrip()
