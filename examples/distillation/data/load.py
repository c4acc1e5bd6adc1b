"""Every data set by its name. To add one: a module that makes a `Dataset`, and a row of `DATASETS`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from ..settings.configs import Setting
from .cifar import ARCHIVES, download, load_cifar
from .digits import load_digits_set
from .folders import load_folder
from .images import Dataset, Images
from .photos import load_photos
from .shapes import SHAPES, rendered

# Of the shapes; the teachers that are trained on shapes have their own.
TRAIN_SEED, TEST_SEED = 1, 2


def load_dataset(setting: Setting, *, downloading: bool = False) -> Dataset:
    """The images of a setting: as many as it asks for, in the memory of the CPU.

    Raises:
        ValueError: an unknown name, or a path where none belongs or none where one does.
        FileNotFoundError: as the reader of that set says.
    """
    if setting.data not in DATASETS:
        raise ValueError(f"unknown data {setting.data!r}; there are {', '.join(DATASETS)}.")
    if setting.data in NEED_PATH and setting.data_path is None:
        raise ValueError(f"{setting.data} needs --data-path: {NEED_PATH[setting.data]}.")
    if setting.data not in (*NEED_PATH, "photos") and setting.data_path is not None:
        raise ValueError(f"{setting.data} is made here and has no path; leave --data-path out.")
    try:
        found = DATASETS[setting.data](setting)
    except FileNotFoundError:
        if not (downloading and setting.data in ARCHIVES):
            raise
        download(setting.data, str(setting.data_path))
        found = DATASETS[setting.data](setting)
    train, test = found.train.part(setting.n_train), found.test.part(setting.n_test)
    return dataclasses.replace(found, train=train, test=test)


def _shapes(setting: Setting) -> Dataset:
    dense = setting.data == "shapes100"
    halves = []
    # As many as CIFAR has, where the setting does not say.
    for n, seed in ((setting.n_train or 50_000, TRAIN_SEED), (setting.n_test or 10_000, TEST_SEED)):
        batches = [(pixels, scenes.dense if dense else scenes.coarse) for scenes, pixels in rendered(n, seed)]
        halves.append(Images(*(torch.cat(parts) for parts in zip(*batches, strict=True))))
    classes = tuple(f"{left}, {right}" for left in SHAPES for right in SHAPES) if dense else SHAPES
    return Dataset(setting.data, halves[0], halves[1], classes, real=False)


DATASETS: dict[str, Callable[[Setting], Dataset]] = {
    "cifar10": lambda setting: load_cifar("cifar10", str(setting.data_path)),
    "cifar100": lambda setting: load_cifar("cifar100", str(setting.data_path)),
    "folder": lambda setting: load_folder(str(setting.data_path), setting.image_size),
    "digits": lambda setting: load_digits_set(),
    "photos": lambda setting: load_photos(setting.data_path, setting.n_train, setting.n_test),
    "shapes10": _shapes,
    "shapes100": _shapes,
}
NEED_PATH = {
    "cifar10": "the folder or archive that holds CIFAR-10",
    "cifar100": "the folder or archive that holds CIFAR-100",
    "folder": "a folder of class folders with images",
}
