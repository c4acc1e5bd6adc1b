"""What each layer gives, added up: rows are gathered into larger pieces, then go into the sums of an audit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.auditing.accumulator import AuditAccumulator, drawn_of, keep_on
from repgeom.auditing.report import Report
from repgeom.models.batches import Batch
from repgeom.models.beside import Beside
from repgeom.models.npy_file import NpyFile
from repgeom.models.pooling import Pooled
from repgeom.reading.sample import Drawn

ROWS_KEPT = 4096  # of each layer: enough for pairs, and for intervals up to a width of 2,048
ROWS_AT_ONCE = 1024  # of a layer before they are added up: each time costs d² and a millisecond, however few they are
VALUES_AT_ONCE = 1 << 23  # of a layer on a GPU: each time costs it hundreds of short calls
GPU_SHARE = 0.5  # of a GPU's free memory that sums and rows of all layers together may take; else they go to the CPU


class _Gathered:
    """Rows of a layer, and what stands beside them, until there are enough to be added up."""

    def __init__(self, accumulator: AuditAccumulator, n_layers: int) -> None:
        self.accumulator, self.n_layers = accumulator, n_layers
        self._device: torch.device | None = None  # until the first rows are there
        self._rows: list[Tensor] = []
        self._beside: list[dict[str, Any]] = []

    def add(self, rows: Tensor, beside: dict[str, Any]) -> None:
        # Rows of another kind than those before are not put beside them: the accumulator says what is wrong with them.
        if self._rows and (self._kind(rows, beside) != self._kind(self._rows[0], self._beside[0])):
            self.add_up()
        if self._device is None:
            self._device = _room_on(rows.device, self.n_layers, rows.shape[1])
            keep_on(self.accumulator, self._device)
        # A copy: the model may overwrite what it gave.
        self._rows.append(rows.detach().to(self._device, copy=True))
        self._beside.append(beside)
        at_once = ROWS_AT_ONCE
        if self._device.type == "cuda":
            at_once = max(at_once, VALUES_AT_ONCE // rows.shape[1])
        if sum(map(len, self._rows)) >= at_once:
            self.add_up()

    @staticmethod
    def _kind(rows: Tensor, beside: Mapping[str, Any]) -> tuple[Any, ...]:
        widths = {name: (tuple(values.shape[1:]), values.dtype) for name, values in beside.items()}
        return rows.dtype, rows.shape[1:], widths

    def add_up(self) -> None:
        """Hand over everything that was gathered."""
        if not self._rows:
            return
        beside = {name: _joined([part[name] for part in self._beside]) for name in self._beside[0]}
        rows = torch.cat(self._rows)
        self._rows, self._beside = [], []
        self.accumulator.update(rows, **beside)


def _room_on(device: torch.device, n_layers: int, width: int) -> torch.device:
    """The rows' own device if it has room for what layers of this width keep; else the CPU."""
    if device.type != "cuda":
        return torch.device("cpu")
    # Sums, their copies while a report is made, and rows in float64 at twice what is kept.
    needed = 8 * width * (4 * width + 2 * ROWS_KEPT) + 16 * VALUES_AT_ONCE
    free, _ = torch.cuda.mem_get_info(device)
    return device if needed * n_layers < GPU_SHARE * free else torch.device("cpu")


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return np.concatenate(list(parts))


class Sums:
    """Adds up what each layer gives, batch by batch.

    Args:
        chosen: paths of the layers.
        beside: labels and reference of all samples.
        normalize, rows_kept, seed: as `layer_profile`.
        files: where rows of a layer are written too, by its path.
    """

    def __init__(
        self,
        chosen: Sequence[str],
        beside: Beside,
        normalize: str | None,
        rows_kept: int,
        seed: int,
        files: Mapping[str, NpyFile],
    ) -> None:
        options: dict[str, Any] = {"normalize": normalize, "seed": seed, "max_pair_rows": min(rows_kept, ROWS_KEPT)}
        self._layers = {
            path: _Gathered(AuditAccumulator(**options, scored_rows=rows_kept), len(chosen)) for path in chosen
        }
        self._beside, self._files = beside, files
        self._how: dict[str, str] = {}

    def receive(self, path: str, rows: Pooled, batch: Batch, start: int) -> None:
        """Rows of a layer for a batch, of which the first sample is sample `start` of all."""
        columns = self._beside.of(batch, start)
        if rows.groups is not None:
            columns = {name: values[rows.groups] for name, values in columns.items()}
            columns.setdefault("groups", rows.groups + start)
        self._how[path] = rows.how
        self._layers[path].add(rows.rows, columns)
        if path in self._files:
            self._files[path].add(rows.rows)

    def report(self, path: str, purpose: str, thresholds: Mapping[str, Any] | None) -> Report:
        """The audit of a layer."""
        gathered = self._layers[path]
        gathered.add_up()
        report = gathered.accumulator.report(name=path, purpose=purpose, thresholds=thresholds)
        convention = {**report.convention, "layer": path, "pool": self._how[path]}
        return dataclasses.replace(report, convention=convention, notes=(f"Pooling: {self._how[path]}.", *report.notes))

    def drawn(self, path: str, most: int) -> Drawn:
        """A sample of the rows of a layer: the same samples in every layer."""
        gathered = self._layers[path]
        gathered.add_up()
        return drawn_of(gathered.accumulator, most)
