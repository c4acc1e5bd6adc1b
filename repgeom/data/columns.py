"""What is known of the columns of a table, what a user said about them, and what was decided."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

NUMBER, VECTOR, TEXT, OTHER = "number", "vector", "text", "other"
LIKE_LABELS = "labels, by its name and its whole numbers"  # why a column is left out
UNREAD = "unread"  # vectors, by their looks, which could not be read


@dataclasses.dataclass(frozen=True)
class Column:
    """What is known of a column before it is chosen. Of large files the first rows decide.

    Args:
        kind: "number", "vector" (cells that hold many numbers), "unread" (vectors that cannot be read), "text" or "other".
        first: its first cells, as they stand in the table.
        width: how many numbers a vector has. empty: it has no value at all.
        whole: all its numbers are whole. counts_rows: they are those from one to another, each once. all_zero: all are 0.
        all_equal: all are one number.
        doubt: why its cells may be numbers or vectors that could not be read.
    """

    kind: str
    first: tuple[str, ...] = ()
    width: int = 0
    empty: bool = False
    whole: bool = False
    counts_rows: bool = False
    all_zero: bool = False
    all_equal: bool = False
    doubt: str = ""


@dataclasses.dataclass(frozen=True)
class Columns:
    """What was decided: the columns that are read as features, and for each other one why it is not."""

    used: tuple[str, ...]
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def sentence(self) -> str:
        """The decision in words, for a report; names of many columns are shortened."""
        text = f"Read {counted(self.used)}: {shortened(self.used)}."
        by_reason: dict[str, list[str]] = {}
        for name, why in self.left_out.items():
            by_reason.setdefault(why, []).append(name)
        if by_reason:
            parts = (f"{shortened(names)} ({why}{_way_in(why, names)})" for why, names in by_reason.items())
            text += f" Left out: {'; '.join(parts)}."
        return text

    def as_dict(self) -> dict[str, object]:
        """The decision as plain values, for JSON."""
        return {"used": list(self.used), "left_out": [{"name": n, "why": why} for n, why in self.left_out.items()]}


@dataclasses.dataclass(frozen=True)
class Selection:
    """What the user said about the columns.

    Args:
        key: one column, or several separated by commas.
        columns, drop: names or patterns such as `f*`, which match whole names, case included.
        labels: the column that holds labels.
    """

    key: str | None = None
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    labels: str | None = None

    @property
    def only_tables(self) -> bool:
        """Whether it speaks of what tables alone have."""
        return bool(self.columns or self.drop or self.labels)

    def sentence(self) -> str:
        """What is read, as it tells two readings of one file apart; empty where nothing was said."""
        said = {"key": self.key, "columns": self.columns, "drop": self.drop, "labels": self.labels}
        return ", ".join(
            f"{name} {value if isinstance(value, str) else ' '.join(value)}" for name, value in said.items() if value
        )


def patterns_of(given: str | Iterable[str] | None, name: str) -> tuple[str, ...]:
    """Names or patterns of columns, given as one text with commas or as a list of texts."""
    if given is None:
        return ()
    if isinstance(given, str):
        return tuple(part.strip() for part in given.split(",") if part.strip())
    found = tuple(given)
    if not all(isinstance(part, str) for part in found):
        raise TypeError(f"`{name}` takes names or patterns of columns as text, got {found!r:.60}.")
    return found


def require_distinct(names: Iterable[str], where: str) -> None:
    """Raise ValueError where two columns of a table have one name: either would be read in place of the other."""
    counts = collections.Counter(names)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(
            f"{where}: {counts[twice[0]]} columns are called {twice[0]!r}, and either might be meant. Give each column a name of "
            "its own."
        )


def _way_in(why: str, names: Sequence[str]) -> str:
    """How a column that looks like labels is taken as such; empty for others."""
    if why != LIKE_LABELS:
        return ""
    return f"; give `--labels-column {names[0]}` to use {'it' if len(names) == 1 else 'one'}"


def counted(names: Sequence[str]) -> str:
    return f"{len(names)} column{'s' * (len(names) != 1)}"


def shortened(names: Sequence[str]) -> str:
    if len(names) <= 6:
        return ", ".join(names)
    return f"{names[0]}, {names[1]}, …, {names[-1]}"
