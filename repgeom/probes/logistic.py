"""Many logistic regressions on the same rows at once: one regularisation strength each, every product shared by all.

L-BFGS (Nocedal 1980; Liu & Nocedal 1989) on a stack of problems, preconditioned by the rows' covariance times the mean
curvature of each problem's loss, with a line search of each problem's own. A problem that has converged leaves the stack.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# Steps that L-BFGS remembers; Liu & Nocedal found little gain beyond 7.
_HISTORY = 10
# A step must lower the objective by this share of what its slope promises (Nocedal & Wright, section 3.1).
_ARMIJO = 1e-4
# A step of a millionth that lowers nothing says that rounding hides what is left to gain.
_MOST_HALVINGS = 20
# Logits that are worked on at once: 8 MB in float32.
_LOGITS = 1 << 21
_ROWS = 1 << 14  # that are added up at once
# Spreads of features for which weights, and squares in float64, stay within their types.
_SPREADS = {torch.float32: (1e-33, 1e35), torch.float64: (1e-140, 1e140)}
# Keeps a quotient finite where both of its parts may be 0.
_TINY = 1e-300


def spread_of(x: Tensor) -> float:
    """The root of the mean variance of features (n, d); 1 for rows that are equal.

    Raises ValueError where weights for such features do not fit the features' own type.
    """
    mean = column_means(x)
    # In pieces, so that no float64 copy of all rows is made.
    largest = max(float((rows - mean).abs().max()) for rows in x.split(_ROWS))
    if not largest:
        return 1.0
    total = sum(float(((rows - mean) / largest).square().sum()) for rows in x.split(_ROWS))
    spread = math.sqrt(total / x.numel()) * largest
    least, most = _SPREADS[x.dtype]
    if not least < spread < most:
        raise ValueError(
            f"`features` spread by {spread:.1e}, beyond {least:.0e} to {most:.0e}, between which {str(x.dtype).removeprefix('torch.')} holds "
            "the weights of a probe too: scale them, for instance by their largest value."
        )
    return spread


def column_means(x: Tensor) -> Tensor:
    """Means (d,) of rows (n, d), in float64."""
    total = x.new_zeros(x.shape[1]).double()
    for rows in x.split(_ROWS):
        total += rows.sum(0, dtype=torch.float64)
    return total / len(x)


class LogisticPath:
    """Minimises mean loss + λ/2 ‖W‖² with λ = 1 / (C n), scikit-learn's objective over C n, for every C.

    Parameters are (strengths, classes, features + 1) in float64, the last column belonging to a constant feature. Products
    with the rows are in the rows' precision, sums over chunks of rows in float64.
    """

    def __init__(
        self, x: Tensor, y: Tensor, n_classes: int, strengths: Sequence[float], tol: float, max_iter: int
    ) -> None:
        """Problems of rows x (n, d) and their class codes y (n,), one for each strength C; `solve` solves them."""
        n, d = x.shape
        # Centred rows have a better conditioned Hessian, and with a free bias the same optimum.
        mean = column_means(x).to(x.dtype)
        # Rounded as what is subtracted is, so that `bias` undoes just that.
        self.mean = mean.double()
        self.x, self.y, self.n_classes = x - mean, y, n_classes
        # In units of their spread, so that no product under- or overflows; a power of two, so that nothing is rounded. The
        # objective is the same: weights are larger by as much, and so is the strength's scale.
        self.unit = 2.0 ** round(math.log2(spread_of(self.x)))
        self.x /= self.unit
        self.strengths, self.tol, self.max_iter = strengths, tol, max_iter
        # scikit-learn has one vector for two classes, w = W_1 − W_0 = 2 W_1, and ‖w‖² is twice ‖W‖².
        penalty_factor = 1
        if n_classes == 2:
            penalty_factor = 2
        penalties = [penalty_factor / (C * self.unit * self.unit * n) for C in strengths]
        self.penalty = torch.tensor(penalties, dtype=torch.float64, device=x.device)
        self.parameters = torch.zeros(len(strengths), n_classes, d + 1, dtype=torch.float64, device=x.device)
        self.value = torch.zeros_like(self.penalty)
        self.n_iter = torch.zeros(len(strengths), dtype=torch.long, device=x.device)
        self.converged = torch.zeros(len(strengths), dtype=torch.bool, device=x.device)

    @property
    def weight(self) -> Tensor:
        """(strengths, classes, features)."""
        return (self.parameters[..., :-1] / self.unit).to(self.x.dtype)

    @property
    def bias(self) -> Tensor:
        """(strengths, classes), for rows that are not centred."""
        return (self.parameters[..., -1] - self.parameters[..., :-1] / self.unit @ self.mean).to(self.x.dtype)

    @property
    def objective(self) -> list[float]:
        """½ ‖W‖² + C Σ loss of each strength."""
        scale = torch.tensor(self.strengths, dtype=torch.float64, device=self.x.device) * len(self.x)
        objectives: list[float] = (self.value * scale).tolist()
        return objectives

    def solve(self, start: Tensor | None = None) -> LogisticPath:
        """Run to the optimum, from `start` where one is known; `converged` says which got there in `max_iter`."""
        if start is not None:
            self.parameters = start.clone()
        self._descend(self.x.dtype)
        if self.x.dtype != torch.float64 and not bool(self.converged.all()):
            # Near the optimum the rounding of float32 products hides what is left to gain; float64 costs twice the time,
            # so it is kept for the last steps.
            self._descend(torch.float64)
        return self

    def accuracy_and_loss(self, x: Tensor, y: Tensor) -> tuple[list[float], list[float]]:
        """Accuracy and mean negative log-likelihood of other rows, of each strength."""
        n_right, loss = torch.zeros(2, len(self.strengths), dtype=torch.float64, device=x.device)
        weight, bias = self.weight.flatten(0, 1), self.bias.flatten()
        for rows, codes in self._row_chunks(x, y, len(bias)):
            logits = torch.addmm(bias, rows, weight.mT).view(len(rows), -1, self.n_classes)
            log_probabilities = logits.log_softmax(2)
            n_right += (log_probabilities.argmax(2) == codes[:, None]).sum(0)
            index = codes[:, None, None].expand(-1, log_probabilities.shape[1], 1)
            loss -= log_probabilities.gather(2, index)[..., 0].sum(0)
        return (n_right / len(x)).tolist(), (loss / len(x)).tolist()

    @staticmethod
    def _row_chunks(x: Tensor, y: Tensor, logits_per_row: int) -> zip[tuple[Tensor, Tensor]]:
        """Rows and class codes, so many at a time that their logits are at most `_LOGITS`."""
        step = max(1, _LOGITS // logits_per_row)
        return zip(x.split(step), y.split(step), strict=True)

    def _descend(self, dtype: torch.dtype) -> None:
        """Run L-BFGS with Armijo's rule on all problems that have not converged.

        The loss is convex, so curvature is positive and no Wolfe condition is needed. A problem stops where it has
        converged, where no step lowers it (in products of `dtype`), or after `max_iter`; it then leaves the stack.
        """
        active = torch.nonzero(~self.converged)[:, 0]
        at, n_iter_before = self.parameters[active], self.n_iter[active]
        value, gradient, curvature = self._evaluated(at, active, dtype)
        memory = _Memory()
        for iteration in range(self.max_iter - int(n_iter_before.max()) + 1):
            precondition = functools.partial(self._preconditioned, active=active, curvature=curvature)
            direction = memory.direction(gradient, precondition)
            slope = (direction * gradient).sum((1, 2))
            # Half the Newton decrement estimates how far the objective is from its minimum. The inverse Hessian in it is
            # that of L-BFGS or the preconditioner alone; the larger of the two estimates decides.
            distance = 0.5 * torch.maximum(-slope, (gradient * precondition(gradient)).sum((1, 2)))
            has_converged = distance <= self.tol * value
            size, new_value, new_gradient, curvature = self._line_search(
                at, direction, value, slope, curvature, active, has_converged, dtype
            )
            self.parameters[active], self.value[active], self.converged[active] = at, value, has_converged
            self.n_iter[active] = n_iter_before + iteration
            step = size[:, None, None] * direction
            memory.add(step, new_gradient - gradient)
            at, value, gradient = at + step, new_value, new_gradient
            goes_on = size > 0
            if not bool(goes_on.any()):
                return
            if not bool(goes_on.all()):
                active, n_iter_before = active[goes_on], n_iter_before[goes_on]
                at, value, gradient, curvature = at[goes_on], value[goes_on], gradient[goes_on], curvature[goes_on]
                memory.select(goes_on)

    def _line_search(
        self,
        at: Tensor,
        direction: Tensor,
        value: Tensor,
        slope: Tensor,
        curvature: Tensor,
        active: Tensor,
        has_converged: Tensor,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The size of each problem's step along its direction, and what `_evaluated` gives after it.

        A size is 1, or halved until the value falls enough (Armijo), or 0 where the problem has converged or no step
        lowers it.
        """
        size = (~has_converged).to(value.dtype)
        new_value, new_gradient, curvature = value.clone(), torch.zeros_like(at), curvature.clone()
        searching = torch.nonzero(size)[:, 0]
        for _ in range(_MOST_HALVINGS):
            if not len(searching):
                return size, new_value, new_gradient, curvature
            trial = at[searching] + size[searching, None, None] * direction[searching]
            new_value[searching], new_gradient[searching], curvature[searching] = self._evaluated(
                trial, active[searching], dtype
            )
            falls_enough = new_value[searching] <= (value + _ARMIJO * size * slope)[searching]
            searching = searching[~falls_enough]
            size[searching] /= 2
        size[searching] = 0
        return size, new_value, new_gradient, curvature

    def _evaluated(self, at: Tensor, active: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Objective (l,), gradient (l, classes, features + 1) and mean curvature (l,) of the `active` problems.

        The curvature is the mean of p (1 − p) over rows and classes. Products with the rows are of `dtype`; all sums over
        chunks of rows are float64, because the objective is compared between steps to a share of `tol`.
        """
        n, k = len(self.x), self.n_classes
        weight = at[..., :-1].flatten(0, 1).to(dtype)
        bias = at[..., -1].flatten().to(dtype)
        penalty = self.penalty[active]
        loss, squares, gradient = torch.zeros_like(penalty), torch.zeros_like(penalty), torch.zeros_like(at)
        for rows, codes in self._row_chunks(self.x, self.y, len(bias)):
            rows = rows.to(dtype)
            logits = torch.addmm(bias, rows, weight.mT).view(len(rows), -1, k)
            index = codes[:, None, None].expand(-1, logits.shape[1], 1)
            # In place from here on: logits, then log probabilities, probabilities, and probabilities less the answer.
            log_probabilities = logits.sub_(logits.logsumexp(2, keepdim=True))
            loss -= log_probabilities.gather(2, index)[..., 0].sum(0, dtype=torch.float64)
            probabilities = log_probabilities.exp_()
            squares += torch.linalg.vecdot(probabilities, probabilities).sum(0, dtype=torch.float64)
            excess = probabilities.scatter_add_(2, index, torch.full_like(logits[..., :1], -1).expand(index.shape))
            gradient[..., :-1] += (excess.flatten(1).mT @ rows).view(gradient[..., :-1].shape)
            gradient[..., -1] += excess.sum(0, dtype=torch.float64)
        gradient /= n
        gradient[..., :-1] += penalty[:, None, None] * at[..., :-1]
        penalties = penalty / 2 * at[..., :-1].square().sum((1, 2))
        # Σ p (1 − p) = 1 − Σ p²; 0 where all rows are certain, and the preconditioner divides by it.
        curvature = (1 - squares / n).clamp(min=1e-12) / k
        return loss / n + penalties, gradient, curvature

    @functools.cached_property
    def _basis(self) -> tuple[Tensor, Tensor]:
        """Eigenvectors (d, d) and eigenvalues (d,) of the rows' covariance.

        Decomposed once; each strength and step then has its own preconditioner for two products with the eigenvectors.
        """
        covariance = (self.x.mT @ self.x).double() / len(self.x)
        if not bool(torch.isfinite(covariance).all()):
            raise ValueError("`features` are too large to be multiplied with each other; divide them by their largest.")
        values, vectors = torch.linalg.eigh(covariance)
        return vectors, values.clamp(min=0)

    def _preconditioned(self, gradient: Tensor, active: Tensor, curvature: Tensor) -> Tensor:
        """The inverse of the Hessian, as it were if all rows and classes had the mean curvature, times the gradient."""
        vectors, values = self._basis
        hessian_eigenvalues = curvature[:, None] * values + self.penalty[active, None]
        rotated = (gradient[..., :-1] @ vectors) / hessian_eigenvalues[:, None].clamp(min=_TINY)
        return torch.cat([rotated @ vectors.mT, gradient[..., -1:] / curvature[:, None, None]], 2)


class _Memory:
    """The last steps of L-BFGS and the changes of the gradient along them, for each problem of a stack.

    The names s, y, ρ, α, q and r are those of Nocedal & Wright, algorithm 7.4: s a step, y the change of the gradient, ρ = 1 / sᵀy.
    """

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, step: Tensor, gradient_change: Tensor) -> None:
        """Remember a step and the change of the gradient along it, and forget the oldest beyond `_HISTORY`."""
        product = (step * gradient_change).sum((1, 2))
        # A pair without curvature, where a problem did not move, is left out by its ρ of 0.
        rho = torch.where(product > 0, 1 / product.clamp(min=_TINY), 0)
        self.pairs.append((step, gradient_change, rho))
        del self.pairs[:-_HISTORY]

    def select(self, problems: Tensor) -> None:
        """Forget the problems that are not selected by this mask."""
        self.pairs = [(s[problems], y[problems], rho[problems]) for s, y, rho in self.pairs]

    def direction(self, gradient: Tensor, precondition: Callable[[Tensor], Tensor]) -> Tensor:
        """Minus the approximate inverse Hessian times the gradient, by the two loops."""
        q = gradient.clone()
        alphas = []
        for s, y, rho in reversed(self.pairs):
            alpha = rho * (s * q).sum((1, 2))
            alphas.append(alpha)
            q -= alpha[:, None, None] * y
        r = precondition(q)
        if self.pairs:
            # Scale the preconditioner so that it maps the latest y to the length of its s.
            _, y, rho = self.pairs[-1]
            scale = (y * precondition(y)).sum((1, 2)) * rho
            r = r / torch.where(scale > 0, scale, 1)[:, None, None]
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            beta = rho * (y * r).sum((1, 2))
            r += (alpha - beta)[:, None, None] * s
        return -r
