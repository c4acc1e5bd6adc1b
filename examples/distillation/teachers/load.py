"""Every teacher by its name. To add one: a function that makes a `Teacher`, and a row of `TEACHERS`.

From outside, "package.module:function" names a function of (path, device) that returns a `Teacher`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from ..data.images import Dataset
from ..outside import function_of
from ..settings.configs import Setting
from . import efficientnet, from_files
from .contrastive import load_tiny_clip
from .efficientnet import load_efficientnet_lite0
from .from_files import load_features
from .pretrained import load_clip, load_dinov2
from .random_relu import load_random_relu
from .self_distilled import load_tiny_dino
from .teacher import Teacher


@dataclasses.dataclass(frozen=True)
class Asked:
    """A setting, its images, and where its teacher is kept and runs."""

    setting: Setting
    dataset: Dataset
    cache: Path
    device: torch.device | str
    bar: bool

    def random_relu(self, n_layers: int) -> Teacher:
        """An untrained network of so many layers."""
        return load_random_relu(self.setting.teacher, n_layers, self.dataset.train, self.cache, self.device)


TEACHERS: dict[str, Callable[[Asked], Teacher]] = {
    "clip": lambda a: load_clip(a.setting.teacher_path, a.device),
    "dinov2": lambda a: load_dinov2(a.setting.teacher_path, a.device),
    efficientnet.NAME: lambda a: load_efficientnet_lite0(a.device),
    "random-relu": lambda a: a.random_relu(2),
    "random-relu-4": lambda a: a.random_relu(4),
    "tiny-clip": lambda a: load_tiny_clip(a.setting.teacher_training, a.cache, a.device, a.bar),
    "tiny-dino": lambda a: load_tiny_dino(a.setting.teacher_training, a.cache, a.device, a.bar),
    from_files.NAME: lambda a: load_features(a.setting, a.dataset, a.device),
}
HAVE_PATH = ("clip", "dinov2")
# Of these one may ask how good they are.
MEASURED = tuple(name for name in TEACHERS if name not in (*HAVE_PATH, from_files.NAME))


def load_teacher(
    setting: Setting, dataset: Dataset, cache: Path, device: torch.device | str, *, bar: bool = True
) -> Teacher:
    """The setting's teacher, ready on the device; a small one is trained if it is not in the cache.

    Raises:
        ValueError: an unknown name; a path, or files of features, for a teacher that takes none.
        TypeError: a function from outside that returns something else.
        ModuleNotFoundError, FileNotFoundError, OSError: as the teacher's own function says.
    """
    name = setting.teacher
    if setting.teacher_features is not None and name != from_files.NAME:
        raise ValueError(f"--teacher-features goes with --teacher {from_files.NAME}, not with {name}.")
    if ":" in name:
        return _from_outside(name, setting.teacher_path, device)
    if name not in TEACHERS:
        raise ValueError(f"unknown teacher {name!r}; there are {', '.join(TEACHERS)}, or package.module:function.")
    if setting.teacher_path is not None and name not in HAVE_PATH:
        raise ValueError(f"{name} has no path; --teacher-path goes with {' or '.join(HAVE_PATH)}.")
    return TEACHERS[name](Asked(setting, dataset, cache, device, bar))


def _from_outside(name: str, path: str | None, device: torch.device | str) -> Teacher:
    found = function_of(name, "teacher")(path, device)
    if not isinstance(found, Teacher):
        raise TypeError(f"teacher {name!r} must return a Teacher, it returned {type(found).__name__}.")
    return found
