"""Random halves of the rows, and the nearest of each row in its own half: what the errors of neighbours are read from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SPLITS = 20  # also the degrees of freedom of the error: Student's 0.975 quantile is 2.09, near the normal one of 1.96
FEWEST_ROWS = 50  # of which halves still have neighbourhoods like those of the whole


def halves(n: int, k: int, seed: int, groups: Tensor | None = None) -> list[Tensor]:
    """The half, 0 or 1, that each of n rows goes to, (n,) for each split; rows of one group go together.

    Empty where rows or groups are too few to be split: of fewer rows than four times k, halves would be nearly all neighbours.
    """
    n_drawn = n
    if groups is not None:
        n_drawn = int(groups.max()) + 1
    if n_drawn < FEWEST_ROWS or n < 4 * k:
        return []
    # Drawn on the CPU, so that splits are the same on every device.
    random = torch.Generator().manual_seed(int(seed) % (1 << 63))
    drawn = [torch.randperm(n_drawn, generator=random) % 2 for _ in range(SPLITS)]
    if groups is None:
        return drawn
    return [half[groups.cpu()] for half in drawn]


def listed_for_halves(k: int) -> int:
    """How many neighbours to list for k in a half. One in two is in a row's own half: of so many hardly ever fewer than k."""
    return 3 * k + 10


def in_own_half(lists: Tensor, half: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Places (n, k) of the first k of each list (n, m) that are in the row's own half, and which of the k there are."""
    here = half[lists] == half[:, None]
    # Places of the own half move to the front, from near to far; the others, and those after k, to one that is cut off.
    target = torch.where(here, here.cumsum(1) - 1, k).clamp(max=k)
    places = torch.arange(lists.shape[1], device=lists.device).expand_as(lists)
    front = lists.new_zeros(len(lists), k + 1).scatter_(1, target, places)[:, :k]
    filled = torch.arange(k, device=lists.device) < here.sum(1, keepdim=True)
    return front, filled


def error_of_mean(of_all: Tensor, of_halves: Tensor, splits: Sequence[Tensor]) -> float:
    """Standard error of the mean of what n rows read among all rows, (n,), from what they read in their half of each split, (splits, n).

    Halves have no row in common, so the difference of their means has four times the variance of the whole's mean. Among half
    as many rows the values of single rows vary otherwise (twice as many neighbours are shared by chance), so their variance
    among all rows, over that in halves, scales what is read from halves.
    """
    squares = []
    for of_rows, half in zip(of_halves, splits, strict=True):
        first = half.to(of_rows.device) == 0
        squares.append(float(of_rows[first].mean() - of_rows[~first].mean()) ** 2 / 4)
    variance, in_halves = float(of_all.var()), float(of_halves.var(1).mean())
    scale = variance / in_halves if min(variance, in_halves) > 0 else 1.0
    return math.sqrt(scale * sum(squares) / SPLITS)
