"""Where do the results of a command go, and which of several processes writes them?"""

from __future__ import annotations

import os
import sys

from repgeom.data import saving


def is_first_process() -> bool:
    """Whether this process is the only one of a command, or the first that torchrun started. Only it prints."""
    return os.environ.get("RANK", "0") == "0"


def check_writable(path: str | None) -> None:
    """Raise an OSError or ValueError if no file can be written at `path`; None and "-" (standard output) always pass."""
    if path is not None and path != "-":
        saving.check_writable(path)


def print_text(text: str) -> None:
    """Print to standard output; a reader that has gone away (`| head`) is not an error of the command."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python flushes standard output once more at exit and would complain again, so it is sent to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
