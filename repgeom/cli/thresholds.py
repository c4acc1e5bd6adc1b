"""What does `--threshold RULE=WARN,FAIL` say? Read before any row is, so that a mistyped rule costs nothing."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

Limits = tuple[float | None, float | None]


def thresholds_of(texts: Sequence[str]) -> dict[str, Limits]:
    """The thresholds of each rule that is named. Raises ValueError for a rule or a number that there is not."""
    return dict(_parsed(text) for text in texts)


def _parsed(text: str) -> tuple[str, Limits]:
    """`RULE=WARN,FAIL` as (rule, (warn, fail)); None, written "none", switches one or both of them off."""
    name, _, values = text.partition("=")
    if values.strip().lower() == "none":
        values = "none,none"
    try:
        warn, fail = map(_number_or_none, values.split(","))
    except ValueError:
        raise ValueError(
            f"--threshold takes RULE=WARN,FAIL such as rank_share=0.2,0.1 (or none), got {text!r}."
        ) from None
    return _rule_named(name.strip()), (warn, fail)


def _rule_named(said: str) -> str:
    """The rule's own name: capitals, hyphens and spaces do not matter."""
    from repgeom.auditing.rules import RULES

    name, known = said.lower().replace("-", "_").replace(" ", "_"), [rule.name for rule in RULES]
    if name in known:
        return name
    close = difflib.get_close_matches(name, known)
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(f"--threshold {said}: no rule has this name.{meant} `repgeom audit --list-rules` shows all.")


def _number_or_none(text: str) -> float | None:
    if text.strip().lower() == "none":
        return None
    return float(text)
