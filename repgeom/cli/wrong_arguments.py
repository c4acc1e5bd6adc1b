"""What does a wrong argument get to read? One line, which names what may have been meant."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable

from repgeom.presenting.escaping import printable


def wrong_argument(parser: argparse.ArgumentParser, message: str) -> str:
    """argparse's own message on one line, with what may have been meant and where the options are listed.

    Args:
        parser: that met the argument.
        message: of argparse.
    """
    text = printable(message).rstrip(".")
    close = _close(parser, message)
    if close:
        text += f". Did you mean {' or '.join(close)}?"
    else:
        text += "."
    return f"{parser.prog}: error: {text} `{parser.prog} --help` shows what there is."


def _close(parser: argparse.ArgumentParser, message: str) -> list[str]:
    """The names closest to the wrong one: of choices where it is none of them, else of options."""
    wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
    if wrong:
        return difflib.get_close_matches(wrong[1], re.findall(r"[\w-]+", wrong[2]))
    unknown = re.search(r"unrecognized arguments: .*?(--[\w-]+)", message)
    if unknown:
        return difflib.get_close_matches(unknown[1], sorted(set(_options(parser))))
    return []


def _options(parser: argparse.ArgumentParser) -> Iterable[str]:
    """The options of a parser and of its commands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _options(command)
