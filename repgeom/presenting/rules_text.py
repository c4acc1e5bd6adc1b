"""The rules of a verdict as text: what each reads, and where it warns and fails."""

from __future__ import annotations

from repgeom.auditing.purposes import EVERY
from repgeom.auditing.rule import Rule
from repgeom.auditing.rules import RULES
from repgeom.presenting.screen import Screen


def rules_text(screen: Screen) -> str:
    """Two lines or more for each rule, in the order in which findings are shown."""
    intro = (
        "Rules of a verdict. Where an interval is known, a threshold counts as crossed only where all of it is. "
        "--threshold RULE=WARN,FAIL overrides thresholds, RULE=none switches a rule off."
    )
    lines = [*screen.sentence(intro), ""]
    for rule in RULES:
        first, *others = screen.sentence(f"{rule.name}: {_limits(rule)}", further="  ")
        lines += [screen.coloured(first, "heading", screen.shown(rule.name)), *others]
        lines += screen.sentence(rule.meaning, first="    ", further="    ")
    return "\n".join(lines)


def _limits(rule: Rule) -> str:
    limits = {"warns": rule.warn, "fails": rule.fail}
    words = ", ".join(f"{what} {rule.worse} {limit:g}" for what, limit in limits.items() if limit is not None)
    if rule.purposes == EVERY:
        return words
    return f"{words}; for {', '.join(rule.purposes)}"
