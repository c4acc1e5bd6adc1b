"""What one rule found, and how bad that is."""

from __future__ import annotations

import dataclasses

from repgeom.data.settings import own_settings

LEVELS = ("ok", "warn", "fail")  # from best to worst


@own_settings
@dataclasses.dataclass(frozen=True)
class Finding:
    """What one rule found.

    Attributes:
        name: the rule's name, which `thresholds` takes.
        level: "ok", "warn" or "fail".
        value: the number it read.
        low, high: its 95 % interval, where one is known; a threshold is crossed where all of it lies beyond.
        warn, fail: its thresholds; `worse` says on which side of them trouble lies ("below" or "above").
        reason: one sentence with the number in it.
        causes: what usually lies behind it.
        advice: what to try next.
        source: where the thresholds come from.
    """

    name: str
    level: str
    value: float
    low: float | None
    high: float | None
    warn: float | None
    fail: float | None
    worse: str
    reason: str
    causes: str
    advice: str
    source: str


def worst(findings: tuple[Finding, ...]) -> str:
    """The worst level among these; "ok" where there are none."""
    return max((f.level for f in findings), key=LEVELS.index, default="ok")
