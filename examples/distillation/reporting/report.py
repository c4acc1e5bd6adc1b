"""The files of a run's report: HTML, Markdown, CSV and PNG. Nothing is trained or measured here."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from repgeom.files import write_whole
from repgeom.pages import templates

from ..claims.published import comparability
from ..claims.verdicts import RULE, Entry
from .charts import FIGURES, FIRST, OWN, PAPERS, Drawn, drawn
from .figures import picture
from .findings import TABLES, Findings
from .in_short import in_short
from .matrix import BRIEF, KINDS, claim_rows, letters
from .overview import NOTE
from .report_markdown import markdown
from .report_text import disagreements, heading, sentence
from .table_text import by_setting, models_without, named_tests, published_rows, shown, value_of
from .tables import ledger_table


def write(found: Findings, folder: Path) -> list[Path]:
    """Writes report.html, report.md, a .csv for each table and the ledger, and a .png for each figure that has a chart."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = figures_of(found)
    contents: dict[str, str | bytes] = {f"{figure.name}.png": _png(figure) for figure in figures if figure.charts}
    contents |= {f"{name}.csv": table.to_csv(index=False) for name, table in found.tables.items()}
    contents["ledger.csv"] = ledger_table(found.entries).to_csv(index=False)
    contents["report.md"] = markdown(found, figures)
    contents["report.html"] = html(found, figures)
    for name, content in contents.items():
        write_whole(folder / name, content)
    return [folder / name for name in contents]


def figures_of(found: Findings) -> list[Drawn]:
    """Every figure of a run, our own first."""
    return [drawn(name, found.config, found.cells) for name in FIGURES]


def _png(figure: Drawn) -> bytes:
    """A figure as the content of a file."""
    buffer = io.BytesIO()
    picture(figure).savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def html(found: Findings, figures: Sequence[Drawn]) -> str:
    """One page with nothing to load, in the style of the library's reports."""
    settings = found.config.settings
    page = templates(Path(__file__).parent).get_template("report.html.j2")
    return page.render(
        name=found.config.name,
        short=in_short(found.tables["overview"], found.config),
        heading=heading(found),
        sentence=sentence(found.entries),
        rule=RULE,
        heads=[(letter, name) for name, letter in letters(settings).items()],
        matrix=claim_rows(found.entries, settings),
        kinds=KINDS,
        brief=BRIEF,
        claims=[(entry, KINDS[entry.verdict], _tests(entry)) for entry in found.entries],
        overview_title=TABLES["overview"][0],
        overview_note=NOTE,
        overview=shown(found.tables["overview"]),
        objectives_title=TABLES["objectives"][0],
        objectives=by_setting(found.tables["objectives"]),
        first_figures=[figure for figure in figures if figure.name in FIRST],
        own_figures=[figure for figure in figures if figure.name in OWN],
        published_title=TABLES["published"][0],
        comparability=comparability(settings),
        published=[_published(found, setting.name) for setting in settings],
        paper_figures=[figure for figure in figures if figure.name in PAPERS],
        tables=[(TABLES[name][0], shown(found.tables[name])) for name in ("table1", "table2", "record")],
        disagreements=disagreements(found),
        config=found.config.to_dict(),
    )


def _published(found: Findings, setting: str) -> tuple[str, list[list[str]], str]:
    """A setting's name, the published numbers beside its own, and which models it is without."""
    table = found.tables["published"]
    return setting, published_rows(table, setting), models_without(table, setting)


def _tests(entry: Entry) -> list[list[str]]:
    """A claim's preconditions and tests as rows of a table, with its header."""
    rows = [["test", "verdict", "value, 95 % interval", "published", "supported where"]]
    rows += [[name, row.verdict, value_of(row), row.test.published, row.rule] for name, row in named_tests(entry)]
    return rows
