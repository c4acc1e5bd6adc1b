"""Do estimates, their intervals and comparisons hold on features of real pictures, digits and text?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

import repgeom as rg
from benchmarks.page import markdown, say
from repgeom.inference.compare import comparison_of
from studies.populations import MEASURES as READINGS
from studies.populations import Array, bounds, estimates, in_processes, percent, sampled
from studies.real_populations import ABOUT as ABOUT_SETS
from studies.real_populations import TINY, WHOLE, Population, chosen, narrowing, populations
from studies.study import Sizes, Study

MEASURES = ("effective_rank", "effective_rank_sigma", "participation_ratio")
RATIOS = (2, 4, 8)  # rows per feature
RATIO_OF_PAIRS = 4
QUANTILE = 1.96  # of the normal: Student's t has hundreds of degrees here
LARGEST_SHARE = 0.15  # of the set in one draw
WIDE = 512  # sets of more features get a fifth of the draws
SETS = (
    "digits, pixels as they are",
    "digits, pixels",
    "digits, MLP 64 ReLU, seed 0",
    "digits, MLP 64 GELU",
    "digits, MLP 128 ReLU",
    "digits, CNN 64 GELU",
    "photos, block 8",
    "photos, block 11",
    "photos, last in 256",
    "photos and digits, last in 256",
    "photos and digits, last",
    "text, layer 1, seed 0",
    "text, layer 2, seed 0",
)
PAIRS = (
    ("digits, MLP 64 ReLU, seed 0", "digits, MLP 64 ReLU, seed 1"),
    ("digits, MLP 64 ReLU, seed 0", "digits, MLP 64 GELU"),
    ("digits, MLP 64 ReLU, seed 0", "digits, MLP 128 ReLU"),
    ("digits, MLP 64 GELU", "digits, CNN 64 GELU"),
    ("photos, block 8", "photos, block 11"),
    ("text, layer 2, seed 0", "text, layer 2, seed 1"),
)
# What each number must lie within.
BARS = {
    "bias": (-0.015, 0.015),
    "coverage": (0.92, 0.98),
    "given": (0.95, 1.0),
    "spread": (0.9, 1.1),
    "size": (0.035, 0.065),
}

ABOUT = """\
Large finite sets of real feature rows are taken as populations: a set's own measure, in float64, is the truth. Rows are drawn
from it with a fixed seed and without replacement, 100 draws a cell (20 where there are more than 512 features), at most 15 % of a
set at once ("–" where that is too few, or where no draw gets an interval).

What a finite set changes: draws of n of N rows spread less than independent ones, by √(1 − n/N), so the ratio of the estimates'
standard deviation to their mean standard error is divided by that. An estimate corrects for 1/n where a set's draw misses only 1/n −
1/N of the bias, so errors and coverage are taken from the truth plus n / (N − n) of what the draws' own measure misses (1.2 % at
most; left out of comparisons, where it is far smaller). Coverage is else left as it is: of 95 % a share of 15 % makes 96.7 %.

Size: two representations of the same inputs are compared, paired, 400 draws of n = 4 d. Their true difference is known, so the
share of 95 % intervals that leave it out is what a test at 5 % would wrongly find. Draws without an interval count as finding nothing.

Bars: mean error within 1.5 %, coverage 92 to 98 %, an interval in 95 % of draws or more, size 3.5 to 6.5 %, ratio of spreads 0.9 to
1.1. Cells outside are in bold. By chance alone, a coverage of 95 % strays by 4 from 100 draws and by 10 from 20, a size of 5 % by 2, a ratio of spreads by 0.14 and 0.3.

Assumed: nothing of the rows' law. Not tried: rows that depend on each other, networks larger than efficientnet-lite0.
The sets differ a little between versions of Python (its help topics) and of torch. Sets of pictures need two packages more
(studies/real_images.py names them) and are left out without them.
"""


@dataclass(frozen=True)
class Cell:
    """What many draws of one kind gave; NaN where nothing can be said.

    Attributes:
        bias: mean error, relative to the measure.
        coverage: of the intervals that were given.
        given: share of draws with an interval.
        spread: standard deviation over mean standard error, for independent rows.
    """

    bias: float
    coverage: float
    given: float
    spread: float

    @property
    def size(self) -> float:
        """Share of all draws with an interval that leaves out the truth."""
        if self.given == 0:
            return 0.0
        return self.given * (1 - self.coverage)


def estimated(population: Population, ratio: int, repetitions: int) -> dict[str, Cell]:
    """Draw n = ratio · d rows again and again and estimate each measure."""
    random = np.random.default_rng([SETS.index(population.name), ratio])
    n = ratio * population.width
    draws: dict[str, list[tuple[float, ...]]] = {measure: [] for measure in MEASURES}
    naive: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    for _ in range(repetitions):
        rows = population.draw(n, random)
        spectrum = rg.spectrum(rows)
        for measure, found in estimates(rows, MEASURES).items():
            error = math.nan if found.se is None else found.se
            draws[measure].append((found.value, *bounds(found.low, found.high), error))
            naive[measure].append(float(READINGS[measure](spectrum)))
    true = population.true_values()
    factor = narrowing(len(population.rows), n)
    cells = {}
    for measure in MEASURES:
        aim = true[measure] + overshoot(true[measure] - float(np.mean(naive[measure])), n / len(population.rows))
        cells[measure] = cell_of(np.array(draws[measure]), aim, true[measure], factor)
    return cells


def overshoot(missing: float, share: float) -> float:
    """How far above the set's measure an estimate for endless rows lies, from what the draws' own measure misses.

    A measure of n rows of a set of N misses c (1/n − 1/N) to first order; a correction for independent rows adds c / n.
    """
    return missing * share / (1 - share)


def compared(a: Population, b: Population, repetitions: int) -> dict[str, tuple[float, float, Cell]]:
    """Of each measure: that of the first, the true difference, and what draws of the same rows of both found of it."""
    random = np.random.default_rng(PAIRS.index((a.name, b.name)))
    n = RATIO_OF_PAIRS * max(a.width, b.width)
    draws: dict[str, list[tuple[float, ...]]] = {measure: [] for measure in MEASURES}
    for _ in range(repetitions):
        rows = chosen(len(a.rows), n, random)
        first, second = (sampled(torch.from_numpy(p.rows[rows]), MEASURES) for p in (a, b))
        for measure in MEASURES:
            found = comparison_of(first, second, measure, True, 0.95)
            low, high = bounds(found.low, found.high)
            draws[measure].append((found.difference, low, high, (high - low) / 2 / QUANTILE))
    of_a, of_b, factor = a.true_values(), b.true_values(), narrowing(len(a.rows), n)
    return {
        measure: (
            of_a[measure],
            of_b[measure] - of_a[measure],
            cell_of(np.array(draws[measure]), of_b[measure] - of_a[measure], of_a[measure], factor),
        )
        for measure in MEASURES
    }


def cell_of(draws: Array, true: float, unit: float, factor: float) -> Cell:
    """Sum up draws of (value, low, high, standard error); errors are told in shares of `unit`."""
    value, low, high, error = draws.T
    bias = float(value.mean() - true) / unit
    given = ~np.isnan(low)
    if given.sum() < 2:
        return Cell(bias, math.nan, float(given.mean()), math.nan)
    # Where an estimate stops at the largest possible value, rounding must not count as a miss.
    rounding = 1e-9 * unit
    inside = (low[given] <= true + rounding) & (high[given] >= true - rounding)
    spread = value[given].std(ddof=1) / error[given].mean() / factor
    return Cell(bias, float(inside.mean()), float(given.mean()), float(spread))


def tables(sizes: Sizes) -> str:
    say("sets of real rows")
    sets = populations(sizes["effort"])
    text = "\n## Sets\n\n" + "".join(f"* {name}: {what}\n" for name, what in ABOUT_SETS.items())
    text += "\n" + table_of_sets([sets[name] for name in SETS if name in sets])
    text += estimates_tables([sets[name] for name in SETS if name in sets], sizes["draws"])
    pairs = [(sets[a], sets[b]) for a, b in PAIRS if a in sets and b in sets]
    return text + comparisons_table(pairs, sizes["comparisons"])


def table_of_sets(sets: list[Population]) -> str:
    rows = []
    for population in sets:
        true = population.true_values()
        n, d = population.rows.shape
        rows.append([population.name, f"{n:,}", str(d), *(f"{true[m]:.2f}" for m in MEASURES)])
    return markdown(["set", "N", "d", *MEASURES], rows)


def estimates_tables(sets: list[Population], draws: int) -> str:
    say("estimates of real rows")
    jobs = [(p, ratio) for p in sets for ratio in RATIOS if ratio * p.width <= LARGEST_SHARE * len(p.rows)]
    # The slowest first, so that both processes end together.
    jobs.sort(key=lambda job: -job[1] * job[0].width ** 2)
    results = in_processes([partial(estimated, p, ratio, draws_for(p, draws)) for p, ratio in jobs])
    cells = {(p.name, ratio): result for (p, ratio), result in zip(jobs, results, strict=True)}
    text = f"\n## Estimates, {draws} draws\n"
    for measure in MEASURES:
        text += f"\n`{measure}`: mean error in %; coverage in %; draws with an interval in %; ratio of spreads\n\n"
        rows = []
        for population in sets:
            row = [population.name]
            for ratio in RATIOS:
                cell = cells.get((population.name, ratio))
                row.append(shown(cell[measure]) if cell else "–")
            rows.append(row)
        text += markdown(["set", *(f"n = {ratio} d" for ratio in RATIOS)], rows)
    return text


def draws_for(population: Population, draws: int) -> int:
    if population.width > WIDE:
        return max(2, draws // 5)
    return draws


def shown(cell: Cell) -> str:
    """One cell of the table."""
    numbers = [
        judged("bias", cell.bias, percent(cell.bias)),
        judged("coverage", cell.coverage, percent(cell.coverage)),
        judged("given", cell.given, percent(cell.given, 0)),
        judged("spread", cell.spread, f"{cell.spread:.2f}"),
    ]
    return "; ".join(numbers)


def judged(bar: str, value: float, text: str) -> str:
    """The number, in bold where it lies outside its bar."""
    least, most = BARS[bar]
    if math.isnan(value):
        return "–"
    if least <= value <= most:
        return text
    return f"**{text}**"


def comparisons_table(pairs: list[tuple[Population, Population]], draws: int) -> str:
    say("comparisons of real rows")
    results = in_processes([partial(compared, a, b, draws) for a, b in pairs])
    found = [(a, b, measure, *of[measure]) for (a, b), of in zip(pairs, results, strict=True) for measure in MEASURES]
    rows = []
    for a, b, measure, first, difference, cell in found:
        values = [
            f"{first:.2f}",
            f"{difference:+.2f}".replace("-", "−"),
            judged("bias", cell.bias, percent(cell.bias, 2)),
            judged("size", cell.size, percent(cell.size)),
            judged("given", cell.given, percent(cell.given, 0)),
            judged("spread", cell.spread, f"{cell.spread:.2f}"),
        ]
        rows.append([f"{a.name} → {b.name}", f"`{measure}`", *values])
    head = ["pair", "measure", "first", "difference", "mean error, % of the first", "size, %", "given, %", "spread"]
    return f"\n## Comparisons, paired, n = {RATIO_OF_PAIRS} d, {draws:,} draws\n\n" + markdown(head, rows)


STUDY = Study(
    name="real",
    title="Features of real pictures, digits and text",
    about=ABOUT,
    minutes=15,
    sizes={"effort": WHOLE, "draws": 100, "comparisons": 400},
    tiny={"effort": TINY, "draws": 2, "comparisons": 2},
    tables=tables,
)
