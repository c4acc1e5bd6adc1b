"""Do `estimate`'s values lie at the truth, and do its intervals hold it?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.page import markdown, say
from studies.populations import (
    MEASURES,
    SPECTRA,
    TAILS,
    bounds,
    draw,
    estimates,
    in_processes,
    percent,
    population_variances,
    summary,
    true_value,
    variances,
)
from studies.study import Sizes, Study

RATIOS = (0.5, 1, 2, 4, 16)  # rows per feature
Cell = dict[str, Any]

ABOUT = """\
Populations whose spectrum is known are drawn again and again with a fixed seed: 24 draws a cell at d = 64, so
a cell's coverage strays by 9 by chance. `STUDY` in studies/estimates.py holds the number of draws.
Spectra of variances: flat, i^-p, 50 variances of 10 above noise of 1, exponential (exp(−8i/d)). Rows: Gaussian; Gaussian
scaled to unit length; multivariate t with 5 degrees of freedom (one heavy tail for all of a row, so that fourth moments
barely exist); 10 clusters whose centres spread as much as the rows within; "massive activations", where 2 % of the rows are 20
times larger in the three leading features; "a heavy quarter", where 20 % of the rows are 4 times larger in every fourth feature.
Simulations run in two processes of one thread each.

Assumed: independent rows of one law. Coverage is claimed for what was tried here and on real features ([real](real.md)), not for
every law. Not tried: rows that depend on each other ([groups](groups.md)), discrete features.
"""
RANK = """
## Effective rank: {tail}, d = {d}

Mean error of the sample's own value → of the estimate, in per cent; then how many 95 % intervals cover the truth, in per
cent ("–": none is given; in brackets the share of draws that get one, where that is below 95 %).

"""
OTHERS = """
## Other measures, d = {d}

Over the {spectra} spectra and all kinds of rows: range of the estimate's mean error in per cent; range of coverage in per
cent where at least half of the draws get an interval, with how many cells those are.

"""
WORST = """
## Effective rank: the worst cells

"""


def simulated(d: int, spectrum: str, tail: str, ratio: float, repetitions: int) -> Cell:
    """Mean error and coverage of every measure in one population."""
    seed = [d, SPECTRA.index(spectrum), TAILS.index(tail), round(2 * ratio)]
    random = np.random.default_rng(seed)
    within = variances(spectrum, d)
    whole = population_variances(within, tail)
    draws: dict[str, list[tuple[float, ...]]] = {measure: [] for measure in MEASURES}
    for _ in range(repetitions):
        rows = torch.tensor(draw(within, tail, int(ratio * d), random), dtype=torch.float32)
        for measure, found in estimates(rows, tuple(MEASURES)).items():
            draws[measure].append((found.in_these_rows, found.value, *bounds(found.low, found.high)))
    found_of = {measure: summary(values, true_value(measure, whole)) for measure, values in draws.items()}
    return {"spectrum": spectrum, "tail": tail, "ratio": ratio, "found": found_of}


def tables(sizes: Sizes) -> str:
    text = ""
    worst: dict[int, list[Cell]] = {}
    for d, repetitions in sizes["repetitions"].items():
        say(f"estimates, d = {d}")
        # The slowest first, so that both processes end together.
        order = [(s, t, r) for r in sorted(RATIOS, reverse=True) for s in SPECTRA for t in TAILS]
        cells = in_processes([partial(simulated, d, *population, repetitions) for population in order])
        worst[d] = cells
        for tail in TAILS:
            text += RANK.format(tail=tail, d=d) + rank_table(cells, tail)
        text += OTHERS.format(d=d, spectra=len(SPECTRA)) + others_table(cells)
    return WORST + worst_table(worst) + text


def rank_table(cells: list[Cell], tail: str) -> str:
    rows = []
    for spectrum in SPECTRA:
        row = [spectrum]
        for ratio in RATIOS:
            found = one_cell(cells, spectrum, tail, ratio)
            coverage = percent(found["coverage"], 0)
            if 0 < found["given"] < 0.95:
                coverage += f" ({percent(found['given'], 0)})"
            row.append(f"{percent(found['in_these_rows'])} → {percent(found['bias'])}; {coverage}")
        rows.append(row)
    return markdown(["variances", *(f"n = {r:g} d" for r in RATIOS)], rows)


def one_cell(cells: list[Cell], spectrum: str, tail: str, ratio: float) -> dict[str, float]:
    wanted = (spectrum, tail, ratio)
    return next(c["found"]["effective_rank"] for c in cells if (c["spectrum"], c["tail"], c["ratio"]) == wanted)


def others_table(cells: list[Cell]) -> str:
    rows = []
    for measure in list(MEASURES)[1:]:
        row = [measure]
        for ratio in RATIOS:
            here = [c["found"][measure] for c in cells if c["ratio"] == ratio]
            row.append(f"{span([f['bias'] for f in here], 1)}; {coverages(here)}")
        rows.append(row)
    return markdown(["measure", *(f"n = {r:g} d" for r in RATIOS)], rows)


def span(values: list[float], digits: int) -> str:
    return f"{percent(min(values), digits)} to {percent(max(values), digits)}"


def coverages(found: list[dict[str, float]]) -> str:
    known = [f["coverage"] for f in found if f["given"] >= 0.5]
    if not known:
        return "–"
    return f"{span(known, 0)} ({len(known)})"


def worst_table(cells_of: dict[int, list[Cell]]) -> str:
    """What the README's claims quote: the largest mean errors, and how far coverage strays."""
    light = ("Gaussian", "sphere")
    lines: dict[str, Callable[[list[Cell]], str]] = {
        "largest mean error, Gaussian and sphere, n ≥ d": lambda c: largest(c, light, 1, 16),
        "largest mean error, Gaussian and sphere, n = d/2": lambda c: largest(c, light, 0.5, 0.5),
        "largest mean error, t5 and clusters, n ≥ 2d": lambda c: largest(c, ("t5", "10 clusters"), 2, 16),
        "coverage of 95 % intervals, n ≥ 2d": lambda c: span(rank_coverages(c), 1) + " %",
        "coverage of all cells together, n ≥ 2d, by kind of rows": together,
    }
    rows = [[name, *(line(cells) for cells in cells_of.values())] for name, line in lines.items()]
    return markdown(["what", *(f"d = {d}" for d in cells_of)], rows)


def largest(cells: list[Cell], tails: tuple[str, ...], least: float, most: float) -> str:
    chosen = [c for c in cells if c["tail"] in tails and least <= c["ratio"] <= most]
    return percent(max(abs(c["found"]["effective_rank"]["bias"]) for c in chosen), 2) + " %"


def rank_coverages(cells: list[Cell]) -> list[float]:
    """Coverage where at least half of the draws get an interval."""
    found = [c["found"]["effective_rank"] for c in cells if c["ratio"] >= 2]
    return [f["coverage"] for f in found if f["given"] >= 0.5]


def together(cells: list[Cell]) -> str:
    """Coverage over all draws with an interval, for each kind of rows."""
    words = []
    for tail in TAILS:
        found = [c["found"]["effective_rank"] for c in cells if c["ratio"] >= 2 and c["tail"] == tail]
        given = sum(f["given"] for f in found)
        covered = sum(f["given"] * f["coverage"] for f in found if f["given"] > 0)
        share = percent(covered / given, 0) if given else "–"
        words.append(f"{tail} {share} % (given {percent(given / len(found), 0)} %)")
    return "; ".join(words)


STUDY = Study(
    name="estimates",
    title="Estimates and their intervals",
    about=ABOUT,
    minutes=10,
    sizes={"repetitions": {64: 24}},
    tiny={"repetitions": {16: 2}},
    tables=tables,
)
