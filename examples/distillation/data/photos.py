"""Patches of photographs at 32 × 32: real images without a download, from scikit-learn's two or from a folder of one's own.

Patches to train on are cut from the left of each photograph, those to test on from its right, so that no pixel is in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .image_files import ENDINGS, images_in, read_image
from .images import Dataset, Images

SIZE = 32
# Shares of a photograph's width from its left and from its right edge; between them lies a strip that is not used.
TRAIN_SHARE, TEST_SHARE = 0.62, 0.35
# Of rows of each photograph: a label is a photograph and a band, as what is to be seen changes from sky to ground.
N_BANDS = 5
N_TRAIN, N_TEST = 3_000, 1_000
# The least sides of a photograph: a patch in every band, and one within the right part.
LEAST_HEIGHT = SIZE + N_BANDS - 1
LEAST_WIDTH = 92


def load_photos(path: str | None, n_train: int | None, n_test: int | None, seed: int = 0) -> Dataset:
    """Patches at random places, as many of each label as of any other, or one more.

    Args:
        path: a folder of photographs, with those in folders within it; None for scikit-learn's two.
        n_train, n_test: patches; None for 3,000 and 1,000.
        seed: of the places.

    Raises:
        FileNotFoundError: no such folder, or no images in it.
        ValueError: an image that cannot be read, or is too small, by name; fewer patches than labels.
    """
    names = _names(path)
    classes = tuple(f"{name}, band {band + 1}" for name in names for band in range(N_BANDS))
    numbers = (n_train or N_TRAIN, n_test or N_TEST)
    if min(numbers) < len(classes):
        raise ValueError(
            f"{len(names)} photographs in {N_BANDS} bands are {len(classes)} labels; ask for as many patches at least "
            f"with --n-train and --n-test."
        )
    # Labels take turns, so that neighbours in the data set differ in theirs.
    labels = [torch.arange(n) % len(classes) for n in numbers]
    halves = [torch.empty(n, 3, SIZE, SIZE, dtype=torch.uint8) for n in numbers]
    for i, (name, photograph) in enumerate(zip(names, _photographs(path), strict=True)):
        height, width = photograph.shape[1:]
        if height < LEAST_HEIGHT or width < LEAST_WIDTH:
            raise ValueError(
                f"{name} has {height} × {width} pixels; patches need a height of {LEAST_HEIGHT} and a width of "
                f"{LEAST_WIDTH} at least. Remove it from the folder."
            )
        left, right = photograph[:, :, : int(TRAIN_SHARE * width)], photograph[:, :, width - int(TEST_SHARE * width) :]
        for half, part in enumerate((left, right)):
            rows = (labels[half] // N_BANDS == i).nonzero()[:, 0]
            bands = (labels[half][rows] % N_BANDS).tolist()
            halves[half][rows] = _patches(part, bands, np.random.default_rng([seed, half, i]))
    train, test = (Images(*both) for both in zip(halves, labels, strict=True))
    return Dataset("photos", train, test, classes, real=True, mirrored=True)


def _names(path: str | None) -> list[str]:
    if path is None:
        from sklearn.datasets import load_sample_images

        return [Path(name).stem for name in load_sample_images().filenames]
    return [str(file.relative_to(Path(path).expanduser())) for file in _files(path)]


def _photographs(path: str | None) -> Iterator[Tensor]:
    """(3, h, w), uint8, one at a time."""
    if path is None:
        from sklearn.datasets import load_sample_images

        yield from (torch.from_numpy(image.copy()).permute(2, 0, 1) for image in load_sample_images().images)
        return
    yield from map(read_image, _files(path))


def _files(path: str) -> list[Path]:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder of photographs.")
    files = images_in(folder)
    if not files:
        raise FileNotFoundError(f"no photographs in {folder} (looked for {', '.join(sorted(ENDINGS))}).")
    return files


def _patches(part: Tensor, bands: Sequence[int], random: np.random.Generator) -> Tensor:
    """A patch of a part of a photograph for each band: its top row lies in the band, its left column anywhere."""
    n_tops, n_lefts = part.shape[1] - SIZE + 1, part.shape[2] - SIZE + 1
    patches = []
    for band in bands:
        top = int(random.integers(band * n_tops // N_BANDS, (band + 1) * n_tops // N_BANDS))
        left = int(random.integers(n_lefts))
        patches.append(part[:, top : top + SIZE, left : left + SIZE])
    return torch.stack(patches)
