"""How does a long table survive an interruption? Finished conditions are kept in a .csv and not redone."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from repgeom.data.saving import write_whole
from repgeom.robustness.conditions import CLEAN, Key
from repgeom.robustness.rows import COLUMNS, Row


class Kept:
    """Rows of finished conditions in a .csv, rewritten whole after each, so that an interruption loses one at most.

    `recipe` stands in every row: a file that was begun with another one is refused.
    """

    def __init__(self, path: str | os.PathLike[str], recipe: str) -> None:
        self.path, self.recipe = Path(path), recipe
        if self.path.is_dir():
            raise ValueError(f"`out` ({self.path}) is a folder; name a .csv to write.")
        self.conditions: dict[Key, list[Row]] = {}
        if self.path.exists():
            for row in self._loaded():
                self.conditions.setdefault((row["corruption"], row["severity"]), []).append(row)

    def _loaded(self) -> list[Row]:
        import pandas as pd

        try:
            # Only these columns may hold NaN: a name or a note that reads "NA" must stay text.
            numbers = {column: ["", "nan"] for column in ("value", "low", "high")}
            table = pd.read_csv(self.path, keep_default_na=False, na_values=numbers, dtype={"recipe": str})
            same = set(table["recipe"]) <= {self.recipe}
            rows: list[Row] = table[COLUMNS].astype({"severity": float}).to_dict("records")
        except (KeyError, ValueError, UnicodeDecodeError) as error:
            raise ValueError(
                f"`out` ({self.path}) is not a table of this function ({error}); give another path."
            ) from None
        if not same:
            raise ValueError(
                f"`out` ({self.path}) holds rows of another run: other images, labels, probes, seed, settings or version. "
                "Give another path, or remove the file."
            )
        return rows

    def has(self, key: Key) -> bool:
        """Whether a condition is finished; one that failed is not."""
        return key in self.conditions and not any(row["n"] == 0 for row in self.conditions[key])

    def add(self, key: Key, rows: list[Row]) -> None:
        """Adds one condition's rows in place of older ones. Raises ValueError if the clean ones have changed."""
        import pandas as pd

        if key[0] == CLEAN:
            self._check_same_encoder(rows, self.conditions.get(key, []))
        self.conditions[key] = rows
        table = pd.DataFrame([row for rows_of_one in self.conditions.values() for row in rows_of_one], columns=COLUMNS)
        write_whole(self.path, table.assign(recipe=self.recipe).to_csv(index=False))

    def _check_same_encoder(self, rows: list[Row], old: list[Row]) -> None:
        before: dict[str, float] = {row["measure"]: row["value"] for row in old}
        for row in rows:
            measure, value = row["measure"], row["value"]
            # An encoder has no fingerprint, so its clean numbers tell it, but for the rounding of another device.
            if measure in before and not math.isclose(before[measure], value, rel_tol=1e-3):
                raise ValueError(
                    f"`out` ({self.path}) was begun with another encoder: clean {measure} was {before[measure]:.6g} and is "
                    f"{value:.6g}. Give another path, or remove the file."
                )

    def rows(self, keys: Sequence[Key]) -> list[Row]:
        """All rows of these conditions, in their order."""
        return [row for key in keys for row in self.conditions[key]]


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Twelve letters that change with any of the settings, which are tensors or plain values."""
    known = {key: digest(value) if isinstance(value, torch.Tensor) else value for key, value in settings.items()}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]


def digest(values: Any) -> str:
    """Of shape, type and content."""
    x = torch.as_tensor(values).detach().cpu()
    content = x.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(str((tuple(x.shape), x.dtype)).encode() + content).hexdigest()
