"""Options of `repgeom audit` that change rows and columns before they are measured, name what is audited, or say less."""

from __future__ import annotations

import argparse
from typing import Any


def add_row_options(add: Any) -> None:
    """Options that leave out columns and repeats, and bring columns to one scale."""
    add(
        "--drop-columns",
        metavar="NUMBERS",
        help="columns to leave out: numbers from 0, ranges or names, such as 3,17,20-25",
    )
    add("--standardize", action="store_true", help="bring every column to mean 0 and variance 1 first; constant columns become "
        "zeros")  # fmt: skip
    add("--duplicates", choices=["keep", "drop", "group"], default="keep", help="of rows that are equal: keep all (the default), "
        "drop all but the first, or take them for one group")  # fmt: skip


def add_saying_options(add: Any) -> None:
    """Options that say what the audited features are called, and how much is printed."""
    add("--name", action="append", default=[], metavar="NAME", help="what to call FEATURES in the report; once for each of them, "
        "in their order")  # fmt: skip
    add_measures(add)
    add(
        "--quiet", action="store_true", help="print no table and no progress bar: one line with the verdict, and errors"
    )


def add_measures(add: Any) -> None:
    """The option that says how many measures are printed."""
    add("--measures", choices=["main", "all"], default="main", help="which measures are printed: those that a screen has room for "
        "(main, the default), or all; JSON and page always hold all")  # fmt: skip


def row_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `audit` is asked for by these options."""
    return {
        "drop_columns": args.drop_columns,
        "standardize": args.standardize,
        "duplicates": args.duplicates,
        "progress": not args.quiet,
    }


def names_of(args: argparse.Namespace) -> list[str | None]:
    """What each of FEATURES is called; None for its path. Raises ValueError unless there is a name for each, or none."""
    if not args.name:
        return [None] * len(args.features)
    if len(args.name) != len(args.features):
        raise ValueError(
            f"--name is given {len(args.name)} times and there are {len(args.features)} FEATURES: give one name for each, in "
            "their order."
        )
    return list(args.name)
