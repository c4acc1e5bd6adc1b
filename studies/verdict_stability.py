"""Does the verdict on a population hang on how many rows were at hand?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.page import markdown
from studies.verdict_sets import Drawn, Random
from studies.verdict_sets_broken import dead, fading
from studies.verdict_sets_clouds import cloud, cone, heavy, sphere
from studies.verdict_sets_collapsed import few_directions, point, steep, student_of_cosine
from studies.verdict_sets_units import rectified, rogue

Verdict = Callable[[Drawn, str], tuple[str, str]]
Draw = Callable[[int, int, Random], Drawn]
UNDECIDED = "too few"  # what a headline says where it leaves the answer open


class Population(NamedTuple):
    """A law that gives any number of rows.

    Attributes:
        name: what it is.
        d: its width.
        draw: gives rows from width, number and random state.
    """

    name: str
    d: int
    draw: Draw


def rectified_rows(d: int, n: int, random: Random) -> Drawn:
    return rectified(0.5, d, n, 0.0, random)


def directions(rank: int, noise: float, d: int, n: int, random: Random) -> Drawn:
    return few_directions(rank, noise, d, n, random)


def in_cone(d: int, n: int, random: Random) -> Drawn:
    return cone(0.9, 0.6, d, n, True, random)


def on_sphere(d: int, n: int, random: Random) -> Drawn:
    return sphere(0.8, d, n, 0.1, random)


def rogue_column(d: int, n: int, random: Random) -> Drawn:
    return rogue(1, 30, d, n, random)


def student(d: int, n: int, random: Random) -> Drawn:
    return student_of_cosine(d, n, 0.8, random)


def faded(d: int, n: int, random: Random) -> Drawn:
    return fading(0.9, 0.01, d, n, False, random)


def dying(d: int, n: int, random: Random) -> Drawn:
    return dead(0.9, 0.0, d, n, False, random)


POPULATIONS = (
    Population("healthy: i^-0.5", 256, partial(cloud, 0.5)),
    Population("severe: 10 directions + 1 % noise", 256, partial(directions, 10, 0.01)),
    Population("healthy: i^-1", 256, partial(cloud, 1.0)),
    Population("healthy: sphere, cosine .1", 384, on_sphere),
    Population("healthy: cone, cosine .9", 256, in_cone),
    Population("healthy: t, 6 degrees", 256, partial(heavy, 6, 0.7)),
    Population("healthy: ReLU", 256, rectified_rows),
    Population("healthy: one rogue column", 384, rogue_column),
    Population("severe: 10 of 384 directions", 384, partial(directions, 10, 0.0)),
    Population("mild: 32 directions + 1 % noise", 256, partial(directions, 32, 0.01)),
    Population("severe: i^-2", 384, partial(steep, 2.0)),
    Population("severe: point, noise .01", 256, partial(point, 0.01)),
    Population("severe: cosine student", 256, student),
    Population("severe: 90 % of units fading", 256, faded),
    Population("severe: 90 % of units dead", 256, dying),
)


def levels(verdict: Verdict, population: Population, per_feature: float, draws: int) -> list[str]:
    n = round(per_feature * population.d)
    found = []
    for seed in range(draws):
        random = np.random.default_rng([seed, n, population.d])
        level, headline = verdict(population.draw(population.d, n, random), "transfer")
        if UNDECIDED in headline.lower():
            level = UNDECIDED
        found.append(level)
    return found


def agreement(few: list[str], many: list[str]) -> float:
    """Share of the draws of few rows that read as most draws of many rows do, or leave the answer open."""
    usual = Counter(many).most_common(1)[0][0]
    return sum(level in (usual, UNDECIDED) for level in few) / len(few)


def answers(few: list[str], many: list[str]) -> list[bool]:
    """For each draw of few rows that gives an answer: is it that of most draws of many rows?"""
    usual = Counter(many).most_common(1)[0][0]
    return [level == usual for level in few if level != UNDECIDED]


def counted(levels: list[str]) -> str:
    return ", ".join(f"{count} {level}" for level, count in Counter(levels).most_common())


def stability(verdict: Verdict, draws: int, populations: int | None) -> str:
    """The page's table of verdicts at few and at many rows."""
    lines, shares, answered, draws_of_few = [], [], [], 0
    for population in POPULATIONS[:populations]:
        few = levels(verdict, population, 0.25, 2 * draws)
        many = levels(verdict, population, 16, draws)
        shares.append(agreement(few, many))
        answered += answers(few, many)
        draws_of_few += len(few)
        lines.append([population.name, str(population.d), counted(few), counted(many), f"{100 * shares[-1]:.0f} %"])
    text = "\n## The same population at few and at many rows\n\n"
    text += "Verdicts of draws of n = d/4 and of n = 16d rows; the share of draws of few that read as most draws of many, or\n"
    text += 'say "too few rows".\n\n'
    text += markdown(["population", "d", "n = d/4", "n = 16d", "same"], lines)
    text += f"\nAll together: {100 * np.mean(shares):.0f} % (bar: 90 %). "
    if not answered:
        return text + "No draw of few rows gave an answer.\n"
    right = f"{100 * np.mean(answered):.0f} % of these"
    return (
        text
        + f"{100 * len(answered) / draws_of_few:.0f} % of the draws of few rows gave an answer, {right} that of many.\n"
    )
