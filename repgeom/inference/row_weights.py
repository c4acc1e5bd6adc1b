"""How unevenly do whole rows weigh? Two halves of the rows say it of each other.

The model of the rows is x_i = √w_i Σ^½ z_i. Along principal directions found from the other half, ln y_ij² is ln w_i plus
what belongs to direction j plus noise, so its mean over many directions is ln w_i. Of logarithms, because a feature that is
huge in a few rows ("massive activations") then counts as one direction of many, where fourth moments would blame the whole
row for it. Where a heavy row's squared length agrees with that mean, the length is taken: it is what the sample's variances
hold.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repgeom.data.sources import source_of
from repgeom.inference.population import RowWeights, binned
from repgeom.measures.functionals import Array
from repgeom.spectral.directions import Directions, directions_of

FEWEST_ROWS = 16  # below, halves are too small to say anything, and rows are taken to weigh evenly
_MOST_ROWS = 4096  # a spread of weights is known well from so many
_FEW_ROWS = 2048  # the same for wide rows, of which each half's decomposition would take seconds
_WIDE = 1024  # features
_SMALLEST = 1e-4  # of a typical square along a direction: below, a logarithm would say more of zeros than of weights
_AGREES = 2.5  # standard deviations between a row's mean of logarithms and its length
_HEAVY = (
    float(np.log(4)),
    float(np.log(8)),
)  # ln of weights from which, and from which on wholly, a row's length is taken
_EXCESS = 0.2  # by how much E[w²] may exceed three times what fourth moments show: as on unit rows of steep spectra

Codes = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Halves:
    """What two halves of some rows say of each other.

    Attributes:
        index: (m,), which rows were split.
        log_weights: (m,), ln of how much each of them weighs.
        variances: of each half, descending.
        freedom: of each half.
    """

    index: Codes
    log_weights: Array
    variances: tuple[Array, Array]
    freedom: tuple[int, int]


def split_in_halves(rows: Tensor, directions: Directions, squares: Array, groups: Codes | None) -> Halves | None:
    """Split rows (n, d) in two, groups (n,) of them whole. None for too few rows, and where one half does not vary.

    `squares`: (n,) squared distances from the mean, of mean one.
    """
    first, second = _split(squares, rows.shape[1], groups)
    if min(len(first), len(second)) < FEWEST_ROWS // 2:
        return None
    center = directions.spectrum.centered
    x, y = (directions.centred(rows[torch.from_numpy(half).to(rows.device)]).double() for half in (first, second))
    if min(_spread(half) for half in (x, y)) == 0:
        return None
    of_first, of_second = (
        directions_of(source_of(h, "rows"), center=center, normalize=None, tail=False) for h in (x, y)
    )
    log_weights = np.concatenate([_log_weights(x, of_second), _log_weights(y, of_first)])
    if not np.isfinite(log_weights).all():
        # One half varies by no more than rounding beside the other, in units of which no length is finite.
        return None
    found = of_first.variances[: of_first.moving], of_second.variances[: of_second.moving]
    return Halves(np.concatenate([first, second]), log_weights, found, (of_first.freedom, of_second.freedom))


def _split(squares: Array, d: int, groups: Codes | None) -> tuple[Codes, Codes]:
    """Which rows fall into each half: at random, groups whole, at most `_MOST_ROWS` in all.

    The lots are drawn for groups in the order of their squared lengths. So the same rows fall together in any order of the
    rows, names of the groups, rotation and scale, and an estimate feels none of these.
    """
    most = _MOST_ROWS if d <= _WIDE else _FEW_ROWS
    codes = np.arange(len(squares)) if groups is None else np.unique(groups, return_inverse=True)[1]
    # Nine digits, because a rotation rounds lengths that are equal by themselves.
    by_length = np.bincount(codes, squares).round(9).argsort(kind="stable")
    rank = np.empty(len(by_length), np.int64)
    rank[by_length] = np.random.default_rng(0).permutation(len(by_length))
    order = np.argsort(rank[codes], kind="stable")[:most]
    ends = np.flatnonzero(np.diff(rank[codes[order]])) + 1
    if not len(ends):
        return order, order[:0]
    middle = ends[np.abs(ends - len(order) / 2).argmin()]
    return np.sort(order[:middle]), np.sort(order[middle:])


def _spread(rows: Tensor) -> float:
    return float((rows - rows.mean(0)).abs().max())


def _log_weights(rows: Tensor, other: Directions) -> Array:
    """ln of how much each row weighs, (n,), along the directions of the other half."""
    squares = (other.centred(rows).double() @ other.vectors[:, : other.moving].double()).square_()
    typical = squares.median(0).values
    # Of features that are mostly zero the median says nothing.
    typical = torch.where(typical > 0, typical, squares.mean(0)).clamp(min=torch.finfo(squares.dtype).tiny)
    # In place: each copy is as large as the rows.
    logs = (squares / typical).clamp_(min=_SMALLEST).log_()
    logs -= logs.mean(0)
    spreads = logs.square().mean(0)
    # Equal logarithms less their mean leave rounding, which is no spread.
    varying = max(1, int((spreads > 1e-20).sum()))
    means = (logs.sum(1) / varying).cpu().numpy()
    # If directions had nothing in common, their noise alone would spread the means so far.
    noise = float(spreads.sum()) / varying**2
    kept = _without_noise(means, noise)
    lengths = squares.sum(1).clamp(min=torch.finfo(squares.dtype).tiny).log().cpu().numpy()
    off = lengths - means - np.median(lengths - means)
    # ln of the length of a Gaussian row with these variances has a variance of 2 over their participation ratio.
    evenly = other.variances[: other.moving]
    noise_of_both = noise + 2 * float((evenly**2).sum() / evenly.sum() ** 2)
    agrees = np.abs(off) < _AGREES * noise_of_both**0.5
    share = np.clip((kept - _HEAVY[0]) / (_HEAVY[1] - _HEAVY[0]), 0, 1)
    return np.asarray(kept + np.where(agrees, share * off, 0.0))


def _without_noise(means: Array, noise: float) -> Array:
    """The means drawn towards zero until their mean square is what exceeds the noise; far ones stay nearly as they are."""
    squares = np.sort(means**2)[::-1]
    n, wanted = len(squares), (means**2).mean() - noise
    if wanted <= 0:
        return np.zeros(n)
    # Where the k largest squares stay, each less a limit, their sum is n · wanted for this limit.
    limits = (squares.cumsum() - n * wanted) / np.arange(1, n + 1)
    stays = np.flatnonzero((limits <= squares) & (limits >= np.append(squares[1:], 0)))
    limit = max(0.0, float(limits[stays[0]])) if len(stays) else 0.0
    return np.asarray(np.sign(means) * np.sqrt(np.maximum(0, means**2 - limit)))


def weights_of(log_weights: Array, excess_kurtosis: float, copies: Array, correlation: float) -> RowWeights:
    """How unevenly rows weigh, from the logarithms of their weights, and of groups whose rows are alike.

    Args:
        log_weights: (m,).
        excess_kurtosis: of the rows' lengths beyond Gaussian rows, which bounds E[w²] − 1: in rows of symbols ("one-hot")
            hardly any direction moves, and means of logarithms say nothing.
        copies: (m,), how many rows each row's group has.
        correlation: of the rows of a group, 0 to 1.
    """
    weights = _bounded(log_weights, 1 + 3 * max(0.0, excess_kurtosis) + _EXCESS)
    # The correlation matrix of m alike rows has one eigenvalue of 1 + (m − 1) ρ and m − 1 of 1 − ρ.
    together, apart = 1 + (copies - 1) * correlation, np.full(len(copies), 1 - correlation)
    values = np.concatenate([weights * together, weights * apart])
    shares = np.concatenate([1 / copies, 1 - 1 / copies]) / len(copies)
    return binned(values, shares)


def _bounded(logs: Array, most: float) -> Array:
    """Weights of mean one with these logarithms, or a share of them where their mean square would exceed `most`."""

    def weights(share: float) -> Array:
        found = np.exp(share * (logs - logs.max()))
        return np.asarray(found / found.mean())

    if (weights(1.0) ** 2).mean() <= most:
        return weights(1.0)
    low, high = 0.0, 1.0
    # Thirty halvings leave a billionth.
    for _ in range(30):
        middle = (low + high) / 2
        if (weights(middle) ** 2).mean() <= most:
            low = middle
        else:
            high = middle
    return weights(low)
