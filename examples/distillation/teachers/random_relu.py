"""random-relu: a network that was never trained, as a control.

What students of it show is owed to networks and images, and not to anything that a teacher has learned.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from ..data.images import Images
from ..stored import Stored, fingerprint, made_once
from .teacher import Teacher, frozen, native_preprocessing, weights_digest

# Leading pixel components of the training images.
N_COMPONENTS = 300
HIDDEN, WIDTH = 1024, 512
SEED = 0
# To be raised when the network changes, so that no older one is taken for it.
FORMAT = 1


class RandomReLU(nn.Module):
    """Normalised images (b, 3, h, w) to features (b, 512).

    Pixels are projected on the leading components of the training images and half-whitened: a component's scores are
    divided by the square root of their standard deviation. Each row is scaled to a root mean square of 1. Layers of
    ReLU without bias and a linear map follow, their weights normal with variance 2 / fan-in (He et al. 2015), of the
    last 1 / fan-in.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, mean: Tensor, components: Tensor, n_layers: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("components", components)
        n_inputs = [components.shape[1], *[HIDDEN] * n_layers]
        n_outputs = [*[HIDDEN] * n_layers, WIDTH]
        self.weights = nn.ParameterList(
            torch.zeros(after, before) for before, after in zip(n_inputs, n_outputs, strict=True)
        )

    def draw(self, seed: int) -> None:
        """Draws the weights."""
        random = torch.Generator().manual_seed(seed)
        # A ReLU cuts half of a layer's outputs off, which the 2 makes good.
        gains = [2] * (len(self.weights) - 1) + [1]
        for weight, gain in zip(self.weights, gains, strict=True):
            nn.init.normal_(weight, std=math.sqrt(gain / weight.shape[1]), generator=random)

    def forward(self, images: Tensor) -> Tensor:
        scores = (images.flatten(1) - self.mean) @ self.components
        # An image equal to the mean of all has scores of 0 and keeps them.
        x = scores / scores.square().mean(1, keepdim=True).sqrt().clamp(min=1e-12)
        *hidden, last = self.weights
        for weight in hidden:
            x = torch.relu(x @ weight.T)
        return x @ last.T


def load_random_relu(name: str, n_layers: int, images: Images, cache: Path, device: torch.device | str) -> Teacher:
    """A network of `n_layers` layers, drawn from a fixed seed, on the components of these images; kept in the cache.

    Args:
        name: of the teacher.
        n_layers: of ReLU.
        images: those to train on.
        cache: the folder where it is kept.
        device: of the teacher.
    """
    how = native_preprocessing(images)
    recipe = {"teacher": name, "layers": n_layers, "seed": SEED, "images": images.digest(), "format": FORMAT}

    def make() -> Stored:
        mean, components = half_whitened(how(images.pixels.cpu()).flatten(1))
        network = RandomReLU(mean, components, n_layers)
        network.draw(SEED)
        return Stored({}, network.state_dict())

    # Kept, since the last digits of the components depend on the machine and its number of threads.
    found = made_once(cache / "teachers" / f"{name}-{fingerprint(recipe)}", recipe, make).arrays
    network = RandomReLU(found["mean"], found["components"], n_layers)
    network.load_state_dict(found)
    frozen(network, device)

    def encode(pixels: Tensor) -> Tensor:
        features: Tensor = network(pixels)
        return features

    whole = {**recipe, "weights": weights_digest(network)}
    return Teacher(name, encode, WIDTH, how, pretrained=False, recipe=whole)


def half_whitened(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (d,) of rows (n, d), and the directions (d, k) of their k leading components, scaled.

    A direction is divided by the square root of the standard deviation along it. Directions without variance are left
    out.
    """
    mean = rows.double().mean(0)
    centred = rows.double() - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(rows))
    # In descending order.
    variances, directions = variances.flip(0)[:N_COMPONENTS], directions.flip(1)[:, :N_COMPONENTS]
    # Below this share of the largest a variance is rounding.
    kept = variances > 1e-12 * variances[0]
    scaled = directions[:, kept] / variances[kept].pow(0.25)
    return mean.float(), scaled.float()
