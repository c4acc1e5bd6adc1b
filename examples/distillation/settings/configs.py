"""What is run: frozen settings, saved with every run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from ..stored import fingerprint


def short(name: str) -> str:
    """A name without the module that it is from: "package.module:function" is "function" in tables and file names."""
    return name.rpartition(":")[2]


def refuse_twice(what: str, values: Sequence[Any]) -> None:
    """The same cell twice is not two.

    Raises:
        ValueError: a value stands there twice.
    """
    twice = [value for value in values if values.count(value) > 1]
    if twice:
        raise ValueError(f"{what}: {twice[0]} is there twice; the same cell twice is not two.")


@dataclasses.dataclass(frozen=True)
class TeacherTraining:
    """How the small teachers of the embedded default are trained."""

    n_images: int = 20_000
    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 1e-3  # of AdamW, at its peak
    width: int = 128  # of the transformer
    depth: int = 4
    out: int = 256  # of tiny-clip's embedding; tiny-dino's is 4 × width
    temperature: float = 0.15  # of tiny-clip's loss
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_images < self.batch_size:
            raise ValueError(
                f"{self.n_images} images to train a teacher on do not fill one batch of {self.batch_size}."
            )

    @property
    def steps(self) -> int:
        """Of the optimiser; the last, partial batch of an epoch is dropped."""
        return self.epochs * (self.n_images // self.batch_size)


@dataclasses.dataclass(frozen=True)
class Setting:
    """One teacher on one set of images, and what is measured beside the grid."""

    teacher: str  # a name of teachers/load.py, or "package.module:function" that makes a Teacher
    data: str  # a name of data/load.py
    teacher_path: str | None = None  # folder or hub name of a checkpoint; None for the usual one
    data_path: str | None = None  # where the images' files are
    teacher_features: tuple[str, str] | None = None  # of "features": files of the images to train and to test on
    teacher_transform: str = "none"  # "center", "whiten" or "cone=C": what is done to the teacher's features
    n_train: int | None = None  # images to train on; None for all
    n_test: int | None = None  # images to measure on; None for all
    student_input: str = "teacher"  # "teacher": the size that the teacher sees; "native": the size of the images
    image_size: int = 224  # pixels per side of images that are read from a folder
    widths: tuple[int, ...] | None = None  # of this setting's students; None for the run's
    architectures: tuple[str, ...] = ()  # further students, at the smallest width, with each objective of the run
    variants: tuple[str, ...] = ()  # further objectives, for the paper's CNN at the smallest width
    augmented: bool = False  # the largest width again, on crops and, where labels survive them, flips
    teacher_training: TeacherTraining = TeacherTraining()  # of a teacher that is trained here; else not used

    def __post_init__(self) -> None:
        refuse_twice("architectures", [short(a) for a in self.architectures])
        refuse_twice("variants", self.variants)
        refuse_twice("widths", self.widths or ())

    @property
    def name(self) -> str:
        """For tables and file names."""
        name = f"{short(self.teacher)}-{self.data}"
        if self.teacher_transform != "none":
            name += f"-{self.teacher_transform}"
        return name


PRECISIONS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Training:
    """How a student is trained."""

    epochs: int = 5
    batch_size: int = 64  # the last, partial batch of an epoch is dropped
    learning_rate: float = 1e-3  # of Adam
    infonce_weight: float = 1.0
    infonce_temperature: float = 0.1
    rank_weight: float = 1.0  # of the term `rank`; further terms have weight 1, or what stands behind @weight=
    crop_padding: float = 0.125  # of the side: 4 pixels of 32; for the augmentation control and second views
    precision: str = "float32"  # of the student's layers: "float32" (no TF32) as published, or "bfloat16"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, got {self.precision!r}.")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.replace('_', ' ')} must be at least 1, got {getattr(self, name)}.")
        for name in ("learning_rate", "infonce_temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name.replace('_', ' ')} must be a number above 0, got {getattr(self, name):g}.")
        for name in ("infonce_weight", "rank_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name.replace('_', ' ')} must be a number of at least 0, got {getattr(self, name):g}."
                )

    def weight_of(self, term: str) -> float:
        """The weight of a term that is added to another."""
        weights = {"infonce": self.infonce_weight, "infonce-views": self.infonce_weight, "rank": self.rank_weight}
        return weights.get(term, 1.0)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is measured of every model."""

    sigmas: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)  # of white noise
    spaces: tuple[str, ...] = ("normalized", "pixel")  # "normalized" is the paper's: after the teacher's normalisation
    noise_seed: int = 0  # the same draws for every model
    probe_C: float = 1.0  # of the linear probe
    leading: int = 20  # teacher's directions whose share of a student's variance is taken
    leading_figure: int = 28  # where the paper's own figure reaches 90 %
    neighbours: int = 10  # of mutual nearest neighbours with the teacher
    infonce_temperature: float = 0.1  # of InfoNCE as a measurement
    infonce_batch: int = 64
    curve_steps: int = 50  # rank, captured variance and cone are read after so many steps of training, and each epoch
    curve_images: int = 256  # of the images to test on, for those readings

    @property
    def strongest(self) -> float:
        """The largest sigma, at which claims about brittleness are tested."""
        return max(self.sigmas, default=0)


@dataclasses.dataclass(frozen=True)
class Config:
    """A run: every setting × objective × width × seed, and the settings' further cells."""

    name: str
    settings: tuple[Setting, ...]
    widths: tuple[int, ...] = (1, 2, 4)  # S, M, L
    objectives: tuple[str, ...] = ("cosine", "cosine+infonce")
    seeds: tuple[int, ...] = (42, 123, 456)
    more_seeds: tuple[int, ...] = ()  # of the models alone that claims about noise compare
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    student: str = "cnn"  # the grid's: a name of students.py, or "package.module:function" of (width, out)

    def __post_init__(self) -> None:
        refuse_twice("widths", self.widths)
        refuse_twice("objectives", self.objectives)
        refuse_twice("seeds", self.seeds + self.more_seeds)
        refuse_twice("settings", [setting.name for setting in self.settings])
        for setting in self.settings:
            beside = [short(a) for a in (self.student, *setting.architectures)]
            refuse_twice(f"architectures (the grid itself is of {short(self.student)})", beside)

    def widths_of(self, setting: Setting) -> tuple[int, ...]:
        """The widths of a setting's students."""
        return setting.widths or self.widths

    @property
    def plain(self) -> str:
        """The objective that what stands beside the grid keeps, so that it differs in one thing only."""
        if "cosine" in self.objectives:
            return "cosine"
        return self.objectives[0]

    @property
    def fingerprint(self) -> str:
        """Changes with anything that results depend on; the name is none of it."""
        return fingerprint({**self.to_dict(), "name": ""})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are saved."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Config:
        """Back from plain values."""
        return _made(cls, saved)


PARTS = {"training": Training, "evaluation": Evaluation, "teacher_training": TeacherTraining}


def _made(kind: type, saved: Any) -> Any:
    """A dataclass from plain values, and those within it."""
    found: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in saved.items()}
    found |= {name: _made(PARTS[name], v) for name, v in found.items() if name in PARTS}
    if "settings" in found:
        found["settings"] = tuple(_made(Setting, setting) for setting in found["settings"])
    return kind(**found)
