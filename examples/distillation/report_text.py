"""The words of a report: what was run, every claim with its tests, and where the paper's record says two things."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from repgeom.terminal import Screen

from .data.cifar import ARCHIVES
from .figures import FIGURES
from .findings import TABLES, Findings
from .grid import cells_of
from .summaries import models
from .table_text import aligned, escaped, piped, shown, value_of
from .verdicts import CONTRADICTED, NOT_RUN, SUPPORTED, UNDECIDED, Entry

if TYPE_CHECKING:
    from .configs import Setting

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


def heading(found: Findings) -> list[str]:
    """What was run and what failed, as sentences."""
    n_cells = len(cells_of(found.config))
    done = sum(cell.record["status"] == "done" for cell in found.cells.values())
    lines = [_setting_line(setting, found) for setting in found.config.settings]
    settings = [cell.record["setting"] for cell in found.cells.values()]
    if any(not (about["pretrained"] and about["real_images"]) for about in settings):
        lines.append(STAND_IN)
    machine = found.machine
    seeds = f"{len(found.config.seeds)} seeds"
    if len(found.config.seeds) == 1:
        seeds = "1 seed"
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


def sentence(entries: list[Entry]) -> str:
    """How many claims came out how, in one sentence."""
    times = Counter(entry.verdict for entry in entries)
    counts = [
        f"{times[verdict]} {verdict}" for verdict in (SUPPORTED, CONTRADICTED, UNDECIDED, NOT_RUN) if times[verdict]
    ]
    return f"Of {len(entries)} claims: {', '.join(counts)}."


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
    images = "EMBEDDED procedural images"
    if about["real_images"]:
        images = "real images"
    elif about.get("data") in ARCHIVES:
        images = f"images by the name of {about['data']} that are not the published files"
    return (
        f"{setting.name}: {teacher} ({about['width']} features), {images}, {about['n_train']:,} to train on and "
        f"{about['n_test']:,} to measure on, {about['n_classes']} classes."
    )


def text(found: Findings, screen: Screen | None = None) -> str:
    """The report for a terminal: what was run, both tables and every claim.

    Args:
        found: what was run.
        screen: what it is laid out for; by default as piped output.
    """
    screen = screen or Screen()
    parts = ["\n".join(line for words in heading(found) for line in screen.sentence(words, further="  "))]
    for name in ("table1", "table2"):
        title = screen.sentence(TABLES[name][0], further="  ")
        parts.append("\n".join([*title, aligned(shown(found.tables[name]), screen)]))
    rule = "\n".join(screen.sentence(RULE))
    parts.append("Claims of arXiv 2603.06698\n" + rule + "\n\n" + "\n".join(_ledger_lines(found, screen)))
    return "\n\n".join(parts)


_COLOURS = {SUPPORTED: "ok", CONTRADICTED: "fail"}  # of verdicts; none of others


def _ledger_lines(found: Findings, screen: Screen) -> list[str]:
    lines: list[str] = []
    for entry in found.entries:
        claim = f"{entry.claim.number}. {entry.claim.text}  [{entry.setting.name}]"
        first, *others = screen.sentence(claim, first=f"{entry.verdict.upper():<13} ", further=" " * 14)
        kind = _COLOURS.get(entry.verdict, "")
        lines += [screen.coloured(first, kind, entry.verdict.upper()), *others]
        for row in entry.rows:
            words = f"{row.test.text}: {value_of(row)}; paper: {row.test.published}; supported if its interval is {row.rule}"
            lines += screen.sentence(words, first=f"    {row.verdict:<13} ", further=" " * 18)
    return lines


def markdown(found: Findings) -> str:
    """The report as Markdown; the figures lie beside it."""
    parts = [f"# Distillation: {found.config.name}", "\n".join(f"* {line}" for line in heading(found))]
    parts += ["## Claims of arXiv 2603.06698", short_ledger(found.entries), RULE, _ledger_markdown(found)]
    for name, (title, _) in TABLES.items():
        parts += [f"## {title}", piped(shown(found.tables[name]))]
        if name == "record":
            parts.append("\n".join(f"* {line}" for line in disagreements(found)))
    parts += [f"## {title}\n\n![{title}]({name}.png)" for name, (title, _) in FIGURES.items()]
    return "\n\n".join(parts) + "\n"


def disagreements(found: Findings) -> list[str]:
    """Where the paper's record says two things, in words."""
    lines = []
    for width, published in PUBLISHED_PARAMETERS.items():
        students = [
            c
            for c in found.cells
            if c.kind == "student" and c.architecture == found.config.student and c.width == width
        ]
        counts = {c.setting: found.cells[c].record.get("n_parameters") for c in students}
        lines += [
            f"{name}, width {width}: {n:,} parameters; the paper says {published}." for name, n in counts.items() if n
        ]
    for setting in found.config.settings:
        about = found.about(setting)
        if about is not None:
            # Noise after the division by std is std times as large in pixels; over channels the squares are averaged.
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
            f"{escaped(value_of(row))} | {row.test.published} |"
        )
    return "\n".join(lines)


def _ledger_markdown(found: Findings) -> str:
    lines = [
        "| claim | setting | verdict | test | value, 95 % interval | published | supported where |",
        "| --- " * 7 + "|",
    ]
    for entry in found.entries:
        for i, row in enumerate(entry.rows):
            head = "| | "
            if i == 0:
                head = f"{entry.claim.number}. {entry.claim.text} | {entry.setting.name} | **{entry.verdict}**"
            lines.append(
                f"| {head} | {row.test.text}: {row.verdict} | {escaped(value_of(row))} | {row.test.published} | {row.rule} |"
            )
    return "\n".join(lines)
