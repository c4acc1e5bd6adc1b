"""What a rule is: one number of an audit, thresholds, and words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from repgeom.auditing.evidence import Evidence
from repgeom.auditing.finding import NONE, Numbered
from repgeom.auditing.purposes import EVERY


@dataclasses.dataclass(frozen=True)
class Rule:
    """One number of an audit, with the thresholds that say how bad it is and the words that go with it.

    Attributes:
        name: what `thresholds` takes.
        meaning: what the number is, in one line.
        worse: on which side of the thresholds trouble lies, "below" or "above".
        warn, fail: the thresholds; None where the rule has no such level.
        read: the number; None where the rule does not apply.
        reason: one sentence with the number in it.
        causes: what usually lies behind it.
        advice: what to try next.
        source: where the thresholds come from.
        interval: the number's 95 % interval; None where none is known.
        purposes: what features must be for, for the rule to speak.
        rows, columns: those that it speaks of.
    """

    name: str
    meaning: str
    worse: str
    warn: float | None
    fail: float | None
    read: Callable[[Evidence], float | None]
    reason: Callable[[Evidence, float], str]
    causes: str
    advice: str
    source: str
    interval: Callable[[Evidence], tuple[float, float] | None] = lambda e: None
    purposes: tuple[str, ...] = EVERY
    rows: Callable[[Evidence], Numbered] = lambda e: NONE
    columns: Callable[[Evidence], Numbered] = lambda e: NONE


OURS = "our choice; override it where your data are known to differ"
BATTERY = "our choice, by the sets of studies/verdicts.md"
