"""Finished models of a run, looked up by what they are: the numbers that claims and tables are made of."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ..settings.configs import Config, Setting
from ..settings.grid import Cell
from ..stored import Stored
from .uncertainty import Measured


class Missing(LookupError):
    """A model that a test needs is not there, or did not measure what it asks for."""


# Where a record keeps what it measured of the teacher's predictable dimensions.
PREDICTABLE = {"predictable_rank": "value", "explained": "explained"}


def value_of(record: dict[str, Any], key: str) -> float | None:
    """A number of a record by the name of its array: "captured", "published/infonce", "predictable_rank"."""
    if key in PREDICTABLE:
        value = record["predictable"][PREDICTABLE[key]]
    elif key.startswith("published/"):
        value = record["published"][key.removeprefix("published/")]
    else:
        value = record[key]
    return None if value is None else float(value)


@dataclasses.dataclass(frozen=True)
class Reader:
    """The results of a run, from which numbers are read with what each image adds to them."""

    cells: dict[Cell, Stored]

    def of(self, cell: Cell, key: str) -> Measured:
        """A number of a model with what each image adds to it. `key` is an array's name; log_... is the logarithm.

        Raises:
            Missing: the model is not there, or failed, or did not measure this.
        """
        if cell not in self.cells:
            raise Missing(f"{cell.name} is not there")
        record, arrays = self.cells[cell]
        if record["status"] != "done":
            raise Missing(f"{cell.name} failed: {record['reason']}")
        if key not in arrays:
            raise Missing(f"{key} was not measured")
        value = value_of(record, key.removeprefix("log_"))
        if value is None or (key.startswith("log_") and value <= 0):
            raise Missing(f"{key} has no value in {cell.name}")
        if key.startswith("log_"):
            value = math.log(value)
        setting = record["setting"]
        # Models with this name share their images, so what an image adds to both cancels in their difference.
        return Measured.of(value, f"{setting['data']}, {setting['n_test']} images", arrays[key])

    def n_classes(self, cell: Cell) -> int:
        """Of the images on which a model was measured."""
        if cell not in self.cells:
            raise Missing(f"{cell.name} is not there")
        return int(self.cells[cell].record["setting"]["n_classes"])

    def rank(self, cell: Cell, key: str) -> Measured:
        """An effective rank itself; what images add to it is kept of its logarithm."""
        return self.of(cell, f"log_{key}").exp()


@dataclasses.dataclass(frozen=True)
class Models:
    """The models of one setting and one seed, which claims are about."""

    reader: Reader
    config: Config
    setting: Setting
    seed: int

    def teacher(self, key: str) -> Measured:
        """A number of the teacher."""
        return self.reader.of(Cell(self.setting.name, "teacher"), key)

    def student(
        self,
        key: str,
        width: int,
        *,
        objective: str = "cosine",
        architecture: str | None = None,
        augmented: bool = False,
    ) -> Measured:
        """A number of a student."""
        cell = Cell(
            self.setting.name, "student", architecture or self.config.student, width, objective, augmented, self.seed
        )
        return self.reader.of(cell, key)

    @property
    def n_classes(self) -> int:
        """Of the setting's images."""
        return self.reader.n_classes(Cell(self.setting.name, "teacher"))

    @property
    def small(self) -> int:
        """The smallest width, the paper's S."""
        return min(self.config.widths_of(self.setting))

    @property
    def large(self) -> int:
        """The largest width, the paper's L."""
        widths = self.config.widths_of(self.setting)
        if len(widths) < 2:
            raise Missing("two widths at least are needed")
        return max(widths)

    @property
    def contrastive(self) -> str:
        """The run's first objective with an InfoNCE term."""
        for objective in self.config.objectives:
            if objective.startswith("cosine+infonce"):
                return objective
        raise Missing("cosine+infonce is not among the objectives")
