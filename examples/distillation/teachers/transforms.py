"""What may be done to a teacher's features before students see them: does its common mean, or its spectrum, matter?

Each is fitted on the features of the training images as they are, and applied to all others. Rows are first brought to
unit length, which is all that cosine sees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

import repgeom as rg

from .teacher import Teacher

Transform = Callable[[Tensor], Tensor]  # features (b, width) to features of the same width
# Share of the variance that `whiten` keeps: directions behind it hold little but noise, which would weigh as much.
WHITENED_SHARE = 0.99
# Of the mean cosine from 1, below which a student that points at the mean alone is almost right.
LEAST_SPREAD = 0.03
TRANSFORMS = "none, center, whiten, cone=C with C from 0 to below 1"


def check_transform(name: str) -> None:
    """Refuses what is no transform.

    Raises:
        ValueError: with those that there are.
    """
    if name not in ("none", "center", "whiten"):
        _cone_of(name)


def fitted(name: str, features: Tensor) -> Transform:
    """The transform of that name, fitted on features (n, width).

    With u the unit rows and m their mean over the images:

    * center: u − m
    * whiten: (u − m) V diag(1 / σ) Vᵀ, with V the principal directions that hold 99 % of the variance and σ their
      deviations
    * cone=C: u − m + s m / ‖m‖, s ≥ 0 such that the mean cosine over all pairs of rows is C. It may be larger or smaller
      than the teacher's own.

    Raises:
        ValueError: another name; a cone that no s reaches; features without a mean to put a cone around.
    """
    check_transform(name)
    if name == "none":
        return lambda x: x
    units = F.normalize(features.double())
    mean = units.mean(0)
    if name == "center":
        return lambda x: (F.normalize(x.double()) - mean).float()
    if name == "whiten":
        whitening = _whitening(units - mean)
        return lambda x: ((F.normalize(x.double()) - mean) @ whitening).float()
    axis = mean / mean.norm()
    if not bool(torch.isfinite(axis).all()):
        raise ValueError(f"{name}: the teacher's unit rows have a mean of 0, so there is no axis for a cone.")
    shift = axis * _height(units - mean, axis, _cone_of(name)) - mean
    return lambda x: (F.normalize(x.double()) + shift).float()


def transformed(teacher: Teacher, name: str, transform: Transform) -> Teacher:
    """A teacher whose features go through the transform of that name."""
    if name == "none":
        return teacher
    recipe = {**teacher.recipe, "transform": name}
    encode = teacher.encode
    if encode is None:
        return dataclasses.replace(teacher, recipe=recipe)
    return dataclasses.replace(teacher, encode=lambda pixels: transform(encode(pixels)), recipe=recipe)


def narrow_cone(teacher: str, mean_cosine: float) -> str | None:
    """A warning where a teacher's features all point nearly one way; else None."""
    if 1 - mean_cosine >= LEAST_SPREAD:
        return None
    return (
        f"{teacher}'s features have a mean cosine of {mean_cosine:.4f}: pointing at their mean alone is almost right, and "
        "students learn nothing else. Try --teacher-transform center."
    )


def _cone_of(name: str) -> float:
    kind, _, value = name.partition("=")
    try:
        cosine = float(value)
    except ValueError:
        cosine = -1.0
    if kind != "cone" or not 0 <= cosine < 1:
        raise ValueError(f"unknown teacher transform {name!r}; there are {TRANSFORMS}.")
    return cosine


def _whitening(centred: Tensor) -> Tensor:
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
    variances, directions = variances.flip(0), directions.flip(1)
    share_before = (variances.cumsum(0) - variances) / variances.sum()
    kept = share_before < WHITENED_SHARE
    return directions[:, kept] / variances[kept].sqrt() @ directions[:, kept].T


def _height(centred: Tensor, axis: Tensor, cosine: float) -> float:
    """s of the cone: the mean cosine grows with it, so halving an interval finds it."""

    def reached(height: float) -> float:
        return float(rg.mean_cosine(centred + height * axis))

    if cosine < reached(0.0):
        raise ValueError(f"cone={cosine:g} cannot be reached: `center` leaves a mean cosine of {reached(0.0):.3g}.")
    low, high = 0.0, 1.0
    while reached(high) < cosine:
        high *= 2
    # To the last digits of a float.
    for _ in range(50):
        middle = (low + high) / 2
        if reached(middle) < cosine:
            low = middle
        else:
            high = middle
    return high
