"""Which cells a run has: for each setting the teacher, every objective × width × seed, and what is beside the grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from .configs import Config, Setting, short


@dataclasses.dataclass(frozen=True)
class Cell:
    """One model that is trained (unless it is the teacher) and measured."""

    setting: str
    kind: str  # "teacher" or "student"
    architecture: str = "cnn"
    width: int = 0
    objective: str = ""
    augmented: bool = False
    seed: int = 0

    @property
    def model(self) -> str:
        """What it is, without the seed."""
        if self.kind == "teacher":
            return "teacher"
        augmented = "-augmented" if self.augmented else ""
        return f"{short(self.architecture)}-w{self.width}-{self.objective}{augmented}"

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
    for seed in config.more_seeds:
        for setting in config.settings:
            found += [dataclasses.replace(cell, seed=seed) for cell in compared_under_noise(config, setting)]
    return found


def _students(config: Config, setting: Setting) -> Iterator[Cell]:
    """The grid, and what stands beside it and differs from it in one thing only."""
    smallest = min(config.widths_of(setting))
    for objective in config.objectives:
        for width in config.widths_of(setting):
            yield Cell(setting.name, "student", config.student, width, objective)
    for architecture in setting.architectures:
        for objective in config.objectives:
            yield Cell(setting.name, "student", architecture, smallest, objective)
    for objective in setting.variants:
        if objective not in config.objectives:
            yield Cell(setting.name, "student", config.student, smallest, objective)
    yield from _augmented(config, setting)


def compared_under_noise(config: Config, setting: Setting) -> Iterator[Cell]:
    """The smallest and the largest student, and the largest on crops: their accuracies scatter most over seeds."""
    widths = config.widths_of(setting)
    if len(widths) > 1:
        for width in (min(widths), max(widths)):
            yield Cell(setting.name, "student", config.student, width, config.plain)
        yield from _augmented(config, setting)


def _augmented(config: Config, setting: Setting) -> Iterator[Cell]:
    if setting.augmented:
        yield Cell(
            setting.name, "student", config.student, max(config.widths_of(setting)), config.plain, augmented=True
        )
