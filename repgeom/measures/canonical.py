"""How well does a linear map of one representation match one of the other? Canonical correlations, SVCCA and PWCCA."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from repgeom.data.kinds import Features
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings, warn_caller
from repgeom.measures.measure import REFERENCE, Measure, register
from repgeom.measures.pair_sums import as_pair, varying_pieces

__all__ = ["pwcca", "svcca"]

ROWS_PER_DIMENSION = 10  # below it canonical correlations fit noise, and read high for unrelated features too
_NO_INTERVAL = "correlations are fitted to the same rows, which biases them by more than rows spread"


@own_settings
def svcca(features: Features, reference: Features, *, variance: float = 0.99) -> float:
    """Mean canonical correlation of both representations' leading directions (Raghu et al. 2017).

    Of each, the leading principal directions that hold `variance` of the variance are kept, p and q of them; the mean over
    min(p, q) canonical correlations between these is read. Any linear map that is invertible on what is kept leaves it.

    With p + q above n / 10 it fits noise: unrelated features of 200 rows and 100 directions read 0.6. A warning says so.

    Args:
        features, reference: (n, d1) and (n, d2), the same n samples in the same order.
        variance: share of the variance that is kept, in (0, 1].

    Returns:
        In [0, 1]; 1 where one is a linear map of the other. No gradient: the number of directions jumps.

    Raises:
        ValueError: other numbers of rows, a share out of range, no variance; else as `effective_rank`.

    >>> x = [[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]] * 10
    >>> round(svcca(x, [[a + b, a - 3 * b] for a, b in x]), 12)
    1.0
    """
    share = real_number(variance)
    if share is None or not 0 < share <= 1:
        raise ValueError(f"`variance` must be a share above 0 and up to 1, got {variance!r}.")
    x, y = _pair(features, reference)
    kept = [_kept(rows, len(x), share) for rows in varying_pieces(x, y, keep_columns=True)]
    _warn_of_few_rows("SVCCA", len(x), *(len(one.sigma) for one in kept))
    return float(torch.linalg.svdvals(_between(x, y, kept)).clamp(max=1).mean())


@own_settings
def pwcca(features: Features, reference: Features) -> float:
    """Canonical correlations, weighted by how much of the features each accounts for (Morcos et al. 2018).

    Σ α_i ρ_i / Σ α_i, α_i = Σ_j |h_iᵀ x_j| over the features' centred columns x_j, with h_i their canonical variates of unit
    length. Not symmetric: the weights are of `features`. Directions of rounding are left out.

    Args:
        features, reference: (n, d1) and (n, d2), the same n samples in the same order; a warning where n < 10 (d1 + d2).

    Returns:
        In [0, 1]; 1 where the features are a linear map of the reference. No gradient.

    Raises:
        ValueError: other numbers of rows, no variance; else as `effective_rank`.

    >>> x = [[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]] * 10
    >>> round(pwcca(x, [[a + b, a - 3 * b] for a, b in x]), 12)
    1.0
    """
    x, y = _pair(features, reference)
    kept = [_kept(rows, len(x), None) for rows in varying_pieces(x, y, keep_columns=True)]
    _warn_of_few_rows("PWCCA", len(x), *(len(one.sigma) for one in kept))
    left, correlations, _ = torch.linalg.svd(_between(x, y, kept), full_matrices=False)
    # The rows are U Σ Vᵀ, so that their products with the variates, UᵀX, are Σ Vᵀ.
    weights = (left.mT @ (kept[0].sigma[:, None] * kept[0].vectors.mT)).abs().sum(1)
    return float((weights * correlations.clamp(max=1)).sum() / weights.sum())


def _pair(features: Features, reference: Features) -> tuple[Tensor, Tensor]:
    x, y = as_pair(features, reference, same_rows=True, double=False)
    for z, name in ((x, "features"), (y, "reference")):
        if z.ndim != 2:
            raise ValueError(f"`{name}` must be (n_samples, n_features), got shape {tuple(z.shape)}.")
    return x.detach(), y.detach()


@dataclasses.dataclass(frozen=True)
class _Kept:
    """Singular values (p,) of centred rows and directions (d, p), of those that are kept."""

    sigma: Tensor
    vectors: Tensor


def _kept(pieces: Iterator[Tensor], n: int, share: float | None) -> _Kept:
    """The leading directions that hold this share of the variance, or all but those of rounding, of n rows in pieces."""
    factor = None
    for rows in pieces:
        # The triangular factor of all rows so far has their singular values and directions.
        stacked = rows if factor is None else torch.cat([factor, rows])
        factor = torch.linalg.qr(stacked, mode="r").R
    assert factor is not None
    _, sigma, vectors = torch.linalg.svd(factor, full_matrices=False)
    rank = int((sigma > sigma[0] * max(n, factor.shape[1]) * torch.finfo(sigma.dtype).eps).sum())
    if share is not None and share < 1:
        held = sigma.square().cumsum(0) / sigma.square().sum()
        rank = min(rank, int((held < share).sum()) + 1)
    return _Kept(sigma[:rank], vectors[:rank].mT)


def _between(x: Tensor, y: Tensor, kept: list[_Kept]) -> Tensor:
    """Products UᵀV (p, q) of orthonormal bases of both, (n, p) and (n, q), along the directions that are kept."""
    first, second = (one.vectors / one.sigma for one in kept)
    products = first.new_zeros(())
    for a, b in zip(*varying_pieces(x, y, keep_columns=True), strict=True):
        products = products + (a @ first).mT @ (b @ second)
    return products


def _warn_of_few_rows(name: str, n: int, first: int, second: int) -> None:
    if n < ROWS_PER_DIMENSION * (first + second):
        warn_caller(
            f"{name} of {n:,} rows between {first:,} and {second:,} dimensions fits noise: it needs {ROWS_PER_DIMENSION} rows per "
            f"dimension, {ROWS_PER_DIMENSION * (first + second):,}, and reads high for unrelated features below. `linear_cka` is "
            "corrected for that."
        )


register(
    Measure(
        "svcca", "SVCCA", REFERENCE, svcca, (),
        formula="mean canonical correlation of the directions that hold 99 % of the variance",
        source="Raghu et al. 2017",
        question="Is one a linear map of the other, leaving out small directions?",
        cannot_tell="anything below 10 rows per dimension: it then reads high for unrelated features",
        rows_needed="10 per dimension kept, of both together",
        convention="99 % of σ² kept of each by itself, mean over the smaller number; codes differ in what they keep",
        baseline=None,
        better="higher",
        no_interval=_NO_INTERVAL,
    )
)  # fmt: skip
register(
    Measure(
        "pwcca", "PWCCA", REFERENCE, pwcca, (),
        formula="canonical correlations weighted by what they account for in the features",
        source="Morcos et al. 2018",
        question="How much of what the features hold is a linear map of the other?",
        cannot_tell="anything below 10 rows per dimension; it is not symmetric",
        rows_needed="10 per dimension, of both together",
        convention="weights of the first argument; some codes weigh by the narrower one",
        baseline=None,
        better="higher",
        invariances=("translation", "scale", "order"),
        no_interval=_NO_INTERVAL,
    )
)  # fmt: skip
