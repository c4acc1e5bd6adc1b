"""Spatter: drops of water or mud on images (b, 3, h, w) in [0, 1] (Hendrycks & Dietterich 2019).

The drops depend on what was drawn, not on the image, so nothing but the last sum needs a gradient. OpenCV's routines, which the
published script calls, are written here with the same rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions import filters
from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import Strength

_WATER = (175 / 255, 238 / 255, 238 / 255)  # pale turquoise, red to blue
_MUD = (63 / 255, 42 / 255, 20 / 255)  # a dark brown
# Where the gradient counts as horizontal, vertical or diagonal: the tangent of 22.5° in OpenCV's fixed point. That of 67.5° is
# larger by exactly 2.
_TAN_22 = 13573 / 32768
# Lengths of OpenCV's steps to a neighbour, to a diagonal one and, as a knight in chess moves, to one beside that: its
# approximation of 1, √2 and √5, in units of 2^-16 (Borgefors 1986).
_STRAIGHT, _DIAGONAL, _KNIGHT = 65536, 91750, 143976
_DISTANCE_LIMIT = 20  # the published script cuts distances from an edge at 20 pixels
# The lines along which distances spread, down and right; the length of a step; and the steps of each move, which make up any number
# of them that is shorter than the limit.
_LINES = (
    ((0, 1), _STRAIGHT, (1, 2, 4, 8, 4)),
    ((1, 0), _STRAIGHT, (1, 2, 4, 8, 4)),
    ((1, 1), _DIAGONAL, (1, 2, 4, 7)),
    ((1, -1), _DIAGONAL, (1, 2, 4, 7)),
    ((1, 2), _KNIGHT, (1, 2, 4, 2)),
    ((1, -2), _KNIGHT, (1, 2, 4, 2)),
    ((2, 1), _KNIGHT, (1, 2, 4, 2)),
    ((2, -1), _KNIGHT, (1, 2, 4, 2)),
)
_GROWTH_STEPS = 8  # of edges between two looks whether they still grow: a look makes a GPU wait


def draw_spatter(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Standard normal numbers (b, h, w), from which drops are smoothed and thresholded."""
    return {"normal": random.normal(h, w)}


def spatter(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Drops of water, lit along their rims and added to the image, or of mud, which cover it."""
    loc, scale, blur, threshold, amount, kind = strength
    # Levels are cut in float64, as in the published script.
    liquid = filters.gaussian_blur(loc + scale * params["normal"].double(), blur)
    if kind == "water":
        liquid = torch.where(liquid < threshold, 0, liquid)
        mask = _water_mask((liquid * 255).floor().float()) * amount
        return x + mask[:, None] * x.new_tensor(_WATER)[:, None, None]
    mask = filters.gaussian_blur(liquid > threshold, amount).float()
    mask = torch.where(mask < 0.8, 0, mask)[:, None]
    return x * (1 - mask) + mask * x.new_tensor(_MUD)[:, None, None]


def _water_mask(liquid: Tensor) -> Tensor:
    """How much of the colour of water each pixel gets, (b, h, w) in [0, 1], from grey levels.

    Brighter away from the drops' edges, with a relief, as if light fell from one side.
    """
    grey = liquid % 256  # a value above 1 wraps around, as in the published cast to 8 bits
    distance = _distance_to_edge(_canny_edges(grey, 50, 150))
    # By a tensor: a GPU multiplies by the reciprocal of a plain number, which whole distances do not survive.
    nine_pixels = torch.full((), 9.0 * _STRAIGHT, dtype=torch.float32, device=distance.device)
    distance = _equalized((_sum_of_nine(distance) / nine_pixels).floor())
    lit = (_sum_of_nine(_relief(distance)) / 9 + 0.5).floor()
    mask = grey * lit
    largest = mask.amax((1, 2), keepdim=True)
    return mask / torch.where(largest > 0, largest, 1)


def _neighbours(x: Tensor, *, border: str) -> list[list[Tensor]]:
    """Nine views of (b, h, w): [1 + down][1 + right] holds at each pixel its neighbour there."""
    h, w = x.shape[-2:]
    padded = F.pad(x[:, None], (1, 1, 1, 1), mode=border)[:, 0]
    return [[padded[:, top : top + h, left : left + w] for left in range(3)] for top in range(3)]


def _sum_of_nine(x: Tensor) -> Tensor:
    """The sum of each pixel of (b, h, w) and its eight neighbours, mirrored without repeating the border pixel."""
    x = F.pad(x[:, None], (1, 1, 1, 1), mode="reflect")[:, 0]
    x = x[..., :-2] + x[..., 1:-1] + x[..., 2:]
    return x[:, :-2] + x[:, 1:-1] + x[:, 2:]


def _relief(x: Tensor) -> Tensor:
    """An emboss filter of grey levels: light from the upper left; the result is cut to 8 bits."""
    above, here, below = _neighbours(x, border="reflect")
    dark = 2 * above[0] + above[1] + here[0]
    light = here[1] + here[2] + below[1] + 2 * below[2]
    return (light - dark).clamp_(0, 255)


def _canny_edges(grey: Tensor, low: float, high: float) -> Tensor:
    """Edges (b, h, w), bool, of 8-bit images (Canny 1986): ridges of the gradient above `low` that touch one above `high`."""
    above, here, below = _neighbours(grey, border="replicate")
    gx = (above[2] - above[0]) + 2 * (here[2] - here[0]) + (below[2] - below[0])
    gy = (below[0] - above[0]) + 2 * (below[1] - above[1]) + (below[2] - above[2])
    size = gx.abs() + gy.abs()  # OpenCV's default in place of the Euclidean norm
    weak = _is_ridge(size, gx, gy) & (size > low)
    edges = weak & (size > high)
    # Grow the strong edges into the weak ones, a pixel at a time, until nothing changes.
    while True:
        before = edges
        for _ in range(_GROWTH_STEPS):
            edges = _grown(edges) & weak
        if torch.equal(edges, before):
            return edges


def _grown(edges: Tensor) -> Tensor:
    """Edges and all their neighbours."""
    wide = edges.clone()
    wide[..., 1:] |= edges[..., :-1]
    wide[..., :-1] |= edges[..., 1:]
    grown = wide.clone()
    grown[:, 1:] |= wide[:, :-1]
    grown[:, :-1] |= wide[:, 1:]
    return grown


def _is_ridge(size: Tensor, gx: Tensor, gy: Tensor) -> Tensor:
    """Where the gradient is larger than at both neighbours along its direction, which is one of four (b, h, w).

    Of two equal neighbours in a row or column the first is kept, as in OpenCV: hence > on one side and ≥ on the other.
    """
    above, here, below = _neighbours(size, border="constant")
    across = (size > here[0]) & (size >= here[2])
    upright = (size > above[1]) & (size >= below[1])
    falling = (size > above[0]) & (size > below[2])
    rising = (size > above[2]) & (size > below[0])
    flat = gx.abs() * _TAN_22
    is_horizontal = gy.abs() < flat
    is_vertical = gy.abs() - 2 * gx.abs() > flat
    ridge = torch.where(gx * gy >= 0, falling, rising)
    ridge = torch.where(is_vertical, upright, ridge)
    return torch.where(is_horizontal, across, ridge)


def _distance_to_edge(edges: Tensor) -> Tensor:
    """Length (b, h, w) of the shortest path to an edge, in units of 2^-16 pixels, at most 20 pixels; float32, whole numbers.

    A path takes its steps in any order, so all those along one line may come first, and then those along the next.
    """
    h, w = edges.shape[-2:]
    far = float(_DISTANCE_LIMIT * _STRAIGHT)
    margin = 8  # the longest move, across and down
    padded = torch.full((len(edges), h + 2 * margin, w + 2 * margin), far, dtype=torch.float32, device=edges.device)

    def seen_from(down: int, right: int) -> Tensor:
        top, left = margin + down, margin + right
        return padded[:, top : top + h, left : left + w]

    distance = seen_from(0, 0).masked_fill_(edges, 0)
    for direction, length, counts in _LINES:
        for count in counts:
            down, right = count * direction[0], count * direction[1]
            nearer = torch.minimum(seen_from(down, right), seen_from(-down, -right)).add_(count * length)
            torch.minimum(distance, nearer, out=distance)
    return distance


def _equalized(grey: Tensor) -> Tensor:
    """Histogram equalisation of grey levels up to 20 (b, h, w): each goes to its share of darker pixels.

    As in OpenCV, the pixels of the darkest level present do not count; an image of one level is left as it is.
    """
    n_up_to = torch.stack([(grey <= level).sum((1, 2)) for level in range(_DISTANCE_LIMIT + 1)], 1).float()
    darkest = (n_up_to > 0).float().argmax(1, keepdim=True)
    n_darkest = n_up_to.gather(1, darkest)
    n_others = grey[0].numel() - n_darkest
    new_levels = ((n_up_to - n_darkest) * (255 / n_others.clamp(min=1))).round()
    new_levels = torch.where(n_others > 0, new_levels, darkest.float())
    return new_levels.gather(1, grey.flatten(1).long()).view_as(grey)
