"""The rule that turns an interval into a verdict, and the records of claims and of their tests.

One rule decides each test. Its statistic is worked out for every seed and averaged; its 95 % interval is over seeds and
test images (uncertainty.py). The test is supported where the interval lies within a stated range, contradicted where it lies
wholly outside, and undecided else. A claim is supported where all its tests are, contradicted where any is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from .configs import Config, Setting
from .reader import Missing, Models
from .uncertainty import Measured, Summary

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
DOES_NOT_APPLY, NOT_RUN = "does not apply", "not run"

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
    published: str
    ratio: bool = False  # the statistic is a logarithm and shown as a ratio
    given: tuple[Test, ...] = ()
    n_seeds: int = 2  # fewer decide nothing


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


def decided(summary: Summary, low: float, high: float) -> str:
    """The verdict of a test: where does its interval lie to the range from `low` to `high`?"""
    if summary.low is None or summary.high is None:
        return UNDECIDED
    # Strictly: no difference at all bears no order out.
    if low < summary.low and summary.high < high:
        return SUPPORTED
    if summary.high < low or summary.low > high:
        return CONTRADICTED
    return UNDECIDED


def verdict_of(verdicts: list[str]) -> str:
    """The verdict of a claim, from those of its tests."""
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    kinds = set(verdicts)
    if len(kinds) == 1:
        return kinds.pop()
    return UNDECIDED


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
