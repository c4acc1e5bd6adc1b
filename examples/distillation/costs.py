"""How much work the models of a run are: floating-point operations for the progress bar, bytes on the disk."""

from __future__ import annotations

import torch

from .configs import Config
from .grid import Cell
from .objectives import objective_of
from .preparing import Prepared, sizing
from .students import make_student


def cost(cell: Cell, p: Prepared, config: Config) -> float:
    """Floating-point operations of training and measuring a model; a training step is three forward passes."""
    evaluation, training = config.evaluation, config.training
    n_train, n_test = len(p.dataset.train), len(p.dataset.test)
    noisy = n_test * len(evaluation.sigmas) * len(evaluation.spaces)
    if cell.kind == "teacher":
        return float(noisy) * flops_per_image(cell, p)
    training = objective_of(cell.objective, training).training
    trained = 3 * training.epochs * (n_train - n_train % training.batch_size)
    return float(noisy + n_test + n_train + trained) * flops_per_image(cell, p)


def flops_per_image(cell: Cell, p: Prepared) -> float:
    """Floating-point operations of one image through a model."""
    from torch.utils.flop_counter import FlopCounterMode

    first = p.dataset.test.pixels[:1]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if cell.kind == "teacher":
            p.teacher.encode(p.teacher.preprocessing(first))
        else:
            student = make_student(cell.architecture, cell.width, p.teacher.width, 0).eval()
            student(p.teacher.preprocessing.normalized(sizing(p)(first)).cpu())
    return float(counter.get_total_flops())


def room(config: Config) -> int:
    """Bytes that a run may write: features, at most 1,024 wide, and 100 MB for the rest."""
    # Of images to train on, features as they are and once more for each epoch's crops and flips.
    n_images = sum(
        (s.n_train or 50_000) * (1 + s.augmented * config.training.epochs) + (s.n_test or 10_000)
        for s in config.settings
    )
    return n_images * 1024 * 4 + 100_000_000
