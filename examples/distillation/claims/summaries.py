"""A run's models, each with its seeds, and how their numbers are averaged: what tables and figures are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

import repgeom as rg

from ..settings.configs import Config, Setting
from ..settings.grid import Cell, cells_of
from ..stored import Stored
from .reader import Missing, Reader
from .uncertainty import Summary, over_images, over_seeds

Cells = dict[Cell, Stored]
Record = dict[str, Any]
# What each image adds to these is kept of their logarithm.
RANKS = ("effective_rank", "effective_rank_sigma")


@dataclasses.dataclass(frozen=True)
class ModelRow:
    """A model in one setting, its finished cells of all seeds, and the reasons of those that failed."""

    setting: str
    model: str
    cell: Cell
    done: list[Cell]
    failed: list[str]
    missing: int

    @property
    def is_teacher(self) -> bool:
        """Whether it is the setting's teacher."""
        return self.cell.kind == "teacher"

    def records(self, cells: Cells) -> list[Record]:
        """Of the cells that are finished."""
        return [cells[cell].record for cell in self.done]


def models(config: Config, cells: Cells) -> list[ModelRow]:
    """Every model of a run in order, finished or not."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells_of(config):
        groups.setdefault((cell.setting, cell.model), []).append(cell)
    found = []
    for (setting, model), wanted in groups.items():
        there = [c for c in wanted if c in cells]
        done = [c for c in there if cells[c].record["status"] == "done"]
        failed = [_failure(c, cells[c].record["reason"]) for c in there if c not in done]
        # The cells of a model differ in the seed alone, so the first one stands for all.
        found.append(ModelRow(setting, model, wanted[0], done, failed, len(wanted) - len(there)))
    order = [setting.name for setting in config.settings]
    return sorted(found, key=lambda row: order.index(row.setting))


def _failure(cell: Cell, reason: str) -> str:
    if cell.kind == "teacher":
        return reason
    return f"seed {cell.seed}: {reason}"


def models_of(config: Config, cells: Cells, setting: Setting) -> list[ModelRow]:
    """A setting's models of which a cell is finished."""
    return [row for row in models(config, cells) if row.setting == setting.name and row.done]


def teacher_of(config: Config, cells: Cells, setting: Setting) -> ModelRow | None:
    """A setting's teacher, if it is finished."""
    return next((row for row in models_of(config, cells, setting) if row.is_teacher), None)


def student_of(
    config: Config, cells: Cells, setting: Setting, objective: str, width: int | None = None
) -> ModelRow | None:
    """The paper's CNN with an objective, at the smallest width unless told otherwise; None where none is finished."""
    wanted = Cell(setting.name, "student", config.student, width or min(config.widths_of(setting)), objective)
    return next((row for row in models_of(config, cells, setting) if row.model == wanted.model), None)


def contrastive(config: Config) -> str | None:
    """The run's first objective with an InfoNCE term; None where it has none."""
    return next((name for name in config.objectives if name.startswith("cosine+infonce")), None)


def summary_of(model: ModelRow, cells: Cells, key: str) -> Summary | None:
    """Over the seeds that finished; a teacher has one and no seeds, so its interval is over images alone."""
    reader = Reader(cells)
    read = reader.of
    if key in RANKS:
        read = reader.rank
    try:
        found = [read(cell, key) for cell in model.done]
    except Missing:
        return None
    if not found:
        return None
    if model.is_teacher:
        return over_images(found[0])
    return over_seeds(found)


def value_in(record: Record, key: str) -> float | None:
    """A number of a record, "part/key" for one within a part; None where an older run did not measure it."""
    if key in record:
        return record[key]
    part, _, inner = key.partition("/")
    found = record.get(part)
    if not inner or not isinstance(found, dict):
        return None
    return found.get(inner)


def mean_of(model: ModelRow | None, cells: Cells, key: str) -> float | None:
    """The mean over seeds of a number; None where a seed lacks it."""
    if model is None:
        return None
    return mean([value_in(record, key) for record in model.records(cells)])


def mean(values: Sequence[float | None]) -> float | None:
    """None where there is nothing, or where something is missing."""
    there = [value for value in values if value is not None]
    if not there or len(there) < len(values):
        return None
    return sum(there) / len(there)


def mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    """The mean of curves as far as all of them go; empty where there is none."""
    if not curves:
        return []
    n = min(len(curve) for curve in curves)
    return [sum(curve[i] for curve in curves) / len(curves) for i in range(n)]


def mean_curve_of(model: ModelRow | None, cells: Cells, key: str) -> list[float]:
    """The mean over seeds of a list that records have; empty where one lacks it."""
    if model is None:
        return []
    return mean_curve([value_in(record, key) or [] for record in model.records(cells)])  # type: ignore[misc]


def rank_of_mean(spectra: Sequence[Sequence[float]]) -> float | None:
    """Effective rank of variances averaged over seeds."""
    return _of_mean(spectra, lambda averaged: averaged, rg.effective_rank)


def rank_of_mean_sigma(spectra: Sequence[Sequence[float]]) -> float | None:
    """Effective rank (of σ²) of singular values averaged over seeds, as published."""
    return _of_mean(spectra, torch.square, rg.effective_rank)


def dimensions_of_mean_sigma(spectra: Sequence[Sequence[float]]) -> float | None:
    """Dimensions for 90 % of the variance, of singular values averaged over seeds, as published."""
    return _of_mean(spectra, torch.square, lambda spectrum: rg.n_components(spectrum, variance=0.9))


def _of_mean(
    spectra: Sequence[Sequence[float]],
    variances: Callable[[torch.Tensor], torch.Tensor],
    measure: Callable[[rg.Spectrum], Any],
) -> float | None:
    if not spectra or not all(spectra):
        return None
    longest = max(len(values) for values in spectra)
    # A direction that a shorter spectrum lacks has no variance.
    padded = [[*values, *[0.0] * (longest - len(values))] for values in spectra]
    averaged = torch.tensor(padded, dtype=torch.float64).mean(0)
    return float(measure(rg.Spectrum.from_variances(variances(averaged))))
