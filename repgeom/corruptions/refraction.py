"""Square images behind a checkerboard, or under moving water (Mintun et al. 2021, ImageNet-C-bar)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from repgeom.corruptions.patterns import coordinates, each, grey_levels
from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import Strength

# Four times the side over a square of a tenth of it; one more for the rounding of that quotient.
MOST_SQUARES = 41
REFRACTIVE_INDEX = 4.0
SOFTENING_REACH = 4  # pixels; the light is blurred by a Gaussian of sigma 1, cut there
_NEARLY_UPRIGHT = 1 - 1e-3  # the cosine beyond which light is not bent


def draw_checkerboard_cutout(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """The board's angle (b,), the side of its squares in pixels (b,), and a uniform number for each square (b, 41, 41)."""
    side = ((0.1 + 0.15 * random.uniform64()) * h).clamp(min=1)
    angle = 2 * math.pi * random.uniform64()
    return {"angle": angle, "side": side, "uniform": random.uniform64(MOST_SQUARES, MOST_SQUARES)}


def checkerboard_cutout(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Every second square of a turned board may be grey, a share of them is."""
    down, across = coordinates(x)
    angle, side = each(params["angle"]), each(params["side"])
    first = (angle.cos() * down + angle.sin() * across) / side
    second = (-angle.sin() * down + angle.cos() * across) / side
    # Cut towards 0, and counted from the end below it, as in the published script.
    n_squares = torch.div(4 * x.shape[-1], side, rounding_mode="floor").long()
    place = first.trunc().long().remainder(n_squares) * MOST_SQUARES + second.trunc().long().remainder(n_squares)
    is_chosen = params["uniform"].double().flatten(1).gather(1, place.flatten(1)).view_as(first) < strength[0] * 0.1
    is_odd = first.remainder(2).floor() != second.remainder(2).floor()
    is_grey = (is_chosen & ~is_odd)[:, None]
    return torch.where(is_grey, 128.0, grey_levels(x)) / 255


def draw_caustic_refraction(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """The time (b,) at which the water is looked at, and its scale in pixels (b,)."""
    return {"time": 0.5 + 1.5 * random.uniform64(), "scale": (0.75 + 0.5 * random.uniform64()) * h}


def caustic_refraction(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """The image as seen through rippled water, with the light that the ripples gather."""
    light = _softened(_softened(_caustics(x, params)).mT).mT
    slope_down = _beside(light, 1, 0) - _beside(light, -1, 0)
    slope_across = _beside(light, 0, 1) - _beside(light, 0, -1)
    steepness = (slope_down.square() + slope_across.square() + 1).sqrt()
    upright = 1 / steepness
    # Snell: the sine of the angle to the surface's normal is divided by the index. The bent ray lies in the plane of both.
    bent = torch.asin((1 - upright.square()).clamp(min=0).sqrt() / REFRACTIVE_INDEX)
    sine = (1 - upright.square()).clamp(min=1e-300).sqrt()
    reach = (bent.cos() - bent.sin() * upright / sine) / steepness * (strength[0] * 0.05 * x.shape[-1])
    reach = torch.where(upright >= _NEARLY_UPRIGHT, 0.0, reach)
    step_down, step_across = (_three_decimals(slope * reach) for slope in (slope_down, slope_across))
    down, across = coordinates(x)
    seen = _bilinear(grey_levels(x) / 255, down + step_down, across + step_across)
    brightness = (slope_down - slope_across) * (strength[0] * 0.2)
    return (seen + brightness[:, None]).clamp(0, 1)


def _three_decimals(x: Tensor) -> Tensor:
    return (x * 1000).round() / 1000


def _caustics(x: Tensor, params: Params) -> Tensor:
    """The light (b, h, w) in [0, 1] on the ground of rippled water."""
    time, scale = each(params["time"]), each(params["scale"])
    turn = 6.28318530718  # the published script's 2 π
    start = [(axis / scale).remainder(1) * turn - 250 for axis in coordinates(x)]
    first, second = torch.broadcast_tensors(*start)
    bright = torch.ones_like(first)
    i, j = first, second
    for n in range(5):
        t = time * (1 - 3.5 / (n + 1))
        i, j = (
            first + torch.cos(t - i) + torch.sin(t + j),
            second + torch.sin(t - j) + torch.cos(t + i),
        )
        a, b = first / (torch.sin(i + t) / 0.005), second / (torch.cos(j + t) / 0.005)
        bright = bright + 1 / (a.square() + b.square()).sqrt()
    return (1.17 - (bright / 5) ** 1.4).abs().pow(8).clamp(0, 1)


def _softened(field: Tensor) -> Tensor:
    """Fields (b, h, w) blurred along rows, mirrored at the border with its value repeated."""
    offsets = range(-SOFTENING_REACH, SOFTENING_REACH + 1)
    weights = [math.exp(-0.5 * offset**2) for offset in offsets]
    n = field.shape[-1]
    place = torch.arange(n, device=field.device)
    total = torch.zeros_like(field)
    for offset, weight in zip(offsets, weights, strict=True):
        phase = (place + offset).remainder(2 * n)
        total = total + weight / sum(weights) * field[..., torch.minimum(phase, 2 * n - 1 - phase)]
    return total


def _beside(field: Tensor, down: int, across: int) -> Tensor:
    """The field's value so many pixels away, 0 outside."""
    h, w = field.shape[-2:]
    padded = torch.nn.functional.pad(field, (1, 1, 1, 1))
    return padded[..., 1 + down : 1 + down + h, 1 + across : 1 + across + w]


def _bilinear(x: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Bilinear samples of (b, c, h, w) at positions (b, h, w), black outside."""
    h, w = x.shape[-2:]
    top, left = down.floor(), across.floor()
    total = torch.zeros_like(x)
    for row, row_share in ((top, 1 - (down - top)), (top + 1, down - top)):
        for column, column_share in ((left, 1 - (across - left)), (left + 1, across - left)):
            is_inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            index = (row.clamp(0, h - 1) * w + column.clamp(0, w - 1)).long().flatten(1)
            values = x.flatten(2).gather(2, index[:, None].expand(-1, x.shape[1], -1)).view_as(x)
            total = total + values * (is_inside * row_share * column_share)[:, None]
    return total
