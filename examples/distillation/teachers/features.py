"""A teacher's features of a set of images, computed once and kept: every student and every seed reads the same file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.images import Images
from ..data.views import crop_flip
from ..stored import Stored, fingerprint, made_once
from .teacher import Teacher

# Small enough that a layer's outputs stay in a processor's cache.
BATCH = 64
Tick = Callable[[int], None]  # told how many images more are done


def teacher_features(
    teacher: Teacher,
    images: Images,
    cache: Path,
    *,
    view: int | None = None,
    padding: float = 0.0,
    mirrored: bool = False,
    tick: Tick,
) -> Tensor:
    """Features (n, width), float32, of the images as they are, or of one of their crops, which `mirrored` flips too.

    They are kept under `cache` by teacher, images and view, with their recipe and a checksum.
    """
    recipe: dict[str, Any] = {"teacher": dict(teacher.recipe), "preprocessing": repr(teacher.preprocessing)}
    recipe = {**recipe, **_shown(view, padding, mirrored), "images": images.digest(), "format": 1}
    path = cache / "features" / f"{teacher.name}-{fingerprint(recipe)}"
    device = images.pixels.device

    def make() -> Stored:
        rows = torch.arange(len(images), device=device)
        parts = []
        for part in rows.split(BATCH):
            pixels = images.pixels[part]
            if view is not None:
                pixels = crop_flip(pixels, part, view, padding, mirrored=mirrored)
            parts.append(encoded(teacher, teacher.preprocessing(pixels)))
            tick(len(part))
        return Stored({}, {"features": torch.cat(parts)})

    return made_once(path, recipe, make).arrays["features"].to(device)


def _shown(view: int | None, padding: float, mirrored: bool) -> dict[str, Any]:
    """What a recipe says of how the images were shown."""
    if view is None:
        return {"view": "as they are"}
    kind = "crop"
    if mirrored:
        kind = "crop-flip"
    return {"view": kind, "number": view, "padding": padding}


def encoded(teacher: Teacher, pixels: Tensor) -> Tensor:
    """Features (b, width), float32; refuses what cannot be a target.

    Raises:
        ValueError: NaN or infinity; another shape than (b, width); a teacher that is only known by its features.
    """
    if teacher.encode is None:
        raise ValueError(f"teacher {teacher.name} is known by its features only, and cannot be shown other images.")
    with torch.no_grad():
        found = teacher.encode(pixels).float()
    shape = tuple(found.shape)
    if shape != (len(pixels), teacher.width):
        raise ValueError(
            f"teacher {teacher.name} must give features of shape {(len(pixels), teacher.width)}, as its width says; it gave "
            f"{shape}."
        )
    if not bool(torch.isfinite(found).all()):
        raise ValueError(f"teacher {teacher.name} returned values that are not finite; load it in float32.")
    return found
