"""Ridge regression that predicts each row from rows of other folds, and what every row does to such predictions.

One decomposition of a fold's fitted rows serves the whole grid of penalties.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Times the fitted features' largest sum of squares along a direction. The last predict little more than the mean. In steps
# of half a decade the jump from one to the next moved what is explained by 6 %.
PENALTIES: NDArray[np.float64] = 10.0 ** (np.arange(-72, 17) / 8)
_LEAST = 1e-300  # keeps fitted rows that are all equal from dividing by zero; what is divided is then zero


def drawn_folds(n: int, n_folds: int, seed: int, groups: Tensor | None) -> Tensor:
    """The fold (n,) of each row, drawn with a seed; rows of a group (codes from 0) go together."""
    n_drawn = n if groups is None else int(groups.max()) + 1
    folds = torch.as_tensor(np.random.default_rng(seed).permutation(n_drawn) % n_folds)
    return folds if groups is None else folds[groups.cpu()]


class RidgeFold:
    """Ridge regression on the rows outside of one fold, for every penalty.

    With X and Y the fitted rows less their means and Xᵀ X = V S² Vᵀ, the row x is predicted as x V (S² + α)⁻¹ (X V)ᵀ Y.
    """

    def __init__(self, features: Tensor, targets: Tensor, held: Tensor) -> None:
        """Fit on rows of features (n, p) and targets (n, r) that are not held out, (n,) bool."""
        self.held, self.fitted = held, ~held
        self.mean, self.target_mean = features[self.fitted].mean(0), targets[self.fitted].mean(0)
        rows = features[self.fitted] - self.mean
        squares, self.directions = torch.linalg.eigh(rows.mT @ rows)
        self.squares = squares.clamp(min=0)
        self.coefficients = (rows @ self.directions).mT @ (targets[self.fitted] - self.target_mean)

    def shrinkage(self, penalty: Tensor) -> Tensor:
        """1 / (S² + α) along each direction, (..., k), for penalties (...) as shares of the largest S²."""
        return 1 / (self.squares + penalty[..., None] * self.squares.max()).clamp(min=_LEAST)

    def coordinates(self, features: Tensor) -> Tensor:
        """Rows along the directions of the fitted rows."""
        return (features - self.mean) @ self.directions

    def errors(self, features: Tensor, targets: Tensor, penalties: Tensor) -> Tensor:
        """Sum of squared errors on the held-out rows for each penalty."""
        rows, wanted = self.coordinates(features[self.held]), targets[self.held] - self.target_mean
        # The error is quadratic in the shrinkage, so that no penalty needs predictions of its own.
        linear = ((rows.mT @ wanted) * self.coefficients).sum(1)
        quadratic = (rows.mT @ rows) * (self.coefficients @ self.coefficients.mT)
        shrinkage = self.shrinkage(penalties)
        return wanted.square().sum() - 2 * shrinkage @ linear + ((shrinkage @ quadratic) * shrinkage).sum(1)

    def residuals(self, features: Tensor, targets: Tensor, penalty: Tensor) -> Tensor:
        """Held-out targets less their predictions."""
        rows = self.coordinates(features[self.held])
        return targets[self.held] - self.target_mean - (rows * self.shrinkage(penalty)) @ self.coefficients

    def pull(self, features: Tensor, targets: Tensor, penalty: Tensor, weights: Tensor) -> Tensor:
        """By how much each fitted row raises Σ weights · predictions: (m, n_fitted) for weights (m, n_held, r)."""
        rows, shrinkage = self.coordinates(features[self.fitted]), self.shrinkage(penalty)
        residuals = targets[self.fitted] - self.target_mean - (rows * shrinkage) @ self.coefficients
        # A row is fitted better than it would be without it: divided so, this is its residual when it is left out.
        leverages = 1 / len(rows) + rows.square() @ shrinkage
        left_out = residuals / (1 - leverages).clamp(min=1e-12)[:, None]
        along = shrinkage[:, None] * (self.coordinates(features[self.held]).mT @ weights)
        constant = weights.sum(1, keepdim=True) / len(rows)
        return ((rows @ along + constant) * left_out).sum(2)


@dataclasses.dataclass(frozen=True)
class OutOfFold:
    """Targets (n, r) and their regression on features (n, p), both centred; rows of fold k are predicted by `fits[k]`."""

    features: Tensor
    targets: Tensor
    fits: list[RidgeFold]

    @functools.cached_property
    def penalties(self) -> Tensor:
        """Of `PENALTIES` the one for each fold that predicts the other folds best: its own rows have no say."""
        grid = torch.as_tensor(PENALTIES, device=self.features.device)
        errors = torch.stack([fit.errors(self.features, self.targets, grid) for fit in self.fits])
        return grid[(errors.sum(0) - errors).argmin(1)]

    @property
    def largest_share(self) -> float:
        """Of the features' variance along one direction, the largest over folds."""
        return max(float(fit.squares.max() / fit.squares.sum().clamp(min=_LEAST)) for fit in self.fits)

    @functools.cached_property
    def residuals(self) -> Tensor:
        """Targets less predictions, (n, r)."""
        found = torch.empty_like(self.targets)
        for fit, penalty in zip(self.fits, self.penalties, strict=True):
            found[fit.held] = fit.residuals(self.features, self.targets, penalty)
        return found

    @functools.cached_property
    def gains(self) -> Tensor:
        """By how much each row's squared targets exceed its squared residuals, (n, r)."""
        return self.targets.square() - self.residuals.square()

    def contributions(self, slopes: Tensor) -> Tensor:
        """What each row adds to Σ slopes · sums of `gains`, (m, n) for slopes (m, r): by itself, and by what is learnt from it."""
        found = slopes @ self.gains.mT
        for fit, penalty in zip(self.fits, self.penalties, strict=True):
            weights = self.residuals[fit.held] * slopes[:, None]
            found[:, fit.fitted] += 2 * fit.pull(self.features, self.targets, penalty, weights)
        return found


def out_of_fold(features: Tensor, targets: Tensor, folds: Tensor) -> OutOfFold:
    """Fit once without each fold; folds (n,) are numbered from 0."""
    fits = [RidgeFold(features, targets, folds == fold) for fold in range(int(folds.max()) + 1)]
    return OutOfFold(features, targets, fits)
