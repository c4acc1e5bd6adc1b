"""Populations whose spectrum is known, drawn again and again.

Every simulation has its own seed, so its numbers do not depend on how many processes run beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import trapezoid

import repgeom as rg
from repgeom.inference.estimate import Estimate, estimate_of
from repgeom.inference.sample import Sample, opened, sample_of

Array = NDArray[np.float64]
SPECTRA = ("flat", "i^-0.5", "i^-1", "i^-1.5", "50 spikes", "exponential")  # of variances
TAILS = ("Gaussian", "sphere", "t5", "10 clusters", "massive activations", "a heavy quarter")
# Some features that are larger in some rows: share of the rows, factor, which features (the leading ones come first).
HEAVY = {"massive activations": (0.02, 20.0, slice(3)), "a heavy quarter": (0.2, 4.0, slice(None, None, 4))}
PROCESSES = 2

MEASURES: dict[str, Callable[[rg.Spectrum], float]] = {
    "effective_rank": rg.effective_rank,
    "effective_rank_sigma": lambda spectrum: rg.effective_rank(spectrum, of="singular_values"),
    "participation_ratio": rg.participation_ratio,
    "stable_rank": rg.stable_rank,
    "n_components_90": lambda spectrum: rg.n_components(spectrum, variance=0.9),
}


def variances(spectrum: str, d: int) -> Array:
    """Variances along the d directions of the rows within a cluster, descending."""
    i = np.arange(1, d + 1.0)
    if spectrum == "flat":
        return np.ones(d)
    if spectrum == "50 spikes":
        return np.where(i <= 50, 10.0, 1.0)
    if spectrum == "exponential":
        return np.exp(-8 * i / d)
    return np.asarray(i ** -float(spectrum.removeprefix("i^-")))


def centres(spectrum: Array) -> Array:
    """Ten cluster means whose spread about equals that within."""
    d = len(spectrum)
    return np.random.default_rng(5).standard_normal((10, d)) * (spectrum.sum() / d) ** 0.5


def draw(spectrum: Array, tail: str, n: int, random: np.random.Generator) -> Array:
    """Draw n rows."""
    rows = random.standard_normal((n, len(spectrum))) * np.sqrt(spectrum)
    if tail == "t5":
        # One divisor for all of a row: the heavy tail belongs to whole rows.
        rows /= np.sqrt(random.chisquare(5, n) / 5)[:, None]
    if tail == "sphere":
        rows /= np.linalg.norm(rows, axis=1)[:, None]
    if tail == "10 clusters":
        rows += centres(spectrum)[random.integers(10, size=n)]
    if tail in HEAVY:
        share, factor, features = HEAVY[tail]
        rows[np.ix_(random.random(n) < share, np.arange(len(spectrum))[features])] *= factor
    return rows


def population_variances(spectrum: Array, tail: str) -> Array:
    """The variances that infinitely many rows would show, descending, up to a common factor."""
    if tail == "sphere":
        return _on_the_sphere(spectrum)
    if tail in HEAVY:
        share, factor, features = HEAVY[tail]
        found = spectrum.copy()
        found[features] *= 1 - share + share * factor**2
        return np.sort(found)[::-1]
    if tail == "10 clusters":
        means = centres(spectrum)
        means = means - means.mean(0)
        return np.linalg.eigvalsh(np.diag(spectrum) + means.T @ means / 10)[::-1]
    return spectrum


def _on_the_sphere(spectrum: Array) -> Array:
    """E[λ_i z_i² / Σ λ_j z_j²] = ∫ λ_i / (1 + 2tλ_i) Π (1 + 2tλ_j)^-½ dt over t > 0, on a grid of ln t."""
    u = np.linspace(-14, 8, 4001)
    t = (np.exp(u) / spectrum.sum())[:, None]
    # Logarithms, because the product of hundreds of factors would underflow.
    product = np.exp(-0.5 * np.log1p(2 * t * spectrum).sum(1))[:, None]
    return trapezoid(spectrum / (1 + 2 * t * spectrum) * product * t, u, axis=0)


def true_value(measure: str, variances: Array) -> float:
    """The measure of the population with these variances."""
    return float(MEASURES[measure](rg.Spectrum.from_variances(variances)))


def in_processes(jobs: list[Callable[[], Any]]) -> list[Any]:
    """Results of the jobs in their order, run by two processes of one thread each."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        futures = [pool.submit(job) for job in jobs]
        return [future.result() for future in futures]


def sampled(rows: Any, measures: Sequence[str]) -> Sample:
    """What `estimate` reads of these rows, once for several measures."""
    return sample_of(opened(rows), measures, center=True, normalize=None, groups=None)


def estimates(rows: Any, measures: Sequence[str]) -> dict[str, Estimate]:
    """What `repgeom.estimate` gives for each measure."""
    sample = sampled(rows, measures)
    return {measure: estimate_of(sample, measure, 0.95) for measure in measures}


def bounds(low: float | None, high: float | None) -> tuple[float, float]:
    """Both ends of an interval, NaN where none is given."""
    if low is None or high is None:
        return math.nan, math.nan
    return low, high


def summary(draws: list[tuple[float, ...]], true: float) -> dict[str, float]:
    """Relative mean errors and coverage over draws of (in these rows, value, low, high)."""
    of_rows, value, low, high = np.array(draws).T
    given = ~np.isnan(low)
    # Where the estimate stops at the largest possible value, rounding must not count as a miss.
    inside = (low[given] <= true * (1 + 1e-9)) & (high[given] >= true * (1 - 1e-9))
    coverage = math.nan
    if given.any():
        coverage = float(inside.mean())
    return {
        "in_these_rows": float(of_rows.mean() / true - 1),
        "bias": float(value.mean() / true - 1),
        "coverage": coverage,
        "given": float(given.mean()),
    }


def percent(value: float, digits: int = 1) -> str:
    """A share in per cent with a true minus sign; "–" for NaN."""
    if math.isnan(value):
        return "–"
    return f"{100 * value:.{digits}f}".replace("-", "−")
