"""From a command line to the settings of a run."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from ..settings.configs import Config, Setting, TeacherTraining
from ..settings.presets import DEFAULT, PRESETS, PUBLISHED, TEACHER_TRAINING
from ..students.networks import maker_of
from ..students.objectives import objective_of
from ..teachers.from_files import NAME as FEATURES
from ..teachers.transforms import check_transform

SETTING = ("teacher", "teacher_path", "data", "data_path", "n_train", "n_test", "student_input", "image_size", "architectures", "variants", "augmented", "teacher_features", "teacher_transform")  # fmt: skip
GRID = ("student", "widths", "objectives", "seeds", "more_seeds")
TRAINING = ("epochs", "batch_size", "learning_rate", "infonce_weight", "infonce_temperature", "rank_weight", "precision")  # fmt: skip


def configured(arguments: argparse.Namespace) -> Config:
    """The preset with what the command line says otherwise.

    A setting of one's own is as the paper's where the command line says nothing and names no preset.

    Raises:
        ValueError: a name that is not there, a path without its teacher or data.
    """
    setting, grid, training = (_given(arguments, names) for names in (SETTING, GRID, TRAINING))
    if "teacher_features" in setting:
        setting.setdefault("teacher", FEATURES)
    preset = PRESETS[arguments.preset or DEFAULT]
    is_own = {"teacher", "data"} <= setting.keys()
    if is_own and arguments.preset is None:
        preset = PUBLISHED
    settings = _own(setting) if is_own else _changed(preset, setting)
    if "widths" in grid:
        # What a preset says of single settings gives way.
        settings = tuple(dataclasses.replace(s, widths=None) for s in settings)
    if "seeds" in grid:
        # So do its further seeds, of which those that were asked for may be some.
        grid.setdefault("more_seeds", ())
    config = dataclasses.replace(
        preset, settings=settings, training=dataclasses.replace(preset.training, **training), **grid
    )
    _check_names(config)
    if config == preset:
        return config
    out = getattr(arguments, "out", None)
    return dataclasses.replace(config, name=Path(out).name if out else "custom")


def _given(arguments: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """What the command line says of these; lists as tuples."""
    given = {name: value for name, value in vars(arguments).items() if name in names and value is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _own(given: dict[str, Any]) -> tuple[Setting, ...]:
    """One setting, of which only the training of a small teacher is known beforehand."""
    return (Setting(**given, teacher_training=TEACHER_TRAINING.get(given["teacher"], TeacherTraining())),)


def _changed(preset: Config, given: dict[str, Any]) -> tuple[Setting, ...]:
    """The preset's settings with what was given in each of them.

    Raises:
        ValueError: a teacher or images for several settings at once.
    """
    if {"teacher", "data", "teacher_path"} & given.keys() and len(preset.settings) > 1:
        raise ValueError(
            f"preset {preset.name} has several settings: give both --teacher and --data for one of your own."
        )
    return tuple(dataclasses.replace(_without_paths(s, given), **given) for s in preset.settings)


def _without_paths(setting: Setting, given: dict[str, Any]) -> Setting:
    """Another teacher, or other data, do not take the path of the preset's with them."""
    if given.get("teacher", setting.teacher) != setting.teacher:
        setting = dataclasses.replace(setting, teacher_path=None)
    if given.get("data", setting.data) != setting.data:
        setting = dataclasses.replace(setting, data_path=None)
    return setting


def _check_names(config: Config) -> None:
    """Before anything is loaded.

    Raises:
        ValueError: an objective, an architecture or a transform that is not there.
    """
    for setting in config.settings:
        check_transform(setting.teacher_transform)
    for objective in (*config.objectives, *(v for s in config.settings for v in s.variants)):
        objective_of(objective, config.training)
    for architecture in (config.student, *(a for s in config.settings for a in s.architectures)):
        maker_of(architecture)


def settings_of(teacher: str) -> list[Setting]:
    """The settings in which presets have a teacher as it is, one for each data set; on digits where none has it."""
    settings = [s for name in (DEFAULT, "embedded") for s in PRESETS[name].settings]
    by_data = {s.data: s for s in settings if s.teacher == teacher and s.teacher_transform == "none"}
    return list(by_data.values()) or [Setting(teacher, "digits")]
