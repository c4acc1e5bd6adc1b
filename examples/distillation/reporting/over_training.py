"""Rank, captured variance and cone over training, so that "collapsed" and "not trained yet" can be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..claims.summaries import Cells, ModelRow, contrastive, models_of
from ..settings.configs import Config, Setting
from .overview import is_smallest

if TYPE_CHECKING:
    import pandas as pd

READINGS = {
    "effective_rank": "effective rank",
    "captured": "captured variance",
    "mean_cosine": "mean cosine of two images",
}


def followed(config: Config, cells: Cells, setting: Setting) -> list[ModelRow]:
    """The smallest students by cosine and with InfoNCE, for as many epochs as there are, that have readings."""
    return [row for row in models_of(config, cells, setting) if _is_followed(config, cells, row)]


def _is_followed(config: Config, cells: Cells, row: ModelRow) -> bool:
    base, _, rest = row.cell.objective.partition("@epochs=")
    if row.is_teacher or not is_smallest(config, row) or base not in (config.plain, contrastive(config)) or "@" in rest:
        return False
    return all(record.get("curve") for record in row.records(cells))


def family_of(row: ModelRow) -> str:
    """The objective without the number of epochs."""
    return row.cell.objective.partition("@epochs=")[0]


def epochs_of(config: Config, row: ModelRow) -> int:
    """How long a student was trained."""
    said = row.cell.objective.partition("@epochs=")[2]
    return int(said or config.training.epochs)


def readings(row: ModelRow, cells: Cells) -> list[dict[str, Any]]:
    """A model's readings in order of steps, means over seeds; None where a seed has none."""
    curves = [record["curve"] for record in row.records(cells)]
    found = []
    # The seeds of a model are read at the same steps.
    for together in zip(*curves, strict=False):
        reading = {"step": together[0]["step"], "epoch": together[0]["epoch"], "seeds": len(together)}
        for key in READINGS:
            values = [point.get(key) for point in together]
            reading[key] = None if None in values else float(np.mean(values))
        found.append(reading)
    return found


def training_table(config: Config, cells: Cells) -> pd.DataFrame:
    """Every reading of every model that is followed."""
    import pandas as pd

    columns = ["setting", "model", "objective", "epochs", "step", "epoch", "seeds", *READINGS]
    rows = []
    for setting in config.settings:
        for row in followed(config, cells, setting):
            about = (setting.name, row.model, family_of(row), epochs_of(config, row))
            head = dict(zip(columns, about, strict=False))
            rows += [{**head, **reading} for reading in readings(row, cells)]
    return pd.DataFrame(rows, columns=columns)
