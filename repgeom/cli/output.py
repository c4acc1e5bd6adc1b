"""Where do the results of a command go, and which of several processes writes them?"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def is_first_process() -> bool:
    """Whether this process is the only one of a command, or the first that torchrun started. Only it prints."""
    return os.environ.get("RANK", "0") == "0"


def check_writable(path: str | None) -> None:
    """Raise an OSError or ValueError if no file can be written at `path`; None and "-" (standard output) always pass.

    Called before any work, so that a mistyped path is an error now and not after an hour of measuring.
    """
    if path is None or path == "-":
        return
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"{path} is a folder; name the file to write, such as {target / 'report'}.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{path} cannot be written: the folder {target.parent} does not exist. Create it first."
        )
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"{path} cannot be written: no permission to write in {target.parent}.")


def print_text(text: str) -> None:
    """Print to standard output; a reader that has gone away (`| head`) is not an error of the command."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python flushes standard output once more at exit and would complain again, so it is sent to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
