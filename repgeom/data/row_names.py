"""The names of rows that pandas keeps: what stands beside features must not be in another order than they are."""

from __future__ import annotations

from typing import Any


def require_same_order(features: Any, **beside: Any) -> None:
    """Raise ValueError where two pandas objects name the same rows in different orders.

    Rows are taken by their place. After `frame.sample(frac=1)` the labels of the frame as it was belong to other rows, and
    nothing but the index knows.

    Args:
        features: rows of any kind; without an index of pandas nothing is known.
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
                f"`{argument}` has the rows of `features` in another order, by their index: row {row} is {names[row]!r} in "
                f"`features` and {others[row]!r} in `{argument}`. Put them in one order, `{argument}.loc[features.index]`, or "
                f"give `{argument}.to_numpy()` if row i of both is one sample."
            )


def _index_of(values: Any) -> Any:
    """The index of a data frame or series of pandas; None for anything else."""
    if type(values).__module__.partition(".")[0] != "pandas" or not hasattr(values, "iloc"):
        return None
    return values.index
