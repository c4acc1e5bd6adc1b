"""What a student minimises. An objective is one function of a `Batch`; a new one is that and a row of `OBJECTIVES`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

import repgeom as rg

from .configs import Training


@dataclasses.dataclass(frozen=True)
class Batch:
    """What an objective may look at.

    Attributes:
        student, teacher: embeddings (b, d) of the same images, not normalised.
        second_view: calls the student on the images cropped and flipped at random, (b, d); costs a pass where called.
        training: weights and temperatures.
    """

    student: Tensor
    teacher: Tensor
    second_view: Callable[[], Tensor]
    training: Training


Objective = Callable[[Batch], Tensor]


def cosine(batch: Batch) -> Tensor:
    """mean(1 − cos(z_s, z_t)): cosine distillation as published."""
    return 1 - F.cosine_similarity(batch.student, batch.teacher).mean()


def mse(batch: Batch) -> Tensor:
    """Mean squared distance per feature, of embeddings as they are."""
    return F.mse_loss(batch.student, batch.teacher)


def infonce(batch: Batch) -> Tensor:
    """Each student embedding must find its own teacher embedding in the batch (van den Oord et al. 2018)."""
    return contrast(batch.student, batch.teacher, batch.training.infonce_temperature)


def cosine_infonce(batch: Batch) -> Tensor:
    """cosine + weight · InfoNCE of student against teacher."""
    return cosine(batch) + batch.training.infonce_weight * infonce(batch)


def cosine_infonce_views(batch: Batch) -> Tensor:
    """cosine + weight · InfoNCE of the student against itself on another view: v1's proposal."""
    between = contrast(batch.student, batch.second_view(), batch.training.infonce_temperature)
    return cosine(batch) + batch.training.infonce_weight * between


def cosine_rank(batch: Batch) -> Tensor:
    """cosine + weight · the share of the teacher's effective rank, in this batch, that the student lacks."""
    # Cut at 0: to use more dimensions than the teacher earns nothing.
    kept = batch_rank(batch.student) / batch_rank(batch.teacher)
    return cosine(batch) + batch.training.rank_weight * (1 - kept).clamp(min=0).to(batch.student.dtype)


OBJECTIVES: dict[str, Objective] = {
    "cosine": cosine,
    "cosine+infonce": cosine_infonce,
    "cosine+infonce-views": cosine_infonce_views,
    "infonce": infonce,
    "mse": mse,
    "cosine+rank": cosine_rank,
}


def contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the cosines over the temperature against the diagonal."""
    logits = F.normalize(queries) @ F.normalize(keys).mT / temperature
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def batch_rank(embeddings: Tensor) -> Tensor:
    """Effective rank of unit rows, differentiable."""
    rank: Tensor = rg.effective_rank(F.normalize(embeddings))
    return rank
