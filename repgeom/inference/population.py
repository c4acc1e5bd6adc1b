"""Which population would show this sample spectrum? A covariance's eigenvalues spread out when it is estimated.

The model is x_i = √w_i Σ^½ z_i with independent entries in z and weights w_i of mean one: Gaussian rows have w = 1, heavy
tails have rows that weigh more, rows of one group that resemble each other weigh as fewer. With many samples and features
the transform of the sample variances l,

    1 + z m(z) = mean of l / (l − z),

fixes that of the population's variances t (Marchenko & Pastur 1967; with weights Paul & Silverstein 2009): let c = d / n
and let e solve E[c w e / (1 + c w e)] = c (1 + z m). Then, with s = z e / (1 + z m),

    mean of t / (t − s) = 1 + z m.

That is linear in the shares of a grid of variances t, so they follow from non-negative least squares over points z
(El Karoui 2008 does so for w = 1).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from repgeom.measures.functionals import Array

_STEP = 0.05  # of the grid of variances, in logarithms: discretisation moves an effective rank by less than 0.02 %
_POINTS = 60
_TAIL = 1e-6  # variances that hold less than this share together are read as one at the end of the grid
_ONE_ROW = 0.1  # share of a variance beyond which it is that row's own
_FAR = 10.0  # ratio of neighbouring variances that a single cluster does not show
_FIRM = 10.0  # weight of the known sums beside the fitted points


@dataclasses.dataclass(frozen=True)
class Population:
    """Variances (k,) and how many of the d directions have each (k,), not whole numbers.

    The last `alone` of them are leading directions that were not part of the fit.
    """

    variances: Array
    counts: Array
    alone: int = 0


@dataclasses.dataclass(frozen=True)
class RowWeights:
    """How unevenly rows weigh: values (k,) with mean one over their shares (k,). Independent Gaussian rows: all one."""

    values: Array
    shares: Array

    @property
    def mean_square(self) -> float:
        """E[w²]: n over it is the number of even rows that would say as much (Kish 1965)."""
        return float(self.shares @ self.values**2)


EVEN = RowWeights(np.ones(1), np.ones(1))


def population(
    variances: Array, n_features: int, freedom: int, weights: RowWeights = EVEN, alone: Array | None = None
) -> Population:
    """The population whose samples would show these variances, descending, (≤ n_features,), n_samples − 1 in `freedom`.

    `alone`: leading variances of the population that are known already, descending, one direction each.
    """
    from scipy.optimize import nnls

    # Smaller ones are rounding of the largest, and ratios to them would leave the range of floats.
    positive = variances[variances > 1e-100 * variances[:1]]
    mean, ratio = float(positive.sum()) / n_features, n_features / freedom
    alone = np.empty(0) if alone is None else alone
    if len(alone) == len(positive):
        return Population(alone, np.ones(len(alone)), len(alone))
    grid = _grid(positive[len(alone) :], mean)
    # Variances are real, so these points keep away from them. From far inwards, so that each solution starts the next.
    z = 1j * np.geomspace(4 * positive[0], grid[0], _POINTS)
    right = (positive / (positive - z[:, None])).sum(1) / n_features
    # `_solve` gives c e for c (1 + z m), and c cancels.
    s = z * _solve(ratio * right, weights) / (ratio * right)
    # What known directions contribute is taken off; the grid explains the rest.
    right = right - (alone / (alone - s[:, None])).sum(1) / n_features
    # Unknown is each grid point's share of the variance: its share of directions is mean / grid times that. One more
    # unknown is the share of directions without any variance.
    rows = mean / (grid - s[:, None])
    # The last two rows are sums that are known: shares of the variance, and shares of directions.
    left = np.vstack([rows.real, rows.imag, np.full(len(grid), _FIRM), _FIRM * mean / grid])
    left = np.column_stack([left, np.zeros(len(left))])
    left[-1, -1] = _FIRM
    known = _FIRM * (1 - alone.sum() / n_features / mean), _FIRM * (1 - len(alone) / n_features)
    wanted = np.concatenate([right.real, right.imag, np.maximum(known, 0)])
    for k, cut in _gaps(positive, len(alone), freedom):
        # How many directions lie above the gap, relative to that number, so that few weigh no less than many.
        counted = _FIRM**2 * n_features / (k - len(alone)) * np.append((grid > cut) * mean / grid, 0)
        left, wanted = np.vstack([left, counted]), np.append(wanted, _FIRM**2)
    share, _ = nnls(left, wanted, maxiter=100 * len(grid))
    counts = n_features * share[:-1] * mean / grid
    kept = counts > 0
    return Population(np.append(grid[kept], alone), np.append(counts[kept], np.ones(len(alone))), len(alone))


def standing_alone(positive: Array, freedom: int, weights: RowWeights, one_row: Array) -> Array:
    """Leading variances that stand clear of the rest, descending: the sample's less the pull of the others (Lawley 1956).

    Each is one direction. Left to the fit it would be nearly one, and collapsed spectra feel the difference. `one_row` is
    the share of each variance that a single row holds: a row that makes its own direction is no direction of the population.
    """
    found, error = [], (2 * weights.mean_square / freedom) ** 0.5
    for k in range(min(len(one_row), len(positive) - 1)):
        first, others = positive[k], np.delete(positive, k)
        # A sample variance is off by a share √(2 / n) of itself; five times that is no accident.
        if first < (1 + 5 * error) * positive[k + 1] or one_row[k] > _ONE_ROW:
            break
        pull = weights.mean_square * float((others / (first - others)).sum()) / freedom
        # The pull is the first term of a series, which holds where it is small.
        if abs(pull) > 0.1:
            break
        found.append(first * (1 - pull))
    return np.array(found)


def _gaps(positive: Array, alone: int, freedom: int) -> list[tuple[int, float]]:
    """Where a few leading variances lie far above the rest: how many there are, which the population shares, and the gap.

    Clusters of variances that are apart in the population stay apart in samples, with as many in each (Bai & Silverstein
    1999). Without samples enough, the smallest of a single cluster fall far from each other too; hence a few only.
    """
    few = np.arange(alone + 1, min(len(positive) - 1, freedom // 4) + 1)
    wide = few[positive[few - 1] > _FAR * positive[few]]
    return [(int(k), float(np.sqrt(positive[k - 1] * positive[k]))) for k in wide]


def _grid(positive: Array, mean: float) -> Array:
    """Log-spaced variances, from what no longer matters to a little above the largest."""
    ascending = positive[::-1]
    first = np.searchsorted(ascending.cumsum(), _TAIL * positive.sum())
    low = min(0.3 * ascending[min(first, len(ascending) - 1)], 0.05 * mean)
    high = 1.1 * positive[0]
    return np.geomspace(low, high, int(np.clip(np.log(high / low) / _STEP, 30, 400)))


def _solve(target: NDArray[np.complex128], weights: RowWeights) -> NDArray[np.complex128]:
    """f with E[w f / (1 + w f)] = target, for targets along a path that starts far away, where f is small."""
    # With even weights this solves it; with others the first one starts the path.
    found = target / (1 - target)
    if len(weights.values) == 1:
        return found
    f = complex(found[0])
    for i, wanted in enumerate(target):
        f = _newton(f, wanted, weights)
        found[i] = f
    return found


def _newton(f: complex, wanted: complex, weights: RowWeights) -> complex:
    """From the last point's solution, never out of the upper half plane, where the one that is meant lies."""
    w, share = weights.values, weights.shares
    for _ in range(60):
        below = 1 + f * w
        step = ((share * f * w / below).sum() - wanted) / (share * w / below**2).sum()
        scale = 1.0
        while (f - scale * step).imag <= 0 and scale > 1e-6:
            scale /= 2
        f -= scale * step
        if abs(step) < 1e-12 * abs(f):
            break
    return f


def binned(weights: Array, shares: Array | None = None, bins: int = 40) -> RowWeights:
    """A few weights for many, of mean one, finer towards the largest, which matter most. `shares`: how often each occurs."""
    if shares is None:
        shares = np.full(len(weights), 1 / len(weights))
    order = np.argsort(weights, kind="stable")
    order = order[shares[order] > 0]
    values, shares = weights[order], shares[order]
    if values[0] == values[-1]:
        return EVEN
    n = len(values)
    places = np.searchsorted(shares.cumsum(), 1 - np.geomspace(1, 1 / n, bins) + 1e-12, side="right")
    edges = np.unique(np.append(places.clip(max=n - 1), 0))
    sums = np.add.reduceat(shares, edges)
    means = np.add.reduceat(shares * values, edges) / sums
    return RowWeights(np.maximum(means / (sums @ means), 0), sums)
