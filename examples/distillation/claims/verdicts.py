"""The rule that turns intervals into verdicts, and the records of claims and of their tests.

A test's statistic is worked out for every seed and averaged; its interval is over seeds and test images (uncertainty.py).
`RULE` says what follows. A claim needs all its tests to be supported, and a test that is not true is supported in at most 2.5 % of
runs, so a false claim is too, however many tests it has. It falls with any one test, so with more tests a true one
would fall more often; Bonferroni's wider intervals (which are the first step of Holm's) keep that at 2.5 % as well.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from ..settings.configs import Config, Setting
from .reader import Missing, Models
from .uncertainty import LEVEL, Measured, Spread, Summary

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
DOES_NOT_APPLY, NOT_RUN = "does not apply", "not run"
RULE = (
    "A test is supported where its 95 % interval, over seeds and test images, lies within the range given with it. It is "
    "contradicted where its wider interval, at the level 1 − .05/m for the m tests of its claim, lies wholly outside. It is undecided "
    "else. A claim is supported where all its tests are and contradicted where any is, so that either verdict is wrong in at most "
    "2.5 of 100 runs, whatever m. It is not run where no test is open and the run has no models for one of them. What must hold for a test to be asked is measured by the same rule: where that is contradicted, the test "
    "does not apply; where it is undecided, so is the test. Tests marked as beside are shown and decide nothing."
)

Statistic = Callable[[Models], Measured]


@dataclasses.dataclass(frozen=True)
class Test:
    """A statistic, the range in which it bears a claim out, and what the paper has for it.

    `given` are preconditions, tests themselves: where one is contradicted, this test does not apply.
    """

    __test__ = False  # not one of pytest's

    text: str
    statistic: Statistic
    low: float
    high: float
    published: str = "–"
    ratio: bool = False  # the statistic is a logarithm and shown as a ratio
    given: tuple[Test, ...] = ()
    n_seeds: int = 2  # fewer decide nothing
    beside: bool = False  # shown beside the others, decides nothing

    @property
    def span(self) -> tuple[float, float]:
        """The range on the scale of the statistic."""
        if not self.ratio:
            return self.low, self.high
        low, high = (-math.inf if end <= 0 else math.log(end) for end in (self.low, self.high))
        return low, high


@dataclasses.dataclass(frozen=True)
class Claim:
    """A sentence of the paper, or a question of our own, and its tests in a setting."""

    number: int
    text: str
    tests: Callable[[Config, Setting], list[Test]]
    needs: str = "such cells"  # what a setting must have for the claim to have tests in it
    ours: bool = False  # a question that the paper does not ask
    short: str = ""  # a few words for the table of all verdicts


@dataclasses.dataclass(frozen=True)
class Row:
    """A test as it came out.

    `reason` says why there is no value, why it is undecided, or which seeds were left out.
    """

    test: Test
    summary: Summary | None
    verdict: str
    reason: str
    seeds_needed: int | None = None  # with so many seeds an undecided test would be decided; None where none would do
    outlook: str = ""  # the same as a sentence: "about 9 seeds would decide"

    @property
    def rule(self) -> str:
        """Where the interval must lie to bear the claim out, in words."""
        if self.verdict == NOT_RUN:
            return "–"
        return span(self.test.low, self.test.high)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A claim in one setting with its verdict, its tests, and what must hold for the tests to be asked."""

    claim: Claim
    setting: Setting
    verdict: str
    rows: list[Row]
    preconditions: list[Row] = dataclasses.field(default_factory=list)

    @property
    def ours(self) -> bool:
        """Whether this is a question that the paper does not ask."""
        return self.claim.ours


def level_of(n_tests: int) -> float:
    """Of the intervals that contradict a claim of so many tests (Bonferroni)."""
    return 1 - (1 - LEVEL) / max(n_tests, 1)


def decided(spread: Spread, low: float, high: float, n_tests: int = 1) -> str:
    """The verdict of one of a claim's tests: where do its intervals lie to the range from `low` to `high`?"""
    if spread.n_seeds < 2:
        return UNDECIDED
    half, wider = spread.half_width(), spread.half_width(level_of(n_tests))
    # Strictly: no difference at all bears no order out.
    if low < spread.value - half and spread.value + half < high:
        return SUPPORTED
    if spread.value + wider < low or spread.value - wider > high:
        return CONTRADICTED
    return UNDECIDED


def outlook(spread: Spread, low: float, high: float, n_tests: int, least: int) -> tuple[int | None, str]:
    """How many seeds would decide a test whose value stays where it is, of `least` at the least; the same in words."""
    if spread.n_seeds < 2:
        return None, "how many seeds would decide is seen from two"
    is_within = low < spread.value < high
    level = LEVEL if is_within else level_of(n_tests)
    distance = min(abs(spread.value - end) for end in (low, high))
    needed = spread.seeds_for(distance, level)
    if needed is not None:
        needed = max(needed, least)
        return needed, f"about {needed:,} seeds would decide"
    if spread.from_images(level) < distance or distance == 0:
        return None, "no number of seeds up to 1,000 would decide"
    n_images = spread.n_images * (spread.from_images(level) / distance) ** 2
    return None, f"more seeds cannot decide: images can, more than {n_images:,.0f} of them"


def verdict_of(verdicts: Sequence[str]) -> str:
    """The verdict of a claim, from those of its tests.

    One test that is contradicted is enough. What is undecided may be decided by more seeds or images; a test that the run
    does not hold will not, so a claim that lacks nothing else is not run.
    """
    for verdict in (CONTRADICTED, UNDECIDED, NOT_RUN, SUPPORTED):
        if verdict in verdicts:
            return verdict
    return DOES_NOT_APPLY


def span(low: float, high: float) -> str:
    """A range in words."""
    if math.isinf(low):
        words = f"below {high:g}"
    elif math.isinf(high):
        words = f"above {low:g}"
    else:
        words = f"within {low:g} to {high:g}"
    return words.replace("-", "−")


def not_there(what: str) -> Statistic:
    """The statistic of a test that a run cannot make, because it has no such models."""

    def statistic(models: Models) -> Measured:
        raise Missing(f"this run has no {what}")

    return statistic
