"""What the command line takes, command by command. Names that may be given come from the registries they are looked up in."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from ..data.load import DATASETS
from ..settings.configs import PRECISIONS
from ..settings.presets import DEFAULT, PRESETS
from ..students.networks import ARCHITECTURES, BASE
from ..students.objectives import SETTINGS, TERMS
from ..teachers.load import MEASURED, TEACHERS
from ..teachers.transforms import TRANSFORMS

OWN = "package.module:function"


def parser() -> argparse.ArgumentParser:
    """Of all commands; `command` is the name of the one that was asked for."""
    parser = argparse.ArgumentParser(
        prog="repgeom-distill",
        description="Distillation of a pretrained teacher into small CNNs, as in arXiv 2603.06698: trains a grid of "
        "students, measures what each kept of its teacher, and decides the paper's claims.",
    )
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    place, settings = _place(), _settings()

    run = commands.add_parser("run", parents=[place, settings], help="train and measure what is missing of a run")
    run.add_argument("--out", metavar="DIR", help="the run's folder (default runs/PRESET); started again, it goes on")
    run.add_argument("--download", action="store_true", help="fetch CIFAR by torchvision, where that works")

    report = commands.add_parser("report", help="tables, figures and the claims ledger of a run")
    report.add_argument("run", metavar="RUN", help="the run's folder")
    report.add_argument("--to", metavar="DIR", help="where to write (default RUN/report)")
    report.add_argument("--details", action="store_true", help="print every model, published number and test too")

    status = commands.add_parser(
        "status",
        parents=[settings],
        help="what is done, what remains and how long it will take, of a run or of one that is not begun",
    )
    status.add_argument("run", metavar="RUN", nargs="?", help="the run's folder; none to ask what settings would take")
    status.add_argument("--gflops", type=float, metavar="N", help="operations a second, in billions; without a RUN, measured here in a second")  # fmt: skip

    teacher = commands.add_parser("teacher", parents=[place], help="say how good a teacher is that needs no files")
    teacher.add_argument("teacher_name", metavar="NAME", help=_one_of(MEASURED))
    return parser


def _place() -> argparse.ArgumentParser:
    """Where and how something is run; no result depends on it."""
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--cache", metavar="DIR", help="for teachers and their features (default ~/.cache/repgeom/distill)"
    )
    place.add_argument("--device", help="cpu, cuda or cuda:N (default cuda where there is one)")
    place.add_argument("--quiet", action="store_true", help="no progress bars")
    return place


def _settings() -> argparse.ArgumentParser:
    """What is run: a preset, and what shall be otherwise."""
    settings = argparse.ArgumentParser(add_help=False)
    settings.add_argument("--preset", choices=list(PRESETS), help=f"what to run (default {DEFAULT})")
    _add_setting(settings.add_argument_group("one setting of your own: --teacher and --data"))
    _add_grid(settings.add_argument_group("the grid (where not given, the preset's)"))
    _add_training(settings.add_argument_group("training (where not given, the preset's)"))
    return settings


def _add_setting(group: argparse._ArgumentGroup) -> None:
    beside = [name for name in ARCHITECTURES if name != BASE]
    group.add_argument("--teacher", metavar="NAME", help=_one_of([*TEACHERS, OWN]))
    group.add_argument("--teacher-path", metavar="DIR", help="folder or hub name of a checkpoint")
    group.add_argument("--teacher-features", nargs=2, metavar=("TRAIN", "TEST"), help="of the teacher features: files with a row for each image to train on and to test on, in their order")  # fmt: skip
    group.add_argument("--teacher-transform", metavar="NAME", help=f"of the teacher's features: {TRANSFORMS}")
    group.add_argument("--data", metavar="NAME", help=_one_of(DATASETS))
    group.add_argument("--data-path", metavar="DIR", help="where the images are; for CIFAR the folder or the archive; photos are scikit-learn's without one")  # fmt: skip
    group.add_argument("--n-train", type=_positive, metavar="N", help="images to train on (default all)")
    group.add_argument("--n-test", type=_positive, metavar="N", help="images to measure on (default all)")
    group.add_argument("--student-input", choices=["teacher", "native"], help="size that students see: the teacher's, or the images' own")  # fmt: skip
    group.add_argument("--image-size", type=_positive, metavar="N", help="pixels per side of images from a folder")
    group.add_argument("--architectures", nargs="*", metavar="NAME", help=f"further students of the smallest width: {', '.join(beside)} or {OWN}")  # fmt: skip
    group.add_argument("--variants", nargs="*", metavar="OBJECTIVE", help="further objectives of the smallest student")
    group.add_argument("--augmented", action=argparse.BooleanOptionalAction, help="the augmentation control")


def _add_grid(group: argparse._ArgumentGroup) -> None:
    sums = f"sums with + of {', '.join(TERMS)}; behind one {', '.join(f'@{name}=' for name in SETTINGS)}, as in cosine+infonce@temperature=0.05"
    group.add_argument("--student", metavar="NAME", help=f"instead of the paper's {BASE}: {OWN} of (width, out), which returns a module from images (b, 3, h, w) to (b, out), or a name of --architectures")  # fmt: skip
    group.add_argument("--widths", type=_positive, nargs="+", metavar="N", help="of the students; 1, 2 and 4 are S, M and L")  # fmt: skip
    group.add_argument("--objectives", nargs="+", metavar="OBJECTIVE", help=sums)
    group.add_argument("--seeds", type=int, nargs="+", metavar="N", help="each seed is the whole grid once more")
    group.add_argument("--more-seeds", type=int, nargs="*", metavar="N", help="of the models alone that claims about noise compare (none where --seeds is given)")  # fmt: skip


def _add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--epochs", type=_positive, metavar="N")
    group.add_argument("--batch-size", type=_positive, metavar="N")
    group.add_argument("--learning-rate", type=float, metavar="RATE", help="of Adam")
    group.add_argument("--infonce-weight", type=float, metavar="WEIGHT")
    group.add_argument("--infonce-temperature", type=float, metavar="T")
    group.add_argument("--rank-weight", type=float, metavar="WEIGHT")
    group.add_argument("--precision", choices=PRECISIONS, help="of the students' layers")


def _one_of(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return value
