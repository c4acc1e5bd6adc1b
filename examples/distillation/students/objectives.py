"""What a student minimises: a sum of terms, by its name. A new term is a function of `terms` and a row of `TERMS`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..settings.configs import Training
from . import terms
from .terms import Batch

Term = Callable[[Batch], Tensor]

TERMS: dict[str, Term] = {
    "cosine": terms.cosine,
    "mse": terms.mse,
    "centered-cosine": terms.centered_cosine,
    "whitened-mse": terms.whitened_mse,
    "infonce": terms.infonce,
    "infonce-views": terms.infonce_views,
    "crd": terms.crd,
    "rkd-distance": terms.rkd_distance,
    "rkd-angle": terms.rkd_angle,
    "rank": terms.rank,
    "vicreg": terms.vicreg,
    "barlow": terms.barlow,
}
TEMPERED = ("infonce", "infonce-views", "crd")  # the terms that have a temperature
# What may follow a name with @, and the field of `Training` that it sets; a weight is that of every term but the first.
SETTINGS: dict[str, tuple[str, type]] = {
    "temperature": ("infonce_temperature", float),
    "weight": ("", float),
    "epochs": ("epochs", int),
}


@dataclasses.dataclass(frozen=True)
class Objective:
    """A weighted sum of terms, and how it is trained."""

    names: tuple[str, ...]
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
        ValueError: an unknown term or setting, one that is there twice or changes nothing, or a value that is out of range.
    """
    sum_of, *settings = name.split("@")
    names = sum_of.split("+")
    _refuse_names(names)
    given: dict[str, Any] = {}
    for setting in settings:
        key, value = _setting(setting)
        if key in given:
            raise ValueError(f"@{key}= is there twice in objective {name!r}.")
        given[key] = value
    _refuse_idle(name, names, given)
    weight = given.pop("weight", None)
    first, *others = names
    weighted = [(1.0, TERMS[first])]
    for term in others:
        own = training.weight_of(term) if weight is None else weight
        weighted.append((own, TERMS[term]))
    fields = {SETTINGS[key][0]: value for key, value in given.items()}
    try:
        trained = dataclasses.replace(training, **fields)
    except ValueError as error:
        raise ValueError(f"objective {name!r}: {error}") from None
    return Objective(tuple(names), tuple(weighted), trained)


def _refuse_names(names: list[str]) -> None:
    """Raises ValueError where a term is unknown or there twice."""
    for term in names:
        if not term:
            raise ValueError(
                f"objective {'+'.join(names)!r} lacks a term; there are {', '.join(TERMS)}, and sums of them with +."
            )
        if term not in TERMS:
            raise ValueError(f"unknown objective {term!r}; there are {', '.join(TERMS)}, and sums of them with +.")
        if names.count(term) > 1:
            raise ValueError(f"objective {'+'.join(names)!r} has {term} twice; give it a weight with @weight=.")


def _refuse_idle(name: str, names: list[str], given: dict[str, Any]) -> None:
    """Raises ValueError where a setting changes nothing: the cell would be another one under a second name."""
    if "weight" in given and len(names) == 1:
        raise ValueError(f"objective {name!r} has one term; @weight= is that of every term but the first.")
    if "temperature" in given and not set(names) & set(TEMPERED):
        raise ValueError(f"objective {name!r} has no temperature; {', '.join(TEMPERED)} have one.")


def _setting(text: str) -> tuple[str, float | int]:
    """A setting behind @ as its name and its value."""
    key, _, value = text.partition("=")
    if key not in SETTINGS:
        raise ValueError(f"unknown setting @{text} of an objective; there are {', '.join(f'@{k}=' for k in SETTINGS)}.")
    kind = SETTINGS[key][1]
    try:
        number: float | int = kind(value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"@{key}= of an objective needs {what}, got {value!r}.") from None
    if key == "weight" and not 0 <= number < math.inf:
        raise ValueError(f"@weight= of an objective needs a number of at least 0, got {value}.")
    return key, number
