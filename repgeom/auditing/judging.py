"""From readings to findings: each rule reads one number, and its thresholds say how bad that is.

Thresholds can be overridden by name; `None` switches a level off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from repgeom.auditing.evidence import Evidence
from repgeom.auditing.finding import LEVELS, Finding
from repgeom.auditing.purposes import TRANSFER
from repgeom.auditing.rule import Rule
from repgeom.auditing.rules import RULES
from repgeom.measures.shares import InexactTailError


def judge(e: Evidence, thresholds: Mapping[str, Any] | None = None, purpose: str = TRANSFER) -> tuple[Finding, ...]:
    """All findings of the rules that speak for this purpose, the worst first. Raises ValueError for thresholds that no rule has."""
    overrides = thresholds or {}
    rules = [_with_thresholds(rule, overrides) for rule in RULES]
    unknown = set(overrides) - {rule.name for rule in RULES}
    if unknown:
        names = ", ".join(rule.name for rule in RULES)
        raise ValueError(f"`thresholds` names {', '.join(sorted(unknown))}, which no rule has. The rules are: {names}.")
    findings = [_finding_of(rule, e) for rule in rules if purpose in rule.purposes]
    # Sorting is stable: among findings of one level, the order of `RULES` stays.
    return tuple(sorted((f for f in findings if f), key=lambda f: -LEVELS.index(f.level)))


def _with_thresholds(rule: Rule, overrides: Mapping[str, Any]) -> Rule:
    """The rule with the user's thresholds, where there are any. Raises ValueError for what cannot be thresholds."""
    if rule.name not in overrides:
        return rule
    try:
        warn, fail = (None if v is None else float(v) for v in overrides[rule.name])
    except (TypeError, ValueError):
        raise ValueError(
            f"`thresholds[{rule.name!r}]` must be two numbers (warn, fail), None for never; got {overrides[rule.name]!r}."
        ) from None
    # NaN is the one number that differs from itself. It would never be crossed and so switch a rule off unsaid.
    if warn != warn or fail != fail or not _fail_is_stricter(rule, warn, fail):
        raise ValueError(
            f"`thresholds[{rule.name!r}]` must be two numbers (warn, fail) with fail the stricter one: this rule warns "
            f"{rule.worse} its threshold; got {overrides[rule.name]!r}."
        )
    return dataclasses.replace(rule, warn=warn, fail=fail, source="set by the caller")


def _fail_is_stricter(rule: Rule, warn: float | None, fail: float | None) -> bool:
    """Say whether everything that fails would also warn."""
    if warn is None or fail is None:
        return True
    if rule.worse == "below":
        return fail <= warn
    return fail >= warn


def _finding_of(rule: Rule, e: Evidence) -> Finding | None:
    """Apply one rule. None where it does not apply, or where the spectrum is not exact enough for it."""
    try:
        value = rule.read(e)
    except InexactTailError:
        return None
    if value is None:
        return None

    low, high = rule.interval(e) or (None, None)
    # The end of the interval that speaks for the features decides: what crosses a threshold does so beyond doubt.
    kindest = value
    if low is not None and high is not None:
        kindest = low
        if rule.worse == "below":
            kindest = high
    level, level_of_value = _level(rule, kindest), _level(rule, value)
    if level == level_of_value == "ok":
        # A sentence that explains what is wrong would accuse where nothing is.
        reason = f"{rule.name.replace('_', ' ')} is {value:.3g}"
    else:
        reason = rule.reason(e, float(value))
    if level_of_value != level:
        reason += f"; not sure enough for {level_of_value}, as the interval reaches past its threshold"
    words = (reason, rule.causes, rule.advice, rule.source)
    found = Finding(rule.name, level, float(value), low, high, rule.warn, rule.fail, rule.worse, *words)
    rows, columns = rule.rows(e), rule.columns(e)
    return dataclasses.replace(
        found, rows=rows.first, n_rows=rows.count, columns=columns.first, n_columns=columns.count
    )


def _level(rule: Rule, value: float) -> str:
    """How bad this value is by the rule's thresholds, of which neither is crossed by a value that equals it."""
    if _crosses(rule, value, rule.fail):
        return "fail"
    if _crosses(rule, value, rule.warn):
        return "warn"
    return "ok"


def _crosses(rule: Rule, value: float, threshold: float | None) -> bool:
    """Say whether the value lies on the threshold's bad side; a level without a threshold is never reached."""
    if threshold is None:
        return False
    if rule.worse == "below":
        return value < threshold
    return value > threshold
