"""All that a report says of a run, read from the run's folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import stored
from ..claims.comparison import published_table
from ..claims.ledger import ledger
from ..claims.summaries import Cells
from ..claims.verdicts import Entry
from ..running.run import results
from ..settings.configs import Config, Setting
from .explained import explained_table
from .over_training import training_table
from .overview import objectives_table, overview_table
from .tables import geometry_table, noise_table, record_table

if TYPE_CHECKING:
    import pandas as pd

TABLES = {
    "overview": ("Effective ranks of teachers and of the smallest students", overview_table),
    "objectives": (
        "Every objective at the smallest width; the teacher's predictable rank is from pixels",
        objectives_table,
    ),
    "table1": ("Table 1. Geometry of the test images' embeddings", geometry_table),
    "table2": ("Table 2. Accuracy of the linear probe under noise", noise_table),
    "record": ("Where the paper's record disagrees with itself: both ways", record_table),
    "published": ("Published numbers beside ours", published_table),
    "why": ("Variance along each direction, and what can be predicted of it", explained_table),
    "training": ("Readings over training", training_table),
}


@dataclasses.dataclass(frozen=True)
class Findings:
    """What was run, on which machine, its results, its tables and its claims with their verdicts."""

    config: Config
    machine: dict[str, Any]
    cells: Cells
    entries: list[Entry]
    tables: dict[str, pd.DataFrame]

    @property
    def seconds(self) -> float:
        """The time that training and measuring took, added up over models."""
        return sum(found.record["seconds"] for found in self.cells.values())

    def about(self, setting: Setting) -> dict[str, Any] | None:
        """What its models' records say of a setting; None where no model is finished."""
        for cell, found in self.cells.items():
            if cell.setting == setting.name:
                about: dict[str, Any] = found.record["setting"]
                return about
        return None


def read(out: Path) -> Findings:
    """The findings of a run as far as it has come.

    Raises:
        FileNotFoundError: no run in this folder.
        Damaged: its settings are damaged.
    """
    config, machine = settings_of(out)
    cells = dict(results(config, out))
    tables = {name: make(config, cells) for name, (_, make) in TABLES.items()}
    return Findings(config, machine, cells, ledger(config, cells), tables)


def settings_of(out: Path) -> tuple[Config, dict[str, Any]]:
    """The configuration that a run was begun with, and the machine.

    Raises:
        FileNotFoundError: no run in this folder.
        Damaged: its settings are damaged.
    """
    if out.is_file():
        raise FileNotFoundError(f"{out} is a file; name the run's folder.")
    try:
        saved = stored.load(out / "run")
    except stored.Damaged as error:
        raise stored.Damaged(f"{error} The command that began the run writes it again.") from None
    if saved is None:
        raise FileNotFoundError(f"{out} holds no run; `repgeom-distill run --out {out}` begins one.")
    return Config.from_dict(saved.record["config"]), saved.record["machine"]
