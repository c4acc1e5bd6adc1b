"""The files of a run's report: HTML, Markdown, CSV and PNG. Nothing is trained or measured here."""

from __future__ import annotations

import io
from pathlib import Path

from repgeom.files import write_whole
from repgeom.pages import templates

from .charts import charts_of
from .figures import FIGURES, figure
from .findings import TABLES, Findings
from .report_text import RULE, disagreements, heading, markdown, sentence
from .table_text import shown, value_of
from .tables import ledger_table
from .verdicts import CONTRADICTED, DOES_NOT_APPLY, NOT_RUN, SUPPORTED, UNDECIDED, Entry

# How the page shows a verdict.
KINDS = {SUPPORTED: "ok", UNDECIDED: "warn", CONTRADICTED: "fail", DOES_NOT_APPLY: "soft", NOT_RUN: "soft"}


def write(found: Findings, folder: Path) -> list[Path]:
    """Writes report.html, report.md, a .csv for each table and the ledger, and a .png for each figure."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {name: _png(name, found) for name in FIGURES}
    written = []
    for name, data in pictures.items():
        write_whole(folder / f"{name}.png", data)
        written.append(folder / f"{name}.png")
    texts = {f"{name}.csv": table.to_csv(index=False) for name, table in found.tables.items()}
    texts["ledger.csv"] = ledger_table(found.entries).to_csv(index=False)
    texts["report.md"] = markdown(found)
    texts["report.html"] = html(found)
    for name, text in texts.items():
        write_whole(folder / name, text)
        written.append(folder / name)
    return written


def _png(name: str, found: Findings) -> bytes:
    """A figure as the content of a file."""
    buffer = io.BytesIO()
    figure(name, found.config, found.cells).savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def html(found: Findings) -> str:
    """One page with nothing to load, in the style of the library's reports."""
    lines, dots = charts_of(found.config, found.cells)
    return (
        templates(Path(__file__).parent)
        .get_template("report.html.j2")
        .render(
            name=found.config.name,
            heading=heading(found),
            rule=RULE,
            sentence=sentence(found.entries),
            claims=[(entry, KINDS[entry.verdict], _tests(entry)) for entry in found.entries],
            tables=[(title, shown(found.tables[name])) for name, (title, _) in TABLES.items()],
            disagreements=disagreements(found),
            lines=lines,
            dots=dots,
            config=found.config.to_dict(),
        )
    )


def _tests(entry: Entry) -> list[list[str]]:
    """A claim's tests as rows of a table, with its header."""
    rows = [[row.test.text, row.verdict, value_of(row), row.test.published, row.rule] for row in entry.rows]
    return [["test", "verdict", "value, 95 % interval", "published", "supported where"], *rows]
