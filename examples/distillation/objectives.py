"""What a student minimises: a sum of terms. A term is one function of a `Batch`; a new one is that and a row of `TERMS`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

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


Term = Callable[[Batch], Tensor]


def cosine(batch: Batch) -> Tensor:
    """mean(1 − cos(z_s, z_t)): cosine distillation as published."""
    return 1 - F.cosine_similarity(batch.student, batch.teacher).mean()


def mse(batch: Batch) -> Tensor:
    """Mean squared distance per feature, of embeddings as they are."""
    return F.mse_loss(batch.student, batch.teacher)


def infonce(batch: Batch) -> Tensor:
    """Each student embedding must find its own teacher embedding in the batch (van den Oord et al. 2018)."""
    return contrast(batch.student, batch.teacher, batch.training.infonce_temperature)


def infonce_views(batch: Batch) -> Tensor:
    """InfoNCE of the student against itself on another view: the proposal of the paper's first version."""
    return contrast(batch.student, batch.second_view(), batch.training.infonce_temperature)


def rank(batch: Batch) -> Tensor:
    """The share of the teacher's effective rank, in this batch, that the student lacks."""
    # Cut at 0: to use more dimensions than the teacher earns nothing.
    kept = batch_rank(batch.student) / batch_rank(batch.teacher)
    return (1 - kept).clamp(min=0).to(batch.student.dtype)


TERMS: dict[str, Term] = {
    "cosine": cosine,
    "mse": mse,
    "infonce": infonce,
    "infonce-views": infonce_views,
    "rank": rank,
}
# What may follow a name with @, and the field of `Training` that it sets; a weight is that of every term but the first.
SETTINGS: dict[str, tuple[str, type]] = {
    "temperature": ("infonce_temperature", float),
    "weight": ("", float),
    "epochs": ("epochs", int),
}


@dataclasses.dataclass(frozen=True)
class Objective:
    """A weighted sum of terms, and how it is trained."""

    terms: tuple[tuple[float, Term], ...]
    training: Training

    def __call__(self, batch: Batch) -> Tensor:
        (weight, first), *others = self.terms
        total = weight * first(batch)
        for weight, term in others:
            total = total + weight * term(batch)
        return total


def objective_of(name: str, training: Training) -> Objective:
    """What a name stands for: "cosine+infonce" is a sum of `TERMS`, "cosine+infonce@temperature=0.05" sets what it says.

    Raises:
        ValueError: an unknown term or setting, or a value that is out of range.
    """
    sum_of, *settings = name.split("@")
    fields: dict[str, Any] = {}
    weight = None
    for setting in settings:
        key, value = _setting(setting)
        if key == "weight":
            weight = float(value)
        else:
            fields[SETTINGS[key][0]] = value
    names = sum_of.split("+")
    unknown = [term for term in names if term not in TERMS]
    if unknown:
        raise ValueError(f"unknown objective {unknown[0]!r}; there are {', '.join(TERMS)}, and sums of them with +.")
    first, *others = names
    terms = [(1.0, TERMS[first])]
    terms += [(training.weight_of(term) if weight is None else weight, TERMS[term]) for term in others]
    return Objective(tuple(terms), dataclasses.replace(training, **fields))


def _setting(text: str) -> tuple[str, float | int]:
    """A setting behind @ as its name and its value."""
    key, _, value = text.partition("=")
    if key not in SETTINGS:
        raise ValueError(f"unknown setting @{text} of an objective; there are {', '.join(f'@{k}=' for k in SETTINGS)}.")
    try:
        return key, SETTINGS[key][1](value)
    except ValueError:
        raise ValueError(f"@{key}= of an objective needs a number, got {value!r}.") from None


def contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the cosines over the temperature against the diagonal."""
    logits = F.normalize(queries) @ F.normalize(keys).mT / temperature
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def batch_rank(embeddings: Tensor) -> Tensor:
    """Effective rank of unit rows, differentiable."""
    rank: Tensor = rg.effective_rank(F.normalize(embeddings))
    return rank
