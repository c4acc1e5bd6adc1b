"""What a command prints, whatever its streams can take, and where its files may go."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from repgeom.data import saving
from repgeom.presenting.escaping import SPELLED_OUT, printable


def check_writable(path: str | None) -> None:
    """Raise an OSError or ValueError if no file can be written at `path`; None and "-" (standard output) always pass."""
    if path is not None and path != "-":
        saving.check_writable(path)


def print_text(text: str) -> None:
    """Print to standard output. A reader that has gone away (`| head`) is not an error of the command.

    Raises OSError where standard output goes to a file and its disk is full.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _send_nowhere(sys.stdout)
    except OSError as error:
        _send_nowhere(sys.stdout)
        raise OSError(f"standard output cannot be written: {error.strerror or error}.") from None


def flush_output() -> bool:
    """Have what was printed out. Returns False where standard output goes to a file and its disk is full."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _send_nowhere(sys.stdout)
    except OSError as error:
        say(f"repgeom: error: standard output cannot be written: {error.strerror or error}.")
        _send_nowhere(sys.stdout)
        return False
    return True


def say(text: str) -> None:
    """Print one line to standard error. Where that cannot be, nobody is there to be told."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _send_nowhere(sys.stderr)


@contextlib.contextmanager
def readable_streams() -> Iterator[None]:
    """Spell out what standard output and standard error have no signs for, instead of failing at it."""
    with contextlib.ExitStack() as undone:
        for stream in (sys.stdout, sys.stderr):
            # A stream that a test or a notebook has put there may be of another kind.
            if hasattr(stream, "reconfigure"):
                before = stream.errors
                stream.reconfigure(errors=SPELLED_OUT)
                undone.callback(_restore, stream, before or "strict")
        yield


def _restore(stream: Any, errors: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        stream.reconfigure(errors=errors)


def _send_nowhere(stream: Any) -> None:
    """Have the rest go nowhere: Python flushes its streams once more at exit and would complain again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
