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
# Looks of a page count colours first, then dashes, then thicknesses.
N_COLORS, N_DASHES = 6, 5
# A page's second look is thick and its third thin: what is drawn later leaves what lies under it in sight.
THICKNESSES = (1, 0, 2)
# A published point has one look in every chart; the first is a diamond, the second a square.
PUBLISHED_LOOKS = {CLIP: 3 * N_COLORS + 3, DINO: 4 * N_COLORS + 4}
SMALLEST_SIGMA = 1e-4  # over the largest: where the figure of spectra ends
N_CAPTURED = 128  # directions that the figure of captured variance shows
NAN = float("nan")


def captured(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """v1, figure 1: as published, the student not centred, and with both centred, as the claim is tested."""
    series = []
    rows = [row for row in _grid(config, cells, setting, config.plain) if not row.is_teacher]
    for row in rows:
        curve = mean_curve_of(row, cells, "captured_curve_student_not_centred")
        if curve:
            series.append(Series(f"{_name(row)}, not centred", curve[:N_CAPTURED], look=_look(config, setting, row)))
    for row in rows:
        curve = mean_curve_of(row, cells, "captured_curve")
        if curve:
            look = (_look(config, setting, row) or 0) + N_COLORS
            series.append(Series(f"{_name(row)}, centred", curve[:N_CAPTURED], look=look))
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
    return Series(f"published, {CLIP}", values, points=True, look=PUBLISHED_LOOKS[CLIP])


def contrast(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """v1, figure 2: of several sizes."""
    rows = [row for row in _grid(config, cells, setting, config.plain) if not row.is_teacher]
    charts: list[Chart] = []
    if len(rows) < 2:
        return charts
    for key, label in ((INFONCE, "InfoNCE at 0.1"), (UNIFORMITY, "uniformity")):
        by_batches = Series(
            "by the paper's definition",
            [or_nan(mean_of(row, cells, f"published/{key}")) for row in rows],
            look=dot_look(0),
        )
        summaries = [summary_of(row, cells, key) for row in rows]
        over_all = _series("over all images, 95 % as a bar", summaries, look=dot_look(1))
        series = with_values([by_batches, over_all, _published(key, rows, CLIP)])
        names = [_name(row) for row in rows]
        charts.append(DotChart(setting.name, names, label, series, limits=_around(series)))
    return charts


def _around(series: Sequence[Series]) -> tuple[float, float]:
    """An axis on which differences are seen: from the lowest to the highest end, and a tenth more on both sides."""
    values = np.concatenate([ends for s in series for ends in (s.values, s.low, s.high) if ends is not None])
    values = values[np.isfinite(values)]
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
    ours = _series("ours, 95 % as a bar", [summary_of(row, cells, RANK) for row in rows], look=dot_look(0))
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
    """A colour and a thickness for each width, and dashes for each objective; the teacher has a look of its own."""
    if row.is_teacher:
        return None
    width = config.widths_of(setting).index(row.cell.width)
    thickness = THICKNESSES[width % len(THICKNESSES)]
    return N_COLORS * (N_DASHES * thickness + config.objectives.index(row.cell.objective)) + width


def dot_look(place: int) -> int:
    """Of the series at this place in a chart of dots: a colour and a shape of its own."""
    return N_COLORS * place + place


def _series(name: str, summaries: Sequence[Summary | None], look: int | None = None) -> Series:
    """Values with their intervals; NaN for one that is not there."""
    known = [(None, None, None) if s is None else (s.value, s.low, s.high) for s in summaries]
    values, low, high = np.array(known, dtype=float).reshape(-1, 3).T
    return Series(name, values, low, high, look=look)


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
    values = [_value(_point(quantity, row, of)) for row in rows]
    return Series(f"published, {of}", values, points=True, look=PUBLISHED_LOOKS[of])


def published_rank(objective: str, width: int | None) -> float:
    """Of CLIP on CIFAR-10; NaN where none is published."""
    wanted = (RANK, CLIP, objective, width)
    return _value(next((p for p in POINTS if (p.quantity, p.of, p.objective, p.width) == wanted), None))


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
