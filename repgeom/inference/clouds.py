"""Sums over two clouds of one space: how far apart their means are, beyond chance, and what a plane between them tells apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from repgeom.data.arrays import shape_of, too_large_error, unit_rows
from repgeom.inference.correction import mean_variance, rests_on_few_rows
from repgeom.inference.differences import welch
from repgeom.inference.estimate import Estimate
from repgeom.inference.intervals import quantile, wilson
from repgeom.measures.pair_sums import check_pair

FEWEST_ROWS = 50  # of a cloud, from which intervals are given
_GROUPS = 20  # of rows, each left out once
# Of fewer rows on the wrong side, their spread does not say how many come next time. Then the error is taken that no area of so
# many rows exceeds, that of a share (van Dantzig 1951).
_FEWEST_MISPLACED = 10
_PIECE_VALUES = 1 << 19
_LARGEST = 1e70  # entry whose fourth power, added up over rows and features, is still a float64


def as_taken(rows: Tensor, normalize: str | None) -> Tensor:
    return unit_rows(rows.double()) if normalize else rows.double()


class Clouds:
    """Sums over both clouds, from two passes over their rows in pieces.

    `groups`: codes (n,) of pairs that depend on each other (texts of one image), from 0; None where all are independent.
    """

    def __init__(
        self, a: Tensor, b: Tensor, paired: bool, normalize: str | None, seed: int, groups: Tensor | None = None
    ) -> None:
        check_pair(shape_of(a), shape_of(b), paired, True, ("a", "b"))
        b = b.to(a.device)
        if normalize is None and max(float(x.abs().max()) for x in (a, b)) > _LARGEST:
            raise too_large_error("a` or `b")
        self.a, self.b, self.paired, self.normalize = a, b, paired, normalize
        self.n = len(a), len(b)
        random = torch.Generator().manual_seed(int(seed) % (1 << 63))
        self.own_groups = groups
        # Draws that are independent: rows, or groups of pairs.
        self.n_draws = self.n if groups is None else (int(groups.max()) + 1,) * 2
        first = torch.randperm(self.n_draws[0], generator=random)
        if groups is not None:
            first = first[groups.cpu()]
        second = first if paired else torch.randperm(len(b), generator=random)
        # The half, 0 or 1, of each row: the direction of one is tried on the other. And the group that it is left out with.
        self.halves = first.to(a.device) % 2, second.to(a.device) % 2
        self.groups = first.to(a.device) // 2 % _GROUPS, second.to(a.device) // 2 % _GROUPS
        parts = [
            self._sums(x, place) for x, place in zip((a, b), zip(self.halves, self.groups, strict=True), strict=True)
        ]
        self.means = [sums.sum((0, 1)) / n for (sums, _), n in zip(parts, self.n, strict=True)]
        self.step = self.means[0] - self.means[1]
        steps = [_means_without(*part) for part in parts]
        self.half_steps = steps[0] - steps[1]  # (2, groups + 1, d)
        self._add_up()

    def _pieces(self, x: Tensor) -> Iterator[Tensor]:
        # Smaller pieces than elsewhere, since several float64 copies of each are alive at once.
        for piece in x.split(max(1, _PIECE_VALUES // x.shape[1])):
            yield as_taken(piece, self.normalize)

    def _sums(self, x: Tensor, place: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Sums of the rows of each half and group (2, groups, d), and how many there are (2, groups)."""
        cell = place[0] * _GROUPS + place[1]
        sums, start = x.new_zeros(2 * _GROUPS, x.shape[1], dtype=torch.float64), 0
        for rows in self._pieces(x):
            sums.index_add_(0, cell[start : start + len(rows)], rows)
            start += len(rows)
        counts = cell.bincount(minlength=2 * _GROUPS)
        return sums.reshape(2, _GROUPS, -1), counts.reshape(2, _GROUPS)

    def _add_up(self) -> None:
        """Squared distance from the mean, product with the step, and product with the other half's step, of each row."""
        n_features = self.a.shape[1]
        self.squares: list[Tensor] = []
        self.along: list[Tensor] = []
        self.seen: list[Tensor] = []
        self.scatters = [self.a.new_zeros(n_features, n_features, dtype=torch.float64) for _ in range(2)]
        for x, mean, half, scatter in zip((self.a, self.b), self.means, self.halves, self.scatters, strict=True):
            squares, along = x.new_empty(2, len(x), dtype=torch.float64)
            seen = x.new_empty(len(x), _GROUPS + 1, dtype=torch.float64)
            start = 0
            for rows in self._pieces(x):
                here = slice(start, start + len(rows))
                both = torch.einsum("nd,hgd->nhg", rows, self.half_steps)
                seen[here] = both[torch.arange(len(rows), device=rows.device), 1 - half[here]]
                rows = rows - mean
                squares[here] = rows.square().sum(1)
                along[here] = rows @ self.step
                scatter.addmm_(rows.mT, rows)
                start += len(rows)
            self.squares.append(squares)
            self.along.append(along)
            self.seen.append(seen)
        if not any(bool(s.any()) for s in self.squares):
            raise ValueError("`a` and `b` are one point each: without spread there is nothing to compare a gap with.")

    def gap(self, confidence: float) -> tuple[Estimate, Estimate]:
        """Squared distance between the means, and its share of the variance."""
        plain = float(self.step.square().sum())
        within = sum(float(s.sum()) / (n - 1) for s, n in zip(self.squares, self.n, strict=True)) / 2
        by_chance, second_order = self._by_chance()
        squared = plain - by_chance

        def share_of(gap: float) -> float:
            return gap / 4 / (gap / 4 + within)

        along = [2 * self.along[0], -2 * self.along[1]]
        error_of_plain, degrees, reason = self._error(along)
        share = share_of(squared)
        if reason:
            made = "unbiased squared distance"
            missing = (None, None, None, min(self.n), made, (f"no interval: {reason}",))
            return Estimate(squared, plain, *missing), Estimate(share, share_of(plain), *missing)
        z = quantile(confidence, degrees)
        low, high = score_interval(squared, error_of_plain**2 / max(plain, 1e-300), second_order, z)
        error = math.sqrt(max(0.0, squared) * error_of_plain**2 / max(plain, 1e-300) + second_order)
        # d share = (T dg − g dT) / 4 / total², with g the squared distance and T the variance within.
        total = squared / 4 + within
        of_share = [within * g - squared * s / 2 for g, s in zip(along, self.squares, strict=True)]
        # By how much the variance within widens or narrows what the gap alone says.
        factor = self._error(of_share)[0] / max(within * error_of_plain, 1e-300)
        ends = [share + factor * (share_of(end) - share) for end in (low, high)]
        if low <= 0:  # where there may be no gap there may be no share
            ends[0] = 0.0
        error_of_share = factor * within / 4 / total**2 * error
        return (
            Estimate(squared, plain, low, high, error, min(self.n), "unbiased squared distance", degrees=degrees),
            Estimate(
                share, share_of(plain), max(0.0, ends[0]), min(1.0, max(0.0, ends[1])), error_of_share, min(self.n),
                "unbiased squared distance", degrees=degrees,
            ),
        )  # fmt: skip

    def _by_chance(self) -> tuple[float, float]:
        """What the squared distance reads without a gap, tr M for M the covariance of the step, and twice tr M²."""
        if self.own_groups is not None:
            return self._by_chance_of_groups(self.own_groups)
        if self.paired:
            n, d = self.n[0], self.scatters[0].new_zeros(self.a.shape[1], self.a.shape[1])
            of_pairs, start = torch.empty_like(self.squares[0]), 0
            for x, y in zip(self._pieces(self.a), self._pieces(self.b), strict=True):
                rows = x - y - self.step
                d.addmm_(rows.mT, rows)
                of_pairs[start : start + len(rows)] = rows.square().sum(1)
                start += len(rows)
            return float(of_pairs.sum()) / (n - 1) / n, 2 * trace_of_square(d, of_pairs) / n**2
        chance, square = 0.0, 0.0
        for scatter, squares, n in zip(self.scatters, self.squares, self.n, strict=True):
            chance += float(squares.sum()) / (n - 1) / n
            square += trace_of_square(scatter, squares) / n**2
        n, m = self.n
        crossed = float((self.scatters[0] * self.scatters[1]).sum()) / (n - 1) / (m - 1)
        return chance, 2 * (square + 2 * crossed / n / m)

    def _by_chance_of_groups(self, groups: Tensor) -> tuple[float, float]:
        """The same where groups of pairs are the independent draws: the step is the mean of what each adds to it."""
        n = self.n_draws[0]
        added, start = self.step.new_zeros(n, len(self.step)), 0
        for x, y in zip(self._pieces(self.a), self._pieces(self.b), strict=True):
            added.index_add_(0, groups[start : start + len(x)], x - y - self.step)
            start += len(x)
        added *= n / self.n[0]
        squares = added.square().sum(1)
        return float(squares.sum()) / (n - 1) / n, 2 * trace_of_square(added.mT @ added, squares) / n**2

    def _error(self, influences: Sequence[Tensor]) -> tuple[float, float, str]:
        """Standard error of a mean of both clouds' influences, its degrees of freedom, and why it is not known, if so."""
        if min(self.n_draws) < FEWEST_ROWS:
            return math.nan, math.nan, self._too_few
        parts = [i.cpu().numpy() for i in influences]
        if self.paired:
            parts = [parts[0] + parts[1]]
        groups = None if self.own_groups is None else self.own_groups.cpu().numpy()
        found = [mean_variance(part, len(part), groups) for part in parts]
        few = [rests_on_few_rows(degrees, n) for (_, degrees), n in zip(found, self.n_draws, strict=False)]
        error, degrees = math.sqrt(found[0][0]), float(found[0][1])
        if len(found) == 2:
            error, degrees = welch(error, degrees, math.sqrt(found[1][0]), found[1][1])
        return error, degrees, next((reason for reason in few if reason), "")

    @property
    def _too_few(self) -> str:
        return f"fewer than {FEWEST_ROWS} {'rows' if self.own_groups is None else 'groups'}"

    def separability(self, confidence: float) -> Estimate:
        """Area under the ROC curve along the step of the other half, the mean of both halves."""
        # Down: without a group of the first half. Across: without one of the second.
        areas = (self._areas(0) + self._areas(1).mT) / 2
        value, n = float(areas[0, 0]), min(self.n)
        if min(self.n_draws) < FEWEST_ROWS:
            return Estimate(value, value, None, None, None, n, "halves", (f"no interval: {self._too_few}",))
        error, degrees = math.sqrt(two_way_variance(areas)), _GROUPS - 1.0
        rows = _as_many_rows(value, error, n)
        if rows * min(value, 1 - value) < _FEWEST_MISPLACED:
            rows = min(rows, float(min(self.n_draws)))
        low, high = wilson(value, rows, quantile(confidence, degrees))
        return Estimate(value, value, low, high, error, n, "halves", degrees=degrees)

    def _areas(self, half: int) -> Tensor:
        """In one half: without each of its groups (down) and along the step without each of the other half's (across).

        The first of both, of _GROUPS + 1, leaves out none.
        """
        own = [halves == half for halves in self.halves]
        seen = [projected[here].mT.contiguous() for projected, here in zip(self.seen, own, strict=True)]
        groups = [groups[here] for groups, here in zip(self.groups, own, strict=True)]
        sizes = [codes.bincount(minlength=_GROUPS) for codes in groups]
        pairs = _left(sizes[0].sum(), sizes[0]) * _left(sizes[1].sum(), sizes[1])
        columns = []
        for a, b in zip(*seen, strict=True):
            wins = _wins(a, b, *groups)
            within = wins.diagonal()
            columns.append(_left(wins.sum(), wins.sum(0) + wins.sum(1) - within) / pairs.clamp(min=1))
        return torch.stack(columns, 1)


def _means_without(sums: Tensor, counts: Tensor) -> Tensor:
    """Means of each half (2, groups + 1, d): of all its rows first, then without each group."""
    total, n = sums.sum(1, keepdim=True), counts.sum(1, keepdim=True)
    left, n_left = torch.cat([total, total - sums], 1), torch.cat([n, n - counts], 1)
    return left / n_left.clamp(min=1)[..., None]


def _as_many_rows(share: float, error: float, n: int) -> float:
    """How many independent rows would err as much in a share."""
    variance = share * (1 - share)
    return float(n) if variance <= 0 or error <= 0 else variance / error**2


def _left(total: Tensor, parts: Tensor) -> Tensor:
    """The total, and what is left of it without each part (1 + parts,)."""
    return torch.cat([total[None], total - parts])


def _wins(x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor) -> Tensor:
    """How often x of each group lies above y of each group (groups, groups), with half of the ties (Mann & Whitney 1947)."""
    ordered, order = y.sort()
    # How many y of each group are among the i lowest.
    below = x.new_zeros(len(y) + 1, _GROUPS)
    below[1:].scatter_(1, of_y[order][:, None], 1.0)
    below = below.cumsum(0)
    under, up_to = (below[torch.searchsorted(ordered, x, right=right)] for right in (False, True))
    return x.new_zeros(_GROUPS, _GROUPS).index_add_(0, of_x, (under + up_to) / 2)


def two_way_variance(values: Tensor) -> float:
    """Variance of a value of two independent parts, from values (1 + G, 1 + G) without each group of one and of the other.

    Each part's jackknife counts what hangs on both at once a second time (Efron & Stein 1981), and without a gap that is all there
    is. It is read from what leaving out a group of both does beyond what each does alone, and taken off once.
    """
    n_groups = len(values) - 1
    once = (n_groups - 1) / n_groups
    alone = [once * float(side.var(correction=0)) * n_groups for side in (values[1:, 0], values[0, 1:])]
    beyond = values[1:, 1:] - values[1:, :1] - values[:1, 1:] + values[0, 0]
    both = once**2 * float(beyond.square().sum())
    return max(sum(alone) - both, sum(alone) / 2)


def score_interval(value: float, slope: float, constant: float, z: float) -> tuple[float, float]:
    """All g with |value − g| ≤ z √(slope g + constant): the variance is that of g, not of the value, as in Wilson's interval.

    Without a gap its variance is `constant`; with a large one `slope` times the gap. A squared distance is not below 0.
    """
    middle = value + slope * z**2 / 2
    half = z * math.sqrt(max(0.0, slope * value + slope**2 * z**2 / 4 + constant))
    return max(0.0, middle - half), max(0.0, middle + half)


def trace_of_square(scatter: Tensor, squares: Tensor) -> float:
    """Unbiased tr Σ² (Himeno & Yamada 2014) from Σ x xᵀ and ‖x‖² of n centred rows."""
    n = len(squares)
    trace, fourth = float(squares.sum()) / (n - 1), float(squares.square().sum()) / (n - 1)
    plain = float(scatter.square().sum()) / (n - 1) ** 2
    return (n - 1) / (n * (n - 2) * (n - 3)) * ((n - 1) * (n - 2) * plain + trace**2 - n * fourth)
