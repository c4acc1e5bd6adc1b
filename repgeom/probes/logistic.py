"""Many logistic regressions on the same rows at once: one regularisation strength each, every product shared by all.

L-BFGS (Nocedal 1980; Liu & Nocedal 1989) on a stack of problems, preconditioned by the rows' covariance times the mean
curvature of each problem's loss, with a line search of each problem's own. A problem that has converged leaves the stack.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_HISTORY = 10  # pairs of steps that are remembered
_ARMIJO = 1e-4
_LOGITS = 1 << 21  # logits that are worked on at once


class LogisticPath:
    """Minimises mean loss + λ/2 ‖W‖² with λ = 1 / (C n), scikit-learn's objective over C n, for every C.

    Parameters are (strengths, classes, features + 1) in float64, the last column belonging to a constant feature. Products
    with the rows are in the rows' precision, sums over chunks of rows in float64.
    """

    def __init__(
        self, x: Tensor, y: Tensor, n_classes: int, strengths: Sequence[float], tol: float, max_iter: int
    ) -> None:
        n, d = x.shape
        mean = sum((part.sum(0, dtype=torch.float64) for part in x.split(1 << 14)), x.new_zeros(d).double()) / n
        self.mean = mean.to(x.dtype).double()  # as rounded as what is subtracted
        self.x, self.y, self.n_classes = x - mean.to(x.dtype), y, n_classes
        self.strengths, self.tol, self.max_iter = strengths, tol, max_iter
        # scikit-learn has one vector for two classes, w = W_1 − W_0 = 2 W_1, and ‖w‖² is twice ‖W‖².
        twice = 2 if n_classes == 2 else 1
        self.penalty = torch.tensor([twice / (c * n) for c in strengths], dtype=torch.float64, device=x.device)
        self.found = torch.zeros(len(strengths), n_classes, d + 1, dtype=torch.float64, device=x.device)
        self.value = torch.zeros_like(self.penalty)
        self.n_iter = torch.zeros(len(strengths), dtype=torch.long, device=x.device)
        self.converged = torch.zeros(len(strengths), dtype=torch.bool, device=x.device)

    @property
    def weight(self) -> Tensor:
        """(strengths, classes, features)."""
        return self.found[..., :-1].to(self.x.dtype)

    @property
    def bias(self) -> Tensor:
        """(strengths, classes), for rows that are not centred."""
        return (self.found[..., -1] - self.found[..., :-1] @ self.mean).to(self.x.dtype)

    @property
    def objective(self) -> list[float]:
        """½ ‖W‖² + C Σ loss of each strength."""
        scale = torch.tensor(self.strengths, dtype=torch.float64, device=self.x.device) * len(self.x)
        found: list[float] = (self.value * scale).tolist()
        return found

    def solve(self, start: Tensor | None = None) -> LogisticPath:
        """Runs to the optimum, from `start` where one is known; `converged` says which got there in `max_iter`."""
        if start is not None:
            self.found = start.clone()
        self._descend(self.x.dtype)
        if self.x.dtype != torch.float64 and not bool(self.converged.all()):
            self._descend(torch.float64)  # where rounding of float32 products hides what is left to gain
        return self

    def scores(self, x: Tensor, y: Tensor) -> tuple[list[float], list[float]]:
        """Accuracy and mean negative log-likelihood of other rows, of each strength."""
        right, loss = torch.zeros(2, len(self.strengths), dtype=torch.float64, device=x.device)
        weight, bias = self.weight.flatten(0, 1), self.bias.flatten()
        for rows, answers in self._pieces(x, y, len(bias)):
            logits = torch.addmm(bias, rows, weight.mT).view(len(rows), -1, self.n_classes).log_softmax(2)
            right += (logits.argmax(2) == answers[:, None]).sum(0)
            loss -= logits.gather(2, answers[:, None, None].expand(-1, logits.shape[1], 1))[..., 0].sum(0)
        return (right / len(x)).tolist(), (loss / len(x)).tolist()

    @staticmethod
    def _pieces(x: Tensor, y: Tensor, width: int) -> zip[tuple[Tensor, Tensor]]:
        step = max(1, _LOGITS // width)
        return zip(x.split(step), y.split(step), strict=True)

    def _descend(self, dtype: torch.dtype) -> None:
        """L-BFGS with Armijo's rule on all problems that have not converged; the loss is convex, so curvature is positive.

        Stops each where it has converged, where no step lowers it (in products of `dtype`), or after `max_iter`.
        """
        active = torch.nonzero(~self.converged)[:, 0]
        at, before = self.found[active], self.n_iter[active]
        value, gradient, curvature = self._evaluated(at, active, dtype)
        memory = _Memory()
        for iteration in range(self.max_iter - int(before.max()) + 1):
            scaled = functools.partial(self._preconditioned, active=active, curvature=curvature)
            step = memory.direction(gradient, scaled)
            slope = (step * gradient).sum((1, 2))
            # Half the Newton decrement estimates how far the objective is from its minimum; of two estimates the larger.
            left = 0.5 * torch.maximum(-slope, (gradient * scaled(gradient)).sum((1, 2)))
            ready = left <= self.tol * value
            size, new_value, new_gradient, curvature = self._line_search(
                at, step, value, slope, curvature, active, ready, dtype
            )
            self.found[active], self.value[active], self.converged[active] = at, value, ready
            self.n_iter[active] = before + iteration
            moved = size[:, None, None] * step
            memory.add(moved, new_gradient - gradient)
            at, value, gradient = at + moved, new_value, new_gradient
            going = size > 0
            if not bool(going.any()):
                return
            if not bool(going.all()):
                active, before, at, curvature = active[going], before[going], at[going], curvature[going]
                value, gradient = value[going], gradient[going]
                memory.keep(going)

    def _line_search(
        self,
        at: Tensor,
        step: Tensor,
        value: Tensor,
        slope: Tensor,
        curvature: Tensor,
        active: Tensor,
        ready: Tensor,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sizes of the steps and what `_evaluated` gives after them.

        A size is 1, or halved until the value falls enough, or 0 where it is ready or no step lowers it.
        """
        size = (~ready).to(value.dtype)
        new_value, new_gradient, curvature = value.clone(), torch.zeros_like(at), curvature.clone()
        short = torch.nonzero(size)[:, 0]
        for _ in range(20):
            if not len(short):
                return size, new_value, new_gradient, curvature
            tried = at[short] + size[short, None, None] * step[short]
            new_value[short], new_gradient[short], curvature[short] = self._evaluated(tried, active[short], dtype)
            enough = new_value[short] <= (value + _ARMIJO * size * slope)[short]
            short = short[~enough]
            size[short] /= 2
        size[short] = 0
        return size, new_value, new_gradient, curvature

    def _evaluated(self, at: Tensor, active: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Objective (l,), gradient (l, classes, features + 1) and mean curvature (l,) of some of the problems.

        The curvature is the mean of p (1 − p) over rows and classes. Products with the rows are of `dtype`.
        """
        n, k = len(self.x), self.n_classes
        weight = at[..., :-1].flatten(0, 1).to(dtype)
        bias = at[..., -1].flatten().to(dtype)
        penalty = self.penalty[active]
        loss, squares, gradient = torch.zeros_like(penalty), torch.zeros_like(penalty), torch.zeros_like(at)
        for part, answers in self._pieces(self.x, self.y, len(bias)):
            rows = part.to(dtype)
            logits = torch.addmm(bias, rows, weight.mT).view(len(rows), -1, k)
            index = answers[:, None, None].expand(-1, logits.shape[1], 1)
            logits -= logits.logsumexp(2, keepdim=True)
            loss -= logits.gather(2, index)[..., 0].sum(0, dtype=torch.float64)
            probabilities = logits.exp_()
            squares += torch.linalg.vecdot(probabilities, probabilities).sum(0, dtype=torch.float64)
            excess = probabilities.scatter_add_(2, index, torch.full_like(logits[..., :1], -1).expand(index.shape))
            gradient[..., :-1] += (excess.flatten(1).mT @ rows).view(gradient[..., :-1].shape)
            gradient[..., -1] += excess.sum(0, dtype=torch.float64)
        gradient /= n
        gradient[..., :-1] += penalty[:, None, None] * at[..., :-1]
        penalties = penalty / 2 * at[..., :-1].square().sum((1, 2))
        return loss / n + penalties, gradient, (1 - squares / n).clamp(min=1e-12) / k

    @functools.cached_property
    def _basis(self) -> tuple[Tensor, Tensor]:
        """Eigenvectors (d, d) and eigenvalues (d,) of the rows' covariance."""
        covariance = (self.x.mT @ self.x).double() / len(self.x)
        if not bool(torch.isfinite(covariance).all()):
            raise ValueError("`features` are too large to be multiplied with each other; divide them by their largest.")
        values, vectors = torch.linalg.eigh(covariance)
        return vectors, values.clamp(min=0)

    def _preconditioned(self, gradient: Tensor, active: Tensor, curvature: Tensor) -> Tensor:
        """The inverse of the Hessian, as it were if all rows and classes had the mean curvature, times the gradient."""
        vectors, values = self._basis
        along = curvature[:, None] * values + self.penalty[active, None]
        rotated = (gradient[..., :-1] @ vectors) / along[:, None].clamp(min=1e-300)
        return torch.cat([rotated @ vectors.mT, gradient[..., -1:] / curvature[:, None, None]], 2)


class _Memory:
    """The last steps of L-BFGS and the changes of the gradient along them, for each problem."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, step: Tensor, change: Tensor) -> None:
        product = (step * change).sum((1, 2))
        # A pair without curvature, where a problem did not move, is left out by its weight of 0.
        self.pairs.append((step, change, torch.where(product > 0, 1 / product.clamp(min=1e-300), 0)))
        del self.pairs[:-_HISTORY]

    def keep(self, going: Tensor) -> None:
        self.pairs = [(step[going], change[going], weight[going]) for step, change, weight in self.pairs]

    def direction(self, gradient: Tensor, preconditioned: Callable[[Tensor], Tensor]) -> Tensor:
        """Minus the approximate inverse Hessian times the gradient, by the two loops."""
        q, coefficients = gradient.clone(), []
        for step, change, weight in reversed(self.pairs):
            a = weight * (step * q).sum((1, 2))
            coefficients.append(a)
            q -= a[:, None, None] * change
        r = preconditioned(q)
        if self.pairs:
            step, change, weight = self.pairs[-1]
            bent = (change * preconditioned(change)).sum((1, 2)) * weight
            r = r / torch.where(bent > 0, bent, 1)[:, None, None]
        for (step, change, weight), a in zip(self.pairs, reversed(coefficients), strict=True):
            r += (a - weight * (change * r).sum((1, 2)))[:, None, None] * step
        return -r
