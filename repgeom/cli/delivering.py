"""How results leave a command: every file first, then what is printed, and an exit status that knows what arrived."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from repgeom.cli.ending import ERROR, described
from repgeom.cli.output import print_text, say
from repgeom.presenting.escaping import printable_json
from repgeom.presenting.screen import screen_of


def check_no_input(outputs: list[str | None], inputs: list[str | None]) -> None:
    """Raise ValueError for a result that would take the place of what is read, or of another result."""
    taken: dict[tuple[int, int] | str, str] = {}
    for path in inputs:
        if path is not None and os.path.isfile(path):
            taken[_identity(path)] = f"{path}, which is read"
    for path in outputs:
        if path is None or path == "-" or (os.path.exists(path) and not os.path.isfile(path)):
            continue
        identity = _identity(path)
        if identity in taken:
            raise ValueError(f"{path} would be written over {taken[identity]}; name another file.")
        taken[identity] = f"{path}, another result"


class Delivery:
    """What became of a command's results."""

    def __init__(self) -> None:
        self.written = 0
        self._failed: list[str] = []

    def file(self, path: str | None, write: Callable[[str], object]) -> None:
        """Write one file, if a path is given. If it cannot be written, the others still are."""
        if path is None:
            return
        try:
            write(path)
        except BrokenPipeError:
            pass  # who reads a pipe may stop where they like
        except Exception as error:
            text = described(error)
            if path not in text:
                text = f"{path} was not written: {text}"
            self._failed.append(text)
        else:
            self.written += 1

    def text(self, text: str) -> None:
        """Print what people read."""
        try:
            print_text(text)
        except OSError as error:
            self._not_printed(error)

    def json(self, text: str) -> None:
        """Print JSON."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        self.text(printable_json(text, encoding))

    def changes(self, text: str, *, beside_json: bool) -> None:
        """Print what changed since a baseline; beside JSON on standard error."""
        if beside_json:
            for line in ["", *text.split("\n")]:
                say(line)
        else:
            self.text(f"\n{text}")

    def reason(self, sentence: str, *, beside_json: bool) -> None:
        """Print why the exit status is what it is; on standard error where standard output holds JSON or is closed."""
        if not sentence:
            return
        if beside_json or sys.stdout is None:
            say(sentence)
        else:
            self.text("\n".join(screen_of(sys.stdout).sentence(sentence, further="  ")))

    def status(self, status: int) -> int:
        """The exit status: that of the verdict if all arrived, else 2, with what did not."""
        for text in self._failed:
            say(f"repgeom: error: {text}")
        if self._failed:
            return ERROR
        return status

    def _not_printed(self, error: OSError) -> None:
        # A report that lies in a file has arrived.
        if self.written:
            say(f"repgeom: {error}")
        else:
            self._failed.append(str(error))


def _identity(path: str) -> tuple[int, int] | str:
    """What two names of one file have in common, also of one that is not there yet."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino
