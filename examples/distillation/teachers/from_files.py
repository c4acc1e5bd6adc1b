"""features: a teacher of which nothing is known but its features of the images, read from two files."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

import repgeom as rg

from ..data.images import Dataset
from ..settings.configs import Setting
from ..wording import counted
from .teacher import Teacher, native_preprocessing

NAME = "features"


def load_features(setting: Setting, dataset: Dataset, device: torch.device | str) -> Teacher:
    """Rows of the images to train on and of those to test on, in the order in which the data set holds them.

    Raises:
        ValueError: no files; crops of images are asked for; other numbers of rows than of images; values that are not
            finite; two widths.
        FileNotFoundError, TypeError, ImportError: as `repgeom.open_source`.
    """
    if setting.teacher_features is None:
        raise ValueError(f"teacher {NAME} needs its files: --teacher-features TRAIN TEST.")
    if setting.augmented:
        raise ValueError(
            "--augmented needs the teacher's features of crops, which the files of --teacher-features do not hold; "
            "leave it out, or make the teacher a function, package.module:function."
        )
    halves = (("train", len(dataset.train)), ("test", len(dataset.test)))
    read = [_rows(path, *half) for path, half in zip(setting.teacher_features, halves, strict=True)]
    train, test = read
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"{setting.teacher_features[0]} has {train.shape[1]} features and {setting.teacher_features[1]} has "
            f"{test.shape[1]}; both must be of one model."
        )
    recipe = {"teacher": NAME, "rows": [_digest(rows) for rows in read]}
    return Teacher(
        NAME,
        None,
        train.shape[1],
        native_preprocessing(dataset.train),
        # Nothing is known of where they are from.
        pretrained=False,
        recipe=recipe,
        features=(train.to(device), test.to(device)),
    )


def _rows(path: str, half: str, n_images: int) -> Tensor:
    """(n_images, width), float32."""
    source = rg.open_source(path)
    if source.n_samples != n_images:
        raise ValueError(
            f"{path} has {counted(source.n_samples, 'row')} and the data {counted(n_images, 'image')} to {half} on; a row for "
            f"each of them is needed, in their order. --n-{half} takes a part of the images that no file knows of."
        )
    rows = torch.cat([part.float() for part in source.chunks()])
    infinite = ~torch.isfinite(rows).all(1)
    if bool(infinite.any()):
        first = int(infinite.nonzero()[0, 0])
        raise ValueError(f"{path} has values that are not finite; the first is in row {first}.")
    empty = ~rows.any(1)
    if bool(empty.any()):
        first = int(empty.nonzero()[0, 0])
        raise ValueError(
            f"{path} has {counted(int(empty.sum()), 'row')} of zeros only, without a direction; the first is row {first}."
        )
    return rows


def _digest(rows: Tensor) -> str:
    return hashlib.sha256(rows.contiguous().numpy().tobytes()).hexdigest()
