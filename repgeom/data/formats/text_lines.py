"""Lines of a text file, perhaps compressed (`.gz`, `.bz2`, `.xz`), one after the other and never longer than a limit."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Iterator
from typing import IO, Any

LONGEST_LINE = 1 << 26  # bytes, 64 MB: a line of a million numbers has a third of it

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def opened_bytes(path: str) -> IO[bytes]:
    """A file to read bytes from, decompressed as they are read where its name says that it is compressed."""
    for end, opener in _OPENERS.items():
        if path.lower().endswith(end):
            return opener(path, "rb")
    return open(path, "rb")


def is_compressed(path: str) -> bool:
    """Whether reading from a place within the file means decompressing all before it."""
    return path.lower().endswith(tuple(_OPENERS))


def lines_of(path: str, offset: int = 0) -> Iterator[bytes]:
    """The lines from a place on, with their ends. Raises ValueError at a line that is longer than any of text."""
    with opened_bytes(path) as file:
        file.seek(offset)
        while line := file.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise ValueError(f"it has a line of more than {LONGEST_LINE:,} bytes")
            yield line
