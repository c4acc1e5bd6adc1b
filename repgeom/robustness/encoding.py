"""How do images become features? Batches through an encoder, corrupted on the way, with its answers checked."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.corruptions.images import unit
from repgeom.data.arrays import as_tensor
from repgeom.data.kinds import Encoder
from repgeom.data.settings import callers_settings
from repgeom.robustness.stored_images import StoredImages

ImageSet = Tensor | StoredImages
Change = Callable[[Tensor, Tensor], Tensor]  # (images, their numbers) -> corrupted images
BATCH_VALUES = 1 << 23  # of the images in one batch: 32 MB of float32
BATCH_IMAGES = 512


class EncoderError(ValueError):
    """The encoder's answer cannot be used; the other cells of a table can."""


def encoded(
    encoders: Sequence[Encoder], images: ImageSet, batch_size: int | None = None, change: Change | None = None
) -> list[Tensor]:
    """Features (n, d) of all images from each encoder; the corruption is made once for all of them.

    Modules run in evaluation mode, without gradients, in the settings of the process that the caller has chosen (autocast). Raises EncoderError for another number of rows and for NaN.
    """
    step = images_per_batch(images, batch_size)
    parts: list[list[Tensor]] = [[] for _ in encoders]
    with torch.no_grad(), evaluating(encoders):
        for start in range(0, len(images), step):
            part = images[start : start + step]
            if change is not None:
                # Draws hang on an image's number in the whole set, so the batch size does not change them.
                part = change(part, torch.arange(start, start + len(part), device=images.device))
            for encoder, found in zip(encoders, parts, strict=True):
                # A copy for each: an encoder may normalise in place.
                own_batch = unit(part).clone()
                with callers_settings():
                    features = encoder(own_batch)
                found.append(_checked(features, len(part), found))
    return [torch.cat(found) for found in parts]


def images_per_batch(images: ImageSet, batch_size: int | None) -> int:
    """The user's number, or as many as fit the budget."""
    if batch_size is None:
        return min(BATCH_IMAGES, max(1, BATCH_VALUES // max(1, math.prod(images.shape[1:]))))
    if not (isinstance(batch_size, (int, np.integer)) and batch_size >= 1):
        raise ValueError(f"`batch_size` must be a whole number of at least 1, got {batch_size!r}.")
    return int(batch_size)


def _checked(features: Any, n: int, before: Sequence[Tensor]) -> Tensor:
    x = as_tensor(features, "the encoder's features")
    if x.ndim != 2 or len(x) != n or not x.shape[1]:
        raise EncoderError(
            f"the encoder must return features (b, d), got shape {tuple(x.shape)} for a batch of {n} images."
        )
    if before and x.shape[1] != before[0].shape[1]:
        raise EncoderError(
            f"the encoder returned {x.shape[1]} features, and {before[0].shape[1]} for the batch before."
        )
    bad = int((~torch.isfinite(x)).any(1).sum())
    if bad:
        raise EncoderError(f"the encoder returned values that are not finite for {bad} of {n} images of a batch.")
    return x


@contextlib.contextmanager
def evaluating(encoders: Sequence[Encoder]) -> Iterator[None]:
    """Modules in evaluation mode, and each submodule back as it was: dropout would count as drift."""
    owners = [getattr(encoder, "__self__", encoder) for encoder in encoders]  # of a method, the module it belongs to
    modules = [m for owner in owners if isinstance(owner, torch.nn.Module) for m in owner.modules()]
    modes = [m.training for m in modules]
    for m in modules:
        m.training = False
    try:
        yield
    finally:
        # Flag by flag: `train()` would give one mode to a model of which some parts were frozen.
        for m, mode in zip(modules, modes, strict=True):
            m.training = mode
