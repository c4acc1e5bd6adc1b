"""Does `compare` keep its level where nothing differs, and how small a difference does it find?"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import numpy as np
import torch

import repgeom as rg
from benchmarks.page import markdown, say
from studies.populations import SPECTRA, Array, bounds, in_processes, percent, true_value, variances
from studies.study import Sizes, Study

ALIKE = 0.8  # share of the variance that both representations have in common
LEVEL = 0.05
# Normal quantiles of a two-sided test at 5 % and of a power of 80 %.
QUANTILE, QUANTILE_OF_POWER = 1.96, 0.842

ABOUT = """\
Two representations of the same samples are alike in 80 % of the variance. Rows are Gaussian and independent.

Size: both have the same spectrum along different directions, so that the true difference is zero. The table says how many
95 % intervals of the difference in effective rank hold zero, in per cent, and how much wider the unpaired ones are. Unpaired
intervals cover too often here because the samples are the same.

Power: the second has a slightly steeper spectrum, by the difference that a test at 5 % should find four times in five.

Assumed: Gaussian rows. Not tried: heavy tails, other measures than the effective rank, groups.
"""


def pair(d: int, spectrum: str, ratio: int, repetitions: int) -> dict[str, Any]:
    """Coverage and width of both kinds of interval where the true difference is zero."""
    random = np.random.default_rng([d, SPECTRA.index(spectrum), ratio])
    within = variances(spectrum, d)
    turn = np.linalg.qr(random.standard_normal((d, d))).Q
    held, widths = [], []
    for _ in range(repetitions):
        common, *own = (random.standard_normal((ratio * d, d)) * np.sqrt(within) for _ in range(3))
        a, b = (mixed(common, part) for part in own)
        found = [rg.compare(torch.tensor(a), torch.tensor(b @ turn), paired=paired) for paired in (True, False)]
        ends = np.array([bounds(c.low, c.high) for c in found])
        held.append((ends[:, 0] <= 0) & (ends[:, 1] >= 0))
        widths.append(ends[:, 1] - ends[:, 0])
    covered, width = np.mean(held, 0), np.median(widths, 0)
    return {"spectrum": spectrum, "ratio": ratio, "paired": covered[0], "unpaired": covered[1],
            "gain": width[1] / width[0]}  # fmt: skip


def mixed(common: Array, own: Array) -> Array:
    return ALIKE**0.5 * common + (1 - ALIKE) ** 0.5 * own


def power(n: int, d: int, spectrum: str, paired: bool, repetitions: int) -> dict[str, Any]:
    """The difference that a test at 5 % should find four times in five, and how often it does."""
    random = np.random.default_rng([n, d, paired])
    within = variances(spectrum, d)
    true = true_value("effective_rank", within)

    def drawn(steeper: Array) -> rg.types.Comparison:
        common, *own = (random.standard_normal((n, d)) for _ in range(3))
        a, b = (mixed(common, part) for part in own)
        return rg.compare(torch.tensor(a * np.sqrt(within)), torch.tensor(b * np.sqrt(steeper)), paired=paired)

    ends = [bounds(c.low, c.high) for c in (drawn(within) for _ in range(4))]
    error = statistics.median((high - low) / 2 / QUANTILE for low, high in ends)
    least = error * (QUANTILE + QUANTILE_OF_POWER)
    p_values = [drawn(within ** exponent_for(within, true - least)).p_value for _ in range(repetitions)]
    found = float(np.mean([p is not None and p < LEVEL for p in p_values]))
    return {"true": true, "least": least, "found": found}


def exponent_for(within: Array, rank: float) -> float:
    """The power of the variances whose effective rank is `rank`, by bisection."""
    low, high = 0.5, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        if true_value("effective_rank", within**middle) > rank:
            low = middle
        else:
            high = middle
    return low


def tables(sizes: Sizes) -> str:
    d, repetitions = sizes["pairs"]
    say("comparisons of equals")
    found = in_processes([partial(pair, d, s, r, repetitions) for s in SPECTRA for r in (2, 4, 16)])
    rows = []
    for row in found:
        covered = (percent(row["paired"]), percent(row["unpaired"]))
        rows.append([row["spectrum"], f"{row['ratio']} d", *covered, f"{row['gain']:.2f}"])
    text = f"\n## Size: intervals that hold zero, d = {d}, {repetitions} draws\n\n"
    text += markdown(["variances", "n", "paired", "unpaired", "width, unpaired to paired"], rows)
    return text + power_table(*sizes["power"])


def power_table(n: int, d: int, repetitions: int) -> str:
    say("power")
    kinds = {"paired": True, "unpaired": False}
    found = in_processes([partial(power, n, d, "i^-1", paired, repetitions) for paired in kinds.values()])
    rows = []
    for kind, row in zip(kinds, found, strict=True):
        share = row["least"] / row["true"]
        rows.append([kind, f"{row['least']:.2f}", f"{share:.2%} of {row['true']:.1f}", f"{row['found']:.0%}"])
    text = f"\n## Power: variances ∝ 1/i, n = {n:,}, d = {d}, {repetitions} draws\n\n"
    head = ["comparison", "difference to find, dimensions", "share of the effective rank", "found at 5 %"]
    return text + markdown(head, rows)


STUDY = Study(
    name="comparisons",
    title="Comparisons: size and power",
    about=ABOUT,
    minutes=8,
    sizes={"pairs": (64, 200), "power": (10_000, 512, 40)},
    tiny={"pairs": (64, 2), "power": (1_000, 16, 2)},
    tables=tables,
)
