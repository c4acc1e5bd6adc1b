"""The report as Markdown, with the pictures beside it."""

from __future__ import annotations

from collections.abc import Sequence

from ..claims.published import comparability
from ..claims.verdicts import RULE
from .charts import FIRST, Drawn
from .findings import TABLES, Findings
from .in_short import in_short
from .matrix import matrix_table
from .overview import NOTE
from .report_text import disagreements, heading, sentence
from .table_text import by_setting, models_without, named_tests, piped, published_rows, shown, value_of


def markdown(found: Findings, figures: Sequence[Drawn]) -> str:
    """What was run, all verdicts at one glance, what was found, the published numbers beside ours, figures, tables, every test."""
    settings = found.config.settings
    short = in_short(found.tables["overview"], found.config)
    parts = [f"# Distillation: {found.config.name}", f"**{short.headline}**"]
    if short.lines:
        parts.append("\n".join(f"* **{about}:** {words}" for about, words in short.lines))
    parts += [part for figure in figures if figure.name in FIRST for part in _drawn(figure)]
    parts += ["## What was run", "\n".join(f"* {line}" for line in heading(found))]
    parts += ["## Claims of arXiv 2603.06698", piped(matrix_table(found.entries, settings))]
    parts += [sentence(found.entries), f"{RULE} Every test stands at the end."]
    parts += [f"## {TABLES['overview'][0]}", piped(shown(found.tables["overview"])), NOTE]
    parts.append(f"## {TABLES['objectives'][0]}")
    for name, rows in by_setting(found.tables["objectives"]):
        parts += [f"### {name}", piped(rows)]
    parts += [f"## {TABLES['published'][0]}", comparability(settings)]
    for setting in settings:
        table = found.tables["published"]
        parts += [
            f"### {setting.name}",
            piped(published_rows(table, setting.name)),
            models_without(table, setting.name),
        ]
    parts += [part for figure in figures if figure.name not in FIRST for part in _drawn(figure)]
    for name in ("table1", "table2", "record"):
        parts += [f"## {TABLES[name][0]}", piped(shown(found.tables[name]))]
    parts.append("\n".join(f"* {line}" for line in disagreements(found)))
    parts += ["## Every test", every_test(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _drawn(figure: Drawn) -> list[str]:
    """A figure's title, what to know of it, and its picture."""
    parts = [f"## {figure.title}", figure.sentence]
    if figure.charts:
        parts.append(f"![{figure.title}]({figure.name}.png)")
    return parts


def every_test(found: Findings) -> str:
    """The ledger: each claim in each setting with its preconditions and tests."""
    rows = [["claim", "setting", "verdict", "test", "value, 95 % interval", "published", "supported where"]]
    for entry in found.entries:
        head = [f"{entry.claim.number}. {entry.claim.text}", entry.setting.name, f"**{entry.verdict}**"]
        for name, row in named_tests(entry):
            rows.append([*head, f"{name}: {row.verdict}", value_of(row), row.test.published, row.rule])
            head = ["", "", ""]
    return piped(rows)
