"""How much work the models of a run are: floating-point operations, a multiplication and an addition being two; bytes on the disk."""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..settings.configs import Config, Setting
from ..settings.grid import Cell
from ..students.curves import PASSES_OF_A_STEP
from ..students.networks import check_student, make_student
from ..students.objectives import objective_of
from .preparing import Prepared, student_side


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What the work of a setting's models depends on."""

    n_train: int
    n_test: int
    side: int  # pixels of the images that students see
    width: int  # of the teacher's features
    teacher_flops: float  # of one image through the teacher


# Images to train and to test on, where a setting does not say.
IMAGES = {
    "cifar10": (50_000, 10_000),
    "cifar100": (50_000, 10_000),
    "digits": (1_198, 599),
    "photos": (3_000, 1_000),
    "shapes10": (50_000, 10_000),
    "shapes100": (50_000, 10_000),
}
DRAWN = ("photos", "shapes10", "shapes100")  # as many as are asked for
SIDE = 32  # pixels of those images
# Width of the features, pixels per side that are seen (None: the images' own), operations for one image.
TEACHERS: dict[str, tuple[int, int | None, float]] = {
    "clip": (512, 224, 8.82e9),
    "dinov2": (384, 224, 12.2e9),
    "efficientnet-lite0": (1280, 128, 0.25e9),
    "random-relu": (512, None, 5.6e6),
    "random-relu-4": (512, None, 9.8e6),
    "tiny-clip": (256, None, 0.11e9),
    "tiny-dino": (512, None, 0.11e9),
}


def expected(setting: Setting) -> Sizes:
    """The sizes of a setting before its images and its teacher are there; what is not known counts as nothing."""
    n_train, n_test = _n_images(setting)
    width, seen, flops = TEACHERS.get(setting.teacher, (512, None, 0.0))
    side = SIDE
    if setting.data == "folder":
        side = setting.image_size
    if setting.student_input == "teacher" and seen is not None:
        side = seen
    return Sizes(n_train or 0, n_test or 0, side, width, flops)


def _n_images(setting: Setting) -> tuple[int | None, int | None]:
    """Images to train and to test on: as many as are asked for, or as there are; None where that is not known."""
    if setting.data not in IMAGES:
        return setting.n_train, setting.n_test
    all_train, all_test = IMAGES[setting.data]
    n_train, n_test = setting.n_train or all_train, setting.n_test or all_test
    if setting.data in DRAWN:
        return n_train, n_test
    return min(n_train, all_train), min(n_test, all_test)


def work(cell: Cell, config: Config, sizes: Sizes) -> float:
    """Operations of training and measuring a model. Readings over training, a tenth more at most, are left out."""
    flops = sizes.teacher_flops
    if cell.kind == "student":
        flops = student_flops(cell.architecture, cell.width, sizes.width, sizes.side)
    return _n_passes(cell, config, sizes.n_train, sizes.n_test) * flops


def preparing_work(setting: Setting, config: Config, sizes: Sizes) -> float:
    """Operations of a teacher's features of the images, and of each epoch's view of them."""
    n_views = 1 + setting.augmented * config.training.epochs
    return (n_views * sizes.n_train + sizes.n_test) * sizes.teacher_flops


def cost(cell: Cell, p: Prepared, config: Config) -> float:
    """As `work`, of a setting whose images and teacher are there."""
    return _n_passes(cell, config, len(p.dataset.train), len(p.dataset.test)) * flops_per_image(cell, p)


def _n_passes(cell: Cell, config: Config, n_train: int, n_test: int) -> float:
    """How many times an image goes forward through a model."""
    evaluation = config.evaluation
    noisy = n_test * len(evaluation.sigmas) * len(evaluation.spaces)
    if cell.kind == "teacher":
        return noisy
    training = objective_of(cell.objective, config.training).training
    trained = PASSES_OF_A_STEP * training.epochs * (n_train - n_train % training.batch_size)
    return noisy + n_test + n_train + trained


def flops_per_image(cell: Cell, p: Prepared) -> float:
    """Operations of one image through a model; none through a teacher that is known by its features only."""
    if cell.kind == "student":
        return student_flops(cell.architecture, cell.width, p.teacher.width, student_side(p))
    if p.teacher.encode is None:
        return 0.0
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        p.teacher.encode(p.teacher.preprocessing(p.dataset.test.pixels[:1]))
    return float(counter.get_total_flops())


@functools.lru_cache
def student_flops(architecture: str, width: int, out: int, side: int) -> float:
    """Operations of one image of so many pixels per side through a student of `out` features.

    Raises:
        ValueError: a student from outside that cannot take such images, or gives another number of features.
    """
    student = make_student(architecture, width, out, 0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        check_student(student, torch.zeros(1, 3, side, side), out, architecture)
    return float(counter.get_total_flops())


def room(config: Config) -> int:
    """Bytes that a run may write: features, at most 1,280 wide, and 100 MB for the rest."""
    total = 0
    for setting in config.settings:
        n_train, n_test = _n_images(setting)
        # Features of the images to train on as they are, and once more for each epoch's crops and flips.
        n_views = 1 + setting.augmented * config.training.epochs
        total += n_views * (n_train or 50_000) + (n_test or 10_000)
    return total * 1280 * 4 + 100_000_000
