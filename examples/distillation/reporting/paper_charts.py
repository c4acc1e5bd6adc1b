"""The figures of arXiv 2603.06698 from a run's results, a chart or two for each setting, with the published points over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from repgeom.pages import DotChart, LineChart, Series

from ..claims.published import (
    CLIP,
    DINO,
    EXPANDED,
    INFONCE,
    POINTS,
    RANK,
    REACHED,
    SIZES,
    TEACHER,
    UNIFORMITY,
    Point,
    accuracy_at,
)
from ..claims.summaries import Cells, ModelRow, mean_curve_of, mean_of, models_of, summary_of
from ..claims.uncertainty import Summary
from ..settings.configs import Config, Setting

Chart = LineChart | DotChart
N_COLORS = 6  # looks of a page: a colour for each width, other dashes for each objective
SMALLEST_SIGMA = 1e-4  # over the largest: where the figure of spectra ends
N_CAPTURED = 128  # directions that the figure of captured variance shows
NAN = float("nan")


def captured(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """v1, figure 1."""
    series = []
    for row in _grid(config, cells, setting, config.plain):
        curve = mean_curve_of(row, cells, "captured_curve_student_not_centred")
        if not row.is_teacher and curve:
            series.append(Series(_name(row), curve[:N_CAPTURED], look=_look(config, setting, row)))
    if not series:
        return []
    series.append(_published_curve())
    n = max(len(s.values) for s in series)
    label = "leading directions of the teacher"
    return [LineChart(setting.name, np.arange(1, n + 1), label, "share of variance", series, limits=(0, 1.02))]


def _published_curve() -> Series:
    """The points of the paper's figure that are known; what its text says of 20 directions is not what the figure shows."""
    values = [NAN] * N_CAPTURED
    for point in POINTS:
        if point.where == "v1, figure 1" and point.quantity.startswith("captured/"):
            values[int(point.quantity.rpartition("/")[2]) - 1] = point.value
        elif point.quantity == REACHED:
            values[int(point.value) - 1] = 0.9
    return Series(f"published, {CLIP}", values, points=True)


def contrast(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """v1, figure 2: of several sizes."""
    rows = [row for row in _grid(config, cells, setting, config.plain) if not row.is_teacher]
    charts: list[Chart] = []
    if len(rows) < 2:
        return charts
    for key, label in ((INFONCE, "InfoNCE at 0.1"), (UNIFORMITY, "uniformity")):
        by_batches = Series(
            "by the paper's definition", [or_nan(mean_of(row, cells, f"published/{key}")) for row in rows]
        )
        over_all = _series("over all images, 95 % as a bar", [summary_of(row, cells, key) for row in rows])
        series = with_values([by_batches, over_all, _published(key, rows, CLIP)])
        names = [_name(row) for row in rows]
        charts.append(DotChart(setting.name, names, label, series, limits=_around(series)))
    return charts


def _around(series: Sequence[Series]) -> tuple[float, float]:
    """An axis on which differences are seen: from the smallest to the largest value, and a tenth more on both sides."""
    values = np.concatenate([s.values[np.isfinite(s.values)] for s in series])
    room = 0.1 * (values.max() - values.min()) + 1e-3
    return float(values.min() - room), float(values.max() + room)


def noise_by_size(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """v1, figure 3."""
    rows = _grid(config, cells, setting, config.plain)
    levels = sorted({0.0, *config.evaluation.sigmas, 0.05, 0.1, 0.2})
    series = [_under_noise(config, setting, row, cells, levels) for row in rows]
    for row in rows:
        values = [_value(_point(accuracy_at(sigma), row, CLIP)) for sigma in levels]
        if np.isfinite(values).any():
            look = series[rows.index(row)].look
            series.append(Series(f"published, {_name(row)}", values, points=True, look=look, compared=row.is_teacher))
    return _noise_chart(setting, levels, series)


def noise_by_objective(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """v2, figure 3."""
    ends = {min(config.widths_of(setting)), max(config.widths_of(setting))}
    rows = [row for row in _grid(config, cells, setting) if row.is_teacher or row.cell.width in ends]
    levels = [0.0, *config.evaluation.sigmas]
    return _noise_chart(setting, levels, [_under_noise(config, setting, row, cells, levels) for row in rows])


def _noise_chart(setting: Setting, levels: Sequence[float], series: list[Series]) -> list[Chart]:
    """The axes are alike in every setting."""
    if not series:
        return []
    label = "σ of noise after the teacher's normalisation"
    return [LineChart(setting.name, levels, label, "probe accuracy", series, limits=(0, 1.02), marked=True)]


def spectra(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """v2, figure 1."""
    series = []
    for row in _grid(config, cells, setting):
        shares = np.array(mean_curve_of(row, cells, "variance_ratio"))
        relative = np.sqrt(shares / shares[0])
        series.append(
            Series(
                _name(row), above(SMALLEST_SIGMA, relative), compared=row.is_teacher, look=_look(config, setting, row)
            )
        )
    if not series:
        return []
    n = max(len(s.values) for s in series)
    label = "singular value over the largest"
    return [
        LineChart(setting.name, np.arange(1, n + 1), "direction", label, series, log=True, limits=(SMALLEST_SIGMA, 1.0))
    ]


def ranks(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """v2, figure 2."""
    rows = _grid(config, cells, setting)
    if not rows:
        return []
    ours = _series("ours, 95 % as a bar", [summary_of(row, cells, RANK) for row in rows])
    published = [_published(RANK, rows, of) for of in (CLIP, DINO)]
    return [DotChart(setting.name, [_name(row) for row in rows], "effective rank", with_values([ours, *published]))]


# ---- parts ----


def _grid(config: Config, cells: Cells, setting: Setting, objective: str | None = None) -> list[ModelRow]:
    """The teacher and the published grid, or one objective of it."""
    objectives = config.objectives
    if objective is not None:
        objectives = (objective,)
    return [
        row for row in models_of(config, cells, setting) if row.is_teacher or _in_grid(config, setting, row, objectives)
    ]


def _in_grid(config: Config, setting: Setting, row: ModelRow, objectives: Sequence[str]) -> bool:
    cell = row.cell
    if cell.architecture != config.student or cell.augmented:
        return False
    return cell.objective in objectives and cell.width in config.widths_of(setting)


def _name(row: ModelRow) -> str:
    """Short, for legends: every model of the grid is the paper's CNN, S, M or L in its own words."""
    if row.is_teacher:
        return TEACHER
    size = f"w{row.cell.width}"
    if row.cell.width in SIZES:
        size = f"{SIZES[row.cell.width]} ({size})"
    return f"{size}, {row.cell.objective}"


def _look(config: Config, setting: Setting, row: ModelRow) -> int | None:
    """A colour for each width and dashes for each objective; the teacher has a look of its own."""
    if row.is_teacher:
        return None
    return N_COLORS * config.objectives.index(row.cell.objective) + config.widths_of(setting).index(row.cell.width)


def _series(name: str, summaries: Sequence[Summary | None]) -> Series:
    """Values with their intervals; NaN for one that is not there."""
    known = [(None, None, None) if s is None else (s.value, s.low, s.high) for s in summaries]
    values, low, high = np.array(known, dtype=float).reshape(-1, 3).T
    return Series(name, values, low, high)


def _under_noise(config: Config, setting: Setting, row: ModelRow, cells: Cells, levels: Sequence[float]) -> Series:
    """One model's accuracy at each level of noise in the paper's space."""
    found = _series(_name(row), [summary_of(row, cells, accuracy_at(sigma)) for sigma in levels])
    return dataclasses.replace(found, compared=row.is_teacher, look=_look(config, setting, row), joined=True)


def _point(quantity: str, row: ModelRow, of: str) -> Point | None:
    """The published number of a model of the grid. One whose width is not stated stands at the smallest."""
    for point in POINTS:
        if (point.quantity, point.of, point.augmented) == (quantity, of, False) and _is_of(point, row):
            return point
    return None


def _is_of(point: Point, row: ModelRow) -> bool:
    if row.is_teacher or point.objective == TEACHER:
        return row.is_teacher and point.objective == TEACHER
    # The paper does not state its temperature and weight, so every sum with InfoNCE stands for its own.
    expands = row.cell.objective.startswith(EXPANDED)
    return (point.objective == EXPANDED) == expands and (point.width or 1) == row.cell.width


def _published(quantity: str, rows: Sequence[ModelRow], of: str) -> Series:
    return Series(f"published, {of}", [_value(_point(quantity, row, of)) for row in rows], points=True)


def _value(point: Point | None) -> float:
    if point is None:
        return NAN
    return point.value


def above(least: float, values: np.ndarray) -> np.ndarray:
    """NaN for values below the end of an axis, where they would lie along its edge."""
    kept: np.ndarray = np.where(values >= least, values, NAN)
    return kept


def or_nan(value: float | None) -> float:
    """For an axis: a value that is missing has no place on it."""
    if value is None:
        return NAN
    return value


def with_values(series: Sequence[Series]) -> list[Series]:
    """Those that have a value at all."""
    return [s for s in series if np.isfinite(s.values).any()]
