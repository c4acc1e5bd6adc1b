"""What is run: frozen settings, saved with every run. The presets at the end are written out in full."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from .stored import fingerprint


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
    n_train: int | None = None  # images to train on; None for all
    n_test: int | None = None  # images to measure on; None for all
    student_input: str = "teacher"  # "teacher": the size that the teacher sees; "native": the size of the images
    image_size: int = 224  # pixels per side of images that are read from a folder
    architectures: tuple[str, ...] = ()  # further students, at the smallest width, with cosine if the run has it
    augmented: bool = False  # the largest width again, on crops and flips
    teacher_training: TeacherTraining = TeacherTraining()  # of a teacher that is trained here; else not used

    def __post_init__(self) -> None:
        twice = [a for a in ("cnn", *self.architectures) if ("cnn", *self.architectures).count(a) > 1]
        if twice:
            raise ValueError(f"architectures: {twice[0]} is there twice (the grid itself is of cnn).")

    @property
    def name(self) -> str:
        """For tables and file names."""
        return f"{self.teacher.rpartition(':')[2]}-{self.data}"


@dataclasses.dataclass(frozen=True)
class Training:
    """How a student is trained."""

    epochs: int = 5
    batch_size: int = 64  # the last, partial batch of an epoch is dropped
    learning_rate: float = 1e-3  # of Adam
    infonce_weight: float = 1.0
    infonce_temperature: float = 0.1
    rank_weight: float = 1.0  # of `cosine+rank`
    crop_padding: float = 0.125  # of the side: 4 pixels of 32; for the augmentation control and second views

    def __post_init__(self) -> None:
        for name in ("learning_rate", "infonce_temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name.replace('_', ' ')} must be a number above 0, got {getattr(self, name):g}.")
        for name in ("infonce_weight", "rank_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name.replace('_', ' ')} must be a number of at least 0, got {getattr(self, name):g}."
                )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is measured of every model."""

    sigmas: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)  # of white noise
    spaces: tuple[str, ...] = ("normalized", "pixel")  # "normalized" is the paper's: after the teacher's normalisation
    noise_seed: int = 0  # the same draws for every model
    probe_C: float = 1.0  # of the linear probe
    leading: int = 20  # teacher's directions whose share of a student's variance is taken
    infonce_temperature: float = 0.1  # of InfoNCE as a measurement
    infonce_batch: int = 64

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
    training: Training = Training()
    evaluation: Evaluation = Evaluation()

    def __post_init__(self) -> None:
        names = [setting.name for setting in self.settings]
        for what, values in {
            "widths": self.widths,
            "objectives": self.objectives,
            "seeds": self.seeds,
            "settings": names,
        }.items():
            twice = [v for v in values if values.count(v) > 1]
            if twice:
                raise ValueError(f"{what}: {twice[0]} is there twice; the same cell twice is not two.")

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


# ---- presets ----

# What results depend on is written out: a default that changes must not change a preset.
TINY_CLIP = TeacherTraining(
    n_images=20_000, epochs=8, batch_size=128, learning_rate=1e-3, width=128, depth=4, out=256, temperature=0.15, seed=0
)
TINY_DINO = TeacherTraining(
    n_images=10_000, epochs=6, batch_size=128, learning_rate=1e-3, width=128, depth=4, out=512, temperature=0.1, seed=0
)
QUICK_CLIP = dataclasses.replace(TINY_CLIP, n_images=6_000, epochs=3, width=64, depth=2)
QUICK_DINO = dataclasses.replace(TINY_DINO, n_images=4_000, epochs=2, width=64, depth=2, out=256)
SHAPES_CLIP = Setting(
    teacher="tiny-clip",
    data="shapes10",
    n_train=4_096,
    n_test=2_000,
    student_input="native",
    architectures=("no-bottleneck", "residual", "global-pool"),
    augmented=True,
    teacher_training=TINY_CLIP,
)
SHAPES_DINO = Setting(
    teacher="tiny-dino",
    data="shapes10",
    n_train=4_096,
    n_test=2_000,
    student_input="native",
    architectures=("no-bottleneck", "residual", "global-pool"),
    augmented=True,
    teacher_training=TINY_DINO,
)
CIFAR10_CLIP = Setting(
    teacher="clip",
    teacher_path="openai/clip-vit-base-patch32",
    data="cifar10",
    data_path="data",
    n_train=None,
    n_test=None,
    student_input="teacher",
    architectures=("no-bottleneck", "residual", "global-pool"),
    augmented=True,
)
CIFAR100_DINO = Setting(
    teacher="dinov2",
    teacher_path="facebook/dinov2-small",
    data="cifar100",
    data_path="data",
    n_train=None,
    n_test=None,
    student_input="teacher",
    architectures=(),
    augmented=False,
)
PUBLISHED = Config(
    name="",
    settings=(),
    widths=(1, 2, 4),
    objectives=("cosine", "cosine+infonce"),
    seeds=(42, 123, 456),
    training=Training(
        epochs=5,
        batch_size=64,
        learning_rate=1e-3,
        infonce_weight=1.0,
        infonce_temperature=0.1,
        rank_weight=1.0,
        crop_padding=0.125,
    ),
    evaluation=Evaluation(
        sigmas=(0.02, 0.05, 0.1, 0.2),
        spaces=("normalized", "pixel"),
        noise_seed=0,
        probe_C=1.0,
        leading=20,
        infonce_temperature=0.1,
        infonce_batch=64,
    ),
)
QUICK = dataclasses.replace(PUBLISHED, widths=(1, 2), seeds=(42, 123))
QUICK_SETTINGS = (
    dataclasses.replace(
        SHAPES_CLIP,
        n_train=1_536,
        n_test=1_000,
        architectures=("global-pool",),
        augmented=False,
        teacher_training=QUICK_CLIP,
    ),
    dataclasses.replace(
        SHAPES_DINO,
        n_train=1_536,
        n_test=1_000,
        architectures=(),
        augmented=False,
        teacher_training=QUICK_DINO,
    ),
)
PRESETS: dict[str, Config] = {
    "quick": dataclasses.replace(QUICK, name="quick", settings=QUICK_SETTINGS),
    "embedded": dataclasses.replace(PUBLISHED, name="embedded", settings=(SHAPES_CLIP, SHAPES_DINO)),
    "paper-cifar10-clip": dataclasses.replace(PUBLISHED, name="paper-cifar10-clip", settings=(CIFAR10_CLIP,)),
    "paper-cifar100-dinov2": dataclasses.replace(PUBLISHED, name="paper-cifar100-dinov2", settings=(CIFAR100_DINO,)),
    "paper": dataclasses.replace(PUBLISHED, name="paper", settings=(CIFAR10_CLIP, CIFAR100_DINO)),
}
