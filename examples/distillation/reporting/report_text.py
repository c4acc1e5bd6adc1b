"""The words of a report: what was run, the verdicts, every test, and where the paper's record says two things."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from repgeom.terminal import Screen

from ..claims.published import comparability
from ..claims.summaries import models, teacher_of
from ..claims.verdicts import RULE
from ..data.cifar import ARCHIVES
from ..settings.grid import cells_of
from ..wording import counted
from .findings import TABLES, Findings
from .in_short import in_short
from .matrix import KINDS, letters, matrix_lines
from .overview import NOTES
from .table_text import N_NAMES, aligned, models_without, named_tests, published_rows, shown, value_of

if TYPE_CHECKING:
    from ..claims.verdicts import Entry
    from ..settings.configs import Setting

STAND_IN = (
    "EMBEDDED stand-ins show what the paper's claims are worth for other teachers and images; they do not settle what it says "
    "of CLIP on CIFAR-10 and of DINOv2 on CIFAR-100. The preset “paper” does."
)
PUBLISHED_PARAMETERS = {1: "0.5 M", 2: "2 M", 4: "8 M"}


def heading(found: Findings) -> list[str]:
    """What was run and what failed, as sentences; the settings first, each with its letter."""
    marks = letters(found.config.settings)
    lines = [f"{marks[setting.name]}  {_setting_line(setting, found)}" for setting in found.config.settings]
    known = [(setting, about) for setting in found.config.settings if (about := found.about(setting)) is not None]
    lines += [f"{setting.name}: {about['warning']}" for setting, about in known if about.get("warning")]
    if any(_is_stand_in(setting, about) for setting, about in known):
        lines.append(STAND_IN)
    lines.append(_run_line(found))
    failed = [
        f"{row.setting} {row.model}, {reason}" for row in models(found.config, found.cells) for reason in row.failed
    ]
    return lines + [f"Failed: {reason}." for reason in failed]


def _run_line(found: Findings) -> str:
    """How much is done, with which seeds, where and when."""
    config, machine = found.config, found.machine
    done = sum(cell.record["status"] == "done" for cell in found.cells.values())
    seeds = f"{counted(len(config.seeds), 'seed')} ({', '.join(map(str, config.seeds))}"
    if config.more_seeds:
        seeds += f"; of the models compared under noise also {', '.join(map(str, config.more_seeds))}"
    return (
        f"{done} of {len(cells_of(config))} models, {seeds}); begun {machine['date']} on {machine['device']}, "
        f"{counted(machine['cores'], 'core')}, {counted(machine['threads'], 'thread')} a process, torch {machine['torch']}, "
        f"repgeom {machine['repgeom']}; {found.seconds / 60:.0f} minutes of training and measuring, added up over processes."
    )


def sentence(entries: list[Entry]) -> str:
    """How the paper's claims came out over all settings, in one sentence, and our own questions in another."""
    said = []
    for name, ours in (("the paper's claims", False), ("our own questions", True)):
        times = Counter(entry.verdict for entry in entries if entry.ours == ours)
        if times:
            counts = ", ".join(f"{times[verdict]} {verdict}" for verdict in KINDS if times[verdict])
            said.append(f"{times.total()} verdicts on {name}: {counts}.")
    return " ".join(said)


def _setting_line(setting: Setting, found: Findings) -> str:
    """Teacher and images of a setting."""
    about = found.about(setting)
    if about is None:
        return f"{setting.name}: nothing is finished yet."
    images = "EMBEDDED procedural images"
    if about["real_images"]:
        images = "real images"
    elif about.get("data") in ARCHIVES:
        images = f"images by the name of {about['data']} that are not the published files"
    features = f"{about['width']} features"
    if about.get("mean_cosine") is not None:
        features += f", mean cosine {about['mean_cosine']:.2f} on training images"
    return (
        f"{setting.name}: {_teacher_words(setting, about)} ({features}), {images}, {about['n_classes']} classes, "
        f"{about['n_train']:,} to train, {about['n_test']:,} to test."
    )


def _teacher_words(setting: Setting, about: dict[str, Any]) -> str:
    """What kind of teacher it is."""
    checkpoint = about.get("teacher_recipe", {}).get("checkpoint")
    if about["pretrained"] and checkpoint:
        words = f"checkpoint {checkpoint}"
    elif about["pretrained"]:
        words = "pretrained"
    elif ":" in setting.teacher:
        words = f"your own teacher {about.get('teacher', '')}"
    elif setting.teacher.startswith("random"):
        words = "untrained, as control"
    elif setting.teacher_features is not None:
        words = "read from files"
    else:
        words = "EMBEDDED teacher, trained here"
    if setting.teacher_transform != "none":
        words += f", {setting.teacher_transform}"
    return words


def _is_stand_in(setting: Setting, about: dict[str, Any]) -> bool:
    """Whether a teacher was trained here or images were made here, in place of real ones."""
    return setting.teacher.startswith("tiny") or not about["real_images"]


def text(found: Findings, screen: Screen | None = None, *, details: bool = False) -> str:
    """The report for a terminal: what was run, what was found in a few sentences, and all verdicts at one glance.

    Args:
        found: what was run.
        screen: what it is laid out for; by default as piped output.
        details: also the ranks of each setting, every model, every published number and every test.
    """
    screen = screen or Screen()
    settings = found.config.settings
    short = in_short(found.tables["overview"], found.config)
    told = [f"{about}: {words}" for about, words in short.lines]
    parts = [_wrapped([short.headline, *told], screen, "  "), _wrapped(heading(found), screen, "   ")]
    verdicts = matrix_lines(found.entries, settings, screen)
    parts.append("\n".join([*screen.sentence("Claims of arXiv 2603.06698"), *verdicts]))
    if details:
        parts.append(_overview(found, screen))
        parts += [_titled(name, found, screen) for name in ("objectives", "table1", "table2")]
        parts.append(_wrapped([comparability(settings)], screen, ""))
        parts += [_published(setting, found, screen) for setting in settings]
        parts.append(
            "\n".join([*screen.sentence("Every test"), *screen.sentence(RULE), "", *_ledger_lines(found, screen)])
        )
    return "\n\n".join(parts)


def _wrapped(sentences: list[str], screen: Screen, further: str) -> str:
    """Sentences below each other, the lines of one after its first moved in."""
    return "\n".join(line for words in sentences for line in screen.sentence(words, further=further))


def _titled(name: str, found: Findings, screen: Screen, n_names: int = N_NAMES) -> str:
    """A table below its title."""
    title = screen.sentence(TABLES[name][0], further="  ")
    return "\n".join([*title, aligned(shown(found.tables[name]), screen, n_names)])


def _overview(found: Findings, screen: Screen) -> str:
    """The first table, and what those of its columns mean that the line has room for."""
    lines = _titled("overview", found, screen, n_names=1).splitlines()
    # The title may take several lines, so that the heads are looked for above the last rows.
    head = lines[-1 - len(found.tables["overview"])]
    notes = " ".join(note for column, note in NOTES.items() if column in head)
    if notes:
        lines += screen.sentence(notes)
    return "\n".join(lines)


def _published(setting: Setting, found: Findings, screen: Screen) -> str:
    """The published numbers beside those of one setting."""
    title = screen.sentence(f"{TABLES['published'][0]}: {setting.name}", further="  ")
    rows = published_rows(found.tables["published"], setting.name)
    # Quantity, model and place in the paper are names.
    lines = [*title, aligned(rows, screen, n_names=3)]
    return "\n".join([*lines, *screen.sentence(models_without(found.tables["published"], setting.name))])


def _ledger_lines(found: Findings, screen: Screen) -> list[str]:
    lines: list[str] = []
    for entry in found.entries:
        claim = f"{entry.claim.number}. {entry.claim.text}  [{entry.setting.name}]"
        first, *others = screen.sentence(claim, first=f"{entry.verdict.upper():<14} ", further=" " * 15)
        lines += [screen.coloured(first, KINDS[entry.verdict], entry.verdict.upper()), *others]
        for name, row in named_tests(entry):
            words = f"{name}: {value_of(row)}; paper: {row.test.published}; supported if its interval is {row.rule}"
            lines += screen.sentence(words, first=f"    {row.verdict:<14} ", further=" " * 19)
    return lines


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
        *_corrections(found),
        "Effective rank here is taken of σ² for each seed and then averaged, without an ε; the paper takes it of σ in one "
        "place and of σ² in another, of the spectrum averaged over seeds, with 1e-10 inside the logarithm.",
        "Captured variance here centres both; the paper's figure centres the teacher only.",
        "Every model meets the same noise here; the paper draws it afresh for each.",
        "± in the paper is the standard deviation over three seeds with ddof = 0; intervals here are of the mean.",
    ]


def _corrections(found: Findings) -> list[str]:
    """What the ranks that are corrected for the number of images rest on, by each setting's teacher."""
    lines = []
    for setting in found.config.settings:
        teacher = teacher_of(found.config, found.cells, setting)
        if teacher is not None:
            warnings = [
                warning
                for r in teacher.records(found.cells)
                for warning in r.get("population_rank", {}).get("warnings", [])
            ]
            lines += [f"{setting.name}, ranks corrected for the number of images: {warning}." for warning in warnings]
    return lines
