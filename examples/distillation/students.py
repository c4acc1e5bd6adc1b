"""The students: small CNNs from images (b, 3, h, w) of any size to a vector as wide as the teacher's.

To add one: a function of (width, out) and a row of `ARCHITECTURES`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

BASE = "cnn"


def paper_cnn(width: int, out: int) -> nn.Module:
    """The CNN of arXiv 2603.06698 at width 1 (S), 2 (M) or 4 (L): three convolutions, 4 × 4 pooling, a 512-wide layer."""
    return nn.Sequential(_trunk(width), nn.AdaptiveAvgPool2d(4), nn.Flatten(), *_head(64 * width * 16, out))


def no_bottleneck(width: int, out: int) -> nn.Module:
    """Without the 512-wide layer: one linear map from the pooled maps to the embedding."""
    return nn.Sequential(_trunk(width), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * width * 16, out))


def global_pool(width: int, out: int) -> nn.Module:
    """Averages over the whole image, so that only what is there is kept and not where."""
    return nn.Sequential(_trunk(width), nn.AdaptiveAvgPool2d(1), nn.Flatten(), *_head(64 * width, out))


def residual_cnn(width: int, out: int) -> nn.Module:
    """Each convolution is followed by a residual block of two."""
    channels = (3, 16 * width, 32 * width, 64 * width)
    layers: list[nn.Module] = []
    for i in range(3):
        layers += [*_convolution(channels[i], channels[i + 1]), Residual(channels[i + 1])]
        layers += [nn.MaxPool2d(2)] if i < 2 else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), *_head(64 * width * 16, out))


ARCHITECTURES: dict[str, Callable[[int, int], nn.Module]] = {
    BASE: paper_cnn,
    "no-bottleneck": no_bottleneck,
    "residual": residual_cnn,
    "global-pool": global_pool,
}


class Residual(nn.Module):
    """Two convolutions added to what enters (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Without the last ReLU: the sum is rectified, not the branch.
        self.inner = nn.Sequential(*_convolution(channels, channels), *_convolution(channels, channels)[:2])

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.inner(x))


def make_student(architecture: str, width: int, out: int, seed: int) -> nn.Module:
    """A student with the weights that `seed` gives, whatever was drawn before."""
    # Weights are drawn on the CPU, so they are the same on every device. The caller's generator then goes on as before.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES[architecture](width, out)


def n_parameters(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in model.parameters())


def _trunk(width: int) -> nn.Sequential:
    a, b, c = 16 * width, 32 * width, 64 * width
    return nn.Sequential(
        *_convolution(3, a), nn.MaxPool2d(2), *_convolution(a, b), nn.MaxPool2d(2), *_convolution(b, c)
    )


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]


def _head(before: int, out: int) -> list[nn.Module]:
    return [nn.Linear(before, 512), nn.ReLU(), nn.Linear(512, out)]
