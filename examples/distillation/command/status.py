"""How far a run has come: what is done, what failed, what remains and how long that will take."""

from __future__ import annotations

from pathlib import Path

from repgeom.terminal import Screen

from ..claims.summaries import Cells
from ..reporting.findings import settings_of
from ..running.costs import Sizes, expected, work
from ..running.run import results
from ..settings.configs import Config, Setting
from ..settings.grid import Cell, cells_of
from ..wording import counted

# Models that remain and are listed by name.
LISTED = 20


def text(out: Path, screen: Screen | None = None) -> str:
    """The progress of a run for a terminal.

    Args:
        out: the run's folder.
        screen: what it is laid out for; by default as piped output.

    Raises:
        FileNotFoundError: no run in this folder.
    """
    config, _ = settings_of(out)
    cells = dict(results(config, out))
    wanted = cells_of(config)
    failed = [c for c in cells if cells[c].record["status"] == "failed"]
    waiting = [c for c in wanted if c not in cells]
    lines = [
        f"{out}: {len(cells) - len(failed)} of {len(wanted)} cells done, {len(failed)} failed, {len(waiting)} remain"
    ]
    lines += [f"  failed  {c.name}: {cells[c].record['reason']}" for c in failed]
    if failed:
        lines.append("  (a failed cell is tried again when its .json is removed)")
    lines += [f"  remains {c.name}" for c in waiting[:LISTED]]
    if len(waiting) > LISTED:
        lines.append(f"  and {len(waiting) - LISTED} more")
    lines += _outlook(config, cells, waiting)
    screen = screen or Screen()
    return "\n".join(found for line in lines for found in screen.sentence(line, further="    "))


def _outlook(config: Config, cells: Cells, waiting: list[Cell]) -> list[str]:
    """The work that is done and that remains, and by both the time."""
    sizes = {setting.name: _sizes(setting, cells) for setting in config.settings}
    seconds = {c: found.record["seconds"] for c, found in cells.items() if found.record["status"] == "done"}
    works = {c: work(c, config, sizes[c.setting]) for c in (*seconds, *waiting)}
    done, remaining = (sum(works[c] for c in some) for some in (seconds, waiting))
    line = f"{flop(done)} done, {flop(remaining)} remain"
    if done:
        line += f"; {flop(done / sum(seconds.values()))} a second of one process so far"
    if not waiting:
        return [line]
    students = [c for c in seconds if c.kind == "student"]
    if not students:
        return [line, "no student is finished yet, so there is no telling how long the rest will take"]
    left = 0.0
    for cell in waiting:
        # Like cells tell best: small models reach fewer operations a second than large ones.
        like = [c for c in students if _kind(c) == _kind(cell)] or students
        left += sum(seconds[c] * works[cell] / works[c] for c in like) / len(like)
    return [line, f"about {spoken(left)} of one process remain, by the cells that are done"]


def _sizes(setting: Setting, cells: Cells) -> Sizes:
    """As its records say, where there are any; else as they are expected to be."""
    records = [found.record for c, found in cells.items() if c.setting == setting.name]
    if not records:
        return expected(setting)
    about = records[0]["setting"]
    teacher = cells.get(Cell(setting.name, "teacher"))
    flops = expected(setting).teacher_flops
    if teacher is not None and teacher.record["status"] == "done":
        flops = teacher.record["flops_per_image"]
    return Sizes(about["n_train"], about["n_test"], about["student_side"], about["width"], flops)


def _kind(cell: Cell) -> tuple[object, ...]:
    """What must be the same for two models to take the same time for the same work."""
    return cell.setting, cell.kind, cell.architecture, cell.width, cell.augmented


def flop(n: float) -> str:
    """A number of operations with three digits and its unit."""
    for unit, size in (("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n / 1e6:.3g} MFLOP"


def spoken(seconds: float) -> str:
    """A time in minutes, or in hours from an hour and a half."""
    minutes = max(1, round(seconds / 60))
    if minutes >= 90:
        return f"{seconds / 3600:.1f} hours"
    return counted(minutes, "minute")
