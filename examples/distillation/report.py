"""A run's report: tables, figures and the ledger as text, Markdown, HTML, CSV and PNG. Nothing is trained or measured here."""

from __future__ import annotations

import base64
import dataclasses
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repgeom.data.saving import write_whole
from repgeom.presenting.text import number

from . import stored
from .claims import SUPPORTED, Entry, Row, ledger
from .configs import Config, Setting
from .figures import FIGURES, figure
from .grid import cells_of
from .running import results
from .students import BASE
from .tables import Cells, geometry_table, ledger_table, models, noise_table, record_table

if TYPE_CHECKING:
    import pandas as pd

RULE = (
    "One rule for every test: supported where its 95 % interval, over seeds and test images, lies within the range given with "
    "it, contradicted where it lies wholly outside, undecided else. A claim is supported where all its tests are, "
    "contradicted where any is. Published figures are of CLIP on CIFAR-10, those of claim 4 of DINOv2 on CIFAR-100."
)
STAND_IN = (
    "EMBEDDED stand-ins show what the paper's claims are worth for other teachers and images; they do not settle what it says "
    "of CLIP on CIFAR-10 and of DINOv2 on CIFAR-100. `--preset paper` does."
)
PUBLISHED_PARAMETERS = {1: "0.5 M", 2: "2 M", 4: "8 M"}
TABLES = {
    "table1": ("Table 1. Geometry of the test images' embeddings", geometry_table),
    "table2": ("Table 2. Accuracy of the linear probe under noise", noise_table),
    "record": ("Where the paper's record disagrees with itself: both ways", record_table),
}


@dataclasses.dataclass(frozen=True)
class Findings:
    """All that a report says, read from a run's folder."""

    config: Config
    machine: dict[str, Any]
    cells: Cells
    entries: list[Entry]
    tables: dict[str, pd.DataFrame]

    @property
    def seconds(self) -> float:
        """Spent on the cells that are there."""
        return sum(found.record["seconds"] for found in self.cells.values())

    def about(self, setting: Setting) -> dict[str, Any] | None:
        """What the cells of a setting say of it; None where nothing is finished."""
        return next((f.record["setting"] for c, f in self.cells.items() if c.setting == setting.name), None)


def read(out: Path) -> Findings:
    """The findings of a run as far as it has come.

    Raises:
        FileNotFoundError: no run in this folder.
        Damaged: its settings are damaged.
    """
    config, machine = settings_of(out)
    cells = dict(results(config, out))
    tables = {name: make(config, cells) for name, (_, make) in TABLES.items()}
    return Findings(config, machine, cells, ledger(config, cells), tables)


def settings_of(out: Path) -> tuple[Config, dict[str, Any]]:
    """The configuration that a run was begun with, and the machine."""
    saved = stored.load(out / "run")
    if saved is None:
        raise FileNotFoundError(f"{out} holds no run; `repgeom-distill run --out {out}` begins one.")
    return Config.from_dict(saved.record["config"]), saved.record["machine"]


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


# ---- text ----


def heading(found: Findings) -> list[str]:
    """What was run, plainly, as sentences."""
    n_cells = len(cells_of(found.config))
    done = sum(cell.record["status"] == "done" for cell in found.cells.values())
    lines = [_setting_line(setting, found) for setting in found.config.settings]
    settings = [cell.record["setting"] for cell in found.cells.values()]
    if any(not (about["pretrained"] and about["real_images"]) for about in settings):
        lines.append(STAND_IN)
    machine = found.machine
    seeds = f"{len(found.config.seeds)} {'seed' if len(found.config.seeds) == 1 else 'seeds'}"
    lines.append(
        f"{done} of {n_cells} cells, {seeds} ({', '.join(map(str, found.config.seeds))}); begun "
        f"{machine['date']} on {machine['device']}, {machine['cores']} cores, {machine['threads']} threads, torch "
        f"{machine['torch']}, repgeom {machine['repgeom']}; {found.seconds / 60:.0f} minutes of training and measuring."
    )
    failed = [
        f"{row.setting} {row.model}, {reason}" for row in models(found.config, found.cells) for reason in row.failed
    ]
    lines += [f"Failed: {reason}." for reason in failed]
    return lines


def _setting_line(setting: Setting, found: Findings) -> str:
    about = found.about(setting)
    if about is None:
        return f"{setting.name}: nothing is finished yet."
    if about["pretrained"]:
        teacher = f"checkpoint {about.get('teacher_recipe', {}).get('checkpoint', setting.teacher)}"
    elif ":" in setting.teacher:
        teacher = f"your own teacher {about.get('teacher', '')}"
    else:
        teacher = "EMBEDDED teacher, trained here"
    images = "real images" if about["real_images"] else "EMBEDDED procedural images"
    return (
        f"{setting.name}: {teacher} ({about['width']} features), {images}, {about['n_train']:,} to train on and "
        f"{about['n_test']:,} to measure on, {about['n_classes']} classes."
    )


def text(found: Findings) -> str:
    """For a terminal."""
    parts = ["\n".join(heading(found))]
    for name in ("table1", "table2"):
        parts.append(TABLES[name][0] + "\n" + _plain(_shown(found.tables[name])))
    parts.append("Claims of arXiv 2603.06698\n" + RULE + "\n\n" + "\n".join(_ledger_lines(found)))
    return "\n\n".join(parts)


def _ledger_lines(found: Findings) -> list[str]:
    lines = []
    for entry in found.entries:
        lines.append(f"{entry.verdict.upper():<13} {entry.claim.number}. {entry.claim.text}  [{entry.setting.name}]")
        lines += [
            f"    {row.verdict:<13} {row.test.text}: {_value(row)}; paper: {row.test.published}; supported if its interval is {row.rule}"
            for row in entry.rows
        ]
    return lines


def _value(row: Row) -> str:
    if row.summary is None:
        return row.reason
    s = row.summary
    note = f" ({row.reason})" if row.reason else ""
    if s.low is None or s.high is None:
        return f"{number(s.value)}{note}"
    return f"{number(s.value)} [{number(s.low)}, {number(s.high)}]{note}"


def markdown(found: Findings) -> str:
    """The report as Markdown; the figures lie beside it."""
    parts = [f"# Distillation: {found.config.name}", "\n".join(f"* {line}" for line in heading(found))]
    parts += ["## Claims of arXiv 2603.06698", short_ledger(found.entries), RULE, _ledger_markdown(found)]
    for name, (title, _) in TABLES.items():
        parts += [f"## {title}", _pipe(_shown(found.tables[name]))]
        if name == "record":
            parts.append("\n".join(f"* {line}" for line in disagreements(found)))
    parts += [f"## {title}\n\n![{title}]({name}.png)" for name, (title, _) in FIGURES.items()]
    return "\n\n".join(parts) + "\n"


def disagreements(found: Findings) -> list[str]:
    """Where the paper's record says two things, in words."""
    lines = []
    for width, published in PUBLISHED_PARAMETERS.items():
        students = [c for c in found.cells if c.kind == "student" and c.architecture == BASE and c.width == width]
        counts = {c.setting: found.cells[c].record.get("n_parameters") for c in students}
        lines += [
            f"{name}, width {width}: {n:,} parameters; the paper says {published}." for name, n in counts.items() if n
        ]
    for setting in found.config.settings:
        about = found.about(setting)
        if about is not None:
            pixels = 0.1 * (sum(s * s for s in about["std"]) / 3) ** 0.5
            lines.append(
                f"{setting.name}: noise of σ = 0.1 after normalisation is {pixels:.3f} in pixels of [0, 1]; the mildest "
                "level of ImageNet-C is 0.08."
            )
    return [
        *lines,
        "Effective rank here is taken of σ² for each seed and then averaged, without an ε; the paper takes it of σ in one "
        "place and of σ² in another, of the spectrum averaged over seeds, with 1e-10 inside the logarithm.",
        "Captured variance here centres both; the paper's figure centres the teacher only.",
        "Every model meets the same noise here; the paper draws it afresh for each.",
        "± in the paper is the standard deviation over three seeds with ddof = 0; intervals here are of the mean.",
    ]


def short_ledger(entries: list[Entry]) -> str:
    """One row for each claim and setting: its verdict, and the test that decided it or else the first."""
    lines = ["| claim of the paper | setting | verdict | for instance | published |", "| --- | --- | --- | --- | --- |"]
    for entry in entries:
        deciding = [row for row in entry.rows if row.verdict == entry.verdict]
        row = (deciding or [row for row in entry.rows if row.verdict != SUPPORTED] or entry.rows)[0]
        lines.append(
            f"| {entry.claim.number}. {entry.claim.text} | {entry.setting.name} | **{entry.verdict}** | {row.test.text}: "
            f"{_escaped(_value(row))} | {row.test.published} |"
        )
    return "\n".join(lines)


def _ledger_markdown(found: Findings) -> str:
    lines = [
        "| claim | setting | verdict | test | value, 95 % interval | published | supported where |",
        "| --- " * 7 + "|",
    ]
    for entry in found.entries:
        for i, row in enumerate(entry.rows):
            head = (
                f"{entry.claim.number}. {entry.claim.text} | {entry.setting.name} | **{entry.verdict}**"
                if i == 0
                else "| | "
            )
            lines.append(
                f"| {head} | {row.test.text}: {row.verdict} | {_escaped(_value(row))} | {row.test.published} | {row.rule} |"
            )
    return "\n".join(lines)


# ---- tables for people ----


def _shown(table: pd.DataFrame) -> list[list[str]]:
    """Header and rows as text: an interval stands behind its value, an empty column is left out."""
    names = [c for c in table.columns if not c.endswith((" low", " high"))]
    names = [c for c in names if c != "note" or (table["note"] != "").any()]
    rows = [[_cell(row, name) for name in names] for row in table.to_dict("records")]
    return [names, *rows]


def _cell(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return "–"
    if name in ("parameters", "seeds"):
        return f"{int(value):,}"
    half = None
    low, high = row.get(f"{name} low"), row.get(f"{name} high")
    if low is not None and low == low and high is not None:
        half = (high - low) / 2
    return _rounded(value) + ("" if half is None else f" ±{_rounded(half)}")


def _rounded(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _plain(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _escaped(text: str) -> str:
    """So that it stays within its cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _pipe(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


# ---- pictures and the page ----


def _png(name: str, found: Findings) -> bytes:
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
        value=_value,
        tables=[(title, _shown(found.tables[name])) for name, (title, _) in TABLES.items()],
        disagreements=disagreements(found),
        figures=[(FIGURES[n][0], base64.b64encode(data).decode()) for n, data in pictures.items()],
        config=found.config.to_dict(),
    )
