"""How far a run has come: what is done, what failed, what remains and how long that will take."""

from __future__ import annotations

from pathlib import Path

from repgeom.terminal import Screen

from .configs import Config
from .findings import settings_of
from .grid import Cell, cells_of
from .running import results
from .summaries import Cells


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
    lines += [f"  remains {c.name}" for c in waiting]
    if waiting:
        lines.append(_outlook(config, cells, waiting))
    screen = screen or Screen()
    return "\n".join(found for line in lines for found in screen.sentence(line, further="    "))


def _outlook(config: Config, cells: Cells, waiting: list[Cell]) -> str:
    """From the seconds of like cells, or of others scaled by their number of weights in the convolutions."""
    done = {c: found.record["seconds"] for c, found in cells.items() if found.record["status"] == "done"}
    students = {c: seconds for c, seconds in done.items() if c.kind == "student"}
    if not students:
        return "no student is finished yet, so there is no telling how long the rest will take"
    total = 0.0
    for cell in waiting:
        seconds = [s for c, s in done.items() if _kind(c) == _kind(cell)]
        if not seconds:
            seconds = [s * _weight(cell) / _weight(c) for c, s in students.items()]
        total += sum(seconds) / len(seconds)
    return f"about {_spoken(total)} of one process remain, by the cells that are done"


def _kind(cell: Cell) -> tuple[object, ...]:
    """What must be the same for two models to take the same time."""
    return cell.setting, cell.kind, cell.architecture, cell.width, cell.augmented


def _weight(cell: Cell) -> float:
    """Work in a cell relative to others: convolutions grow with the square of the width, the head with the width."""
    # 1.5 lies between the square of the convolutions and the first power of the head.
    return float(max(cell.width, 1) ** 1.5)


def _spoken(seconds: float) -> str:
    """A time in minutes, or in hours from an hour and a half."""
    minutes = max(1, round(seconds / 60))
    if minutes >= 90:
        return f"{seconds / 3600:.1f} hours"
    if minutes == 1:
        return "1 minute"
    return f"{minutes} minutes"
