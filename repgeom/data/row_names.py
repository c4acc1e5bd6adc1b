"""The names of rows and columns that tables keep: what stands beside features must not be in another order than they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def require_same_order(features: Any, called: str = "features", /, **beside: Any) -> None:
    """Raise ValueError where two pandas objects name the same rows in different orders.

    Rows are taken by their place. After `frame.sample(frac=1)` the labels of the frame as it was belong to other rows, and
    nothing but the index knows.

    Args:
        features: rows of any kind; without an index of pandas nothing is known.
        called: the name of their argument.
        beside: what stands beside them, by the name of the argument.
    """
    names = _index_of(features)
    for argument, values in beside.items():
        others = _index_of(values)
        if names is None or others is None or len(names) != len(others) or names.equals(others):
            continue
        if names.is_unique and others.is_unique and names.isin(others).all():
            row = int((names != others).argmax())
            raise ValueError(
                f"`{argument}` has the rows of `{called}` in another order, by their index: row {row} is {names[row]!r} in "
                f"`{called}` and {others[row]!r} in `{argument}`. Put them in one order, `{argument}.loc[{called}.index]`, or "
                f"give `{argument}.to_numpy()` if row i of both is one sample."
            )


def require_one_order(given: Mapping[str, Any]) -> None:
    """Raise ValueError where one of several, by what errors call them, has its rows in another order than the first with an index."""
    indexed = {called: values for called, values in given.items() if _index_of(values) is not None}
    for called, values in indexed.items():
        require_same_order(values, called, **indexed)
        return


def require_class_order(names: Any, **of_classes: Any) -> None:
    """Raise ValueError where pandas objects with a row for each class, by their index, have the classes in another order.

    Args:
        names: (C,) the classes, sorted.
        of_classes: what has a row for each, by the name of the argument; an index of other names says nothing.
    """
    classes = [str(name) for name in names.tolist()]
    for argument, values in of_classes.items():
        index = _index_of(values)
        rows = [] if index is None else [str(name) for name in index.tolist()]
        if rows == classes or sorted(rows) != sorted(classes):
            continue
        at = next(i for i, (row, name) in enumerate(zip(rows, classes, strict=True)) if row != name)
        raise ValueError(
            f"`{argument}` has the classes in another order, by its index: row {at} is {rows[at]!r}, and the sorted labels have "
            f"{classes[at]!r} there. Put it in their order, `{argument}.rename(index=str)"
            f".loc[numpy.unique(labels).astype(str)]`, or give "
            f"`{argument}.to_numpy()` if its rows are in the order of the sorted labels."
        )


def require_same_columns(features: Any, called: str = "features", /, **beside: Any) -> None:
    """Raise ValueError where two tables name the same columns in different orders, for what compares them column by column.

    Args:
        features: a table of any kind, or a `Source` of one; what has no names of columns is not asked.
        called: the name of its argument.
        beside: what stands beside it, by the name of the argument.
    """
    names = _columns_of(features)
    for argument, values in beside.items():
        others = _columns_of(values)
        mine, theirs = [x for x in names if x in others], [x for x in others if x in names]
        # Of two tables that each have columns of their own the names are of different things.
        if mine == theirs or len(set(mine)) < min(len(names), len(others)):
            continue
        at = next(i for i, (one, other) in enumerate(zip(mine, theirs, strict=True)) if one != other)
        raise ValueError(
            f"`{argument}` has the columns of `{called}` in another order: {theirs[at]!r} stands where `{called}` has "
            f"{mine[at]!r}. Columns are compared by their place. Put them in one order, `{argument}[{called}.columns]`, or give "
            f"`{argument}.to_numpy()` if column j of both is one feature."
        )


def _index_of(values: Any) -> Any:
    """The index of a data frame or series of pandas; None for anything else."""
    if type(values).__module__.partition(".")[0] != "pandas" or not hasattr(values, "iloc"):
        return None
    return values.index


def _columns_of(values: Any) -> list[Any]:
    """The names of a table's columns: of a `Source` too; none where they repeat, and for anything else."""
    used = getattr(getattr(values, "columns", None), "used", None)
    if used is not None:  # rows that were opened already, of a file or a table
        return list(used)
    if type(values).__module__.partition(".")[0] not in ("pandas", "polars", "pyarrow", "datasets"):
        return []
    names: Any = getattr(values, "column_names", None)
    if names is None:
        names = getattr(values, "columns", ())
    if not hasattr(names, "__iter__") or isinstance(names, dict):
        return []
    found = list(names)
    return found if len(set(found)) == len(found) else []
