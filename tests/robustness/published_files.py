"""Small sets of corrupted images in the layouts of CIFAR-10-C and ImageNet-C, written from photographs by our own corruption."""

import functools

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from repgeom.corruptions import corrupt

NAMES = ("brightness", "contrast", "gaussian_noise")
WNIDS = ("n01440764", "n01443537", "n01484850")


@functools.cache
def crops(n, side, step=1):
    """n different crops of two photographs, (n, 3, side, side) uint8."""
    photographs = torch.from_numpy(np.stack(load_sample_images().images)).permute(0, 3, 1, 2)[:, :, ::step, ::step]
    random = np.random.default_rng(n)
    h, w = photographs.shape[-2:]
    found = []
    for i in range(n):
        top, left = random.integers(0, h - side), random.integers(0, w - side)
        found.append(photographs[i % 2, :, top : top + side, left : left + side])
    return torch.stack(found)


def channels_last(images):
    return images.permute(0, 2, 3, 1).numpy()


def cifar_folder(folder, clean, names=NAMES, n_classes=10, change=None):
    """CORRUPTION.npy and labels.npy; `change` (images, name, severity) -> images takes the place of our corruption."""
    change = change or functools.partial(corrupt, seed=7)
    folder.mkdir(exist_ok=True)
    for name in names:
        stacked = torch.cat([change(clean, name, severity) for severity in range(1, 6)])
        np.save(folder / f"{name}.npy", channels_last(stacked))
    np.save(folder / "labels.npy", np.tile(np.arange(len(clean)) % n_classes, 5).astype(np.uint8))
    return folder


def save(pixels, path, quality):
    """One image (3, h, w) as the scripts store it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path, quality=quality)


def file_names(n):
    """CLASS/FILE of n images, a third in each of three classes, in the order in which they are read."""
    return sorted(f"{WNIDS[i % 3]}/val_{i:04d}.JPEG" for i in range(n))


def image_folder(folder, clean, names=NAMES, group="", quality=85):
    """CORRUPTION/SEVERITY/CLASS/FILE, or one folder deeper in `group`, of images stored as JPEG; and the clean ones in `clean`."""
    for name in names:
        for severity in range(1, 6):
            corrupted = corrupt(clean, name, severity, seed=7)
            for file_name, pixels in zip(file_names(len(clean)), corrupted, strict=True):
                save(pixels, folder / group / name / str(severity) / file_name, quality)
    for file_name, pixels in zip(file_names(len(clean)), clean, strict=True):
        # As PNG under the same name: clean photographs are taken as they are.
        path = folder / "clean" / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path, format="PNG")
    return folder
