"""Our own figures: why a student collapses, how it gets there, and what other objectives keep."""

from __future__ import annotations

import numpy as np

from repgeom.pages import DotChart, LineChart, Series

from ..claims.summaries import Cells
from ..settings.configs import Config, Setting
from . import explained, over_training
from .overview import objectives_table
from .paper_charts import N_COLORS, NAN, Chart, above, or_nan, with_values
from .table_text import spelled_out

SMALLEST_VARIANCE = 1e-6  # of unit rows; what is smaller adds nothing to a rank


def why(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """Along each direction of the teacher: how much there is, how much can be predicted, and what the student has."""
    panel = explained.explained(config, cells, setting)
    curves = {
        "λ, the teacher's variance": panel.teacher,
        "R², predicted from pixels": panel.from_pixels,
        "R², predicted from the student": panel.from_student,
        "λ R², from pixels": panel.kept_by_pixels,
        "λ R², from the student": panel.kept_by_student,
        "the student's own variance": panel.student,
    }
    if not len(panel.teacher):
        return []
    series = [
        Series(
            name,
            above(SMALLEST_VARIANCE, values),
            compared=name.startswith("λ,"),
            look=None if name.startswith("λ,") else number - 1,
        )
        for number, (name, values) in enumerate(curves.items())
        if len(values)
    ]
    n = max(len(s.values) for s in series)
    title, x = f"{setting.name}: {explained.words(panel)}", np.arange(1, n + 1)
    return [
        LineChart(
            title, x, "direction", "variance, or share", series, log=True, x_log=True, limits=(SMALLEST_VARIANCE, 1.0)
        )
    ]


def over_steps(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """Rank, captured variance and cone against the step."""
    rows = over_training.followed(config, cells, setting)
    taken = {row.model: over_training.readings(row, cells) for row in rows}
    steps = sorted({reading["step"] for readings in taken.values() for reading in readings})
    epochs = sorted({over_training.epochs_of(config, row) for row in rows})
    families = sorted({over_training.family_of(row) for row in rows})
    charts: list[Chart] = []
    for key, label in over_training.READINGS.items():
        series = []
        for row in rows:
            by_step = {reading["step"]: or_nan(reading[key]) for reading in taken[row.model]}
            n_epochs, family = over_training.epochs_of(config, row), over_training.family_of(row)
            look = N_COLORS * epochs.index(n_epochs) + families.index(family)
            values = [by_step.get(step, NAN) for step in steps]
            series.append(Series(f"{family}, {n_epochs} epochs", values, look=look, joined=True))
        if len(steps) > 1:
            # A logarithmic axis has no place for step 0.
            places = [max(step, 1) for step in steps]
            charts.append(
                LineChart(f"{setting.name}: {label}", places, "step (0 stands at 1)", label, series, x_log=True)
            )
    return charts


def objectives(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """Effective and predictable rank of the smallest student under each objective."""
    table = objectives_table(config, cells)
    if not len(table):
        return []
    rows = table[table["setting"] == setting.name]
    if len(rows) < 4:
        return []
    ours = Series("effective rank, 95 % as a bar", *(rows[f"effective rank{end}"] for end in ("", " low", " high")))
    predictable = Series("predictable rank", rows["predictable rank"])
    return [
        DotChart(
            setting.name,
            [spelled_out(objective) for objective in rows["objective"]],
            "dimensions",
            with_values([ours, predictable]),
        )
    ]
