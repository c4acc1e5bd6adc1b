"""The command line: one file a command, each with `add_parser` and `run`. Heavy imports wait until a command runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from repgeom.cli import audit, compare, demo
from repgeom.cli.output import is_first_process

COMMANDS = (audit, compare, demo)  # in the order in which `repgeom --help` lists them

ERROR = 2  # the status that argparse uses too
INTERRUPTED = 130  # what a shell reports of a process that Ctrl-C ended: 128 + SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 if `--fail-on` was reached, 2 for an error, 130 if interrupted."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        # One line, as scripts and logs read it; some errors have no text at all.
        text = " ".join(str(error).split()) or type(error).__name__
        if is_first_process():
            print(f"repgeom: error: {text}", file=sys.stderr)
        return ERROR
    except KeyboardInterrupt:
        message = "repgeom: interrupted"
        checkpoint = getattr(args, "checkpoint", None)
        if checkpoint:
            message += f"; what was read is kept in {checkpoint}: give the same command again"
        print(message, file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    """The parser of all commands, assembled from their own."""
    parser = argparse.ArgumentParser("repgeom", description="Audits the geometry of a representation.")
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


class _PrintVersion(argparse.Action):
    """argparse's own "version" action wants the text at once; this one looks it up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"repgeom {version('repgeom')}")
        parser.exit()
