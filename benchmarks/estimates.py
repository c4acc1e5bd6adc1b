"""Child program for the simulations of estimates: known populations, drawn many times, read back.

    python -m benchmarks.estimates cells D REPETITIONS     every spectrum, tail and number of rows
    python -m benchmarks.estimates pairs D REPETITIONS     paired comparisons of two that do not differ
    python -m benchmarks.estimates power N D REPETITIONS   how small a difference is found
    python -m benchmarks.estimates groups D REPETITIONS    rows that depend on each other
    python -m benchmarks.estimates cost N D RUNS DEVICE    time of `estimate` beside `spectrum`

Each prints JSON as its last line. Every cell has its own seed, so the numbers do not depend on how many processes run.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import repgeom as rg
from repgeom.inference.estimate import estimate_of, sample_of
from repgeom.measures.measure import named

Array = NDArray[np.float64]
MEASURES = ("effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank", "n_components_90")
SPECTRA = ("flat", "i^-0.5", "i^-1", "i^-1.5", "50 spikes", "exponential")  # of variances
TAILS = ("Gaussian", "sphere", "t5", "10 clusters")
RATIOS = (0.5, 1, 2, 4, 16)  # rows per feature
PROCESSES = 2


# Populations ---------------------------------------------------------------------------------------------------------


def variances(spectrum: str, d: int) -> Array:
    i = np.arange(1, d + 1.0)
    if spectrum == "50 spikes":
        return np.where(i <= 50, 10.0, 1.0)
    if spectrum == "exponential":
        return np.exp(-8 * i / d)
    return np.asarray(i ** (0.0 if spectrum == "flat" else -float(spectrum.removeprefix("i^-"))))


def centres(spectrum: Array) -> Array:
    """Ten cluster means whose spread about equals that within."""
    d = len(spectrum)
    return np.random.default_rng(5).standard_normal((10, d)) * (spectrum.sum() / d) ** 0.5


def draw(spectrum: Array, tail: str, n: int, random: np.random.Generator) -> Array:
    rows = random.standard_normal((n, len(spectrum))) * np.sqrt(spectrum)
    if tail == "t5":
        rows /= np.sqrt(random.chisquare(5, n) / 5)[:, None]
    if tail == "sphere":
        rows /= np.linalg.norm(rows, axis=1)[:, None]
    if tail == "10 clusters":
        rows += centres(spectrum)[random.integers(10, size=n)]
    return rows


def truth(spectrum: Array, tail: str) -> Array:
    """Variances of the population, descending."""
    if tail == "sphere":
        return on_the_sphere(spectrum)
    if tail == "10 clusters":
        means = centres(spectrum)
        means = means - means.mean(0)
        return np.linalg.eigvalsh(np.diag(spectrum) + means.T @ means / 10)[::-1]
    return spectrum


def on_the_sphere(spectrum: Array) -> Array:
    """E[λ_i z_i² / Σ λ_j z_j²] = ∫ λ_i / (1 + 2tλ_i) Π (1 + 2tλ_j)^-½ dt over t > 0, on a grid of ln t."""
    u = np.linspace(-14, 8, 4001)
    t = (np.exp(u) / spectrum.sum())[:, None]
    product = np.exp(-0.5 * np.log1p(2 * t * spectrum).sum(1))[:, None]
    return np.trapezoid(spectrum / (1 + 2 * t * spectrum) * product * t, u, axis=0)


# Simulations ---------------------------------------------------------------------------------------------------------


def in_processes(jobs: list[Callable[[], Any]]) -> list[Any]:
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


def cell(d: int, spectrum: str, tail: str, ratio: float, repetitions: int) -> dict[str, Any]:
    """Mean error and coverage of every measure in one population."""
    seed = [d, SPECTRA.index(spectrum), TAILS.index(tail), round(2 * ratio)]
    random, n, within = np.random.default_rng(seed), int(ratio * d), variances(spectrum, d)
    whole = truth(within, tail)
    readings: dict[str, list[tuple[float, ...]]] = {m: [] for m in MEASURES}
    for _ in range(repetitions):
        rows = torch.tensor(draw(within, tail, n, random), dtype=torch.float32)
        sample = sample_of(rows, MEASURES, center=True, normalize=None, groups=None, name="rows")
        for m in MEASURES:
            e = estimate_of(sample, m, 0.95)
            readings[m].append(
                (e.naive, e.value, *((math.nan,) * 2 if e.low is None or e.high is None else (e.low, e.high)))
            )
    found = {m: summary(np.array(r), true_value(m, whole)) for m, r in readings.items()}
    return {"d": d, "spectrum": spectrum, "tail": tail, "ratio": ratio, "n": n, "found": found}


def true_value(measure: str, spectrum: Array) -> float:
    return named(measure).value(rg.Spectrum.from_variances(spectrum))


def summary(readings: Array, true: float) -> dict[str, float]:
    naive, value, low, high = readings.T
    known = ~np.isnan(low)
    inside = (low[known] <= true * (1 + 1e-9)) & (high[known] >= true * (1 - 1e-9))
    return {
        "true": true,
        "naive": float(naive.mean() / true - 1),
        "bias": float(value.mean() / true - 1),
        "spread": float(value.std() / true),
        "cover": float(inside.mean()) if known.any() else math.nan,
        "known": float(known.mean()),
    }


def pair(d: int, spectrum: str, ratio: float, repetitions: int, shared: float = 0.8) -> dict[str, Any]:
    """Two representations of the same samples with equal spectra in other directions, alike in a share of the variance."""
    random, n, within = (
        np.random.default_rng([d, SPECTRA.index(spectrum), round(ratio)]),
        int(ratio * d),
        variances(spectrum, d),
    )
    turn = np.linalg.qr(random.standard_normal((d, d))).Q
    hit, widths = [], []
    for _ in range(repetitions):
        common, *own = (random.standard_normal((n, d)) * np.sqrt(within) for _ in range(3))
        a, b = (shared**0.5 * common + (1 - shared) ** 0.5 * part for part in own)
        found = [rg.compare(torch.tensor(a), torch.tensor(b @ turn), paired=paired) for paired in (True, False)]
        hit.append([c.low <= 0 <= c.high for c in found])  # type: ignore[operator]
        widths.append([c.high - c.low for c in found])  # type: ignore[operator]
    covered, width = np.mean(hit, 0), np.median(widths, 0)
    return {
        "d": d,
        "spectrum": spectrum,
        "ratio": ratio,
        "paired": covered[0],
        "unpaired": covered[1],
        "gain": width[1] / width[0],
    }


def power(n: int, d: int, spectrum: str, paired: bool, repetitions: int, shared: float = 0.8) -> dict[str, Any]:
    """The difference that a test at 5 % should find four times in five, and how often it does."""
    random, within = np.random.default_rng([n, d, paired]), variances(spectrum, d)
    true = true_value("effective_rank", within)

    def drawn(change: Array) -> rg.types.Comparison:
        common, *own = (random.standard_normal((n, d)) for _ in range(3))
        a, b = (shared**0.5 * common + (1 - shared) ** 0.5 * part for part in own)
        return rg.compare(torch.tensor(a * np.sqrt(within)), torch.tensor(b * np.sqrt(change)), paired=paired)

    alike = [drawn(within) for _ in range(4)]
    least = statistics.median((c.high - c.low) / 2 / 1.96 for c in alike) * (1.96 + 0.842)  # type: ignore[operator]
    low, high = 0.5, 2.0  # a power of the variances whose effective rank is lower by `least`
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if true_value("effective_rank", within**middle) > true - least else (low, middle)
    found = [drawn(within**low).p_value for _ in range(repetitions)]
    return {"n": n, "d": d, "spectrum": spectrum, "paired": paired, "true": true, "least": least,
            "found": float(np.mean([p is not None and p < 0.05 for p in found]))}  # fmt: skip


def grouped(d: int, spectrum: str, n_groups: int, size: int, alike: float, repetitions: int) -> dict[str, Any]:
    """Rows in groups that share a part: with and without saying so."""
    random, within = np.random.default_rng([d, n_groups, size, round(10 * alike)]), variances(spectrum, d)
    codes = np.repeat(np.arange(n_groups), size)
    readings: dict[bool, list[list[float]]] = {True: [], False: []}
    for _ in range(repetitions):
        common, own = (random.standard_normal((m, d)) for m in (n_groups, n_groups * size))
        rows = torch.tensor((alike**0.5 * common[codes] + (1 - alike) ** 0.5 * own) * np.sqrt(within))
        for told in (True, False):
            e = rg.estimate(rows, groups=codes if told else None)
            readings[told].append([e.naive, e.value, *(math.nan if v is None else v for v in (e.low, e.high))])
    true = true_value("effective_rank", within)
    told, untold = (summary(np.array(readings[t]), true) for t in (True, False))
    return {"spectrum": spectrum, "groups": n_groups, "size": size, "alike": alike, "told": told, "untold": untold}


def cost(n: int, d: int, runs: int, device: str) -> dict[str, Any]:
    """Median seconds of `spectrum` and `estimate`, in turns."""
    rows = np.random.default_rng(0).standard_normal((n, d)) * np.arange(1, d + 1.0) ** -0.5 + 0.3
    x = torch.tensor(rows, dtype=torch.float32, device=device)
    calls = {"spectrum": rg.spectrum, **{m: partial(rg.estimate, measure=m) for m in MEASURES}}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(runs + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call(x)
            if device == "cuda":
                torch.cuda.synchronize()
            if run:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def main(what: str, *args: str) -> Any:
    if what == "cost":
        return cost(int(args[0]), int(args[1]), int(args[2]), args[3])
    if what == "power":
        n, d, repetitions = map(int, args)
        return in_processes([partial(power, n, d, "i^-1", paired, repetitions) for paired in (True, False)])
    d, repetitions = int(args[0]), int(args[1])
    if what == "pairs":
        return in_processes([partial(pair, d, s, r, repetitions) for s in SPECTRA for r in (2, 4, 16)])
    if what == "groups":
        shapes = ((16 * d, 1, 0.0), (4 * d, 8, 0.3), (4 * d, 8, 0.9), (2 * d, 8, 0.5), (4 * d, 4, 1.0))
        return in_processes(
            [partial(grouped, d, s, *shape, repetitions) for s in ("i^-0.5", "i^-1") for shape in shapes]
        )
    # The slowest first, so that the processes end together.
    order = [(r, s, t) for r in sorted(RATIOS, reverse=True) for s in SPECTRA for t in TAILS]
    return in_processes([partial(cell, d, s, t, r, repetitions) for r, s, t in order])


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
