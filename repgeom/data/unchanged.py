"""Is this a file that can be read, and is it still the one that was opened?"""

from __future__ import annotations

import dataclasses
import os
import stat
import time

TICK_SECONDS = 0.02  # within which file systems give two writes one date; Linux counts 1 to 10 ms

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


@dataclasses.dataclass(frozen=True)
class OpenedFile:
    """A regular file as it was when it was opened: its size, its date and its place on the disk."""

    path: str
    size: int
    modified: int  # in nanoseconds
    place: tuple[int, int]  # the disk and the number of the file on it: another where it was replaced

    @classmethod
    def of(cls, path: str) -> OpenedFile:
        """Look at a file before it is opened: opening a pipe would wait, and a device may never end.

        Raises:
            FileNotFoundError: no such file, or a link that leads nowhere.
            ValueError: a pipe, a socket, a device or a folder, perhaps behind a link.
        """
        try:
            found = os.stat(path)
        except OSError as error:
            raise _not_there(path, error) from None
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no file")
            raise ValueError(
                f"{path} is {kind}{_behind(path)}: files are read more than once and by place, so it must be a regular file."
            )
        # A file that was written this very moment could be written again without another date.
        age = time.time_ns() - found.st_mtime_ns
        if 0 <= age < TICK_SECONDS * 1e9:
            time.sleep(TICK_SECONDS)
        return cls(path, found.st_size, found.st_mtime_ns, (found.st_dev, found.st_ino))

    def check(self) -> None:
        """Raise ValueError where the file has changed since: what was read of it is of no file that ever was."""
        try:
            now = os.stat(self.path)
        except OSError as error:
            raise ValueError(f"{self.path} was removed while it was read ({error.strerror}).") from None
        how = ""
        if (now.st_dev, now.st_ino) != self.place:
            how = "was replaced by another file"
        elif now.st_size != self.size:
            how = f"went from {self.size:,} to {now.st_size:,} bytes"
        elif now.st_mtime_ns != self.modified:
            how = "was written to"
        if how:
            raise ValueError(
                f"{self.path} {how} while it was read: it changed since it was opened. "
                "Let the program that writes it finish, then read it again."
            )


MOST_FILES = 200  # of a folder that are looked at with every piece; of more only those at its top, which describe it


@dataclasses.dataclass(frozen=True)
class OpenedFolder:
    """A folder that is read as one file, such as a Zarr store, as it was when it was opened."""

    path: str
    files: dict[str, tuple[int, int, int]]  # size, date and number on the disk by path

    @classmethod
    def of(cls, path: str) -> OpenedFolder:
        """Look at all files in a folder, or at those at its top where they are very many."""
        return cls(path, _files_in(path))

    def check(self) -> None:
        """Raise ValueError where a file in the folder has changed since, was added or removed."""
        now = _files_in(self.path)
        changed = [name for name in {**self.files, **now} if self.files.get(name) != now.get(name)]
        if changed:
            raise ValueError(
                f"{self.path} was written to while it was read: {os.path.relpath(min(changed), self.path)} changed since it "
                "was opened. Let the program that writes it finish, then read it again."
            )


def _files_in(folder: str) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            state = os.stat(path)
            found[path] = (state.st_size, state.st_mtime_ns, state.st_ino)
        if len(found) > MOST_FILES:
            return {path: state for path, state in found.items() if os.path.dirname(path) == folder}
    return found


def _not_there(path: str, error: OSError) -> OSError:
    if os.path.islink(path):
        return FileNotFoundError(f"{path} is a link that leads nowhere: {os.readlink(path)} ({error.strerror}).")
    return type(error)(error.errno, error.strerror, path)


def _behind(path: str) -> str:
    if os.path.islink(path):
        return f" (a link to {os.path.realpath(path)})"
    return ""
