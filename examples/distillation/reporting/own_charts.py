"""Our own figures: why a student collapses, how it gets there, and what other objectives keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from repgeom.pages import DotChart, LineChart, Series

from ..claims.published import CLIP, COSINE, EXPANDED, TEACHER
from ..claims.summaries import Cells
from ..settings.configs import Config, Setting
from . import explained, over_training
from .in_short import WITH
from .overview import objectives_table, overview_table
from .paper_charts import N_COLORS, N_DASHES, NAN, Chart, above, dot_look, or_nan, published_rank, with_values
from .table_text import spelled_out

if TYPE_CHECKING:
    import pandas as pd

SMALLEST_VARIANCE = 1e-6  # of unit rows; what is smaller adds nothing to a rank


def overview(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """Every setting's ranks at one glance; the same chart whichever setting it is asked for."""
    return overview_chart(overview_table(config, cells), config.plain)


def overview_chart(table: pd.DataFrame, plain: str) -> list[Chart]:
    """The overview's table as a chart, above the published numbers; settings without a finished teacher are left out."""
    table = table[table["teacher"].notna()]
    if not len(table):
        return []
    names = {"teacher": "teacher", "predictable": "predictable from pixels", plain: f"student, {plain}", WITH: "student, with InfoNCE"}  # fmt: skip
    published = {"teacher": (TEACHER, None), plain: (COSINE, 1), WITH: (EXPANDED, None)}
    series = []
    for place, (column, name) in enumerate(names.items()):
        ours = _with_interval(name, table, column, place)
        theirs = published_rank(*published[column]) if column in published else NAN
        values, low, high = np.append(ours.values, theirs), np.append(ours.low, NAN), np.append(ours.high, NAN)
        series.append(Series(name, values, low, high, look=ours.look))
    series = with_values(series)
    return [
        DotChart("every setting", [*table["setting"], f"published: {CLIP}"], "effective rank, 95 % as a bar", series)
    ]


def _with_interval(name: str, table: pd.DataFrame, column: str, place: int) -> Series:
    """A column of a table with the ends beside it."""
    values, low, high = (table[f"{column}{end}"].astype(float) for end in ("", " low", " high"))
    return Series(name, values, low, high, look=dot_look(place))


def why(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """Along each direction of the teacher: how much there is, how much can be predicted, and what the student has."""
    panel = explained.explained(config, cells, setting)
    if not len(panel.teacher):
        return []
    # Colours say what it is predicted from. Each curve has dashes of its own; the student's spectrum is thick.
    solid, dashed, dotted, dash_dotted, thick = (N_COLORS * place for place in (0, 1, 2, 3, N_DASHES))
    curves = [
        ("R², predicted from pixels", panel.from_pixels, dotted),
        ("R², predicted from the student", panel.from_student, dash_dotted + 1),
        ("λ R², from pixels", panel.kept_by_pixels, solid),
        ("λ R², from the student", panel.kept_by_student, dashed + 1),
        ("the student's own variance", panel.student, thick + 2),
    ]
    series = [Series("λ, the teacher's variance", above(SMALLEST_VARIANCE, panel.teacher), compared=True)]
    series += [
        Series(name, above(SMALLEST_VARIANCE, values), look=look) for name, values, look in curves if len(values)
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
            # Dashes for the number of epochs, a colour and a thickness for the objective.
            place = families.index(family)
            look = N_COLORS * (N_DASHES * place + epochs.index(n_epochs) % N_DASHES) + place
            values = [by_step.get(step, NAN) for step in steps]
            series.append(Series(f"{family}, {n_epochs} epochs", values, look=look, joined=True))
        if len(steps) > 1:
            # A logarithmic axis has no place for step 0.
            places = [max(step, 1) for step in steps]
            charts.append(LineChart(setting.name, places, "step (0 stands at 1)", label, series, x_log=True))
    return charts


def objectives(config: Config, cells: Cells, setting: Setting) -> list[Chart]:
    """Effective and predictable rank of the smallest student under each objective."""
    table = objectives_table(config, cells)
    if not len(table):
        return []
    rows = table[table["setting"] == setting.name]
    if len(rows) < 4:
        return []
    ours = _with_interval("effective rank, 95 % as a bar", rows, "effective rank", 0)
    predictable = Series("predictable rank", rows["predictable rank"], look=dot_look(1))
    return [
        DotChart(
            setting.name,
            [spelled_out(objective) for objective in rows["objective"]],
            "dimensions",
            with_values([ours, predictable]),
        )
    ]
