"""Patterns laid over square images: waves, plasma, sparkles, Perlin's noise and noise of one colour (Mintun et al. 2021).

Formulas are those of ImageNet-C-bar, in grey levels and float64, as its scripts compute them. `draw_*` makes the random numbers.
A strength is one number, the level on that paper's scale from 0 to 10.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import Strength

MOST_RAYS, FEWEST_RAYS = 199, 50  # of one sparkle
N_SPARKLES = 5
PERLIN_SIZE = 256  # of the table of gradients, which repeats
PERLIN_OCTAVES = (1, 2, 4, 8, 16)


def grey_levels(x: Tensor) -> Tensor:
    """Values in [0, 1] as grey levels in float64; whole levels come out whole."""
    # Multiplied in the type of x: in float64 the rounding of k / 255 in float32 would show, and a cut would lose a level.
    return (x * 255).double()


def coordinates(x: Tensor) -> tuple[Tensor, Tensor]:
    """The row (h, 1) and the column (1, w) of each pixel, float64."""
    h, w = x.shape[-2:]
    down = torch.arange(h, device=x.device, dtype=torch.float64)[:, None]
    across = torch.arange(w, device=x.device, dtype=torch.float64)[None]
    return down, across


def each(param: Tensor) -> Tensor:
    """One number for each image (b,) as float64 (b, 1, 1), beside fields (b, h, w)."""
    return param.double().view(-1, 1, 1)


def draw_single_frequency(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """A wave's frequency (b, 2) in radians per pixel, across and down, and its phase (b,)."""
    larger = math.pi * (2 * random.uniform64() - 1)
    smaller = larger.abs() * (2 * random.uniform64() - 1)
    swapped = random.below(2) == 1
    both = torch.stack([larger, smaller], 1)
    frequency = torch.where(swapped[:, None], both.flip(1), both)
    return {"frequency": frequency, "phase": 2 * math.pi * random.uniform64()}


def single_frequency_greyscale(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """A plane wave, equal in all colours, is added."""
    down, across = coordinates(x)
    frequency = params["frequency"].double()
    wave = torch.sin(across * each(frequency[:, 0]) + down * each(frequency[:, 1]) + each(params["phase"]))
    return (grey_levels(x) + strength[0] * 19.6 * wave[:, None]) / 255


def draw_cocentric_sine_waves(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """The centre (b, 2) of the rings in pixels, how often (b,) and how far (b,) they wave, and their width (b,)."""
    return {
        "centre": h * random.uniform64(2),
        "frequency": 10 * random.uniform64(),
        "amplitude": h / 10 * random.uniform64(),
        "ring_width": h / 10 * random.uniform64(),
    }


def cocentric_sine_waves(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Rings around a centre, each a ramp from dark to light, bent by a sine of the angle, are added."""
    down, across = coordinates(x)
    centre, width = params["centre"].double(), each(params["ring_width"])
    to_right, below = across - each(centre[:, 0]), down - each(centre[:, 1])
    bend = torch.sin(torch.atan2(to_right, below) * each(params["frequency"])) * each(params["amplitude"])
    ramp = torch.remainder((to_right.square() + below.square()).sqrt() + bend, width) / width - 0.5
    return (grey_levels(x) + strength[0] * 12.8 * ramp[:, None]) / 255


def draw_plasma_noise(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """The time (b,) at which the plasma is looked at, its number of folds (b,), their sharpness (b,) and its scale in pixels (b,)."""
    return {
        "time": 6 * math.pi * random.uniform64(),
        "iterations": 4 + random.below(3),
        "sharpness": 0.5 + 0.5 * random.uniform64(),
        "scale": (0.075 + 0.125 * random.uniform64()) * h,
    }


def plasma_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Coloured bands, folded four to six times, are mixed in."""
    down, across = (axis / each(params["scale"]) for axis in coordinates(x))
    down, across = torch.broadcast_tensors(down, across)
    time, sharpness = each(params["time"]), each(params["sharpness"])
    frequency, delay, height = torch.ones_like(time), torch.ones_like(time), torch.ones_like(time)
    for fold in range(int(params["iterations"].max())):
        along = torch.cos(down * frequency + time / delay) / height
        aside = torch.sin(across * frequency + time / delay) / height
        is_folded = each(params["iterations"]) > fold
        across = torch.where(is_folded, across + along - 0.3 * aside, across)
        down = torch.where(is_folded, down + aside + 0.3 * along, down)
        frequency, delay, height = frequency * 1.93, delay * 1.15, height * (2.25 - sharpness)
    colours = [
        torch.sin(across - time),
        torch.sin((across + down + torch.sin(time)) * 0.5),
        torch.sin(down + time),
    ]
    amount = strength[0] * 6.4
    return ((1 - amount / 255) * grey_levels(x) + amount * torch.stack(colours, 1)) / 255


def draw_sparkles(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Of each of five sparkles the centre (b, 5, 2) in pixels, down and across, the number of rays (b, 5), and a standard normal
    number for the length of each ray (b, 5, 199).
    """
    return {
        "centre": h * random.uniform64(N_SPARKLES, 2),
        "rays": FEWEST_RAYS + random.below(MOST_RAYS + 1 - FEWEST_RAYS, N_SPARKLES),
        "length": random.normal(N_SPARKLES, MOST_RAYS),
    }


def sparkles(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Five white stars are laid over the image, one after another."""
    radius = strength[0] * 0.01 * x.shape[-1]
    result = grey_levels(x)
    for i in range(N_SPARKLES):
        lengths = (radius + 0.25 * radius * params["length"][:, i].double()).clamp(min=1)
        white = _star(x, params["centre"][:, i], params["rays"][:, i], lengths, power=1.0)[:, None]
        result = result + white * (255 - result)
    return result / 255


def draw_inverse_sparkles(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Of one sparkle the centre (b, 2) in pixels, the number of rays (b,), and a normal number for each ray (b, 199)."""
    return {
        "centre": (0.25 + 0.5 * random.uniform64(2)) * h,
        "rays": FEWEST_RAYS + random.below(MOST_RAYS + 1 - FEWEST_RAYS),
        "length": random.normal(MOST_RAYS),
    }


def inverse_sparkles(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """The image is seen through one star; all else is white."""
    radius = 0.25 * x.shape[-1]
    lengths = radius + 0.25 * radius * params["length"].double()
    seen = _star(x, params["centre"], params["rays"], lengths, power=0.13 * strength[0])[:, None]
    return (255 + seen * (grey_levels(x) - 255)) / 255


def _star(x: Tensor, centre: Tensor, rays: Tensor, lengths: Tensor, power: float) -> Tensor:
    """How much of a star (b, h, w) covers each pixel, in [0, 1]: rays (b,) of these lengths (b, 199) around a centre (b, 2)."""
    down, across = coordinates(x)
    below, to_right = down - each(centre[:, 0]), across - each(centre[:, 1])
    place = (torch.atan2(to_right, below) + math.pi) / (2 * math.pi) * each(rays)
    first = place.floor()
    share = place - first
    n_rays = each(rays).long()
    flat = first.long().remainder(n_rays).flatten(1), (first.long() + 1).remainder(n_rays).flatten(1)
    this, following = (lengths.gather(1, index).view_as(place) for index in flat)
    length = this + share * (following - this)
    fall_off = (length.square() / (below.square() + to_right.square() + 1e-4)) ** power
    return ((1 - (share - 0.5).square()) * fall_off).clamp(0, 1)


def draw_perlin_noise(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """A permutation (b, 256) of the table's places, and a unit vector (b, 256, 2) for each."""
    steps = random.below(512, PERLIN_SIZE, 2).double() - 256
    length = steps.square().sum(-1, keepdim=True).sqrt()
    # One vector in 2^18 is (0, 0), which has no direction.
    steps[..., 0] += (length[..., 0] == 0).double()
    gradient = steps / length.clamp(min=1)
    return {"permutation": random.uniform64(PERLIN_SIZE).argsort(1), "gradient": gradient}


def perlin_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Five octaves of Perlin's noise (1985), their absolute values added, are mixed in as grey."""
    side = x.shape[-1]
    down, across = (axis / (32 * side / 224) for axis in coordinates(x))
    total = torch.zeros_like(x[:, 0], dtype=torch.float64)
    for frequency in PERLIN_OCTAVES:
        total = total + _perlin(frequency * down, frequency * across, params).abs() / frequency
    grey = (0.5 * total + 0.5).clamp(0, 1)[:, None]
    amount = strength[0] * 0.05
    return ((1 - amount) * grey_levels(x) + 255 * amount * grey) / 255


def _perlin(first: Tensor, second: Tensor, params: Params) -> Tensor:
    """Perlin's noise (b, h, w) at positions (h, 1) and (1, w) of a grid with one random slope at each crossing."""
    places = params["permutation"].long()
    slopes = params["gradient"].double()
    b, h, w = len(places), len(first), second.shape[1]
    cell, cell_2 = first.floor().long() % PERLIN_SIZE, second.floor().long() % PERLIN_SIZE
    rest, rest_2 = first.frac(), second.frac()

    def contribution(step: int, step_2: int) -> Tensor:
        start = places[:, (cell + step).flatten() % PERLIN_SIZE]
        crossing = (start[:, :, None] + (cell_2 + step_2).flatten()) % PERLIN_SIZE
        slope = places.gather(1, crossing.flatten(1))
        along = slopes[..., 0].gather(1, slope).view(b, h, w), slopes[..., 1].gather(1, slope).view(b, h, w)
        return (rest - step) * along[0] + (rest_2 - step_2) * along[1]

    ease, ease_2 = (t.square() * (3 - 2 * t) for t in (rest, rest_2))
    near = contribution(0, 0) + ease * (contribution(1, 0) - contribution(0, 0))
    far = contribution(0, 1) + ease * (contribution(1, 1) - contribution(0, 1))
    return 1.5 * (near + ease_2 * (far - near))


def draw_brownish_noise(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Phases of frequencies for each colour, as `_phases` draws them."""
    return _phases(random, h, w, 3)


def brownish_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Noise with little power at high frequencies, in each colour of its own, is added."""
    noise = _noise_of(params, lambda distance: 1 / (distance.square() + 1))
    return (grey_levels(x) + strength[0] * 6.4 * noise) / 255


def draw_blue_noise_sample(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Phases of frequencies, as `_phases` draws them."""
    return _phases(random, h, w, 1)


def blue_noise_sample(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Pixels where noise of high frequencies is low become black."""
    noise = _noise_of(params, lambda distance: distance)
    return torch.where(noise > strength[0] * 0.3 - 2.5, grey_levels(x) / 255, 0)


def _phases(random: Draws, h: int, w: int, channels: int) -> Params:
    """Phases (b, channels, h, w // 2) of half of the frequencies, and of the middle column (b, channels, h // 2) of odd sides."""
    phases = {"phase": 2 * math.pi * random.uniform64(channels, h, w // 2)}
    if w % 2:
        phases["middle"] = 2 * math.pi * random.uniform64(channels, h // 2)
    return phases


def _noise_of(params: Params, power: Callable[[Tensor], Tensor]) -> Tensor:
    """Noise (b, channels, n, n) of variance 1 whose amplitude is a function of the distance from frequency 0."""
    half = params["phase"].double()
    n = half.shape[-2]
    parts = [half, half.flip(-1, -2)]
    if n % 2:
        middle = params["middle"].double()
        parts.insert(1, torch.cat([middle, torch.zeros_like(middle[..., :1]), middle.flip(-1)], -1)[..., None])
    places = torch.arange(n, device=half.device, dtype=torch.float64) - n / 2
    distance = (places[:, None].square() + places.square()).sqrt()
    spectrum = torch.polar(power(distance).expand(*half.shape[:2], n, n).contiguous(), torch.cat(parts, -1))
    noise = torch.fft.ifft2(spectrum.roll((n // 2, n // 2), (-2, -1))).real
    return noise / noise.std((-2, -1), correction=0, keepdim=True)
