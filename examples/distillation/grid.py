"""Which cells a run has: for each setting the teacher, every objective × width × seed, and what is beside the grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from .configs import Config, Setting
from .students import BASE


@dataclasses.dataclass(frozen=True)
class Cell:
    """One model that is trained (unless it is the teacher) and measured."""

    setting: str
    kind: str  # "teacher" or "student"
    architecture: str = BASE
    width: int = 0
    objective: str = ""
    augmented: bool = False
    seed: int = 0

    @property
    def model(self) -> str:
        """What it is, without the seed."""
        if self.kind == "teacher":
            return "teacher"
        return f"{self.architecture}-w{self.width}-{self.objective}{'-augmented' if self.augmented else ''}"

    @property
    def name(self) -> str:
        """Of its file."""
        seed = "" if self.kind == "teacher" else f"-s{self.seed}"
        return f"{self.setting}--{self.model}{seed}"


def cells_of(config: Config) -> list[Cell]:
    """All cells of a run, the teachers first, then seed by seed, so that an early look shows the whole grid."""
    found = [Cell(setting.name, "teacher") for setting in config.settings]
    for seed in config.seeds:
        for setting in config.settings:
            found += [dataclasses.replace(cell, seed=seed) for cell in _students(config, setting)]
    return found


def _students(config: Config, setting: Setting) -> Iterator[Cell]:
    # What stands beside the grid differs from the paper's own objective in one thing only.
    plain = "cosine" if "cosine" in config.objectives else config.objectives[0]
    smallest, largest = min(config.widths), max(config.widths)
    for objective in config.objectives:
        for width in config.widths:
            yield Cell(setting.name, "student", BASE, width, objective)
    for architecture in setting.architectures:
        yield Cell(setting.name, "student", architecture, smallest, plain)
    if setting.augmented:
        yield Cell(setting.name, "student", BASE, largest, plain, augmented=True)
