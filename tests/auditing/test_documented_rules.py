"""The page of the verdict's rules says what the rules do."""

from pathlib import Path

from repgeom.auditing.purposes import EVERY, PURPOSES
from repgeom.auditing.rules import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "verdict.md").read_text()


def shown(limit: float | None) -> str:
    return "–" if limit is None else f"{limit:g}"


def test_the_page_lists_every_rule_with_its_thresholds_purposes_and_source() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    wanted = []
    for rule in RULES:
        purposes = "every purpose" if rule.purposes == EVERY else ", ".join(rule.purposes)
        cells = (f"`{rule.name}`", rule.worse, shown(rule.warn), shown(rule.fail), purposes, rule.source)
        wanted.append("| " + " | ".join(cells) + " |")
    assert rows == wanted


def test_the_page_says_what_each_purpose_means() -> None:
    for name, meaning in PURPOSES.items():
        assert f"`{name}`" in PAGE
        assert meaning in PAGE
