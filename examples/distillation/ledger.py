"""The claims ledger: every claim of arXiv 2603.06698 tested on a run's results, in every setting of the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from .claims import CLAIMS
from .configs import Config, Setting
from .grid import Cell
from .reader import Missing, Models, Reader
from .stored import Stored
from .uncertainty import over_seeds
from .verdicts import NOT_RUN, UNDECIDED, Entry, Row, Test, decided, not_there, verdict_of


def ledger(config: Config, cells: dict[Cell, Stored]) -> list[Entry]:
    """Every claim in every setting in which it has tests; one that has none anywhere is "not run" in the first."""
    return list(_entries(config, Reader(cells)))


def _entries(config: Config, reader: Reader) -> Iterator[Entry]:
    for claim in CLAIMS:
        tests = {setting: claim.tests(config, setting) for setting in config.settings}
        if not any(tests.values()):
            tests[config.settings[0]] = [Test(claim.needs, not_there(claim.needs), -math.inf, math.inf, "–")]
        for setting in config.settings:
            rows = [_row(test, reader, config, setting) for test in tests[setting]]
            if rows:
                yield Entry(claim, setting, verdict_of([row.verdict for row in rows]), rows)


def _row(test: Test, reader: Reader, config: Config, setting: Setting) -> Row:
    """A test over the seeds whose models are there."""
    found, reasons = [], []
    for seed in config.seeds:
        try:
            found.append(test.statistic(Models(reader, config, setting, seed)))
        except Missing as missing:
            reasons.append(str(missing))
    if not found:
        return Row(test, None, NOT_RUN, reasons[0])
    # A ratio is averaged as a logarithm and shown as itself.
    back: Callable[[float], float] = float
    if test.ratio:
        back = math.exp
    summary = over_seeds(found, back)
    left_out = ""
    if reasons:
        left_out = f"{len(reasons)} of {len(config.seeds)} seeds left out: {reasons[0]}"
    if summary.low is None:
        return Row(test, summary, UNDECIDED, left_out or "one seed gives no interval")
    return Row(test, summary, decided(summary, test.low, test.high), left_out)
