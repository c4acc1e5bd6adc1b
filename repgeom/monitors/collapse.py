"""When is a reading a collapse, and what is then done?"""

from __future__ import annotations

import io
import math
import os
import re
from typing import Any

import numpy as np

from repgeom.data.kinds import OnCollapse
from repgeom.data.saving import write_whole
from repgeom.data.settings import warn_caller
from repgeom.monitors.reading import RANK, LayerReading, Reading

__all__ = ["EmbeddingCollapse"]

FEWEST_DIRECTIONS = 2.0  # where `below` is not given
MARGIN = 1.25  # of a value without an interval: readings of one batch err by up to 10 % (studies/monitors.md)


class EmbeddingCollapse(UserWarning):
    """The rows of a layer use hardly any direction any more. `Monitor` warns with it, raises it or hands it to a function.

    Attributes:
        step: of the reading.
        layer: its module path.
        value: the effective rank; 1 where all rows are equal.
        low, high: its interval; NaN where none is known.
        below: the effective rank under which it counts as collapsed.
        n: rows.
        width: features.
        variances: (≤ width,) along the principal directions of these rows, descending; empty where all rows are equal.
        path: of the .npz that holds all this; None where none was written.
    """

    def __init__(self, reading: Reading, width: int, variances: np.ndarray, below: float) -> None:
        super().__init__(reading, width, variances, below)
        self.step, self.layer, self.n = reading.step, reading.layer, reading.n
        self.value, self.low, self.high = reading.value, reading.low, reading.high
        self.width, self.variances, self.below = width, variances, below
        self.path: str | None = None
        self._not_saved = ""

    def __str__(self) -> str:
        interval = "no interval" if math.isnan(self.low) else f"95 % interval {self.low:.4g} to {self.high:.4g}"
        saved = self._not_saved
        if self.path is not None:
            saved = f" The spectrum is in {self.path}."
        return (
            f"layer {self.layer!r} has collapsed at step {self.step}: its {self.n:,} rows of width {self.width} have an effective rank of "
            f"{self.value:.4g} ({interval}), and below {self.below:.4g} counts as collapsed.{saved}"
        )

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the spectrum and the reading to a .npz in this folder, whose path `path` then is.

        A folder that cannot be written to must not hide the collapse: the message then says so.
        """
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", self.layer)
        path = os.path.join(os.fspath(folder), f"collapse-{name}-step-{self.step}.npz")
        content = io.BytesIO()
        fields: dict[str, Any] = {
            "variances": self.variances,
            "singular_values": np.sqrt(self.variances * (self.n - 1)),
            "effective_rank": self.value,
            "low": self.low,
            "high": self.high,
            "below": self.below,
            "n": self.n,
            "width": self.width,
            "step": self.step,
            "layer": self.layer,
        }
        np.savez(content, **fields)
        try:
            write_whole(path, content.getvalue())
        except OSError as error:
            self._not_saved = f" The spectrum could not be saved: {error}"
            return
        self.path = path


class Watch:
    """Counts collapsed readings of each layer in a row, and acts once when they are enough.

    Args:
        action: None, "warn", "raise", or a function of an `EmbeddingCollapse`.
        below: an effective rank of at least 1, a share of the width under 1, or None for `FEWEST_DIRECTIONS`.
        patience: readings in a row.
        folder: for the spectrum.
    """

    def __init__(
        self, action: str | OnCollapse | None, below: float | None, patience: int, folder: str | os.PathLike[str]
    ) -> None:
        if action not in (None, "warn", "raise") and not callable(action):
            raise ValueError(f'`on_collapse` must be None, "warn", "raise" or a function, got {action!r}.')
        if below is not None and not (isinstance(below, (int, float)) and 0 < below < math.inf):
            raise ValueError(f"`below` must be an effective rank or a share of the width, above 0, got {below!r}.")
        if not isinstance(patience, int) or patience < 1:
            raise ValueError(f"`patience` must be a whole number of at least 1, got {patience!r}.")
        self.action = action
        self._below, self._patience, self._folder = below, patience, folder
        self._in_a_row: dict[str, int] = {}

    def limit(self, width: int) -> float:
        """The effective rank under which rows of this width count as collapsed."""
        if self._below is None:
            return FEWEST_DIRECTIONS
        return self._below * width if self._below < 1 else float(self._below)

    def collapsed(self, layer: LayerReading) -> bool:
        """Whether a reading lies below the limit as a whole: its interval, or its value with a margin of a quarter."""
        rank = layer.of(RANK)
        if rank.value == 1.0 and not layer.variances.size:
            return True  # all rows are equal, which is below any limit
        highest = rank.high if rank.has_interval else MARGIN * rank.value
        return highest < self.limit(layer.width)

    def see(self, layers: list[LayerReading], writes: bool) -> None:
        """Take the readings of one step; `writes`: whether this process warns and writes files for all."""
        found = []
        for layer in layers:
            rank = layer.of(RANK)
            count = self._in_a_row.get(rank.layer, 0) + 1 if self.collapsed(layer) else 0
            self._in_a_row[rank.layer] = count
            if count == self._patience:
                found.append(EmbeddingCollapse(rank, layer.width, layer.variances, self.limit(layer.width)))
        for collapse in found:
            self._act(collapse, writes)

    def _act(self, collapse: EmbeddingCollapse, writes: bool) -> None:
        if callable(self.action):
            self.action(collapse)
            return
        if writes:
            collapse.save(self._folder)
        if self.action == "raise":
            raise collapse
        if writes:
            warn_caller(collapse)
