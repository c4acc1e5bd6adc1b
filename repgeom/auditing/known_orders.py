"""Orders that rows are known to come in by accident: gathered from processes, in shards sorted by name, reversed, shifted.

Each order says, for places of samples in the right order, at which place such a file holds them; −1 for lost samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

Places = np.ndarray
_MOST_PROCESSES = 64
_MOST_SHARDS = 128
_BATCHES = (8, 16, 32, 64, 128, 256, 512)


@dataclasses.dataclass(frozen=True)
class KnownOrder:
    """An order of rows: its name, and where it holds the samples of given places (m,)."""

    name: str
    place_of: Callable[[Places], Places]


def known_orders(n: int) -> Iterator[KnownOrder]:
    """Orders of n rows, those that are most usual first."""
    for w in range(2, min(_MOST_PROCESSES, n // 2) + 1):
        yield _taken_in_turn(n, w, -(-n // w))
        if n % w:
            yield _taken_in_turn(n, w, None)
    for w in (2, 3, 4, 6, 8, 16):
        for batch in _BATCHES:
            if w * batch < n:
                yield _in_batches(n, w, batch)
    for shards in range(11, min(_MOST_SHARDS, n // 2) + 1):
        # The last shard may hold fewer rows.
        fewest, most = -(-n // shards), (n - 1) // (shards - 1)
        if most < fewest:
            continue
        for rows in sorted({fewest, *_round(fewest, most)}):
            yield _shards_by_name(n, rows)
    yield KnownOrder("reversed", lambda p: n - 1 - p)
    for parts in (2, 3, 4, 5, 6, 7, 8):
        for first in range(1, parts):
            yield _turned(
                n, n * first // parts, f"put together with the last {parts - first} of {parts} equal parts first"
            )
    for by in (1, 2, 3):
        yield _turned(n, by, f"shifted by {by}")
        yield _turned(n, n - by, f"shifted by {-by}")


def _round(low: int, high: int) -> list[int]:
    """Round numbers from low to high: a multiple of the largest power of ten, and one of two, that has one there."""
    found = []
    for base in (10, 2):
        power = base ** (len(np.base_repr(high, base)) - 1)
        while high // power * power < low:
            power //= base
        found.append(high // power * power)
    return found


def _taken_in_turn(n: int, w: int, each: int | None) -> KnownOrder:
    """w processes take samples in turn; what they have is concatenated. `each`: rows of a process where all have as many."""
    ranks = np.arange(w)
    starts = ranks * (n // w) + np.minimum(ranks, n % w)
    if each is not None:
        starts = ranks * each

    def place_of(p: Places) -> Places:
        at = starts[p % w] + p // w
        return np.where(at < n, at, -1)

    return KnownOrder(
        f"concatenated from {w} processes that took rows in turn (0, {w}, {2 * w}, ..., then 1, {w + 1}, ...)", place_of
    )


def _in_batches(n: int, w: int, batch: int) -> KnownOrder:
    """w processes take samples in turn, and a batch of each is gathered at a time."""

    def place_of(p: Places) -> Places:
        rank, own = p % w, p // w
        at = own // batch * (batch * w) + rank * batch + own % batch
        return np.where(at < n, at, -1)

    return KnownOrder(f"gathered in batches of {batch} from {w} processes that took rows in turn", place_of)


def _shards_by_name(n: int, rows: int) -> KnownOrder:
    """Shards of so many rows, of which part-10 comes before part-2."""
    shards = -(-n // rows)
    by_name = sorted(range(shards), key=str)
    sizes = np.array([min(rows, n - rows * shard) for shard in by_name])
    starts = np.empty(shards, np.int64)
    starts[by_name] = np.cumsum(sizes) - sizes
    return KnownOrder(
        f"joined from {shards} shards of {rows:,} rows in the order of their names (10 before 2)",
        lambda p: starts[p // rows] + p % rows,
    )


def _turned(n: int, by: int, name: str) -> KnownOrder:
    return KnownOrder(name, lambda p: (p - by) % n)
