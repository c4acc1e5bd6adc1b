"""Parts of two pages that are made of the code and kept: every measure, every finding. `python -m docs.catalogue` writes them.

A page is kept, unlike those of `docs/generate.py`, so that who reads a checkout reads it too. A test holds it equal to the code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from repgeom.auditing.purposes import EVERY
from repgeom.auditing.row_intervals import WITH_INTERVAL
from repgeom.auditing.rule import Rule
from repgeom.auditing.rules import RULES
from repgeom.measures.measure import GROUPS, Measure, called_alone, measures
from repgeom.public import __all__ as PUBLIC

DOCS = Path(__file__).parent
BEGIN = "<!-- From here on `python -m docs.catalogue` writes. -->\n\n"
END = "<!-- To here. -->\n"


def write() -> None:
    """Write the parts anew."""
    for name in ("measures", "findings"):
        path = DOCS / f"{name}.md"
        path.write_text(with_part(path.read_text(), part_of(name)))


def part_of(page: str) -> str:
    """The part of a page, "measures" or "findings", that is made of the code."""
    lines = _measures()
    if page == "findings":
        lines = _findings()
    return "\n".join(lines)


def with_part(text: str, part: str) -> str:
    """A page whose text between the two marks is `part`."""
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return before + BEGIN + part + "\n" + END + after


def _measures() -> Iterator[str]:
    """Every record of a measure by group: what is asked, by what, what it cannot tell, and how it is defined."""
    for group in GROUPS:
        of_group = [m for m in (*measures(), *called_alone()) if m.group == group]
        yield from (f"## {group}", "", "| you ask | measure | it cannot tell |", "| --- | --- | --- |")
        yield from (f"| {m.question} | [{m.label.strip()}](#{m.name}) | {_cell(m.cannot_tell)} |" for m in of_group)
        yield ""
        for m in of_group:
            yield from _measure_lines(m)


def _measure_lines(m: Measure) -> list[str]:
    facts = {
        "Name": m.label.strip(),
        "Call": _call_of(m),
        "Formula": m.formula,
        "Convention": m.convention,
        "Rows needed": m.rows_needed,
        "Interval": _interval_of(m),
        "Healthier": m.better or "neither way",
        "Unit": m.unit,
        "Unchanged by": ", ".join(m.invariances),
        "Also called": ", ".join(m.aliases),
        "Source": m.source,
    }
    return [f"### {m.name}", "", *_table(facts), ""]


def _interval_of(m: Measure) -> str:
    if m.functional is not None and math.isfinite(m.functional.known):
        return "yes, also by `rg.estimate`"
    return "yes, in an audit" if m.name in WITH_INTERVAL else m.no_interval


def _table(facts: dict[str, str]) -> list[str]:
    rows = [f"| {name} | {_cell(value)} |" for name, value in facts.items() if value]
    return ["| | |", "| --- | --- |", *rows]


def _cell(text: str) -> str:
    escaped = text.replace("|", r"\|")
    if "`" in text:
        return escaped
    return escaped.replace("*", r"\*").replace("_", r"\_")


def _call_of(m: Measure) -> str:
    """How a user gets the number: its function where it is public, and the audit's row."""
    name = m.function.__name__
    ways = []
    if name in PUBLIC:
        ways.append(f"`rg.{name}`")
    if m.needs:
        ways.append(f'`report["{m.name}"]` of an audit')
    return ", ".join(ways)


def _findings() -> Iterator[str]:
    """Every rule of a verdict: thresholds, purpose, causes, what to try, where the thresholds come from."""
    for rule in RULES:
        yield from _rule_lines(rule)


def _rule_lines(rule: Rule) -> list[str]:
    purposes = "every purpose" if rule.purposes == EVERY else ", ".join(rule.purposes)
    facts = {
        "Reads": rule.meaning,
        "Warns": _limit(rule.worse, rule.warn),
        "Fails": _limit(rule.worse, rule.fail),
        "Speaks for": purposes,
        "Likely causes": rule.causes,
        "Try": rule.advice,
        "Thresholds": rule.source,
    }
    return [f"## {rule.name}", "", *_table(facts), ""]


def _limit(worse: str, limit: float | None) -> str:
    return "never" if limit is None else f"{worse} {limit:g}"


if __name__ == "__main__":
    write()
