"""Do estimates hold where rows depend on each other, when `groups` says so and when it does not?"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

import repgeom as rg
from benchmarks.page import markdown, say
from studies.populations import bounds, in_processes, percent, summary, true_value, variances
from studies.study import Sizes, Study

ABOUT = """\
Groups of Gaussian rows share a part of their variance, alike along all directions, at d = 32. Mean error in per cent, then
coverage of 95 % intervals in per cent ("–": none is given), with `groups=` and without. Rows that are the same (alike 1)
count as groups by themselves.

Assumed: groups of equal size that are alike to the same degree along all directions. Not tried: groups of uneven sizes,
likeness that differs between directions, chains (frame to frame).
"""
# (groups per feature, rows in a group, share of the variance that they have in common)
SHAPES = ((16, 1, 0.0), (4, 8, 0.3), (4, 8, 0.9), (2, 8, 0.5), (4, 4, 1.0))


def grouped(d: int, spectrum: str, n_groups: int, size: int, alike: float, repetitions: int) -> dict[str, Any]:
    """Mean errors and coverage of one kind of groups."""
    random = np.random.default_rng([d, n_groups, size, round(10 * alike)])
    within = variances(spectrum, d)
    codes = np.repeat(np.arange(n_groups), size)
    draws: dict[str, list[tuple[float, ...]]] = {"with": [], "without": []}
    for _ in range(repetitions):
        common, own = (random.standard_normal((m, d)) for m in (n_groups, n_groups * size))
        mixed = alike**0.5 * common[codes] + (1 - alike) ** 0.5 * own
        rows = torch.tensor(mixed * np.sqrt(within))
        for name, groups in (("with", codes), ("without", None)):
            found = rg.estimate(rows, groups=groups)
            draws[name].append((found.in_these_rows, found.value, *bounds(found.low, found.high)))
    true = true_value("effective_rank", within)
    found_of = {name: summary(values, true) for name, values in draws.items()}
    return {"rows": f"{spectrum}; {n_groups} groups of {size}, alike {alike:g}", **found_of}


def tables(sizes: Sizes) -> str:
    d, repetitions = sizes["d"], sizes["repetitions"]
    say("groups")
    jobs = [
        partial(grouped, d, spectrum, per_feature * d, size, alike, repetitions)
        for spectrum in ("i^-0.5", "i^-1")
        for per_feature, size, alike in SHAPES
    ]
    lines = []
    for row in in_processes(jobs):
        cells = [f"{percent(row[n]['bias'])}; {percent(row[n]['coverage'], 0)}" for n in ("with", "without")]
        lines.append([row["rows"], percent(row["with"]["in_these_rows"]), *cells])
    text = f"\n## Effective rank, d = {d}, {repetitions} draws\n\n"
    return text + markdown(["rows", "in these rows", "with groups", "without"], lines)


STUDY = Study(
    name="groups",
    title="Rows that depend on each other",
    about=ABOUT,
    minutes=3,
    sizes={"d": 32, "repetitions": 200},
    tiny={"d": 16, "repetitions": 2},
    tables=tables,
)
