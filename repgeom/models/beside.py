"""What stands beside the samples of a loader: labels and a reference for all of them, handed out batch by batch."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from repgeom.data import files
from repgeom.data.labels import as_values
from repgeom.data.sources import Source, as_source
from repgeom.models.batches import Batch


class Beside:
    """Labels and reference rows of all samples, in the order of the loader, and what its batches hold themselves.

    Args:
        labels: one per sample, array or path; None where there are none or the batches hold them.
        reference: (n_samples, width), array or path.
    """

    def __init__(self, labels: Any, reference: Any) -> None:
        self._labels: np.ndarray | None = None
        if labels is not None:
            if isinstance(labels, (str, os.PathLike)):
                labels = files.read_labels(labels)
            self._labels = as_values(labels, len(labels), "labels")
        self._reference: Source | None = None
        if reference is not None:
            is_path = isinstance(reference, (str, os.PathLike))
            self._reference = files.open_source(reference) if is_path else as_source(reference, "reference").on_cpu()

    def of(self, batch: Batch, start: int) -> dict[str, Any]:
        """What stands beside the samples of a batch, of which the first is sample `start` of all."""
        stop = start + batch.n
        found: dict[str, Any] = {}
        if self._labels is not None:
            self._check(stop, "labels", len(self._labels))
            found["labels"] = self._labels[start:stop]
        elif batch.labels is not None:
            found["labels"] = _on_cpu(batch.labels)
        if batch.groups is not None:
            found["groups"] = _on_cpu(batch.groups)
        if self._reference is not None:
            self._check(stop, "reference", self._reference.n_samples)
            found["reference"] = self._reference.read(start, stop)
        return found

    @staticmethod
    def _check(stop: int, name: str, length: int) -> None:
        if stop > length:
            raise ValueError(
                f"`{name}` has {length:,} entries and the loader gives more samples: there must be one for each."
            )

    def check_length(self, n: int, stopped_early: bool) -> None:
        """Raises ValueError where there were fewer samples than labels or reference rows."""
        given = {"labels": self._labels, "reference": self._reference}
        for name, values in given.items():
            if values is None or stopped_early:
                continue
            length = values.n_samples if isinstance(values, Source) else len(values)
            if length > n:
                raise ValueError(
                    f"`{name}` has {length:,} entries and the loader gave {n:,} samples: there must be one for each."
                )


def _on_cpu(values: Any) -> np.ndarray:
    return values.cpu().numpy() if hasattr(values, "cpu") else np.asarray(values)
