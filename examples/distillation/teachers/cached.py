"""Teachers that are trained here: once, and kept like any other result."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.shapes import SIZE
from ..progress import progress_bar
from ..settings.configs import TeacherTraining
from ..stored import Stored, fingerprint, made_once
from .teacher import Preprocessing, Teacher, frozen, weights_digest

# About the mean and the deviation of shapes.
PREPROCESSING = Preprocessing(SIZE, SIZE, mean=(0.45, 0.45, 0.45), std=(0.27, 0.27, 0.27))
Train = Callable[[Any, TeacherTraining, torch.device | str], Iterator[float]]  # yields the loss of each step
# To be raised when the training or the shapes change, so that no older teacher is taken for this one.
FORMAT = 1


def load_trained(
    name: str,
    model: Callable[[], nn.Module],
    train: Train,
    training: TeacherTraining,
    cache: Path,
    device: torch.device | str,
    *,
    bar: bool,
) -> Teacher:
    """The teacher `name`: `model()` with weights from the cache, or as `train` leaves them.

    Raises:
        FloatingPointError: the loss became NaN.
    """
    recipe = {"teacher": name, "training": dataclasses.asdict(training), "format": FORMAT}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        made = model().to(device)

        def fit() -> Stored:
            start = time.perf_counter()
            losses = _followed(name, train(made, training, device), training.steps, bar)
            return Stored({"losses": losses, "seconds": round(time.perf_counter() - start, 1)}, made.state_dict())

        found = made_once(cache / "teachers" / f"{name}-{fingerprint(recipe)}", recipe, fit)
    made.load_state_dict(found.arrays)
    frozen(made, device)

    def encode(pixels: Tensor) -> Tensor:
        features: Tensor = made(pixels)
        return features

    with torch.no_grad():
        width = encode(torch.zeros(1, 3, SIZE, SIZE, device=device)).shape[1]
    # Training rounds differently from machine to machine, so features depend on the weights themselves.
    whole = {**recipe, "weights": weights_digest(made)}
    return Teacher(name, encode, width, PREPROCESSING, pretrained=False, recipe=whole)


def _followed(name: str, losses: Iterator[float], steps: int, bar: bool) -> list[float]:
    """Runs a training to its end and returns its losses."""
    found: list[float] = []
    with progress_bar(steps, f"training {name}", shown=bar) as shown:
        for loss in losses:
            if not math.isfinite(loss):
                raise FloatingPointError(f"training {name} diverged at step {len(found) + 1}: the loss became {loss}.")
            found.append(loss)
            shown.update()
    return found
