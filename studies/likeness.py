"""How often do intervals of intrinsic dimension, of a gap between clouds, and of likeness between layers hold?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import repgeom as rg
from benchmarks.page import markdown, say
from studies.interval_sets import (
    CLOUDS,
    HEAVIEST_PAIRS,
    LAST_PAIRS,
    LATER_CLOUDS,
    LATER_PAIRS,
    PAIRS,
    Held,
    at_hand,
    held,
)
from studies.study import Sizes, Study

METHODS = {"twonn": None, "twonn_regression": None, "mle": 20, "gride": 8}
SIMILARITIES = ("linear_cka", "angular_cka", "rbf_cka", "rsa", "mutual_knn")
READINGS: dict[str, Callable[[Any], Any]] = {
    "squared distance": lambda gap: gap.squared,
    "share of variance": lambda gap: gap.share,
    "separability": lambda gap: gap.separability,
    "retrieval before": lambda gap: gap.a_to_b.before,
    "retrieval after": lambda gap: gap.a_to_b.after,
    "gain of retrieval": lambda gap: gap.a_to_b.gain,
}
# (value, low, high) of each draw, by what was read.
Draws = dict[str, list[tuple[float, float | None, float | None]]]


def of_clouds(draw: Callable[..., Any], n: int, seeds: range) -> Draws:
    found: Draws = {f"Intrinsic dimension, {method}": [] for method in METHODS}
    for seed in seeds:
        rows = draw(n, np.random.default_rng(seed))
        for method, k in METHODS.items():
            e = rg.intrinsic_dimension(rows, method=method, k=k, seed=seed)
            found[f"Intrinsic dimension, {method}"].append((e.value, e.low, e.high))
    return found


def of_pairs(draw: Callable[..., Any], n: int, seeds: range) -> Draws:
    found: Draws = {f"Modality gap, {name}": [] for name in READINGS}
    found |= {f"Layers, {measure}": [] for measure in SIMILARITIES}
    for seed in seeds:
        x, y = draw(n, np.random.default_rng(seed))
        gap = rg.modality_gap(x, y, seed=seed)
        for name, read in READINGS.items():
            found[f"Modality gap, {name}"].append((read(gap).value, read(gap).low, read(gap).high))
        for measure in SIMILARITIES:
            cell = rg.cka_map({"x": x}, {"y": y}, measure=measure, distance="euclidean", seed=seed)
            found[f"Layers, {measure}"].append((cell.values[0, 0], cell.low[0, 0], cell.high[0, 0]))
    return found


def tables(sizes: Sizes) -> str:
    """A table for each number that is read, with a row for each population."""
    n, seeds = sizes["rows"], range(sizes["draws"])
    cells: dict[str, dict[str, Held]] = {}
    pairs = PAIRS | LATER_PAIRS | LAST_PAIRS | HEAVIEST_PAIRS
    for sets, read in ((CLOUDS | LATER_CLOUDS, of_clouds), (pairs, of_pairs)):
        for population, draw in at_hand(sets).items():
            say(population)
            for title, draws in read(draw, n, seeds).items():
                cells.setdefault(title, {})[population] = held(population, n, draws)
    return "\n".join(f"## {title}\n\n{_table(some)}" for title, some in cells.items())


def _table(cells: dict[str, Held]) -> str:
    head = ["population", "mean", "covers", "width / spread", "given"]
    return markdown(head, [[name, f"{c.mean:.4g}", *_numbers(c)] for name, c in cells.items()])


def _numbers(c: Held) -> list[str]:
    if not c.given:
        return ["–", "–", "0.00"]
    return [f"{c.covers:.3f}", f"{c.width:.2f}", f"{c.given:.2f}"]


STUDY = Study(
    name="likeness",
    title="Intervals of intrinsic dimension, modality gap and likeness of layers",
    about="""\
Rows are drawn again and again, 300 at a time. The truth is the mean over draws: what as many rows read on average, since
intrinsic dimension, retrieval and shared neighbours depend on how many there are. Covers: the share of 95 % intervals that
hold it; of 400 draws 0.95 is known to 0.011, one standard error. Width / spread: half an interval over 1.96 and the values'
standard deviation. Gain: retrieval after the gap is removed, less before.

Each table begins with populations that the intervals were made with: five clouds, four pairs. Others were chosen afterwards, four
clouds and twice four pairs. What failed among these pairs was mended or is refused by a rule: RSA, CKA of lengths
with a tail index below 4, separability near 1, retrieval where hardly a row is missed, and where fewer than 1.5 √n rows draw all
others. No rule on a sample sees rows that did not come: of t with few degrees hardly a sample has an interval of CKA, and those few
hold less often than asked.

Counts of less than about five rows leave no interval that is exact. So shares near 0 or 1, and changes of hardly any row, have
intervals that hold more often than asked: separability of clouds that a plane parts, retrieval of hardly any row or of nearly
all, its gain where nothing is gained.

Digits are scikit-learn's 1,797, crops 3,000 of two photographs as a network sees them (`studies/interval_sets.py`). Real rows are
drawn without putting them back, and intervals narrowed by as much as that narrows a mean.

Assumed: independent rows. Not tried: groups.
""",
    minutes=25,
    sizes={"rows": 300, "draws": 400},
    tiny={"rows": 60, "draws": 2},
    tables=tables,
)
