"""What becomes of a student while it is trained: rank, captured variance and cone, read every so many steps."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import repgeom as rg

BATCH = 64
# A reading may cost a tenth of the training that lies before it since the last one.
SHARE = 0.1
# A training step is as much work as three forward passes: one forward, and about two for the gradients.
PASSES_OF_A_STEP = 3
# What a reading takes over its forward pass: its measures add a third of that for the narrowest student, less for others.
READING_OVER_PASS = 4 / 3


@dataclasses.dataclass
class Curve:
    """The readings of one student on images that it is not trained on.

    Attributes:
        seen: the images (n, 3, h, w) as the student sees them.
        directions: the teacher's leading principal directions (d, k), float64.
        every: steps after which a reading is due; it also is at each epoch's end.
        readings: what was read, in order.
    """

    seen: Tensor
    directions: Tensor
    every: int
    readings: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def follow(self, student: nn.Module, step: int, steps_of_epoch: int, n_steps: int, batch_size: int) -> None:
        """Reads where a reading is due after this step: the first, every so many, each epoch's end and always the last.

        Those between are left out that come sooner than a reading may cost: 18 steps of 64 images for 256 images.
        """
        if step in (0, n_steps):
            self.read(student, step, step / steps_of_epoch)
            return
        steps_of_a_reading = READING_OVER_PASS * len(self.seen) / (PASSES_OF_A_STEP * batch_size)
        least = math.ceil(steps_of_a_reading / SHARE)
        is_due = step % self.every == 0 or step % steps_of_epoch == 0
        if is_due and step - self.readings[-1]["step"] >= least:
            self.read(student, step, step / steps_of_epoch)

    def read(self, student: nn.Module, step: int, epoch: float) -> None:
        """In evaluation mode, so that the statistics of batch norm stay as they are. Training goes on as if not read."""
        was_training = student.training
        student.eval()
        with torch.no_grad():
            # In small parts, which are quicker on a CPU than one large one.
            found = torch.cat([student(part).float() for part in self.seen.split(BATCH)])
        student.train(was_training)
        self.readings.append({"step": step, "epoch": epoch, **self._spread(found)})

    def _spread(self, features: Tensor) -> dict[str, float | None]:
        """The numbers; None where they are not defined, of a student that diverges or gives one vector for all images."""
        units = F.normalize(features.double())
        rows = units - units.mean(0)
        try:
            rank = float(rg.effective_rank(units))
        except ValueError:
            # A reading never ends a training: whether it failed is decided by its loss and its measures.
            return {"effective_rank": None, "captured": None, "mean_cosine": None}
        return {
            "effective_rank": rank,
            "captured": float((rows @ self.directions).square().sum() / rows.square().sum()),
            "mean_cosine": float(rg.mean_cosine(units)),
        }
