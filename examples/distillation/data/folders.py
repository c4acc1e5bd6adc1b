"""Any folder of class folders with images: FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png, or FOLDER/CLASS/*."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from repgeom.models import center_cropped, resized

from .image_files import ENDINGS, images_in, read_image
from .images import Dataset, Images

TEST_SHARE = 0.2
TRAIN, TEST = ("train", "training"), ("test", "val", "valid", "validation")


def load_folder(path: str | Path, size: int, seed: int = 0) -> Dataset:
    """Reads images as colour, brings the shorter side to `size` and cuts the square in the middle.

    Without folders named train and test (or val, validation), a fifth of each class, drawn with `seed`, is for testing.

    Raises:
        FileNotFoundError: no such folder, or no images in class folders.
        ValueError: fewer than two classes; an image that cannot be read, by name; classes that are only in one half.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; expected {root}/CLASS/IMAGE.png, or {root}/train and /test.")
    train, test = (next((root / name for name in names if (root / name).is_dir()), None) for names in (TRAIN, TEST))
    if train is not None and test is None:
        raise ValueError(f"{root} has {train.name}, but not its other half: one of {', '.join(TEST)}.")
    if test is not None and train is None:
        raise ValueError(f"{root} has {test.name}, but not its other half: one of {', '.join(TRAIN)}.")
    if train is not None and test is not None:
        files, held_out = _listed(train), _listed(test)
    else:
        files, held_out = _split(_listed(root), seed)
    if set(files) != set(held_out):
        raise ValueError(f"{root}: classes only in one half: {', '.join(sorted(set(files) ^ set(held_out)))}.")
    if len(files) < 2:
        raise ValueError(f"{root} has {len(files)} class folder with images; a probe needs two at least.")
    classes = tuple(sorted(files))
    return Dataset(
        root.name, _read(files, classes, size), _read(held_out, classes, size), classes, real=True, mirrored=True
    )


def _listed(root: Path) -> dict[str, list[Path]]:
    found = {
        folder.name: images_in(folder)
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }
    found = {name: files for name, files in found.items() if files}
    if not found:
        raise FileNotFoundError(f"no images in class folders of {root} (looked for {', '.join(sorted(ENDINGS))}).")
    return found


def _split(files: dict[str, list[Path]], seed: int) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    rng = np.random.default_rng(seed)
    train: dict[str, list[Path]] = {}
    test: dict[str, list[Path]] = {}
    for name, listed in files.items():
        if len(listed) < 2:
            raise ValueError(f"class {name} has one image only; one to train on and one to test on are needed.")
        order = rng.permutation(len(listed))
        # Of two images and more, one at least falls on either side.
        n_test = max(1, round(TEST_SHARE * len(listed)))
        test[name] = [listed[i] for i in sorted(order[:n_test])]
        train[name] = [listed[i] for i in sorted(order[n_test:])]
    return train, test


def _read(files: dict[str, list[Path]], classes: tuple[str, ...], size: int) -> Images:
    pixels = [_pixels(file, size) for name in classes for file in files[name]]
    labels = [i for i, name in enumerate(classes) for _ in files[name]]
    return Images(torch.stack(pixels), torch.tensor(labels))


def _pixels(file: Path, size: int) -> Tensor:
    whole = read_image(file)[None]
    return center_cropped(resized(whole, size), size)[0].contiguous()
