"""For tests, the library's own and its users': features with a planted answer, and an assertion that features are healthy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.data.arrays import as_tensor
from repgeom.data.kinds import DType, Features, Values
from repgeom.data.settings import own_settings

if TYPE_CHECKING:
    from repgeom.auditing.report import Report

__all__ = ["assert_healthy", "features_with_spectrum"]


@own_settings
def features_with_spectrum(
    singular_values: Values,
    n_samples: int,
    *,
    n_features: int | None = None,
    mean: Values = 0.0,
    seed: int = 0,
    dtype: DType = np.float64,
) -> np.ndarray:
    """Random features whose centred singular values are exactly those asked for.

    X = U diag(σ) Vᵀ + mean with random orthonormal U (n × r) orthogonal to the constant vector, and V (d × r).

    Args:
        singular_values: (r,), not negative, r ≤ min(n_samples − 1, n_features).
        n_samples: rows.
        n_features: columns; r by default.
        mean: number or (n_features,), added to every row.
        seed: of the random directions.
        dtype: of the result; rounding to a narrower type moves the singular values by its ε.

    Returns:
        (n_samples, n_features). Exact to about 1e-14 of the largest singular value in float64.

    Raises:
        ValueError: more singular values than n_samples − 1 or n_features, or a negative one.

    >>> from repgeom import spectrum
    >>> x = features_with_spectrum([3.0, 2.0, 1.0], n_samples=10, n_features=5, mean=100.0)
    >>> spectrum(x).singular_values.round(9)
    array([3., 2., 1., 0., 0.])
    """
    sigma = as_tensor(singular_values, "singular_values").double().numpy()
    width = n_features or sigma.size
    if sigma.ndim != 1 or not (sigma >= 0).all():
        raise ValueError(
            f"`singular_values` must be one list of numbers ≥ 0, got shape {sigma.shape}, min {sigma.min()}."
        )
    if sigma.size > min(n_samples - 1, width):
        raise ValueError(
            f"{sigma.size} singular values do not fit {n_samples} x {width} centred features, which have at most "
            f"{min(n_samples - 1, width)}."
        )
    rng = np.random.default_rng(seed)
    # Centred first, then orthonormal: the columns stay orthogonal to the constant vector, so the mean that is added below
    # does not touch the centred singular values.
    left = rng.standard_normal((n_samples, sigma.size))
    left = np.linalg.qr(left - left.mean(0))[0]
    right = np.linalg.qr(rng.standard_normal((width, sigma.size)))[0]
    return np.asarray((left * sigma) @ right.T + mean, dtype=dtype)


@own_settings
def assert_healthy(
    x: Features,
    *,
    purpose: str | None = None,
    fail_on: str | None = "fail",
    min_effective_rank: float | None = None,
    baseline: Report | str | os.PathLike[str] | None = None,
    max_drop: str | Sequence[str] = (),
    strict: bool = False,
    paired: bool | None = None,
    **audit_options: Any,
) -> Report:
    """Audits features and raises an AssertionError with the verdict where they are not healthy: for your own pytest.

    Args:
        x: what `audit` takes as features, or a `Report`.
        purpose: what the features are for, as `audit`; "transfer" by default. A report keeps its own.
        fail_on: "fail" or "warn", the verdict that is bad enough; None for no verdict.
        min_effective_rank: the fewest dimensions in use. They are too few where the whole interval of the population's
            effective rank lies below, or the value where no interval is known.
        baseline: an earlier `Report`, or the path or text of one that `Report.to_json` wrote.
        max_drop: what may be lost since then, such as "effective_rank=5%" or ["effective_rank=3", "knn_accuracy=2%"]: too
            much is lost where the whole interval of the difference lies beyond.
        strict: also raise where it is not decided whether more is lost.
        paired: row i of both reports is one sample, as `compare_reports`.
        audit_options: what else `audit` takes: `labels`, `reference`, `groups`, `normalize`, `thresholds`, ...

    Returns:
        The `Report`.

    Raises:
        AssertionError: not healthy; its text is the verdict and what was lost.
        ValueError: `max_drop` without `baseline`, or options of `audit` beside a report; else as `audit` and
            `compare_reports`.

    >>> report = assert_healthy(features_with_spectrum([1.0] * 16, n_samples=400), min_effective_rank=12)
    >>> report.level
    'ok'
    """
    from repgeom.auditing.health import faults

    report, found = faults(x, purpose, fail_on, min_effective_rank, baseline, max_drop, strict, paired, audit_options)
    if found:
        raise AssertionError("\n".join(found))
    return report
