"""Do clean and corrupted images belong to each other? Data sets are kept in more than one order."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.robustness.stored_images import StoredImages

LOOKED_AT = 64  # images, evenly spread over the set
# Corruptions that leave an image's large shapes and colours as they are at severity 1, so that it is recognised. Of 64 crops of two
# photographs at 32, 64 and 224 pixels nine in ten and more were; of fog, contrast and saturate half.
MILD = (
    "pixelate", "jpeg_compression", "gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur", "glass_blur", "brightness",
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "spatter",
)  # fmt: skip
# Share of images that must be recognised: pictures that lie in a set twice are each other's match. In a random order 1 in 64 is.
ENOUGH_OF_MILD, ENOUGH_OF_OTHERS = 0.8, 0.25


def check_pairs(clean: Tensor | StoredImages, corrupted: Mapping[str, StoredImages]) -> None:
    """Raise ValueError unless corrupted images of severity 1 look like the clean images at their own places.

    A few of both are compared, as pictures of 8 × 8 pixels: each corrupted one must resemble its own clean one more than it
    does another.
    """
    name, enough = next(iter(corrupted)), ENOUGH_OF_OTHERS
    mild = [name for name in MILD if name in corrupted]
    if mild:
        name, enough = mild[0], ENOUGH_OF_MILD
    step = max(1, -(-len(clean) // LOOKED_AT))
    similarity = _small(corrupted[name][::step]) @ _small(clean[::step]).mT
    nearest = similarity.argmax(1)
    is_own = nearest == torch.arange(len(nearest), device=nearest.device)
    if float(is_own.double().mean()) >= enough:
        return
    place = int((~is_own).nonzero()[0])
    raise ValueError(
        f"the clean images are not those of the set, or in another order: {int((~is_own).sum())} of {len(is_own)} images of {name} at "
        f"severity 1 look more like another one; image {place * step} looks like clean image {int(nearest[place]) * step}. Give "
        "`clean` in the order of the published files."
    )


def _small(images: Tensor) -> Tensor:
    """Return images as unit vectors (n, 192) of their 8 × 8 means, without what all of them share."""
    # float64, on the CPU: a few small pictures, and the same answer on every device.
    small = F.adaptive_avg_pool2d(images.cpu().double(), 8).flatten(1)
    return F.normalize(small - small.mean(0), dim=1)
