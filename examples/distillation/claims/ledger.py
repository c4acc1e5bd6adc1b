"""The ledger: every claim of arXiv 2603.06698, and our own questions, tested on a run's results in every setting of the run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

from ..settings.configs import Config, Setting
from ..settings.grid import Cell
from ..stored import Stored
from .claims import CLAIMS
from .questions import QUESTIONS
from .reader import Missing, Models, Reader
from .uncertainty import Measured, Spread, over_seeds
from .verdicts import (
    CONTRADICTED,
    DOES_NOT_APPLY,
    NOT_RUN,
    SUPPORTED,
    UNDECIDED,
    Claim,
    Entry,
    Row,
    Test,
    decided,
    level_of,
    not_there,
    outlook,
    verdict_of,
)


def ledger(config: Config, cells: dict[Cell, Stored]) -> list[Entry]:
    """Every claim in every setting in which it has tests; one that has none anywhere is "not run" in the first."""
    return list(_entries(config, Reader(cells)))


def _entries(config: Config, reader: Reader) -> Iterator[Entry]:
    for claim in (*CLAIMS, *QUESTIONS):
        tests = {setting: claim.tests(config, setting) for setting in config.settings}
        if not any(tests.values()):
            tests[config.settings[0]] = [Test(claim.needs, not_there(claim.needs), -math.inf, math.inf)]
        for setting, asked in tests.items():
            if asked:
                yield entry(claim, asked, reader, config, setting)


def entry(claim: Claim, tests: Sequence[Test], reader: Reader, config: Config, setting: Setting) -> Entry:
    """A claim in one setting, decided by its tests."""
    # A precondition that several tests share is measured once.
    given = list(dict.fromkeys(condition for test in tests for condition in test.given))
    preconditions = _rows(given, reader, config, setting)
    rows = [_under(row, preconditions) for row in _rows(tests, reader, config, setting)]
    verdict = verdict_of([row.verdict for row in rows if not row.test.beside])
    return Entry(claim, setting, verdict, rows, preconditions)


@dataclasses.dataclass(frozen=True)
class Reading:
    """A test's statistic for every seed whose models are there, and the reasons of the others."""

    test: Test
    found: list[Measured]
    reasons: list[str]

    @property
    def n_asked(self) -> int:
        """Seeds, with or without models."""
        return len(self.found) + len(self.reasons)


def _reading(test: Test, reader: Reader, config: Config, setting: Setting) -> Reading:
    # Only the models of tests that need many seeds have been trained with the further ones.
    seeds = config.seeds
    if test.n_seeds > len(seeds):
        seeds += config.more_seeds
    found, reasons = [], []
    for seed in seeds:
        try:
            found.append(test.statistic(Models(reader, config, setting, seed)))
        except Missing as missing:
            reasons.append(str(missing))
    return Reading(test, found, reasons)


def _rows(tests: Sequence[Test], reader: Reader, config: Config, setting: Setting) -> list[Row]:
    """Tests that stand or fall together, each over the seeds whose models are there."""
    readings = [_reading(test, reader, config, setting) for test in tests]
    # A test without a result cannot err, and one that decides nothing need not be allowed for.
    n_tests = sum(len(reading.found) > 1 for reading in readings if not reading.test.beside)
    return [_row(reading, n_tests) for reading in readings]


def _row(reading: Reading, n_tests: int) -> Row:
    test, found = reading.test, reading.found
    if not found:
        return Row(test, None, NOT_RUN, reading.reasons[0])
    # A ratio is averaged as a logarithm and shown as itself.
    back: Callable[[float], float] = float
    if test.ratio:
        back = math.exp
    summary, spread = over_seeds(found, back), Spread.of(found)
    verdict = decided(spread, *test.span, n_tests)
    reasons = []
    if reading.reasons:
        reasons.append(f"{len(reading.reasons)} of {reading.n_asked} seeds left out: {reading.reasons[0]}")
    if len(found) < test.n_seeds:
        verdict = UNDECIDED
        reasons.append(_too_few(len(found), test.n_seeds))
    if verdict != UNDECIDED:
        return Row(test, summary, verdict, "; ".join(reasons))
    # What is outside at 95 % alone looks decided, so the row says why it is not.
    if decided(spread, *test.span) == CONTRADICTED and not reasons:
        reasons.append(f"outside, but not by the interval at {level_of(n_tests):.2%} that {n_tests} tests ask for")
    return Row(test, summary, verdict, "; ".join(reasons), *outlook(spread, *test.span, n_tests, test.n_seeds))


def _too_few(n: int, least: int) -> str:
    if n == 1:
        return "one seed gives no interval"
    return f"at least {least} seeds are needed, {n} are there"


def _under(row: Row, preconditions: list[Row]) -> Row:
    """A test as its preconditions leave it."""
    if row.verdict == NOT_RUN:
        return row
    mine = [condition for condition in preconditions if condition.test in row.test.given]
    unmet = [condition for condition in mine if condition.verdict == CONTRADICTED]
    if unmet:
        return _changed(row, DOES_NOT_APPLY, f"{unmet[0].test.text} is not {unmet[0].rule}")
    open_ones = [condition for condition in mine if condition.verdict != SUPPORTED]
    if open_ones:
        first = open_ones[0]
        why = f"whether it applies is {first.verdict}: {first.test.text}"
        return dataclasses.replace(
            _changed(row, UNDECIDED, why), seeds_needed=first.seeds_needed, outlook=first.outlook
        )
    return row


def _changed(row: Row, verdict: str, why: str) -> Row:
    """Another verdict, for a reason that stands before those that are there."""
    reason = "; ".join(part for part in (why, row.reason) if part)
    return dataclasses.replace(row, verdict=verdict, reason=reason, seeds_needed=None, outlook="")
