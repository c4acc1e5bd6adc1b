"""Do two representations find the same pairs of samples alike? Representational similarity analysis (Kriegeskorte et al. 2008)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from repgeom.data.arrays import centred, finite_rows, unit_rows
from repgeom.data.kinds import Features
from repgeom.data.row_names import require_one_order
from repgeom.data.settings import own_settings
from repgeom.measures.kernel_similarity import MOST_ROWS
from repgeom.measures.measure import REFERENCE, Measure, register
from repgeom.measures.pair_sums import as_pair, check_pair

__all__ = ["rsa", "rsa_noise_ceiling"]

DISTANCES = ("correlation", "cosine", "euclidean")
FEWEST_ROWS = 4  # with fewer there are at most three pairs to order


@own_settings
def rsa(features: Features, reference: Features, *, distance: str = "correlation") -> float:
    """Spearman's correlation of the distances between all pairs of samples in both representations.

    Ranks of the n (n − 1) / 2 distances, with ties at their mean rank, are correlated. It depends on the order of distances
    alone, so no gradient. Compare it with `rsa_noise_ceiling` where there are repeats. Costs O(n² d), and memory
    for seven n × n matrices: 1 GB for 4,096 rows, 15 GB for 16,384.

    Args:
        features, reference: (n, d1) and (n, d2), the same n ≥ 4 samples in the same order.
        distance: "correlation" (1 − Pearson's correlation of two rows, as published), "cosine" (1 − cosine) or "euclidean".

    Returns:
        In [−1, 1]; 1 where all distances have one order, about 0 for unrelated features. With "euclidean" unchanged by rotation,
        translation and scale.

    Raises:
        ValueError: other numbers of rows, fewer than 4, another distance, rows without direction for it, distances that are all
            equal; else as `effective_rank`.

    Three sides of a triangle and their squares have one order:

    >>> x = [[0.0], [1.0], [3.0], [7.0]]
    >>> round(rsa(x, [[0.0], [2.0], [6.0], [14.0]], distance="euclidean"), 12)
    1.0
    """
    x, y = as_pair(features, reference, same_rows=True, double=False)
    ranks = [centred_ranks(_matrix(z, name), distance, name) for z, name in ((x, "features"), (y, "reference"))]
    return float(correlation_of(*ranks))


register(
    Measure(
        "rsa", "RSA", REFERENCE, rsa, (),
        formula="Spearman's correlation of the distances of all pairs in both",
        source="Kriegeskorte et al. 2008",
        question="Do two models, or a model and measurements, find the same pairs alike?",
        cannot_tell="how far apart pairs are; noise lowers it, so read it beside the noise ceiling",
        rows_needed="50; all pairs, so at most 16,384",
        convention="1 − Pearson of rows, Spearman over pairs i < j; others take Euclidean distances or Kendall's τ",
        baseline=lambda size: 0.0,
        better="higher",
        invariances=("scale", "order"),
    )
)  # fmt: skip


@own_settings
def rsa_noise_ceiling(repeats: Sequence[Features] | Features, *, distance: str = "correlation") -> tuple[float, float]:
    """The RSA that the best model could reach, between two bounds, from repeats of one measurement (Nili et al. 2014).

    Upper: the mean correlation of each repeat's distances, as ranks, with their mean over all repeats, which holds the repeat
    itself. Lower: with their mean over the others. Means of ranks are ranked again, as Spearman's correlation does. A model above the lower bound explains what repeats have in common.

    Args:
        repeats: (r, n, d), or r arrays (n, ·), r ≥ 2: the same samples measured again (subjects, seeds, augmentations).
        distance: as `rsa`.

    Returns:
        (lower, upper), in [−1, 1].

    Raises:
        ValueError: fewer than two repeats, of other numbers of rows; else as `rsa`.

    >>> x = [[0.0], [1.0], [3.0], [7.0]]
    >>> lower, upper = rsa_noise_ceiling([x, x], distance="euclidean")
    >>> round(lower, 12), round(upper, 12)
    (1.0, 1.0)
    """
    named = {f"repeats[{i}]": one for i, one in enumerate(repeats)}
    require_one_order(named)
    given = [_matrix(finite_rows(one, name, double=False), name) for name, one in named.items()]
    if len(given) < 2:
        raise ValueError(f"`repeats` holds {len(given)} of one measurement; a ceiling needs at least 2.")
    for i, one in enumerate(given[1:], 1):
        check_pair(tuple(given[0].shape), tuple(one.shape), True, False, ("repeats[0]", f"repeats[{i}]"))
    ranks = [centred_ranks(one, distance, f"repeats[{i}]") for i, one in enumerate(given)]
    return ceiling_of(ranks)


def ceiling_of(ranks: Sequence[Tensor]) -> tuple[float, float]:
    """(lower, upper) bound from centred ranks (n, n) of each repeat."""
    total = torch.stack(list(ranks)).sum(0)
    mean = _ranked(total)
    lower = [float(correlation_of(one, _ranked(total - one))) for one in ranks]
    upper = [float(correlation_of(one, mean)) for one in ranks]
    return sum(lower) / len(ranks), sum(upper) / len(ranks)


def _matrix(x: Tensor, name: str) -> Tensor:
    if x.ndim != 2 or x.shape[0] < FEWEST_ROWS:
        raise ValueError(
            f"`{name}` must be (n_samples, n_features) with at least {FEWEST_ROWS} samples, got shape {tuple(x.shape)}."
        )
    if len(x) > MOST_ROWS:
        raise ValueError(
            f"`{name}` has {len(x):,} rows, and all pairs are ordered: draw up to {MOST_ROWS:,}, the same of both."
        )
    return x.detach().double()


def centred_ranks(x: Tensor, distance: str, name: str) -> Tensor:
    """Ranks of the distances of all pairs of rows less their mean, (n, n); the diagonal is zero."""
    ranks = _ranked(_rounded(_distances(x, distance, name)))
    if not bool(ranks.any()):
        raise ValueError(f"all rows of `{name}` lie equally far apart, so their distances have no order.")
    return ranks


def _ranked(square: Tensor) -> Tensor:
    """The upper triangle as ranks less their mean, mirrored; those that tie have their mean rank."""
    from scipy.stats import rankdata

    upper = torch.triu_indices(len(square), len(square), 1, device=square.device)
    ranks = torch.from_numpy(rankdata(square[upper[0], upper[1]].cpu().numpy())).to(square)
    found = torch.zeros_like(square)
    found[upper[0], upper[1]] = ranks - ranks.mean()
    return found + found.mT


def _distances(x: Tensor, distance: str, name: str) -> Tensor:
    if distance not in DISTANCES:
        raise ValueError(f"`distance` must be one of {', '.join(DISTANCES)}, got {distance!r}.")
    x = x / x.abs().max().clamp(min=torch.finfo(x.dtype).tiny)  # squares stay in range; the order is the same
    if distance == "euclidean":
        return torch.cdist(centred(x), centred(x), compute_mode="donot_use_mm_for_euclid_dist")
    if distance == "correlation":
        x = x - x.mean(1, keepdim=True)
    flat = x.abs().amax(1) <= 16 * torch.finfo(x.dtype).eps
    if bool(flat.any()):
        what = "is constant over its features" if distance == "correlation" else "is zero"
        raise ValueError(
            f"row {int(flat.nonzero()[0])} of `{name}` {what}, so it has no {distance}. Leave it out, or use "
            'distance="euclidean".'
        )
    units = unit_rows(x)
    return 1 - units @ units.mT


def _rounded(distances: Tensor) -> Tensor:
    """Distances to twelve digits of the largest: those of pairs that are equally far must tie, whatever rounding makes of them."""
    unit = float(distances.max()) * 1e-12
    return torch.round(distances / unit) * unit if unit > 0 else distances


def correlation_of(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of centred ranks (n, n)."""
    return (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()


@dataclasses.dataclass(frozen=True)
class PairOrder:
    """The order of the distances of all pairs of rows: what is worked out once of each side of a correlation.

    Attributes:
        ranks: (n, n), centred, with a diagonal of zeros.
        order: (pairs,), where in the flat ranks each pair i < j lies, from the nearest.
        below, up_to: (n, n), how many pairs have a lower rank than this one, and how many none that is higher; 0 on the diagonal.
    """

    ranks: Tensor
    order: Tensor
    below: Tensor
    up_to: Tensor

    @classmethod
    def of(cls, ranks: Tensor) -> PairOrder:
        n = len(ranks)
        row, column = torch.triu_indices(n, n, 1, device=ranks.device)
        ordered, order = ranks[row, column].sort()
        below, up_to = (torch.searchsorted(ordered, ranks, right=right) for right in (False, True))
        return cls(ranks, (row * n + column)[order], below.fill_diagonal_(0), up_to.fill_diagonal_(0))

    def to(self, device: torch.device) -> PairOrder:
        return PairOrder(*(part.to(device) for part in (self.ranks, self.order, self.below, self.up_to)))

    def moved_up(self, other: Tensor) -> Tensor:
        """Σ over all pairs of the other ranks times how many pairs of row i lie lower here, (n,), with half of those that tie."""
        summed = torch.cat([other.new_zeros(1), other.flatten()[self.order].cumsum(0)])
        # All ranks sum to zero, so those above sum to minus those up to here.
        return -(summed[self.below] + summed[self.up_to]).sum(1) / 2

    def products_without(self, other: PairOrder) -> Tensor:
        """Σ of the products of both ranks over the pairs without row i, (n,), of which the ranks fall by what lay lower.

        What falls in both at once is left out: it is about 1 / n of what falls in one.
        """
        a, b, n = self.ranks, other.ranks, len(self.ranks)
        # The ranks of all pairs sum to zero, so those that are left sum to minus those of the row.
        own = (a * b).sum(1) + 2 * a.sum(1) * b.sum(1) / ((n - 1) * (n - 2))
        return (a * b).sum() / 2 - own - self.moved_up(b) - other.moved_up(a)


def correlation_without(a: PairOrder, b: PairOrder, own: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The correlation of ranks, and (n,) that without row i; `own`: `products_without` of each side with itself."""
    return correlation_of(a.ranks, b.ranks), a.products_without(b) / (own[0] * own[1]).sqrt()
