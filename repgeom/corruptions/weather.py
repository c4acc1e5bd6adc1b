"""Snow and fog on images (b, 3, h, w) in [0, 1] (Hendrycks & Dietterich 2019), and the fractal that fog and frost share."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeom.corruptions import filters
from repgeom.corruptions.images import over_255
from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import Strength


def draw_snow(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Standard normal numbers (b, h, w) for the flakes, and the angles (b,) of their fall in [−135, −45) degrees."""
    return {"normal": random.normal(h, w), "angle": 45 * random.symmetric() - 90}


def snow(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Flakes, thresholded from enlarged noise and blurred along their fall, laid twice over a paler image."""
    loc, scale, zoom, threshold, radius, sigma, mix = strength
    flakes = filters.clipped_zoom((loc + scale * params["normal"])[:, None], zoom)
    flakes = torch.where(flakes < threshold, 0, flakes).clamp(0, 1)
    # Cut to 8 bits first: the published script hands the layer to ImageMagick as an 8-bit image.
    flakes = filters.motion_blur(over_255((flakes * 255).floor()), radius, sigma, params["angle"])
    # The weights of luma (ITU-R BT.601), with which OpenCV turns colours into grey.
    grey = (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    pale = mix * x + (1 - mix) * torch.maximum(x, 1.5 * grey + 0.5)
    return pale + flakes + flakes.flip(2, 3)


def draw_fog(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """For each halving of the grid, uniform numbers (b, 3, 2^level, 2^level) in [−1, 1) for `diamond_square`."""
    n_halvings = max(h - 1, w - 1).bit_length()
    return {f"level_{level}": random.symmetric(3, 2**level, 2**level) for level in range(n_halvings)}


def fog(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """A cloud of fractal noise added to the image, and the sum scaled back to the image's own largest value."""
    amount, decay = strength
    haze = diamond_square(noise_by_halving(params), decay)[:, : x.shape[2], : x.shape[3]]
    largest = x.amax((1, 2, 3), keepdim=True)
    return (x + amount * haze[:, None]) * largest / (largest + amount)


def noise_by_halving(params: Params) -> list[Tensor]:
    """What `draw_fog` drew, in the order in which `diamond_square` takes it."""
    n_halvings = sum(name.startswith("level_") for name in params)
    return [params[f"level_{level}"] for level in range(n_halvings)]


def diamond_square(noise_by_halving: list[Tensor], decay: float) -> Tensor:
    """Fractal noise (b, n, n) scaled to [0, 1], periodic, n = 2^(number of halvings) (Fournier, Fussell & Carpenter 1982).

    Each halving puts a new point between every two: the mean of its four nearest points plus noise, whose size shrinks by
    `decay` each time. The noise of halving l is (b, 3, 2^l, 2^l) in [−1, 1]: for the centres, and for the points above and
    to the left of them.
    """
    corners = noise_by_halving[0].new_zeros(len(noise_by_halving[0]), 1, 1)
    # The published script draws from ± wibble and multiplies by wibble once more, hence the square. Its start does not
    # matter, as the field is scaled at the end, but for rounding.
    wibble = 100.0
    for noise in noise_by_halving:
        centre_noise, top_noise, left_noise = (noise * wibble**2).unbind(1)
        vertical_pairs = corners + corners.roll(-1, 1)
        centres = (vertical_pairs + vertical_pairs.roll(-1, 2)) / 4 + centre_noise
        tops = (centres + centres.roll(1, 1) + corners + corners.roll(-1, 2)) / 4 + top_noise
        lefts = (centres + centres.roll(1, 2) + corners + corners.roll(-1, 1)) / 4 + left_noise
        # Interleave the four grids: rows of corners and tops, rows of lefts and centres.
        even_rows = torch.stack([corners, tops], -1).flatten(2)
        odd_rows = torch.stack([lefts, centres], -1).flatten(2)
        corners = torch.stack([even_rows, odd_rows], 2).flatten(1, 2)
        wibble /= decay
    low = corners.amin((1, 2), keepdim=True)
    high = corners.amax((1, 2), keepdim=True)
    return (corners - low) / (high - low)
