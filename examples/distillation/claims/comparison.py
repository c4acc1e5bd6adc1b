"""Each published number beside ours: by the paper's own definition, and by the sound one with its interval."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ..settings.configs import Config, Setting
from ..settings.grid import Cell
from .published import CLEAN, DIMENSIONS, EXPANDED, INFONCE, POINTS, RANK, REACHED, SIZES, TEACHER, UNIFORMITY, Point
from .summaries import (
    Cells,
    ModelRow,
    contrastive,
    dimensions_of_mean_sigma,
    mean_curve_of,
    mean_of,
    models,
    rank_of_mean_sigma,
    summary_of,
)
from .uncertainty import Summary

if TYPE_CHECKING:
    import pandas as pd


# How the note begins and ends of a published model that a run does not hold.
NO, HERE = "no", "here"


@dataclasses.dataclass(frozen=True)
class Ours:
    """What a run has for a published number; None where it has nothing.

    Attributes:
        as_published: by the paper's definition.
        scatter: over seeds with ddof = 0, where the paper has one.
        sound: our value; `summary` has its interval, where there is one.
        reason: why something is missing.
    """

    as_published: float | None = None
    scatter: float | None = None
    sound: float | None = None
    summary: Summary | None = None
    reason: str = ""


def published_table(config: Config, cells: Cells) -> pd.DataFrame:
    """Every published number in every setting, in order."""
    import pandas as pd

    return pd.DataFrame([_row(config, cells, setting, point) for setting in config.settings for point in POINTS])


def _row(config: Config, cells: Cells, setting: Setting, point: Point) -> dict[str, Any]:
    ours = ours_of(config, cells, setting, point)
    low = high = None
    if ours.summary is not None:
        low, high = ours.summary.low, ours.summary.high
    return {
        "setting": setting.name,
        "published in": point.where,
        "published of": point.of,
        "quantity": quantity_name(point.quantity),
        "model": model_name(point),
        "published": point.value,
        "published ±": point.scatter,
        "sign": point.sign,
        "ours as published": ours.as_published,
        "ours as published ±": ours.scatter,
        "ours": ours.sound,
        "ours low": low,
        "ours high": high,
        "note": ours.reason,
    }


def quantity_name(quantity: str) -> str:
    """For tables."""
    names = {
        RANK: "effective rank",
        DIMENSIONS: "dimensions for 90 % of variance",
        INFONCE: "InfoNCE against the teacher, at 0.1",
        UNIFORMITY: "uniformity",
        REACHED: "teacher's directions for 0.90 captured",
        CLEAN: "probe accuracy, clean",
    }
    if quantity in names:
        return names[quantity]
    kind, *_, value = quantity.split("/")
    if kind == "captured":
        return f"captured by the teacher's leading {value}"
    return f"probe accuracy, σ = {value}"


def model_name(point: Point) -> str:
    """Of a published number, for tables."""
    if point.objective == TEACHER:
        return TEACHER
    words = point.objective
    if point.width is not None:
        words = f"{SIZES[point.width]}, {words}"
    if point.augmented:
        words += ", augmented"
    return words


def ours_of(config: Config, cells: Cells, setting: Setting, point: Point) -> Ours:
    """What a run has for a published number in one of its settings."""
    found = counterpart(config, cells, setting, point)
    if isinstance(found, str):
        return Ours(reason=found)
    if not found.done:
        return Ours(reason="; ".join(found.failed) or "not run")
    key = point.quantity
    if key in (RANK, DIMENSIONS):
        return _of_spectrum(found, cells, key)
    if key.startswith("captured/") or key == REACHED:
        return _captured(config, cells, found, key)
    summary = summary_of(found, cells, key)
    if summary is None:
        return Ours(reason="not measured here")
    if key in (INFONCE, UNIFORMITY):
        published = mean_of(found, cells, f"published/{key}")
        return Ours(published, None, summary.value, summary, _missing(published, "means of batches were not kept"))
    scatter = None
    if point.scatter is not None and summary.n_seeds > 1:
        scatter = summary.scatter
    return Ours(summary.value, scatter, summary.value, summary)


def _of_spectrum(found: ModelRow, cells: Cells, key: str) -> Ours:
    """Effective rank or dimensions, of σ averaged over seeds as published, and averaged over seeds themselves."""
    spectra = [record.get("singular_values", []) for record in found.records(cells)]
    if key == RANK:
        published, summary = rank_of_mean_sigma(spectra), summary_of(found, cells, key)
    else:
        published, summary = dimensions_of_mean_sigma(spectra), None
    return Ours(
        published, None, mean_of(found, cells, key), summary, _missing(published, "singular values were not kept")
    )


def counterpart(config: Config, cells: Cells, setting: Setting, point: Point) -> ModelRow | str:
    """Our model for a published one, or why there is none. A width that is not stated is the smallest."""
    widths = config.widths_of(setting)
    wanted = Cell(setting.name, "teacher")
    if point.objective != TEACHER:
        width = point.width or min(widths)
        if width not in widths:
            return f"{NO} width {width} {HERE}"
        objective = config.plain
        # The paper does not state its temperature and weight, so the run's first contrastive objective stands for it.
        if point.objective == EXPANDED:
            objective = contrastive(config) or EXPANDED
        wanted = Cell(setting.name, "student", config.student, width, objective, point.augmented)
    for row in models(config, cells):
        if row.setting == setting.name and row.model == wanted.model:
            return row
    return f"{NO} {wanted.model} {HERE}"


def is_absent(note: str) -> bool:
    """Whether a row of the table has nothing of ours because the run was never to train such a model."""
    return note.startswith(f"{NO} ") and note.endswith(f" {HERE}")


def _captured(config: Config, cells: Cells, found: ModelRow, key: str) -> Ours:
    """Captured variance by a number of directions, or how many directions capture 0.90."""
    centred = mean_curve_of(found, cells, "captured_curve")
    not_centred = mean_curve_of(found, cells, "captured_curve_student_not_centred")
    reason = ""
    if not not_centred:
        reason = "the curve was not kept with the student not centred"
    if key == REACHED:
        return Ours(_first(not_centred, 0.9), None, _first(centred, 0.9), None, reason)
    n_directions = int(key.rpartition("/")[2])
    summary = None
    if n_directions == config.evaluation.leading:
        summary = summary_of(found, cells, "captured")
    return Ours(_at(not_centred, n_directions), None, _at(centred, n_directions), summary, reason)


def _first(curve: list[float], share: float) -> int | None:
    """How many directions a curve needs for a share."""
    return next((i + 1 for i, value in enumerate(curve) if value >= share), None)


def _at(curve: list[float], n_directions: int) -> float | None:
    if len(curve) < n_directions:
        return None
    return curve[n_directions - 1]


def _missing(value: float | None, reason: str) -> str:
    if value is None:
        return reason
    return ""
