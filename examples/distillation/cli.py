"""The command line: repgeom-distill run, report, status, teacher."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .command.arguments import parser
from .command.configuring import configured, settings_of

__all__ = ["configured", "main", "parser"]

# Bytes that must be free before a teacher is trained or a report is written.
ROOM = 100_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns 0, or 2 after an error, which is printed as one line."""
    arguments = parser().parse_args(argv)
    # What draws and solves is loaded by the commands that need it: --help stays quick.
    from .running.run import Refused

    try:
        status = COMMANDS[arguments.command](arguments)
        # Here, so that a reader who has left is noticed here.
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read the output, `head` for one, has had enough. What Python still writes at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Refused, OSError, ValueError, TypeError, ModuleNotFoundError, FloatingPointError) as error:
        print(f"repgeom-distill: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nrepgeom-distill: interrupted; the same command goes on from here.", file=sys.stderr)
        # What a shell reports of a process that Ctrl-C ended: 128 + SIGINT.
        return 130


# ---- commands ----


def _run(arguments: argparse.Namespace) -> int:
    from repgeom.terminal import screen_of

    from .reporting import findings, report_text
    from .running import preparing, run

    config = configured(arguments)
    out = Path(arguments.out or Path("runs") / config.name)
    # Bars of several processes would overwrite each other, so the first alone draws one.
    bar = not arguments.quiet and os.environ.get("LOCAL_RANK", "0") == "0"
    place = preparing.Place(out, _cache(arguments), _device(arguments.device), bar, arguments.download)
    run.run(config, place)
    if int(os.environ.get("RANK", "0")) == 0:
        found = findings.read(out)
        print(report_text.text(found, screen_of(sys.stdout)))
        print(f"\nFigures, tables and a page: repgeom-distill report {out}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from repgeom.terminal import screen_of

    from . import stored
    from .reporting import findings, report, report_text

    found = findings.read(Path(arguments.run))
    folder = Path(arguments.to or Path(arguments.run) / "report")
    stored.check_room(folder, ROOM, "--to")
    print(report_text.text(found, screen_of(sys.stdout), details=arguments.details))
    written = report.write(found, folder)
    print(f"\n{len(written)} files in {folder}: report.html, report.md, figures as .png and tables as .csv")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from repgeom.terminal import screen_of

    from .command import projection, status

    screen = screen_of(sys.stdout)
    if arguments.gflops is not None and not 0 < arguments.gflops < math.inf:
        raise ValueError(f"--gflops needs a number above 0, got {arguments.gflops:g}.")
    if arguments.run is None:
        print(projection.text(configured(arguments), arguments.gflops, screen))
    else:
        print(status.text(Path(arguments.run), screen))
    return 0


def _teacher(arguments: argparse.Namespace) -> int:
    from . import stored
    from .data.load import load_dataset
    from .teachers.load import MEASURED, load_teacher
    from .teachers.quality import about

    name = arguments.teacher_name
    if name not in MEASURED:
        raise ValueError(f"{name} is none of the teachers that need no files; there are {', '.join(MEASURED)}.")
    cache, device = _cache(arguments), _device(arguments.device)
    stored.check_room(cache, ROOM)
    for setting in settings_of(name):
        teacher = load_teacher(setting, load_dataset(setting), cache, device, bar=not arguments.quiet)
        print(about(teacher, setting, device))
    return 0


COMMANDS = {"run": _run, "report": _report, "status": _status, "teacher": _teacher}


# ---- where it is done ----


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


if __name__ == "__main__":
    sys.exit(main())
