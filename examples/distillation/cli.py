"""The command line: repgeom-distill run, report, status, teacher."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configs import Setting

DEFAULT = "embedded"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns 0, or 2 after an error, which is printed as one line."""
    arguments = parser().parse_args(argv)
    # Heavy imports wait until the arguments are read: --help stays quick.
    from .running import Refused
    from .stored import Damaged

    try:
        return int(arguments.command(arguments))
    except (Refused, Damaged, OSError, ValueError, TypeError, ModuleNotFoundError, FloatingPointError) as error:
        print(f"repgeom-distill: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nrepgeom-distill: interrupted; the same command goes on from here.", file=sys.stderr)
        # What a shell reports of a process that Ctrl-C ended: 128 + SIGINT.
        return 130


# ---- commands ----


def _run(arguments: argparse.Namespace) -> int:
    from repgeom.terminal import screen_of

    from . import findings, preparing, report_text, running

    config = configured(arguments)
    out = Path(arguments.out or Path("runs") / config.name)
    # Bars of several processes would overwrite each other, so the first alone draws one.
    bar = not arguments.quiet and os.environ.get("LOCAL_RANK", "0") == "0"
    place = preparing.Place(out, _cache(arguments), _device(arguments.device), bar, arguments.download)
    running.run(config, place)
    if int(os.environ.get("RANK", "0")) == 0:
        found = findings.read(out)
        print(report_text.text(found, screen_of(sys.stdout)))
        print(f"\nFigures, tables and a page: repgeom-distill report {out}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from repgeom.terminal import screen_of

    from . import findings, report, report_text

    found = findings.read(Path(arguments.run))
    print(report_text.text(found, screen_of(sys.stdout)))
    folder = Path(arguments.to or Path(arguments.run) / "report")
    print("\nwritten: " + ", ".join(str(path) for path in report.write(found, folder)))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from repgeom.terminal import screen_of

    from . import status

    print(status.text(Path(arguments.run), screen_of(sys.stdout)))
    return 0


def _teacher(arguments: argparse.Namespace) -> int:
    from . import costs, stored
    from .configs import Setting
    from .teachers.load import TRAINED_HERE, load_teacher
    from .teachers.quality import about

    config = configured(arguments)
    if arguments.teacher_name not in TRAINED_HERE:
        raise ValueError(f"{arguments.teacher_name} is not trained here; there are {', '.join(TRAINED_HERE)}.")
    cache = _cache(arguments)
    stored.check_room(cache, costs.room(config))
    setting = next(
        (s for s in config.settings if s.teacher == arguments.teacher_name), Setting(arguments.teacher_name, "shapes10")
    )
    teacher = load_teacher(setting, cache, _device(arguments.device), bar=not arguments.quiet)
    print(about(teacher, setting, _device(arguments.device)))
    return 0


# ---- from arguments to settings ----


def configured(arguments: argparse.Namespace) -> Any:
    """The preset with what the command line says otherwise.

    Raises:
        ValueError: a name that is not there, a path without its teacher or data.
    """
    from .configs import Setting
    from .objectives import objective_of
    from .presets import PRESETS
    from .students import ARCHITECTURES

    config = PRESETS[arguments.preset or DEFAULT]
    given = vars(arguments)
    setting = {name: given[name] for name in SETTING if given.get(name) is not None}
    if ("teacher" in setting) != ("data" in setting) and len(config.settings) > 1:
        raise ValueError(
            f"preset {config.name} has several settings: give both --teacher and --data for one of your own."
        )
    if "teacher" in setting and "data" in setting:
        like = next((s for s in config.settings if s.teacher == setting["teacher"]), Setting("", ""))
        config = dataclasses.replace(
            config, settings=(dataclasses.replace(like, **{**_own(like, setting), **setting}),)
        )
    elif "teacher_path" in setting and len(config.settings) > 1:
        raise ValueError(f"preset {config.name} has several teachers: give --teacher and --data with --teacher-path.")
    elif setting:
        own = {} if not {"teacher", "data"} & set(setting) else _own(config.settings[0], setting)
        config = dataclasses.replace(
            config, settings=tuple(dataclasses.replace(s, **{**own, **setting}) for s in config.settings)
        )
    names = ("widths", "objectives", "seeds", "more_seeds")
    grid: dict[str, Any] = {name: tuple(given[name]) for name in names if given.get(name) is not None}
    config = dataclasses.replace(config, **grid)
    if "widths" in grid:
        # What a preset says of single settings gives way.
        config = dataclasses.replace(
            config, settings=tuple(dataclasses.replace(s, widths=None) for s in config.settings)
        )
    for objective in (*config.objectives, *(v for s in config.settings for v in s.variants)):
        objective_of(objective, config.training)
    unknown = [a for s in config.settings for a in s.architectures if a not in ARCHITECTURES]
    if unknown:
        raise ValueError(f"unknown architecture {unknown[0]!r}; there are {', '.join(ARCHITECTURES)}.")
    training: dict[str, Any] = {name: given[name] for name in TRAINING if given.get(name) is not None}
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **training))
    if setting or grid or training:
        name = Path(arguments.out).name if getattr(arguments, "out", None) else "custom"
        config = dataclasses.replace(config, name=name)
    return config


SETTING = ("teacher", "teacher_path", "data", "data_path", "n_train", "n_test", "student_input", "image_size", "architectures", "variants", "augmented", "teacher_transform")  # fmt: skip
TRAINING = (
    "epochs",
    "batch_size",
    "learning_rate",
    "infonce_weight",
    "infonce_temperature",
    "rank_weight",
    "precision",
)


def _own(like: Setting, setting: dict[str, Any]) -> dict[str, Any]:
    """Another teacher, or other data, do not take the path of a preset's with them."""
    found = {"teacher": "teacher_path", "data": "data_path"}
    return {path: None for name, path in found.items() if setting.get(name, getattr(like, name)) != getattr(like, name)}


def _cache(arguments: argparse.Namespace) -> Path:
    if arguments.cache:
        return Path(arguments.cache)
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "repgeom" / "distill"


def _device(name: str | None) -> Any:
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"--device {name} is not known; cpu, cuda or cuda:N is.") from None
    if device.type != "cuda":
        return device
    n_devices = torch.cuda.device_count()
    number = device.index
    if number is None:
        # Each process of torchrun takes a GPU of its own, as far as there are enough.
        number = int(os.environ.get("LOCAL_RANK", "0")) % max(1, n_devices)
    if number >= n_devices:
        raise ValueError(f"--device {name}: the number of GPUs that torch sees here is {n_devices}.")
    return torch.device("cuda", number)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return value


def parser() -> argparse.ArgumentParser:
    """Of all commands."""
    from .objectives import TERMS
    from .presets import PRESETS

    parser = argparse.ArgumentParser(
        prog="repgeom-distill",
        description="Distillation of CLIP and DINOv2 into small CNNs, as in arXiv 2603.06698: trains a grid of students, "
        "measures what each kept of its teacher, and decides the paper's claims.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--preset", choices=list(PRESETS), help=f"what to run (default {DEFAULT}: no download, half an hour on two cores)")  # fmt: skip
    shared.add_argument(
        "--cache", metavar="DIR", help="for teachers and their features (default ~/.cache/repgeom/distill)"
    )
    shared.add_argument("--device", help="cpu, cuda or cuda:N (default cuda where there is one)")
    shared.add_argument("--quiet", action="store_true", help="no progress bars")

    run = commands.add_parser("run", parents=[shared], help="train and measure what is missing of a run")
    run.set_defaults(command=_run)
    run.add_argument("--out", metavar="DIR", help="the run's folder (default runs/PRESET); started again, it goes on")
    one = run.add_argument_group("one setting of your own")
    one.add_argument("--teacher", help="clip, dinov2, tiny-clip, tiny-dino, or package.module:function")
    one.add_argument("--teacher-path", metavar="DIR", help="folder or hub name of a checkpoint")
    one.add_argument("--data", help="cifar10, cifar100, folder, digits, shapes10 or shapes100")
    one.add_argument("--data-path", metavar="DIR", help="where the images are; for CIFAR the folder or the archive")
    one.add_argument("--download", action="store_true", help="fetch CIFAR by torchvision, where that works")
    one.add_argument("--n-train", type=_positive, help="images to train on (default all)")
    one.add_argument("--n-test", type=_positive, help="images to measure on (default all)")
    one.add_argument("--student-input", choices=["teacher", "native"], help="size that students see: the teacher's, or the images' own")  # fmt: skip
    one.add_argument("--image-size", type=_positive, help="pixels per side of images from a folder")
    one.add_argument(
        "--architectures", nargs="*", help="further students beside the grid: no-bottleneck, residual, global-pool"
    )
    one.add_argument(
        "--augmented", action=argparse.BooleanOptionalAction, default=None, help="the augmentation control"
    )
    grid = run.add_argument_group("the grid")
    grid.add_argument("--widths", type=_positive, nargs="+", help="of the students; 1, 2 and 4 are S, M and L")
    grid.add_argument("--objectives", nargs="+", metavar="NAME", help=f"sums with + of {', '.join(TERMS)}; behind one @temperature=, @weight= (of all terms but the first) or @epochs=, as in cosine+infonce@temperature=0.05")  # fmt: skip
    grid.add_argument("--seeds", type=int, nargs="+", help="default 42 123 456")
    training = run.add_argument_group("training")
    training.add_argument("--epochs", type=_positive, help="default 5")
    training.add_argument("--batch-size", type=_positive, help="default 64")
    usual = {"learning-rate": "1e-3, of Adam", "infonce-weight": "1", "infonce-temperature": "0.1", "rank-weight": "1"}
    for name, value in usual.items():
        training.add_argument(f"--{name}", type=float, help=f"default {value}")

    report = commands.add_parser("report", help="tables, figures and the claims ledger of a run")
    report.set_defaults(command=_report)
    report.add_argument("run", metavar="RUN", help="the run's folder")
    report.add_argument("--to", metavar="DIR", help="where to write (default RUN/report)")

    status = commands.add_parser("status", help="what is done, what remains and how long it will take")
    status.set_defaults(command=_status)
    status.add_argument("run", metavar="RUN", help="the run's folder")

    teacher = commands.add_parser(
        "teacher", parents=[shared], help="train one of the small teachers, and say how good it is"
    )
    teacher.set_defaults(command=_teacher)
    teacher.add_argument("teacher_name", metavar="NAME", help="tiny-clip or tiny-dino")
    return parser


if __name__ == "__main__":
    sys.exit(main())
