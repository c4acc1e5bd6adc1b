"""The command line: one file a command, each with `add_parser` and `run`. Heavy imports wait until a command runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from repgeom.cli import audit, audit_model, compare, completion, demo, layers, published, schema
from repgeom.cli.ending import ERROR, INTERRUPTED, described, interruptible, traceback_of
from repgeom.cli.joining import is_first_process
from repgeom.cli.output import flush_output, print_text, readable_streams, say
from repgeom.cli.supervising import supervised
from repgeom.cli.wrong_arguments import wrong_argument

COMMANDS = (
    audit,
    audit_model,
    layers,
    compare,
    published,
    demo,
    schema,
    completion,
)  # in the order in which `repgeom --help` lists them


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command in this process and return its exit status.

    0; 1 if the command was told to fail at what it found, and said so; 2 for anything else; 130 if interrupted. Wrong
    options and `--help` raise SystemExit, as argparse does.
    """
    with readable_streams():
        return _ended(_parsed(argv))


def command() -> int:
    """Run the command of `sys.argv` as `main` does, and survive what ends the process that does the work."""
    # Its reports of lost connections are call stacks, and its errors say the same.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    with readable_streams():
        args = _parsed(None)
        return supervised(lambda: _ended(args))


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    try:
        return _parser().parse_args(argv)
    except SystemExit as ended:
        # Help and version that cannot be printed are an error; a reader who has gone away is none.
        if not flush_output() and not ended.code:
            raise SystemExit(ERROR) from None
        raise
    except OSError as error:
        say(f"repgeom: error: {error}")
        raise SystemExit(ERROR) from None


def _ended(args: argparse.Namespace) -> int:
    """Run the command, say how it ended if not well, and return the exit status. Raises nothing."""
    try:
        with interruptible() as interruption:
            try:
                status = int(args.run(args))
            except BaseException as error:
                if interruption.came or isinstance(error, KeyboardInterrupt):
                    return _interrupted(args)
                return _failed(error)
            if interruption.came:
                return _interrupted(args)
            return status
    except BaseException as error:  # while the error was being described
        say(f"repgeom: error: {type(error).__name__}")
        if isinstance(error, KeyboardInterrupt):
            return INTERRUPTED
        return ERROR


def _failed(error: BaseException) -> int:
    # An error of a group was raised in all of its processes.
    if is_first_process() or isinstance(error, RuntimeError):
        say(f"repgeom: error: {described(error)}")
        for line in traceback_of(error).splitlines():
            say(line)
    return ERROR


def _interrupted(args: argparse.Namespace) -> int:
    message = "repgeom: interrupted"
    checkpoint = getattr(args, "checkpoint", None)
    if checkpoint:
        message += f"; what was read is kept in {checkpoint}: give the same command again"
    say(message)
    return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line in place of argparse's list of all options, with what the user typed escaped."""
        self.exit(ERROR, wrong_argument(self, message) + "\n")


def _parser() -> argparse.ArgumentParser:
    """The parser of all commands, assembled from their own."""
    parser = _Parser("repgeom", description="Audits the geometry of a representation.")
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


class _PrintVersion(argparse.Action):
    """argparse's own "version" action wants the text at once; this one looks it up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print_text(f"repgeom {version('repgeom')}")
        parser.exit()
