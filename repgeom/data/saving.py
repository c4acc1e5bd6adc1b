"""Writing a file whole or not at all, and devices, pipes and links as what they are."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from pathlib import Path

# Names of streams that the process has open already: /dev/stdout, /dev/fd/63 (what a shell gives for `>(jq .)`).
_STANDARD_STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_OPEN_STREAM = re.compile(r"(?:/dev/fd|/proc/(?:self|thread-self|\d+)/fd)/(\d+)")

# A folder in which no file can be made may still hold one that can be written, as where a container mounts one file.
_NO_NEW_FILE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV}

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would change the ends of lines


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file so that a reader never sees half of it: beside the target, then renamed.

    Args:
        path: a link is followed, and what it points to is replaced. A file that is there keeps its owner and mode. Devices,
            FIFOs and open streams (`/dev/stdout`, `/dev/fd/63`) are written through.
        content: text is written as UTF-8; what UTF-8 has no bytes for (half of a surrogate pair) is spelled out.

    Raises:
        OSError: it cannot be written, or the disk is full; what was there before is still there. The message names `path`.

    >>> write_whole(os.devnull, "nobody reads this")
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    name = os.fsdecode(path)
    try:
        _write(name, content)
    except OSError as error:
        # The same class and number, so that a full disk and a reader who has gone away can be told apart.
        named = type(error)(f"{name} cannot be written: {error.strerror or error}.")
        named.errno = error.errno
        raise named from None


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise an OSError or ValueError if no file can be written at `path`. Nothing is opened or made.

    Called before any work, so that a mistyped path is an error now and not after an hour of measuring.
    """
    name = os.fsdecode(path)
    stream = _open_stream(name)
    if stream is not None:
        _check_open(name, stream)
        return
    target = Path(name)
    if target.is_symlink():
        target = Path(os.path.realpath(name))
    if target.is_dir():
        raise ValueError(f"{name} is a folder; name the file to write, such as {target / 'report'}.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{name} cannot be written: the folder {target.parent} does not exist. Create it first."
        )
    try:
        target.stat()
    except FileNotFoundError:
        if not os.access(target.parent, os.W_OK):
            raise PermissionError(f"{name} cannot be written: no permission to write in {target.parent}.") from None
        return
    except OSError as error:  # a name that is too long, or a link to itself
        raise OSError(f"{name} cannot be written: {error.strerror or error}.") from None
    if not os.access(target, os.W_OK):
        raise PermissionError(f"{name} cannot be written: no permission to write to this file.")


def _write(name: str, content: bytes) -> None:
    stream = _open_stream(name)
    if stream is not None:
        # The stream's own place in its file: opened anew it would begin at 0 and write over what was printed.
        _write_all(stream, content)
        return
    target = os.path.realpath(name)
    before = None
    with contextlib.suppress(FileNotFoundError):
        before = os.stat(target)
    if before is not None and not stat.S_ISREG(before.st_mode):
        _write_through(target, content)
        return
    try:
        _replace(target, content, before)
    except OSError as error:
        if before is None or error.errno not in _NO_NEW_FILE:
            raise
        _write_through(target, content)


def _open_stream(name: str) -> int | None:
    """The number of the open stream that a path means, itself or through links; None for any other path."""
    for _ in range(40):  # as many links as Linux follows
        if name in _STANDARD_STREAMS:
            return _STANDARD_STREAMS[name]
        found = _OPEN_STREAM.fullmatch(name)
        if found is not None:
            return int(found[1])
        try:
            link = os.readlink(name)
        except OSError:
            return None
        name = os.path.normpath(os.path.join(os.path.dirname(name), link))
    return None


def _check_open(name: str, stream: int) -> None:
    """Raise an OSError if nothing can be written to an open stream."""
    try:
        os.write(stream, b"")
    except OSError as error:
        raise OSError(
            f"{name} cannot be written: {error.strerror or error}. This stream is closed or for reading."
        ) from None


def _write_through(target: str, content: bytes) -> None:
    """Write into what is there. A regular file is emptied first."""
    handle = os.open(target, os.O_WRONLY | os.O_TRUNC | _BINARY)
    try:
        _write_all(handle, content)
    finally:
        os.close(handle)


def _replace(target: str, content: bytes, before: os.stat_result | None) -> None:
    """Write a new file beside the target, as its owner and mode are or as those of any new file, and rename it."""
    folder, name = os.path.split(target)
    # The longest name a folder takes has 255 bytes, so only the beginning of the target's name fits in.
    temporary = os.path.join(folder, f".{name[:40]}.{secrets.token_hex(6)}")
    try:
        # The system applies the umask to this mode.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        try:
            if before is not None:
                _take_over(handle, before)
            _write_all(handle, content)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, target)
    except BaseException:
        # Also after Ctrl-C: half a file must not stay behind.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _keep_names(folder)


def _take_over(handle: int, before: os.stat_result) -> None:
    """Give a new file the owner and mode of the one that it replaces. Raises PermissionError where that may not be."""
    if not hasattr(os, "fchown"):  # where files have no such owners and modes
        return
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        os.fchown(handle, before.st_uid, before.st_gid)
    os.fchmod(handle, stat.S_IMODE(before.st_mode))


def _write_all(handle: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _keep_names(folder: str) -> None:
    """Have the folder on disk too: without it a file that was renamed is not found after a power cut."""
    with contextlib.suppress(OSError):  # some file systems have no way to
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
