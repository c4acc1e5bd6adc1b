"""White noise of any standard deviation, in units of pixels or of the pixels that a model has normalised."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from repgeom.corruptions.images import as_images, as_indices, plus_noise
from repgeom.corruptions.seeds import Draws
from repgeom.data.kinds import Images, Indices
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings

# What these models divide pixels in [0, 1] by after subtracting their mean: red, green, blue. The first is of CLIP's
# preprocessing (Radford et al. 2021), the second of torchvision's ImageNet models.
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_STD = (0.229, 0.224, 0.225)


@own_settings
def add_noise(
    images: Images,
    sigma: float,
    *,
    space: str = "pixel",
    std: Sequence[float] | None = None,
    clip: bool | None = None,
    seed: int = 0,
    indices: Indices = None,
) -> Images:
    """Images plus white Gaussian noise of one standard deviation.

    In "normalized" space the noise is what it would be if it were added after (x − mean) / std: sigma · std of each
    channel, not clipped, as in arXiv 2603.06698. With CLIP's std the same sigma is almost four times weaker there than in
    "pixel" space. Give the images at the size that the model sees: noise that is added before a resize is averaged away.

    Args:
        images: (b, 3, h, w), uint8 or floats in [0, 1].
        sigma: standard deviation ≥ 0 in units of that space.
        space: "pixel" (the range [0, 1]) or "normalized".
        std: three numbers that the model divides by, needed in "normalized" space; see `CLIP_STD` and `IMAGENET_STD`.
        clip: cut to [0, 1]; by default in "pixel" space only.
        seed, indices: as in `corrupt`; the draws do not depend on sigma or space.

    Returns:
        Floats (b, 3, h, w) of the images' kind and device: float32 for uint8, else their dtype.

    Raises:
        ValueError: sigma negative or not finite, an unknown space, no `std`; else as `corrupt`.

    >>> import torch
    >>> x = torch.full((1, 3, 64, 64), 0.5)
    >>> round(float((add_noise(x, 0.1, space="normalized", std=CLIP_STD) - x).std()), 3)
    0.027
    """
    deviations = _channel_deviations(sigma, space, std)
    x = as_images(images)
    image_numbers = as_indices(indices, len(x), x.device)
    if clip is None:
        clip = space == "pixel"

    def noise_for(rows: slice) -> Tensor:
        white = Draws(seed, image_numbers[rows], "noise").normal(*x.shape[1:])
        return white * white.new_tensor(deviations)[:, None, None]

    return plus_noise(images, x, noise_for, clip=clip)


@own_settings
def noise_rms(sigma: float, *, space: str = "pixel", std: Sequence[float] | None = None) -> float:
    """Root mean square of `add_noise`'s noise per pixel and channel, before clipping, in units of the range [0, 1].

    Args:
        sigma, space, std: as in `add_noise`.

    Raises:
        ValueError: as `add_noise`.

    >>> round(noise_rms(0.2, space="normalized", std=CLIP_STD), 4), noise_rms(0.2)
    (0.0537, 0.2)
    """
    deviations = _channel_deviations(sigma, space, std)
    if space == "pixel":
        return deviations[0]
    return math.sqrt(sum(deviation * deviation for deviation in deviations) / 3)


def _channel_deviations(sigma: float, space: str, std: Sequence[float] | None) -> list[float]:
    """Standard deviation of the noise in red, green and blue, in units of the range [0, 1]. Raises ValueError."""
    size = real_number(sigma)
    if size is None or not 0 <= size < math.inf:
        raise ValueError(f"`sigma` must be a finite number of at least 0, got {sigma!r}.")
    if space == "pixel":
        if std is not None:
            raise ValueError('`std` belongs to `space="normalized"`; noise in pixels does not feel it.')
        return [size] * 3
    if space != "normalized":
        raise ValueError(f'`space` must be "pixel" or "normalized", got {space!r}.')
    if std is None or np.shape(std) != (3,) or not all(float(channel_std) > 0 for channel_std in std):
        raise ValueError(
            f'`space="normalized"` needs `std`, three numbers above 0: those that the model divides pixels by; got {std!r}.'
        )
    return [size * float(channel_std) for channel_std in std]
