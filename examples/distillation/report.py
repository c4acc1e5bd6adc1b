"""The files of a run's report: HTML, Markdown, CSV and PNG. Nothing is trained or measured here."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from repgeom.files import write_whole

from .figures import FIGURES, figure
from .findings import TABLES, Findings
from .report_text import RULE, disagreements, heading, markdown
from .table_text import shown, value_of
from .tables import ledger_table


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
    texts["report.html"] = html(found, pictures)
    for name, text in texts.items():
        write_whole(folder / name, text)
        written.append(folder / name)
    return written


def _png(name: str, found: Findings) -> bytes:
    """A figure as the content of a file."""
    buffer = io.BytesIO()
    figure(name, found.config, found.cells).savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def html(found: Findings, pictures: dict[str, bytes]) -> str:
    """One page with nothing to load."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("report.html.j2")
    return template.render(
        name=found.config.name,
        heading=heading(found),
        rule=RULE,
        entries=found.entries,
        value=value_of,
        tables=[(title, shown(found.tables[name])) for name, (title, _) in TABLES.items()],
        disagreements=disagreements(found),
        # Pictures stand within the page, so that it is one file.
        figures=[(FIGURES[n][0], base64.b64encode(data).decode()) for n, data in pictures.items()],
        config=found.config.to_dict(),
    )
