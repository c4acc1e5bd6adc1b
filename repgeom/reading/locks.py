"""One process at a time: a lock on a path, which the system gives back however its holder ends."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks; runs on one folder are then not told apart
    fcntl = None  # type: ignore[assignment]


class Lock:
    """The lock of a path: an empty file of that name, which is there as long as somebody holds it.

    A process that was killed leaves the file behind and not the lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def take(self) -> bool:
        """Whether the lock is this object's now; False where another process, or another audit in this one, holds it."""
        while fcntl is not None:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return False
            except OSError:  # a file system without locks
                os.close(handle)
                return True
            if self._is_there(handle):
                self._handle = handle
                return True
            # Its holder removed the file between the two calls: a lock on it is on nothing that another would find.
            os.close(handle)
        return True

    def _is_there(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self.path))
        except FileNotFoundError:
            return False

    def give_back(self) -> None:
        """Let others take the lock."""
        if self._handle is not None:
            # Removed while it is held, so that nobody else's is.
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(self._handle)
            self._handle = None
