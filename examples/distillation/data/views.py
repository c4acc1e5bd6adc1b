"""Random crops, and where labels allow it flips, of uint8 images. View k of image i is always the same, so a teacher's features of it can be kept."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions import Draws


def crop_flip(images: Tensor, rows: Tensor, view: int, padding: float, *, mirrored: bool) -> Tensor:
    """View number `view` of images (b, 3, h, w), which are numbers `rows` of their set.

    Pads by `padding` of the side with black and cuts the old size out at random. With `mirrored` every second one or so
    is mirrored too: where the label of an image is also that of its mirror image.
    """
    b, _, h, w = images.shape
    pad = round(padding * min(h, w))
    # The view's number is the seed, so a view needs no other state to be made again.
    draws = Draws(view, rows, "crop-flip")
    shift = draws.below(2 * pad + 1, 2)
    y = shift[:, :1] + torch.arange(h, device=images.device)
    x = shift[:, 1:] + torch.arange(w, device=images.device)
    if mirrored:
        x = torch.where(draws.uniform(1) < 0.5, x.flip(1), x)
    padded = F.pad(images, (pad, pad, pad, pad))
    picked = torch.arange(b, device=images.device)[:, None, None]
    # Indexing with the channels in between puts them last.
    return padded[picked, :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2).contiguous()
