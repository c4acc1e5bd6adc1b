"""A procedural world: four small objects on a background at 32 × 32, each image with a caption by a grammar.

Image i of a seed is the same whatever else is drawn: its draws come from its own number. The coarse label
(10) is the shape at the top left, the dense one (100) both shapes of the upper row. The lower row, colours, textures,
sizes and the background are told by captions only, so a caption says far more than any label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from repgeom.corruptions import Draws

SIZE = 32
N_OBJECTS = 4
BATCH = 1024

SHAPES = ("disc", "ring", "crescent", "square", "frame", "diamond", "triangle", "cross", "saltire", "bar")
COLORS = {
    "red": (0.85, 0.15, 0.15), "orange": (0.95, 0.55, 0.10), "yellow": (0.95, 0.90, 0.20), "green": (0.15, 0.65, 0.25),
    "cyan": (0.20, 0.80, 0.85), "blue": (0.15, 0.30, 0.85), "purple": (0.55, 0.20, 0.70), "pink": (0.95, 0.55, 0.75),
    "white": (0.97, 0.97, 0.97), "black": (0.05, 0.05, 0.05),
}  # fmt: skip
TEXTURES = ("plain", "striped", "chequered")
PLACES = ("top-left", "top-right", "bottom-left", "bottom-right")
GROUNDS = {
    "grey": (0.50, 0.50, 0.50), "sand": (0.75, 0.68, 0.52), "slate": (0.30, 0.36, 0.42), "moss": (0.38, 0.45, 0.30),
    "plum": (0.42, 0.32, 0.42), "sky": (0.58, 0.70, 0.80),
}  # fmt: skip
LIGHTS = ("even", "falling", "grainy")
WORDS = (
    "a", "small", "large", "on", "ground", *SHAPES, *COLORS, *TEXTURES, *PLACES, *GROUNDS, *LIGHTS,
)  # fmt: skip
# Six words an object (article, size, texture, colour, shape, place) and four of the ground.
CAPTION_WORDS = 6 * N_OBJECTS + 4


@dataclasses.dataclass(frozen=True)
class Scenes:
    """What is to be seen in n images, as numbers into the tables above.

    Attributes:
        shape, color, texture: (n, 4) of the object at each of PLACES.
        size: (n, 4), 1 for the large object, one of the four, and 0 for the small.
        jitter: (n, 4, 2) in pixels; radius: (n, 4) in pixels; turn: (n, 4), the phase of a texture.
        ground, light: (n,) of the background.
        grain: (n,) the key from which grain is drawn.
    """

    shape: Tensor
    color: Tensor
    texture: Tensor
    size: Tensor
    jitter: Tensor
    radius: Tensor
    turn: Tensor
    ground: Tensor
    light: Tensor
    grain: Tensor

    def __len__(self) -> int:
        return len(self.shape)

    @property
    def coarse(self) -> Tensor:
        """(n,), the shape at the top left."""
        return self.shape[:, 0]

    @property
    def dense(self) -> Tensor:
        """(n,), both shapes of the upper row."""
        return self.shape[:, 0] * len(SHAPES) + self.shape[:, 1]


def draw_scenes(n: int, seed: int, start: int = 0, device: torch.device | str = "cpu") -> Scenes:
    """Scenes start, ..., start + n − 1 of a seed."""
    draws = Draws(seed, torch.arange(start, start + n, device=device), "shapes")
    # Draws (n, 1) against four places: exactly one object of each image is large.
    large = draws.below(N_OBJECTS, 1) == torch.arange(N_OBJECTS, device=device)
    return Scenes(
        shape=draws.below(len(SHAPES), N_OBJECTS),
        color=draws.below(len(COLORS), N_OBJECTS),
        texture=draws.below(len(TEXTURES), N_OBJECTS),
        size=large.long(),
        jitter=draws.symmetric(N_OBJECTS, 2),
        radius=torch.where(large, 6.4, 4.4) + 0.8 * draws.uniform(N_OBJECTS),
        turn=draws.uniform(N_OBJECTS),
        ground=draws.below(len(GROUNDS)),
        light=draws.below(len(LIGHTS)),
        grain=draws.below(1 << 30),
    )


def render(scenes: Scenes) -> Tensor:
    """Images (n, 3, 32, 32), uint8."""
    device = scenes.shape.device
    # Positions are those of the pixels' centres.
    y, x = torch.meshgrid(*[torch.arange(SIZE, device=device) + 0.5] * 2, indexing="ij")
    picture = _background(scenes, y)
    palette = torch.tensor(list(COLORS.values()), device=device)
    for k in range(N_OBJECTS):
        # The middle of a quarter of the image, shifted by a pixel at most.
        center_x = 8.0 + 16.0 * (k % 2) + scenes.jitter[:, k, 0]
        center_y = 8.0 + 16.0 * (k // 2) + scenes.jitter[:, k, 1]
        u = (x - center_x[:, None, None]) / scenes.radius[:, k, None, None]
        v = (y - center_y[:, None, None]) / scenes.radius[:, k, None, None]
        distance = _signed_distances(u, v).gather(1, scenes.shape[:, k, None, None, None].expand(-1, 1, SIZE, SIZE))
        # Half of a pixel whose centre lies on the edge is covered: edges are smooth.
        cover = (0.5 - distance * scenes.radius[:, k, None, None, None]).clamp(0, 1)
        shade = _texture(x, y, scenes.texture[:, k], scenes.turn[:, k])
        paint = palette[scenes.color[:, k]][:, :, None, None] * shade[:, None]
        picture = picture + cover * (paint - picture)
    return (picture * 255).round().clamp(0, 255).to(torch.uint8)


def _background(scenes: Scenes, y: Tensor) -> Tensor:
    base = torch.tensor(list(GROUNDS.values()), device=y.device)[scenes.ground][:, :, None, None]
    falling = 1.2 - 0.5 * y / SIZE
    grain = 1 + 0.12 * Draws(0, scenes.grain, "grain").normal(1, SIZE, SIZE)
    light = scenes.light[:, None, None, None]
    return (base * torch.where(light == 1, falling, torch.where(light == 2, grain, torch.ones_like(grain)))).clamp(0, 1)


def _texture(x: Tensor, y: Tensor, texture: Tensor, turn: Tensor) -> Tensor:
    """Brightness (n, 32, 32): stripes and cheques of two pixels."""
    shift = turn[:, None, None] * 4
    stripes = ((x + y + shift) % 4 < 2).float()
    cheques = (((x + shift) % 4 < 2) ^ (y % 4 < 2)).float()
    kind = texture[:, None, None]
    return 1 - 0.45 * torch.where(kind == 1, stripes, torch.where(kind == 2, cheques, torch.zeros_like(stripes)))


def _signed_distances(u: Tensor, v: Tensor) -> Tensor:
    """Of every shape at radius 1, negative inside, (n, 10, 32, 32), in the order of SHAPES."""
    # Shapes are cut by the larger of two distances and joined by the smaller. 0.7071 is 1 / √2, a turn by 45°.
    length = (u.square() + v.square()).sqrt()
    a, b = u.abs(), v.abs()
    longest = torch.maximum(a, b)
    bitten = 0.8 - ((u - 0.5).square() + v.square()).sqrt()
    arms = torch.minimum(torch.maximum(a - 0.3, b - 1), torch.maximum(b - 0.3, a - 1))
    p, q = (u + v).abs() * 0.7071, (u - v).abs() * 0.7071
    across = torch.minimum(torch.maximum(p - 0.3, q - 1), torch.maximum(q - 0.3, p - 1))
    return torch.stack(
        [
            length - 1,
            (length - 0.75).abs() - 0.25,
            torch.maximum(length - 1, bitten),
            longest - 0.88,
            (longest - 0.7).abs() - 0.2,
            (a + b - 1.15) * 0.7071,
            torch.maximum(v - 0.75, a * 0.88 - v * 0.47 - 0.52),
            arms,
            across,
            torch.maximum(a - 1, b - 0.4),
        ],
        1,
    )


def captions(scenes: Scenes) -> Tensor:
    """Word numbers (n, 28): "a large striped red disc top-left a small ... bottom-right on falling moss ground"."""
    number = {word: i for i, word in enumerate(WORDS)}
    texture, color, shape = (number[names[0]] for names in (TEXTURES, tuple(COLORS), SHAPES))
    places = number[PLACES[0]] + torch.arange(N_OBJECTS, device=scenes.shape.device)
    facts = (number["small"] + scenes.size, texture + scenes.texture, color + scenes.color, shape + scenes.shape)
    phrases = [_repeated(number["a"], scenes.shape), *facts, places.expand_as(scenes.shape)]
    ground = (number[LIGHTS[0]] + scenes.light, number[next(iter(GROUNDS))] + scenes.ground)
    ending = [_repeated(number["on"], scenes.ground), *ground, _repeated(number["ground"], scenes.ground)]
    return torch.cat([torch.stack(phrases, 2).flatten(1), torch.stack(ending, 1)], 1)


def _repeated(word: int, like: Tensor) -> Tensor:
    return torch.full_like(like, word)


def caption_text(words: Tensor) -> list[str]:
    """Captions as text, one for each row of word numbers."""
    return [" ".join(WORDS[i] for i in row) for row in words.tolist()]


def rendered(n: int, seed: int, device: torch.device | str = "cpu") -> Iterator[tuple[Scenes, Tensor]]:
    """Scenes and images in batches."""
    for start in range(0, n, BATCH):
        scenes = draw_scenes(min(BATCH, n - start), seed, start, device)
        yield scenes, render(scenes)
