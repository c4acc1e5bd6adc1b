"""How well does a linear classifier read labels off features? Multinomial logistic regression, regularisation chosen."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import check_normalize, finite_matrix, unit_rows
from repgeom.data.kinds import Features, Labels
from repgeom.data.labels import as_labels, codes_among
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.numbers import one_or_several, real_number, whole_from
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings, warn_caller
from repgeom.probes.logistic import LogisticPath, spread_of

# Twenty strengths from 1e-5 to 1e4, evenly spaced in log10 up to the sixth decimal of the exponent.
DEFAULT_C = tuple(10.0**power for power in np.linspace(-5, 4, 20).round(6).tolist())
MOST_CLASSES_OF_FEW_ROWS = 10_000  # of fewer than 3 rows on average


@own_settings
@dataclasses.dataclass(frozen=True)
class PathPoint:
    """One regularisation strength on the path.

    Attributes:
        C: inverse strength, as scikit-learn's.
        accuracy, loss: on the held-out rows, loss as mean negative log-likelihood; NaN without a split.
        objective: ½ ‖W‖² + C Σ loss on the rows it was fitted on.
        n_iter: iterations; `converged` is False where they ran out.
    """

    C: float
    accuracy: float
    loss: float
    objective: float
    n_iter: int
    converged: bool


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class LinearProbe(ShownInNotebook):
    """A fitted multinomial logistic regression: logits = features @ weight.T + bias.

    Attributes:
        weight: (n_classes, n_features), float32 or float64 as the features were, on their device.
        bias: (n_classes,).
        classes: (n_classes,), the labels in sorted order.
        C: the strength it was fitted with.
        normalize: "l2" if it scales rows to unit length first.
        path: what each strength gave, in ascending order of C.
    """

    weight: Tensor
    bias: Tensor
    classes: np.ndarray
    C: float
    normalize: str | None
    path: tuple[PathPoint, ...]

    def __repr__(self) -> str:
        classes, features = self.weight.shape
        return f"<LinearProbe of {classes} classes on {features} features, C = {self.C:.3g} of {len(self.path)} tried>"

    def logits(self, features: Features) -> Tensor:
        """(n, n_classes), on the probe's device."""
        x = _checked_rows(features, self.normalize, self.weight.dtype).to(self.weight.device)
        if x.shape[1] != self.weight.shape[1]:
            raise ValueError(f"`features` has {x.shape[1]} columns, the probe was fitted on {self.weight.shape[1]}.")
        return x @ self.weight.mT + self.bias

    def predict(self, features: Features) -> np.ndarray:
        """The most likely label of each row, (n,)."""
        return self.classes[self.logits(features).argmax(1).cpu().numpy()]

    def correct(self, features: Features, labels: Labels) -> Tensor:
        """Which rows it gets right, (n,) bool, on its device. A label that it never saw is wrong."""
        require_same_order(features, labels=labels)
        logits = self.logits(features)
        return logits.argmax(1) == codes_among(labels, len(logits), self.classes).to(logits.device)

    def accuracy(self, features: Features, labels: Labels) -> float:
        """Share of rows that it gets right."""
        return float(self.correct(features, labels).double().mean())

    @functools.cached_property
    def row_space(self) -> Tensor:
        """Orthonormal directions (n_features, r ≤ n_classes − 1), float64, outside which no difference of logits changes."""
        weight = self.weight.double()
        _, sizes, directions = torch.linalg.svd(weight - weight.mean(0), full_matrices=False)
        # The usual threshold of a numerical rank: smaller singular values are rounding of the largest.
        is_nonzero = sizes > sizes[0] * max(weight.shape) * torch.finfo(weight.dtype).eps
        return directions[is_nonzero].mT


@own_settings
def fit_linear_probe(
    features: Features,
    labels: Labels,
    *,
    C: float | Sequence[float] | None = None,
    normalize: str | None = None,
    validation: float = 0.1,
    seed: int = 0,
    tol: float = 1e-8,
    max_iter: int = 2000,
) -> LinearProbe:
    """Multinomial logistic regression, its regularisation chosen on held-out rows.

    Minimises ½ ‖W‖² + C Σ_i −log softmax(W x_i + b)[y_i], the bias unpenalised: scikit-learn's objective and optimum (with
    two classes too, where its one weight vector is the difference of two). Solved by L-BFGS (Liu & Nocedal 1989) for all
    strengths at once, so that each pass over the features is one matrix product for all of them, and preconditioned by
    the features' covariance. The last fit, on all rows, starts from the split's solution.

    Args:
        features: (n_samples, n_features), any array kind; the work is done on a tensor's device, in float64 for float64
            and float32 else. One centred copy is made, and another of the split's.
        labels: (n_samples,), whole numbers or text, at least two kinds.
        C: one or several inverse regularisation strengths > 0, in units of 1 / features², as scikit-learn's. By default 20 from
            1e-5 to 1e4, each divided by the mean variance of the features, so that their units make no difference. Of several,
            the one with the best accuracy on a held-out part (then the least loss there) is fitted again on all rows.
        normalize: "l2" scales rows to unit length first.
        validation: share of each class that is held out; not used with a single C.
        seed: of the split.
        tol: stops when the estimated distance to the optimum is below this share of the objective.
        max_iter: iterations, at most.

    Raises:
        ValueError: NaN, one class only, labels of another length, C or `validation` out of range; more than 10,000 classes
            of fewer than 3 rows on average, which look like ids of samples and would take hours; features so large or small that
            weights for them do not fit their type.

    Warns:
        UserWarning: the chosen strength had not converged after `max_iter` (`path` says it of the others); it is at an end of the
            strengths and clearly better than the one before it, so that a better one may lie beyond.

    >>> x = [[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]]
    >>> probe = fit_linear_probe(x, ["low"] * 3 + ["high"] * 3, C=1.0)
    >>> probe.predict([[3.0], [9.0]]).tolist()
    ['low', 'high']
    """
    check_normalize(normalize)
    require_same_order(features, labels=labels)
    x = _checked_rows(features, normalize, dtype=None)
    strengths = _checked_strengths(C) if C is not None else _in_units_of(x)
    codes, classes = as_labels(labels, len(x))
    if len(classes) < 2:
        raise ValueError(f"`labels` has one class only ({classes.tolist()[0]!r}); a probe needs at least two.")
    _refuse_sample_ids(len(classes), len(x))
    y = torch.as_tensor(codes, device=x.device)
    if len(strengths) == 1:
        fit = LogisticPath(x, y, len(classes), strengths, tol, max_iter).solve()
        return _fitted_probe(fit, classes, normalize, _path_points(fit, [math.nan], [math.nan]))
    held_out = _held_out(codes, validation, seed).to(x.device)
    split = LogisticPath(x[~held_out], y[~held_out], len(classes), strengths, tol, max_iter).solve()
    accuracies, losses = split.accuracy_and_loss(x[held_out], y[held_out])
    best = max(range(len(strengths)), key=lambda i: (accuracies[i], -losses[i]))
    _warn_at_an_end(best, strengths, accuracies, int(held_out.sum()))
    # The optimum on all rows is near that on most of them, so the second fit starts there.
    final = LogisticPath(x, y, len(classes), strengths[best : best + 1], tol, max_iter)
    final.solve(start=split.parameters[best : best + 1])
    return _fitted_probe(final, classes, normalize, _path_points(split, accuracies, losses))


def _in_units_of(x: Tensor) -> tuple[float, ...]:
    """The default strengths for these features: divided by their mean variance."""
    spread = spread_of(x)
    return tuple(c / spread / spread for c in DEFAULT_C)


def _warn_at_an_end(best: int, strengths: Sequence[float], accuracies: Sequence[float], n_held_out: int) -> None:
    """Warn at the user's line where the best of the strengths is the first or last one, and still better than the one before it.

    Better by more than a standard error of an accuracy on so many rows: less than that is no slope.
    """
    neighbours = {0: 1, len(strengths) - 1: len(strengths) - 2}
    if best not in neighbours:
        return
    accuracy = accuracies[best]
    standard_error = math.sqrt(accuracy * (1 - accuracy) / n_held_out)
    if accuracy - accuracies[neighbours[best]] > standard_error:
        end = "smallest" if best == 0 else "largest"
        warn_caller(
            f"the linear probe chose the {end} of its strengths, C = {strengths[best]:.3g}: a better one may lie beyond. Give others by "
            "`C=`."
        )


def _refuse_sample_ids(n_classes: int, n_samples: int) -> None:
    """Raise ValueError for so many classes of so few rows that a fit takes hours and says nothing."""
    if n_classes > MOST_CLASSES_OF_FEW_ROWS and n_samples < 3 * n_classes:
        raise ValueError(
            f"`labels` has {n_classes:,} classes for {n_samples:,} rows, fewer than 3 rows each. These look like ids of "
            "samples; give the class of each row."
        )


def _fitted_probe(
    fit: LogisticPath, classes: np.ndarray, normalize: str | None, path: tuple[PathPoint, ...]
) -> LinearProbe:
    """The probe of the first strength of a fit. Warns, at the user's line, if that did not converge."""
    if not bool(fit.converged[0]):
        warn_caller(
            f"the linear probe had not converged after {fit.max_iter} iterations for C = {fit.strengths[0]:g}; raise "
            "`max_iter`, or scale the features."
        )
    return LinearProbe(fit.weight[0], fit.bias[0], classes, fit.strengths[0], normalize, path)


def _path_points(fit: LogisticPath, accuracies: Sequence[float], losses: Sequence[float]) -> tuple[PathPoint, ...]:
    """What each strength of a fit gave, with its accuracy and loss on the held-out rows."""
    columns = (fit.strengths, accuracies, losses, fit.objective, fit.n_iter.tolist(), fit.converged.tolist())
    return tuple(PathPoint(*column) for column in zip(*columns, strict=True))


def _checked_rows(features: Any, normalize: str | None, dtype: torch.dtype | None) -> Tensor:
    """Finite rows (n, n_features) in `dtype`, or in their own; scaled to unit length first where `normalize` says so."""
    if not normalize:
        return finite_matrix(features, "features", dtype)
    # Scaled in their own precision: float64 rows may lie beyond the range of float32.
    x = finite_matrix(features, "features")
    return unit_rows(x).to(dtype or x.dtype)


def _checked_strengths(C: float | Sequence[float]) -> tuple[float, ...]:
    """The inverse regularisation strengths, each once, in ascending order. Raises ValueError unless all are above 0."""
    found = [real_number(value) for value in one_or_several(C)]
    strengths = {c for c in found if c is not None and 0 < c < math.inf}
    if not found or not all(c in strengths for c in found):
        raise ValueError(f"`C` must be one or more numbers above 0, got {C!r}.")
    return tuple(sorted(strengths))


def _held_out(codes: np.ndarray, share: float, seed: int) -> Tensor:
    """Which rows are held out to choose C on, (n,) bool: a share of each class, never a whole class."""
    number = real_number(share)
    if number is None or not 0 < number < 1:
        raise ValueError(f"`validation` must lie between 0 and 1, got {share!r}.")
    share = number
    rng = np.random.default_rng(whole_from(0, seed, "seed"))
    mask = np.zeros(len(codes), dtype=bool)
    for code in range(codes.max() + 1):
        rows = rng.permutation(np.flatnonzero(codes == code))
        n_held_out = min(len(rows) - 1, round(share * len(rows)))
        mask[rows[:n_held_out]] = True
    if not mask.any():
        raise ValueError(
            f"`validation={share:g}` leaves no row to choose C on with these {len(codes)} rows: raise it, or give one C."
        )
    return torch.as_tensor(mask)
