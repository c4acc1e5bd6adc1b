"""The one look of every progress bar: what is done, how long it took, how long is left."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm


def progress_bar(total: float, text: str = "", *, shown: bool, leave: bool = False) -> Any:
    """A tqdm on standard error, advanced by `update`."""
    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
    return tqdm(total=total, desc=text, bar_format=form, disable=not shown, leave=leave, ncols=100)
