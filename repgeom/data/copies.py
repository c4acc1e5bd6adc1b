"""Files that come from elsewhere lie here for a while: temporary copies, let go when they are read, removed at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import IO

from repgeom.data.formats.stored import Unavailable

PIECE_BYTES = 1 << 20  # of a copy that are in memory at a time
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TemporaryFolder:
    """A folder that is removed when nothing refers to it any more, at the latest when Python ends."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="repgeom-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class TemporaryCopy:
    """A file or folder that is brought here when it is first needed, and again after it was let go.

    Args:
        folder: where it lies; it lives as long as its copies.
        name: its name in the folder, with the extension that says what it holds.
        fill: writes it to the path that it is given.
        comes_again: whether it can be brought more than once. Standard input cannot, and is kept.
    """

    def __init__(
        self, folder: TemporaryFolder, name: str, fill: Callable[[str], None], *, comes_again: bool = True
    ) -> None:
        self.path = os.path.join(folder.path, name)
        self._folder = folder
        self._fill = fill
        self._comes_again = comes_again
        self._lock = threading.RLock()  # rows are read ahead by a second thread, which must not lose the file

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Hold the copy here, so that it can be read."""
        with self._lock:
            if not os.path.exists(self.path):
                try:
                    self._fill(self.path)
                except BaseException:
                    _remove(self.path)  # half a file must not be taken for the whole
                    raise
            yield

    def let_go(self) -> None:
        """Remove the copy, if it can come again."""
        if self._comes_again:
            with self._lock:
                _remove(self.path)


def copy_stream(stream: IO[bytes], path: str, name: str) -> int:
    """Write a stream to a file piece by piece, and return the number of bytes. `name` is what messages call the stream."""
    n_bytes = 0
    # Without a buffer: of a full disk, a buffer would complain once more when it is closed.
    with open(path, "wb", buffering=0) as file:
        while piece := stream.read(PIECE_BYTES):
            rest = memoryview(piece)
            while rest:
                try:
                    written = file.write(rest)
                except OSError as error:
                    raise _no_room(error, n_bytes, path, name) from None
                n_bytes += written
                rest = rest[written:]
    return n_bytes


def _no_room(error: OSError, n_bytes: int, path: str, name: str) -> OSError:
    if error.errno not in FULL:
        return error
    folder = os.path.dirname(os.path.dirname(path))
    return Unavailable(
        f"{name} is copied to {folder} to be read, and the disk is full after {n_bytes:,} bytes. Name a folder with more "
        "room in the variable TMPDIR."
    )


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


@contextlib.contextmanager
def renamed(path: str, name: str) -> Iterator[None]:
    """Whatever is raised inside speaks of the file by `name`, and not by the `path` of its temporary copy."""
    try:
        yield
    except (ValueError, TypeError, ImportError, OSError) as error:
        # A message made of an errno and a file name is put together when it is printed.
        text = str(error)
        if path not in text:
            raise
        raise _plain_kind(error)(text.replace(path, name)) from None


def _plain_kind(error: Exception) -> type[Exception]:
    """The kind of an error that can be made of a message alone."""
    kinds = (FileNotFoundError, PermissionError, Unavailable, OSError, ImportError, TypeError)
    for kind in kinds:
        if isinstance(error, kind):
            return kind
    return ValueError
