"""Images at random and on disk, for tests of what reads and resizes them."""

import numpy as np
import torch
from PIL import Image

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def random_images(rng, n, h=32, w=32):
    return torch.tensor(rng.integers(0, 256, (n, 3, h, w), dtype=np.uint8))


def pillow(image, size):
    """One (3, h, w) image by Pillow's bicubic to (height, width)."""
    whole = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(size[::-1], Image.Resampling.BICUBIC)
    return torch.tensor(np.array(whole)).permute(2, 0, 1)


def save_image(path, color, size=(40, 30), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)


def colored(root, name, n, green):
    """n images of a class, told apart by red; class by green."""
    for i in range(n):
        save_image(root / name / f"{i}.png", (10 * i, green, 0))
