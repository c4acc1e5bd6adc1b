"""Every teacher by its name. To add one: a function that makes a `Teacher`, and a row of `PRETRAINED` or `TRAINED_HERE`.

From outside, "package.module:function" names a function of (path, device) that returns a `Teacher`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ..configs import Setting, TeacherTraining
from ..outside import function_of
from .contrastive import load_tiny_clip
from .pretrained import load_clip, load_dinov2
from .self_distilled import load_tiny_dino
from .teacher import Teacher

Device = torch.device | str
PRETRAINED: dict[str, Callable[[str | None, Device], Teacher]] = {"clip": load_clip, "dinov2": load_dinov2}
TRAINED_HERE: dict[str, Callable[[TeacherTraining, Path, Device, bool], Teacher]] = {
    "tiny-clip": load_tiny_clip,
    "tiny-dino": load_tiny_dino,
}


def load_teacher(setting: Setting, cache: Path, device: Device, *, bar: bool = True) -> Teacher:
    """The setting's teacher, ready on the device; a small one is trained if it is not in the cache.

    Raises:
        ValueError: an unknown name; a path for a teacher that is trained here.
        TypeError: a function from outside that returns something else.
        ModuleNotFoundError, FileNotFoundError, OSError: as `load_clip`.
    """
    name = setting.teacher
    if name in PRETRAINED:
        return PRETRAINED[name](setting.teacher_path, device)
    if name in TRAINED_HERE:
        if setting.teacher_path is not None:
            raise ValueError(f"{name} is trained here and has no path; --teacher-path goes with clip or dinov2.")
        return TRAINED_HERE[name](setting.teacher_training, cache, device, bar)
    if ":" in name:
        return _from_outside(name, setting.teacher_path, device)
    raise ValueError(
        f"unknown teacher {name!r}; there are {', '.join([*PRETRAINED, *TRAINED_HERE])}, or package.module:function."
    )


def _from_outside(name: str, path: str | None, device: Device) -> Teacher:
    found = function_of(name, "teacher")(path, device)
    if not isinstance(found, Teacher):
        raise TypeError(f"teacher {name!r} must return a Teacher, it returned {type(found).__name__}.")
    return found
