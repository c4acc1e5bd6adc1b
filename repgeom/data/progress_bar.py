"""A bar on standard error, where that is a terminal, for what takes longer than a second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def with_bar(items: Sequence[Item], what: str, progress: bool) -> Iterable[Item]:
    """The items one after the other, with a bar of how many have been taken. `what`: the word before it."""
    from tqdm import tqdm

    shown: Iterable[Item] = tqdm(items, what, leave=False, delay=1.0, disable=None if progress else True)
    return shown
