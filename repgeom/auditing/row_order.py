"""Are the rows of two things in the same order? What pairs of rows agree on, in this order, at random, and in known others."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from repgeom.auditing.known_orders import known_orders
from repgeom.measures.pair_sums import PairSums
from repgeom.spectral.spectrum import Spectrum

SUSPECT = 0.3  # CKA, or agreement of labels, below which other orders are tried: a right order mostly reads more
FEWEST_ROWS = 50  # of which random orders are told from the right one
_PAIRS = 256  # rows that each order is judged by
_SCREENED = 64  # rows that say whether an order is worth judging
_SURE_GAIN = 0.75  # after which no better order is looked for
_WIDTH = 64  # random projections of wider rows: as good for this, and quick
_RANDOM_ORDERS = 20
_LEAST_GAIN = 0.1
_LEAST_SPREADS = 6.0  # of random orders, by which the right one stands out

_WHOSE = {
    "features": "the features' rows were",
    "reference": "the reference's rows were",
    "corrupted": "the corrupted rows were",
    "labels": "the labels were",
}


@dataclasses.dataclass(frozen=True)
class RowOrder:
    """What is known of the order of two things' rows.

    Attributes:
        gained: how much more they agree in another order, from 0 (no other is known to be better) to 1.
        name: what was done to whose rows; "" where that is not known.
        same_rows: whether both hold the same rows, up to a rotation, in whatever order.
        chance: the least and the most that random orders agree on; None where rows are too few.
    """

    gained: float = 0.0
    name: str = ""
    same_rows: bool = False
    chance: tuple[float, float] | None = None

    def at_chance(self, value: float) -> bool:
        """Whether rows in this order agree on no more than in random ones."""
        return self.chance is not None and value <= max(self.chance[1], 0.02)


UNKNOWN_ORDER = RowOrder()


def order_of_rows(
    x: Tensor, y: Tensor, places: np.ndarray, n: int, cka: float, *, beside: str, same_rows: bool = False
) -> RowOrder:
    """How x (m, d1) and y (m, d2), rows at these places of n, would agree in other orders.

    `cka`: of all rows in the given order. `beside`: what y is called. `same_rows`: both hold the same rows.
    """
    if math.isnan(cka) or cka >= SUSPECT or len(places) < FEWEST_ROWS:
        if same_rows and not math.isnan(cka):
            return RowOrder(gained=max(0.0, 1 - cka), same_rows=True)
        return UNKNOWN_ORDER
    x, y = _narrow(x), _narrow(y)

    def read(mine: np.ndarray, theirs: np.ndarray) -> float:
        return _cka(x[torch.from_numpy(mine)], y[torch.from_numpy(theirs)])

    found = _best_order(read, places, n, beside)
    if same_rows:
        return dataclasses.replace(found, gained=max(0.0, 1 - cka), same_rows=True)
    return found


def order_of_labels(lists: np.ndarray, codes: np.ndarray, places: np.ndarray, n: int) -> RowOrder:
    """How neighbours (m, k) of rows at these places of n would agree on labels (m,) in other orders."""
    shares = np.bincount(codes) / len(codes)
    chance = float((shares**2).sum())
    if chance > 0.9 or len(places) < FEWEST_ROWS:
        return UNKNOWN_ORDER

    def read(mine: np.ndarray, theirs: np.ndarray) -> float:
        labels = np.full(len(codes), -1)
        labels[mine] = codes[theirs]
        of_neighbours = labels[lists[mine]]
        known = of_neighbours >= 0
        same = (of_neighbours == labels[mine][:, None]) & known
        return float((same.sum() / max(1, known.sum()) - chance) / (1 - chance))

    every = np.arange(len(codes))
    if read(every, every) >= SUSPECT:
        return UNKNOWN_ORDER
    return _best_order(read, places, n, "labels", len(places))


def _best_order(
    read: Callable[[np.ndarray, np.ndarray], float], places: np.ndarray, n: int, beside: str, pairs: int = _PAIRS
) -> RowOrder:
    """The known order in which pairs agree most, where they agree clearly more than in this order and in random ones."""
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(len(places))[:pairs])
    here = read(some, some)
    random = [read(some, rng.permutation(some)) for _ in range(_RANDOM_ORDERS)]
    needed = max(here + _LEAST_GAIN, float(np.mean(random) + _LEAST_SPREADS * np.std(random)))
    # Few pairs show which orders are worth more of them.
    few = min(pairs, _SCREENED)
    promising = here + _LEAST_GAIN / 2
    best = RowOrder(chance=(min(random), max(random)))
    for order in known_orders(n):
        first, second = _both_sampled(places, order.place_of(places))
        # Pairs that stand at one place in both orders say nothing of either.
        if len(first) < FEWEST_ROWS or (first != second).mean() < 0.5:
            continue
        chosen = rng.permutation(len(first))[:pairs]
        # Either side may be the one that is in this order.
        for whose, mine, theirs in ((beside, first, second), ("features", second, first)):
            if read(mine[chosen[:few]], theirs[chosen[:few]]) < promising:
                continue
            gained = read(mine[chosen], theirs[chosen]) - here
            if here + gained >= needed and gained > best.gained:
                best = dataclasses.replace(best, gained=gained, name=f"{_WHOSE[whose]} {order.name}")
            if best.gained >= _SURE_GAIN:
                return best
    return best


def _both_sampled(places: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the sample whose other place is in the sample too: their numbers in it, and those of the other place."""
    at = np.searchsorted(places, there).clip(max=len(places) - 1)
    mine = np.flatnonzero(places[at] == there)
    return mine, at[mine]


def _narrow(rows: Tensor) -> Tensor:
    """Centred float64 rows over their largest value, along a few random directions where they are wide."""
    rows = rows.detach().double()
    rows = rows - rows.mean(0)
    rows = rows / rows.abs().max().clamp(min=torch.finfo(rows.dtype).tiny)
    if rows.shape[1] > _WIDTH:
        random = torch.Generator().manual_seed(0)
        rows = rows @ torch.randn(rows.shape[1], _WIDTH, generator=random, dtype=rows.dtype, device="cpu").to(
            rows.device
        )
    return rows.cpu()  # what is left is so small that a GPU would only wait


def _cka(x: Tensor, y: Tensor) -> float:
    """Debiased linear CKA, of kernels of so few rows that they are held; 0 where one has no structure."""
    a, b = _u_centred(x @ x.mT), _u_centred(y @ y.mT)
    below = float((a * a).sum() * (b * b).sum()) ** 0.5
    if not below > 0:
        return 0.0
    return float((a * b).sum()) / below


def _u_centred(kernel: Tensor) -> Tensor:
    """The kernel without its diagonal, centred so that sums of products are unbiased (Székely & Rizzo 2014)."""
    n = len(kernel)
    kernel = kernel - torch.diag(kernel.diagonal())
    rows = kernel.sum(0) / (n - 2)
    centred = kernel - rows - rows[:, None] + kernel.sum() / ((n - 1) * (n - 2))
    return centred - torch.diag(centred.diagonal())


def same_rows(x: Spectrum, y: Spectrum, sums: PairSums) -> bool:
    """Whether both hold the same rows up to a rotation, in whatever order: by their spectra and the sums of their lengths.

    Sets of other rows from one source differ in these by a share of about 1/√n.
    """
    sigma, other = (torch.as_tensor(s.singular_values).double().cpu().numpy() for s in (x, y))
    tolerance = min(1e-4, 0.01 / sums.n**0.5)
    r = min(len(sigma), len(other))
    most = tolerance * sigma[0]
    # Of other widths, what one has more must be nothing.
    left = np.concatenate([sigma[r:], other[r:]])
    if not np.allclose(sigma[:r], other[:r], rtol=0, atol=most) or (left > most).any():
        return False
    # Σ‖x‖⁴ over (Σ‖x‖²)²: whitened sets have one spectrum, and lengths of their own.
    pairs = ((float(sums.aa), float(sums.a) ** 2), (float(sums.bb), float(sums.b) ** 2))
    # Of rows so small or so large that squares leave the range of floats, lengths say nothing.
    shapes = [fourth / square if 0 < square < math.inf else math.nan for fourth, square in pairs]
    return math.isclose(*shapes, rel_tol=tolerance)
