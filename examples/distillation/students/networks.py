"""The students: small CNNs from images (b, 3, h, w) of any size to a vector as wide as the teacher's.

To add one: a function of (width, out) and a row of `ARCHITECTURES`. From outside, "package.module:function" is one.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..outside import function_of, reason_of

BASE = "cnn"


def paper_cnn(width: float, out: int) -> nn.Module:
    """The CNN of arXiv 2603.06698 at width 1 (S), 2 (M) or 4 (L): three convolutions, 4 × 4 pooling, a 512-wide layer."""
    channels = round(64 * width)
    return nn.Sequential(_trunk(width), nn.AdaptiveAvgPool2d(4), nn.Flatten(), *_head(channels * 16, out))


def cnn_of(target: int) -> Callable[[int, int], nn.Module]:
    """The paper's CNN at the width, in steps of 1/64, that brings its number of parameters nearest to `target`.

    The text of arXiv 2603.06698 speaks of 0.5, 2 and 8 million, its widths give 0.8, 1.4 and 2.7. The width that is asked
    for does not count. A wide teacher alone can need more: the last layer has 513 numbers for each of its features.
    """

    def parameters(step: int, out: int) -> int:
        # Without memory, since only the shapes are asked for.
        with torch.device("meta"):
            return n_parameters(paper_cnn(step / 64, out))

    def matched(width: int, out: int) -> nn.Module:
        steps = range(4, 64 * 16)  # from one channel to 16 times the paper's S
        above = steps[bisect.bisect_left(steps[1:-1], target, key=lambda step: parameters(step, out)) + 1]
        nearest = min(above - 1, above, key=lambda step: abs(parameters(step, out) - target))
        return paper_cnn(nearest / 64, out)

    return matched


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
    "cnn-0.5M": cnn_of(500_000),
    "cnn-2M": cnn_of(2_000_000),
    "cnn-8M": cnn_of(8_000_000),
}


class Residual(nn.Module):
    """Two convolutions added to what enters (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Without the last ReLU: the sum is rectified, not the branch.
        self.inner = nn.Sequential(*_convolution(channels, channels), *_convolution(channels, channels)[:2])

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.inner(x))


def maker_of(architecture: str) -> Callable[[int, int], nn.Module]:
    """The function of (width, out) that a name stands for.

    Raises:
        ValueError: an unknown name, or a function that cannot be found.
    """
    if ":" in architecture:
        return function_of(architecture, "student")
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"unknown architecture {architecture!r}; there are {', '.join(ARCHITECTURES)}, or package.module:function."
        )
    return ARCHITECTURES[architecture]


def make_student(architecture: str, width: int, out: int, seed: int) -> nn.Module:
    """A student with the weights that `seed` gives, whatever was drawn before.

    Raises:
        ValueError: as `maker_of`, or a function from outside that fails.
        TypeError: a function from outside that makes something else than a module.
    """
    make = maker_of(architecture)
    # Weights are drawn on the CPU, so they are the same on every device. The caller's generator then goes on as before.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            found = make(width, out)
        # A function of somebody else's can fail in any way.
        except Exception as error:
            if ":" not in architecture:
                raise
            raise ValueError(f"student {architecture!r} fails for width {width}: {reason_of(error)}.") from error
    if not isinstance(found, nn.Module):
        raise TypeError(f"student {architecture!r} must return a torch.nn.Module, it returned {type(found).__name__}.")
    return found


def check_student(student: nn.Module, seen: Tensor, out: int, name: str) -> None:
    """Tries a student on images as it will see them.

    Raises:
        ValueError: it fails on them, gives no tensor, or another shape than (b, out).
    """
    try:
        found = student(seen)
    # A module of somebody else's can fail in any way.
    except Exception as error:
        seen_as = tuple(seen.shape)
        raise ValueError(f"student {name!r} fails on images of shape {seen_as}: {reason_of(error)}.") from error
    if not isinstance(found, Tensor):
        raise ValueError(f"student {name!r} must give a tensor of embeddings, it gave {type(found).__name__}.")
    shape = tuple(found.shape)
    if shape != (len(seen), out):
        raise ValueError(f"student {name!r} must give embeddings of shape {(len(seen), out)}, it gave {shape}.")


def n_parameters(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in model.parameters())


def _trunk(width: float) -> nn.Sequential:
    a, b, c = (round(channels * width) for channels in (16, 32, 64))
    return nn.Sequential(
        *_convolution(3, a), nn.MaxPool2d(2), *_convolution(a, b), nn.MaxPool2d(2), *_convolution(b, c)
    )


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]


def _head(before: int, out: int) -> list[nn.Module]:
    return [nn.Linear(before, 512), nn.ReLU(), nn.Linear(512, out)]
