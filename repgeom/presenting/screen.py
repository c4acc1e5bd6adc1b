"""What text is laid out for: how many cells a line has, which signs can be shown, and whether there is colour.

Columns of a table go in a stated order before a line is broken, words stay whole, and three words are coloured. The library
rich does none of the first: it breaks or cuts cells. It is also not there where transformers is not, so that every table would
need a second way to be printed. The tables are therefore made here.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import TextIO

from repgeom.presenting.cells import broken, cells, told_apart
from repgeom.presenting.escaping import SPELLED_OUT, printable

PIPED = 120  # cells of a line where no terminal says how many it has
TERMINAL = 80  # cells of a line in a terminal that does not know its width
NARROWEST = 40  # narrower terminals get lines for this width

# What a terminal is told before a word, by what the word says.
_COLOURS = {"ok": "1;32", "warn": "1;33", "fail": "1;31", "heading": "1"}


@dataclasses.dataclass(frozen=True)
class Screen:
    """What text is laid out for.

    Attributes:
        width: cells of a line. Tables never take more.
        wraps: whether sentences are broken between words too. Not where output is piped and COLUMNS says no width: there a
            sentence is one line, so that `grep` finds it.
        colour: whether verdicts and headings are coloured.
        encoding: of the stream. What it has no sign for is spelled out before widths are counted.
    """

    width: int = PIPED
    wraps: bool = False
    colour: bool = False
    encoding: str = "utf-8"

    def shown(self, text: str) -> str:
        """Text as it can be printed: nothing in it moves a cursor, and signs that the encoding lacks are spelled out."""
        return printable(text).encode(self.encoding, SPELLED_OUT).decode(self.encoding)

    @property
    def mark(self) -> str:
        """What stands for the left out middle of a name."""
        return self.shown("…")

    def names(self, names: Sequence[str]) -> list[str]:
        """Names as a sentence has them: in a terminal they take half a line at most, and still differ."""
        shown = [self.shown(name) for name in names]
        return told_apart(shown, self.width // 2, self.mark) if self.wraps else shown

    def sentence(self, text: str, *, first: str = "", further: str = "") -> list[str]:
        """A sentence in as many lines as it needs: `first` stands before the first, `further` before all others."""
        if not self.wraps:
            return [self.shown(first + text).rstrip()]
        words = []
        for word in _words(self.shown(text)):
            words += broken(word, self.width - cells(further))
        lines, line, between = [], self.shown(first), ""
        for word in words:
            if cells(line + between + word) > self.width and line != further:
                lines.append(line)
                line, between = further, ""
            line += between + word
            between = " "
        return [line.rstrip() for line in [*lines, line]]

    def coloured(self, line: str, what: str, word: str | None = None) -> str:
        """A line in which a verdict ("ok", "warn", "fail") has its colour, or which is a heading; `word` as it stands in it."""
        if not self.colour or what not in _COLOURS:
            return line
        text = word or (what.upper() if what in ("ok", "warn", "fail") else line)
        return line.replace(text, f"\x1b[{_COLOURS[what]}m{text}\x1b[0m", 1)


def screen_of(stream: TextIO | None, *, colour: bool = True) -> Screen:
    """The screen behind a stream such as `sys.stdout`.

    The width is COLUMNS of the environment, else the terminal's, else `PIPED`. Sentences are broken in a terminal, and where
    COLUMNS says a width. Colour is as the environment wants it
    (https://no-color.org, https://force-color.org, in Python's own order): none with NO_COLOR, then always with FORCE_COLOR,
    else in a terminal that is not TERM=dumb.

    Args:
        stream: what will be written to; None for none.
        colour: False for never.

    >>> import io
    >>> screen_of(io.StringIO()).wraps
    False
    """
    terminal = _is_terminal(stream)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    wraps = terminal or _said_width() > 0
    return Screen(_width(stream, terminal), wraps, colour and _is_coloured(terminal), encoding)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and bool(stream.isatty())
    except (AttributeError, ValueError):  # closed, or no stream at all
        return False


def _width(stream: TextIO | None, terminal: bool) -> int:
    width = _said_width()
    if not width and terminal and stream is not None:
        try:
            width = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            width = 0
        width = width or TERMINAL
    return max(NARROWEST, width or PIPED)


def _said_width() -> int:
    """COLUMNS of the environment; 0 where it says no width."""
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdigit():
        return int(said)
    return 0


def _is_coloured(terminal: bool) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return terminal and os.environ.get("TERM") != "dumb"


def _words(text: str) -> list[str]:
    """The words of a sentence; "95 %", "300 × 20", "p < 0.01" and "[0.1, 0.2]" are one each."""
    # The sign of nothing holds them together meanwhile: it is in no text that can be shown.
    joined = re.sub(r"\[[^\[\] ]+, [^\[\] ]+\]", lambda found: found[0].replace(" ", "\0"), text)
    joined = re.sub(r"(?<=\d) (?=%)| (?=[×x<=] \d)|(?<= [×x<=≈]) (?=\d)", "\0", joined)
    return [word.replace("\0", " ") for word in joined.split(" ")]
