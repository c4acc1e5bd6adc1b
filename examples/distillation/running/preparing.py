"""What the models of a setting share: its images, its teacher, and the teacher's features of the images."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import repgeom as rg

from ..data.images import Dataset, Images
from ..data.load import load_dataset
from ..measuring.geometry import teacher_rows
from ..progress import progress_bar
from ..settings.configs import Config, Setting
from ..settings.grid import Cell
from ..students.training import as_they_are
from ..teachers.features import teacher_features
from ..teachers.load import load_teacher
from ..teachers.teacher import Teacher
from ..teachers.transforms import fitted, narrow_cone, transformed
from ..wording import counted

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
    augmented: list[torch.Tensor]  # of each epoch's views of them; empty where not asked for
    teacher_test: torch.Tensor
    mean_cosine: float  # over pairs of the first of `targets`
    warning: str | None  # where the teacher cannot be learned from


def prepare(setting: Setting, config: Config, place: Place) -> Prepared:
    """Images, teacher and the teacher's features, from the cache where they are there already.

    A warning about the teacher is a line on standard error too.
    """
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
    dataset = dataclasses.replace(dataset, train=dataset.train.to(place.device), test=dataset.test.to(place.device))
    teacher = load_teacher(setting, dataset, place.cache, place.device, bar=place.bar)
    features = _features(setting, teacher, dataset, config, place)
    # Fitted on the images to train on, as they are.
    transform = fitted(setting.teacher_transform, features[1])
    test, train, *views = [transform(x) for x in features]
    _refuse_one_direction(setting, teacher, test)
    mean_cosine = float(rg.mean_cosine(train.double()))
    warning = narrow_cone(setting.name, mean_cosine)
    if warning is not None:
        print(f"repgeom-distill: warning: {warning}", file=sys.stderr)
    teacher = transformed(teacher, setting.teacher_transform, transform)
    return Prepared(setting, dataset, teacher, [train], views, test, mean_cosine, warning)


def _refuse_one_direction(setting: Setting, teacher: Teacher, test: torch.Tensor) -> None:
    """Raises ValueError where a teacher's unit rows are all equal: there is nothing to copy, and no rank."""
    try:
        # It is decomposed for all students anyway.
        teacher_rows(test)
    except ValueError:
        raise ValueError(
            f"{setting.name}: the teacher's features of all images to measure on have one direction, so there is nothing "
            f"to copy. It gives {counted(teacher.width, 'feature')}; a single one has but its sign."
        ) from None


def _features(setting: Setting, teacher: Teacher, dataset: Dataset, config: Config, place: Place) -> list[torch.Tensor]:
    """The teacher's features of the images to test on, of those to train on, and of each epoch's view of these."""
    if teacher.features is not None:
        train, test = teacher.features
        return [test, train]
    asked: list[tuple[Images, int | None]] = [(dataset.test, None), (dataset.train, None)]
    if setting.augmented:
        asked += [(dataset.train, epoch) for epoch in range(config.training.epochs)]
    total = sum(len(images) for images, _ in asked)
    padding = config.training.crop_padding
    with progress_bar(total, f"{setting.name}: teacher's features", shown=place.bar) as bar:
        return [
            teacher_features(
                teacher,
                images,
                place.cache,
                view=view,
                padding=padding,
                mirrored=dataset.mirrored,
                tick=bar.update,
            )
            for images, view in asked
        ]


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
        "transform": p.setting.teacher_transform,
        "mean_cosine": p.mean_cosine,
        "warning": p.warning,
        "width": p.teacher.width,
        "student_side": student_side(p),
        "std": list(p.teacher.preprocessing.std),
        "data": p.dataset.name,
        "real_images": p.dataset.real,
        "n_train": len(p.dataset.train),
        "n_test": len(p.dataset.test),
        "n_classes": len(p.dataset.classes),
    }
