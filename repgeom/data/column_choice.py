"""Which columns of a table are features? What is decided is said; doubt is an error that names what settles it."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from repgeom.data.columns import (
    LIKE_LABELS,
    NUMBER,
    TEXT,
    UNREAD,
    VECTOR,
    Column,
    Columns,
    Selection,
    counted,
    patterns_of,
    shortened,
)

# Names of columns of whole numbers that are no features, as whole words: userId, row_number, label.
_IDS = frozenset(["id", "ids", "idx", "index", "row", "rowid", "uid", "uuid", "guid", "timestamp"])
_LABELS = frozenset(
    [
        "label",
        "labels",
        "target",
        "targets",
        "class",
        "classes",
        "category",
        "split",
        "fold",
        "group",
        "groups",
        "cluster",
    ]
)
# A column of fractions with such a name is no feature either: a score, or the value that is to be predicted.
_TARGETS = frozenset(["label", "labels", "target", "targets", "class"])


def choose(columns: Mapping[str, Column], asked: Selection, where: str, way_out: Callable[[Doubt], str]) -> Columns:
    """The columns that are features: those that were named, else those that can be nothing else.

    Args:
        columns: all columns of the table by name.
        asked: what the user said.
        where: the table's name, for errors.
        way_out: gives the sentence of an error that says how the doubt is settled.

    Raises:
        ValueError: a name or pattern that fits no column; a column that may or may not be a feature; a column of numbers
            with a cell that is none; several columns of vectors.
        TypeError: a named column without numbers; no column of numbers.
    """
    left_out = dict.fromkeys(_matching(asked.drop, columns, where), "dropped on request")
    if asked.labels is not None:
        if asked.labels not in columns:
            raise unknown_column([asked.labels], columns, where, option="labels-column", labels=True)
        left_out[asked.labels] = "taken as labels"
    rest = {name: column for name, column in columns.items() if name not in left_out}
    if asked.key is not None:
        names = [asked.key] if asked.key in columns else list(patterns_of(asked.key, "key"))
        if unknown := [name for name in names if name not in columns]:
            raise unknown_column(unknown, columns, where)
        return _named(names, columns, left_out, where)
    if asked.columns:
        return _named(_matching(asked.columns, rest, where), columns, left_out, where)
    return _classified(rest, left_out, where, way_out)


# Columns that were named ------------------------------------------------------------------------------------------


def _matching(patterns: Sequence[str], columns: Iterable[str], where: str) -> list[str]:
    """The columns that fit any of the patterns, in the order of the patterns and then of the table."""
    columns, found = list(columns), []
    for pattern in patterns:
        exact = [name for name in columns if name == pattern]
        fitting = exact or [name for name in columns if fnmatch.fnmatchcase(name, pattern)]
        if not fitting:
            raise unknown_column([pattern], columns, where)
        found += fitting
    return list(dict.fromkeys(found))


def unknown_column(
    names: Sequence[str], columns: Iterable[str], where: str, *, option: str = "", labels: bool = False
) -> ValueError:
    """The error for columns that a table has not, with those that may be meant.

    Args:
        names: what was asked for.
        columns: the table's own.
        where: the table's name.
        option: of the command line, by which it was asked for.
        labels: whether a column of labels was asked for.
    """
    all_names = list(columns)
    shown = ", ".join(all_names[:20]) + f" and {len(all_names) - 20} more" * (len(all_names) > 20)
    close = [found for name in names for found in difflib.get_close_matches(name, all_names)]
    if labels:
        close += [name for name in all_names if _words(name) & _LABELS]
    text = f"{where} has no column {', '.join(map(repr, names))}; its columns are {shown}."
    if close:
        text += f" Did you mean {' or '.join(map(repr, list(dict.fromkeys(close))[:3]))}?"
    if option:
        text += f" `--{option} NAME` names it."
    return ValueError(text)


def _named(names: Sequence[str], columns: Mapping[str, Column], left_out: dict[str, str], where: str) -> Columns:
    for name in names:
        if columns[name].doubt:
            raise ValueError(f"{where}: column {name!r} cannot be read: {columns[name].doubt}")
    vectors = [name for name in names if columns[name].kind == VECTOR]
    if vectors and len(names) > 1:
        raise ValueError(f"{where}: {', '.join(map(repr, vectors))} holds vectors and must be named alone.")
    if bad := [name for name in names if columns[name].kind not in (NUMBER, VECTOR)]:
        raise _no_numbers({name: columns[name] for name in bad}, where)
    others = {name: "not named" for name in columns if name not in names and name not in left_out}
    return Columns(tuple(names), left_out | others)


def _no_numbers(columns: Mapping[str, Column], where: str) -> TypeError:
    shown = list(columns.items())
    seen = ", ".join(f"{name} (first value {c.first[0] if c.first else 'none'})" for name, c in shown[:5])
    seen += f" and {len(shown) - 5} more" * (len(shown) > 5)
    return TypeError(f"{where} has no numbers to read in its column{'s' * (len(shown) > 1)} {seen}. Name others.")


# Columns that were not named --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Doubt:
    """Columns that may or may not be features, beside those that surely are."""

    doubtful: tuple[str, ...]
    sure: tuple[str, ...] = ()
    vectors: bool = False  # several columns of vectors, of which one must be chosen
    alone: bool = False  # there is nothing else to be read
    few_values: tuple[str, ...] = ()  # those of the doubtful that may be labels


def _classified(
    columns: Mapping[str, Column], left_out: dict[str, str], where: str, way_out: Callable[[Doubt], str]
) -> Columns:
    vectors = tuple(name for name, column in columns.items() if column.kind == VECTOR)
    for name, column in columns.items():
        if column.doubt and not _does_not_matter(name, column, bool(vectors)):
            raise ValueError(f"{where}: column {name!r} cannot be read: {column.doubt} {way_out(Doubt((name,)))}")
    if len(vectors) > 1:
        raise ValueError(
            f"{where} has {len(vectors)} columns of vectors: {', '.join(vectors)}. {way_out(Doubt(vectors, vectors=True))}"
        )
    numbers = {name: column for name, column in columns.items() if column.kind == NUMBER}
    for name, column in columns.items():
        if column.kind not in (NUMBER, VECTOR):
            left_out[name] = "text" if column.kind == TEXT else "no numbers"
    if vectors:
        # A few numbers beside an embedding are scores; beside a box of four numbers, a hundred features are the embedding.
        if len(numbers) >= columns[vectors[0]].width:
            raise _doubt_error(columns, list(numbers), vectors, where, way_out)
        left_out |= dict.fromkeys(numbers, "beside the column of vectors")
        return Columns(vectors, left_out)
    if not numbers:
        raise _no_numbers(columns, where)
    used, reasons, doubtful = _features_among(numbers)
    if len(used) == 1 and "text" in left_out.values() and not doubtful and not re.search(r"\d", used[0]):
        doubtful, used = used, []  # a score, beside what was meant; a name such as f0 says feature
    if doubtful or not used:
        raise _doubt_error(numbers, used, doubtful or list(numbers), where, way_out)
    return Columns(tuple(used), left_out | reasons)


def _does_not_matter(name: str, column: Column, beside_vectors: bool) -> bool:
    """Whether a column that could not be read is surely no feature."""
    if column.kind == UNREAD:
        return False
    # Beside a column of vectors, bytes and records are images and the like.
    return beside_vectors or (column.kind == TEXT and bool(_words(name) & (_IDS | _LABELS)))


def _features_among(numbers: Mapping[str, Column]) -> tuple[list[str], dict[str, str], list[str]]:
    """Columns of numbers that are features, those that are not and why, and those in doubt."""
    family = _family(list(numbers))
    fractions = any(not column.whole for column in numbers.values())
    used: list[str] = []
    reasons: dict[str, str] = {}
    doubtful: list[str] = []
    odd = _whole_among_fractions([numbers[name] for name in family])
    for name, column in numbers.items():
        if name in family:
            # A name such as f0 says feature; a column that counts the rows, or one of labels, says the opposite.
            (doubtful if column.counts_rows or column in odd else used).append(name)
        elif why := _why_no_feature(name, column):
            reasons[name] = why
        elif (
            family
            or (_words(name) & _TARGETS)
            or name == "Unnamed: 0"
            or (column.whole and fractions and not column.all_zero)
        ):
            doubtful.append(name)
        else:
            used.append(name)
    return used, reasons, doubtful


def _whole_among_fractions(family: Sequence[Column]) -> list[Column]:
    """The one or two columns of whole numbers among eight or more of fractions: labels or ids, named as features are."""
    fractions = sum(not column.whole and not column.empty for column in family)
    whole = [column for column in family if column.whole and not column.all_equal]
    return whole if len(whole) <= 2 and fractions >= 8 else []


def _why_no_feature(name: str, column: Column) -> str:
    if column.empty:
        return "empty"
    if not column.whole:
        return ""
    words = _words(name)
    if column.counts_rows:
        return "it counts the rows"
    if name == "Unnamed: 0":
        return "whole numbers without a name in the first column, as pandas writes its index"
    if words & _IDS:
        return "an id, by its name and its whole numbers"
    if words & _LABELS:
        return LIKE_LABELS
    return ""


def _words(name: str) -> set[str]:
    """The words of a name: userId, user_id and "user id" are "user" and "id"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return set(re.split(r"[^a-z]+", spaced.lower()))


def _family(names: Sequence[str]) -> set[str]:
    """The names that differ in their numbers alone (f0 … f767) and are half of all or more; empty where there are none.

    Names that are only numbers are places in the table and say nothing.
    """
    forms: dict[str, set[str]] = {}
    for name in names:
        forms.setdefault(re.sub(r"\d+", "#", name), set()).add(name)
    families = [members for form, members in forms.items() if re.search("[A-Za-z]", form) and "Unnamed" not in form]
    largest = max((members for members in families if len(members) > 1), key=len, default=set())
    return largest if 2 * len(largest) >= len(names) else set()


def _doubt_error(
    columns: Mapping[str, Column],
    used: Sequence[str],
    doubtful: Sequence[str],
    where: str,
    way_out: Callable[[Doubt], str],
) -> ValueError:
    seen = "; ".join(f"{name} (first values {', '.join(columns[name].first)})" for name in doubtful[:5])
    seen += f"; and {len(doubtful) - 5} more" * (len(doubtful) > 5)
    beside = f" beside {shortened(used)}" * bool(used)
    is_one = len(doubtful) == 1
    what = "vectors" if columns[doubtful[0]].kind == VECTOR else "numbers"
    labels = tuple(name for name in doubtful if columns[name].whole and not columns[name].counts_rows)
    return ValueError(
        f"{where}: {counted(doubtful)} of {what}{beside} may be {'a feature' if is_one else 'features'} or not: {seen}. "
        f"{way_out(Doubt(tuple(doubtful), tuple(used), alone=is_one and not used, few_values=labels))}"
    )


# How a doubt is settled -------------------------------------------------------------------------------------------


def settled_by_options(doubt: Doubt) -> str:
    """The options of the command line, and the arguments of `open_source`, that settle a doubt about a file."""
    names = ",".join(doubt.doubtful)
    if doubt.vectors:
        return f"Choose one with `--key {doubt.doubtful[0]}` (`key=` in Python)."
    ways = []
    if doubt.alone:
        return f"`--columns '{names}'` reads it (`columns=` of `open_source` in Python)."
    pattern = _pattern(doubt.sure) if doubt.sure else ""
    if pattern and not any(fnmatch.fnmatchcase(name, pattern) for name in doubt.doubtful):
        ways.append(f"`--columns '{pattern}'` reads the others alone")
    ways.append(f"`--drop '{names:.60}'` leaves {'it' if len(doubt.doubtful) == 1 else 'them'} out")
    if doubt.few_values:
        ways.append(f"`--labels-column {doubt.few_values[0]}` takes it as labels")
    if doubt.sure or len(doubt.doubtful) > 1:
        ways.append("`--columns '*'` reads every column")
    return f"{'; '.join(ways)} (`columns=`, `drop=` of `open_source` in Python)."


def settled_in_python(doubt: Doubt) -> str:
    """How a doubt about a data frame is settled."""
    if doubt.vectors:
        return f"Pass one: `frame[{doubt.doubtful[0]!r}]`."
    names = list(doubt.doubtful[:5])
    if doubt.alone:
        return f"Pass it alone if it is meant: `frame[{names}]`."
    if doubt.sure:
        return f"Select what is meant: `frame.drop(columns={names})`, or an array of all of it: `frame.to_numpy()`."
    return f"Leave such columns out: `frame.drop(columns={names})`."


def _pattern(names: Sequence[str]) -> str:
    """A pattern that fits these names, or the names themselves where they are few; empty where neither is short."""
    prefix = re.sub(r"\d.*$", "", names[0])
    if prefix and len(names) > 1 and all(name.startswith(prefix) for name in names):
        return f"{prefix}*"
    return ",".join(names) if len(names) <= 6 else ""
