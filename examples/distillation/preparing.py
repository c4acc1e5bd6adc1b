"""What the models of a setting share: its images, its teacher, and the teacher's features of the images."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import repgeom as rg

from .configs import Config, Setting
from .data.images import Dataset
from .data.load import load_dataset
from .features import teacher_features
from .grid import Cell
from .progress import progress_bar
from .teachers.load import load_teacher
from .teachers.teacher import Teacher
from .training import as_they_are

# Images, below which nothing can be measured.
LEAST_TEST = 4


@dataclasses.dataclass(frozen=True)
class Place:
    """The folders and the device of a run. `bar` shows progress on standard error."""

    out: Path
    cache: Path
    device: torch.device
    bar: bool = True
    downloading: bool = False

    def result(self, cell: Cell) -> Path:
        """The path of a model's record, without its ending."""
        return self.out / "cells" / cell.name

    @property
    def log(self) -> Path:
        """Where each process notes what it has done."""
        return self.out / "log.jsonl"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A setting with everything that its models share, on the device."""

    setting: Setting
    dataset: Dataset
    teacher: Teacher
    targets: list[torch.Tensor]  # the teacher's features of the training images as they are
    augmented: list[torch.Tensor]  # of each epoch's crops and flips; empty where not asked for
    teacher_test: torch.Tensor

    @functools.cached_property
    def teacher_directions(self) -> torch.Tensor:
        """The teacher's principal directions (d, r), float64, of its centred unit rows of the images to test on."""
        return rg.centered_svd(F.normalize(self.teacher_test.double())).Vh.mT


def prepare(setting: Setting, config: Config, place: Place) -> Prepared:
    """Images, teacher and the teacher's features, from the cache where they are there already."""
    dataset = load_dataset(setting, downloading=place.downloading)
    if len(dataset.train) < config.training.batch_size:
        raise ValueError(
            f"{setting.name} has {len(dataset.train)} images to train on, fewer than one batch of "
            f"{config.training.batch_size}."
        )
    if len(dataset.test) < LEAST_TEST:
        raise ValueError(
            f"{setting.name} has {len(dataset.test)} images to measure on; {LEAST_TEST} at least are needed."
        )
    train, test = dataset.train.to(place.device), dataset.test.to(place.device)
    teacher = load_teacher(setting, place.cache, place.device, bar=place.bar)
    views: list[int | None] = [None]  # the images as they are
    if setting.augmented:
        views += range(config.training.epochs)
    total = len(test) + len(views) * len(train)
    padding = config.training.crop_padding
    with progress_bar(total, f"{setting.name}: teacher's features", shown=place.bar) as bar:
        found = [
            teacher_features(teacher, images, place.cache, view=view, padding=padding, tick=bar.update)
            for images, view in [(test, None), *((train, view) for view in views)]
        ]
    moved = dataclasses.replace(dataset, train=train, test=test)
    # In the order above: the images to test on, those to train on as they are, then each epoch's view.
    return Prepared(setting, moved, teacher, found[1:2], found[2:], found[0])


def sizing(p: Prepared) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function that brings images to the size that the student sees."""
    if p.setting.student_input == "teacher":
        return p.teacher.preprocessing.sized
    return as_they_are


def student_side(p: Prepared) -> int:
    """Pixels per side of the images that students see."""
    return sizing(p)(p.dataset.test.pixels[:1]).shape[-1]


def described(p: Prepared) -> dict[str, Any]:
    """What records say of their setting: whether its teacher and its images are real, and how many images there are."""
    return {
        "name": p.setting.name,
        "teacher": p.teacher.name,
        "pretrained": p.teacher.pretrained,
        "teacher_recipe": dict(p.teacher.recipe),
        "width": p.teacher.width,
        "student_side": student_side(p),
        "std": list(p.teacher.preprocessing.std),
        "data": p.dataset.name,
        "real_images": p.dataset.real,
        "n_train": len(p.dataset.train),
        "n_test": len(p.dataset.test),
        "n_classes": len(p.dataset.classes),
    }
