"""The page of estimates, intervals and comparisons: `python -m benchmarks estimates`."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import files
from benchmarks.estimates import MEASURES, RATIOS, SPECTRA, TAILS
from benchmarks.page import Bar, Row, bars, markdown, say, setting

FULL = {
    "cells": {64: 400, 512: 50},
    "pairs": (64, 400),
    "power": (10_000, 512, 120),
    "groups": (32, 200),
    "cost": (50_000, 768),
}
QUICK = {"cells": {16: 4}, "pairs": (64, 4), "power": (1_000, 16, 4), "groups": (16, 4), "cost": (4_000, 64)}
INTRODUCTION = """\
# Estimates and intervals

    python -m benchmarks estimates{quick}

Populations whose spectrum is known, drawn again and again with a fixed seed: {repetitions}. Spectra of variances: flat,
i^-p, 50 variances of 10 above noise of 1, exponential (exp(−8i/d)). Rows: Gaussian; Gaussian scaled to unit length; multivariate
t with 5 degrees of freedom (one heavy tail for all of a row, so that fourth moments barely exist); 10 clusters whose
centres spread as much as the rows within. Simulations run in two processes of one thread each.

"""
RANK = """
## Effective rank: {tail}, d = {d}

Mean error of the sample's own value → of the estimate, in per cent; then how many 95 % intervals cover the truth, in per
cent ("–": none is given).

"""
OTHERS = """
## Other measures, d = {d}

Over the {spectra} spectra and all four kinds of rows: range of the estimate's mean error in per cent; range of coverage in per
cent where at least half of the draws get an interval, with how many cells those are.

"""
PAIRS = """
## Paired comparisons

Two representations of the same samples with the same spectrum along different directions, alike in 80 % of the variance;
d = {d}, {repetitions} repetitions. How many 95 % intervals of the difference in effective rank hold zero, in per cent, and how much
wider the unpaired ones are. Unpaired intervals cover too often here because the samples are the same.

"""
POWER = """
Variances ∝ 1/i, n = {n:,}, d = {d}: paired, a test at 5 % finds a difference of {paired:.2f} dimensions ({share:.2%} of {true:.1f}) in
{found:.0%} of {repetitions} draws (80 % by its standard error); unpaired it takes {unpaired:.2f} ({found_unpaired:.0%} of draws).
"""
GROUPS = """
## Rows that depend on each other

Groups of rows that share a part of their variance; d = {d}, {repetitions} repetitions. Mean error in per cent and coverage, with
`groups=` and without. Rows that are the same (alike 1) count as groups by themselves.

"""
COST = """
## Cost

{n:,} × {d:,} float32 with a standard deviation ∝ i^-½, seconds on {device}: `spectrum` {spectrum:.3g}; `estimate` of {each}.
"""


def measured(*args: Any) -> Any:
    return files.child(sys.executable, "-m", "benchmarks.estimates", *map(str, args))


def report(args: argparse.Namespace, folder: Path) -> str:
    sizes: dict[str, Any] = QUICK if args.quick else FULL
    about = files.child(sys.executable, "-m", "benchmarks.robustness", "about")
    counts = ", ".join(f"{n} repetitions at d = {d}" for d, n in sizes["cells"].items())
    text = INTRODUCTION.format(quick=" --quick" * args.quick, repetitions=counts) + setting(about)
    promises: list[Bar] = []
    costs = {}
    for device in ["cpu", *(["cuda"] if about["gpu"] else [])]:
        say(f"cost, {device}")
        costs[device] = measured("cost", *sizes["cost"], args.runs, device)
    for d, repetitions in sizes["cells"].items():
        say(f"simulation, d = {d}")
        cells = measured("cells", d, repetitions)
        text += "".join(RANK.format(tail=tail, d=d) + rank_table(cells, tail) for tail in TAILS)
        text += OTHERS.format(d=d, spectra=len(SPECTRA)) + others_table(cells)
        promises += rank_bars(cells, d)
    say("comparisons")
    text += PAIRS.format(d=sizes["pairs"][0], repetitions=sizes["pairs"][1]) + pairs_part(sizes, promises)
    say("groups")
    text += GROUPS.format(d=sizes["groups"][0], repetitions=sizes["groups"][1]) + groups_table(
        measured("groups", *sizes["groups"])
    )
    for device, found in costs.items():
        text += cost_part(found, sizes["cost"], device, promises)
    return text + bars(promises)


def percent(value: float, digits: int = 1) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.{digits}f}".replace("-", "−")


def rank_table(cells: list[Row], tail: str) -> str:
    rows = []
    for spectrum in SPECTRA:
        here = {
            c["ratio"]: c["found"]["effective_rank"] for c in cells if (c["tail"], c["spectrum"]) == (tail, spectrum)
        }
        rows.append(
            [spectrum]
            + [
                f"{percent(here[r]['naive'])} → {percent(here[r]['bias'])}; {percent(here[r]['cover'], 0)}"
                for r in RATIOS
            ]
        )
    return markdown(["variances", *(f"n = {r:g} d" for r in RATIOS)], rows)


def others_table(cells: list[Row]) -> str:
    rows = []
    for measure in MEASURES[1:]:
        row = [measure]
        for ratio in RATIOS:
            here = [c["found"][measure] for c in cells if c["ratio"] == ratio]
            known = [f["cover"] for f in here if f["known"] >= 0.5]
            cover = f"{percent(min(known), 0)} to {percent(max(known), 0)} ({len(known)})" if known else "–"
            row.append(f"{percent(min(f['bias'] for f in here))} to {percent(max(f['bias'] for f in here))}; {cover}")
        rows.append(row)
    return markdown(["measure", *(f"n = {r:g} d" for r in RATIOS)], rows)


def rank_bars(cells: list[Row], d: int) -> list[Bar]:
    def worst(chosen: Callable[[Row], bool]) -> float:
        return 100 * max(abs(c["found"]["effective_rank"]["bias"]) for c in cells if chosen(c))

    light = ("Gaussian", "sphere")
    covers = [c["found"]["effective_rank"]["cover"] for c in cells if c["ratio"] >= 2]
    where = f"effective rank, d = {d}"
    return [
        Bar(f"{where}: mean error for Gaussian and sphere, n ≥ d, at most 2 %", worst(lambda c: c["tail"] in light and c["ratio"] >= 1), 2, False, " %"),
        Bar(f"{where}: mean error for Gaussian and sphere, n = d/2, at most 10 %", worst(lambda c: c["tail"] in light and c["ratio"] < 1), 10, False, " %"),
        Bar(f"{where}: mean error for the others, n ≥ 2d, at most 5 %", worst(lambda c: c["tail"] not in light and c["ratio"] >= 2), 5, False, " %"),
        Bar(f"{where}: least coverage of 95 % intervals, n ≥ 2d, at least 92 %", 100 * min(covers), 92, True, " %"),
        Bar(f"{where}: most coverage of 95 % intervals, n ≥ 2d, at most 98 %", 100 * max(covers), 98, False, " %"),
        Bar(f"{where}: cells of {len(covers)} whose coverage lies between 92 and 98 %", float(sum(0.92 <= c <= 0.98 for c in covers)), len(covers), True, ""),
    ]  # fmt: skip


def pairs_part(sizes: Row, promises: list[Bar]) -> str:
    found = measured("pairs", *sizes["pairs"])
    rows = [
        [f["spectrum"], f"{f['ratio']} d", percent(f["paired"]), percent(f["unpaired"]), f"{f['gain']:.2f}"]
        for f in found
    ]
    paired, unpaired = measured("power", *sizes["power"])
    off = [100 * abs(f["paired"] - 0.95) for f in found if f["spectrum"] not in ("flat", "50 spikes")]
    promises.append(
        Bar(
            "paired comparison of equals: coverage off 95 %, without flat and spikes, at most 2 points",
            max(off),
            2,
            False,
            " points",
        )
    )
    promises.append(
        Bar(
            "paired comparison: smallest difference found, of the unpaired one's, at most",
            paired["least"] / unpaired["least"],
            1,
            False,
        )
    )
    return markdown(["variances", "n", "paired", "unpaired", "width, unpaired to paired"], rows) + POWER.format(
        n=paired["n"], d=paired["d"], paired=paired["least"], share=paired["least"] / paired["true"], true=paired["true"],
        found=paired["found"], repetitions=sizes["power"][2], unpaired=unpaired["least"], found_unpaired=unpaired["found"],
    )  # fmt: skip


def groups_table(found: list[Row]) -> str:
    rows = [
        [f"{f['spectrum']}; {f['groups']} groups of {f['size']}, alike {f['alike']:g}", percent(f["told"]["naive"])]
        + [f"{percent(f[key]['bias'])}; {percent(f[key]['cover'], 0)}" for key in ("told", "untold")]
        for f in found
    ]
    return markdown(["rows", "naive", "with groups", "without"], rows)


def cost_part(found: Row, size: tuple[int, int], device: str, promises: list[Bar]) -> str:
    ratios = {m: found[m] / found["spectrum"] for m in MEASURES}
    promises.append(
        Bar(f"`estimate` over `spectrum`, effective rank, {device}, at most 3", ratios["effective_rank"], 3, False)
    )
    each = ", ".join(f"{m} {found[m]:.3g} ({ratio:.1f} x)" for m, ratio in ratios.items())
    return COST.format(n=size[0], d=size[1], device=device, spectrum=found["spectrum"], each=each)
