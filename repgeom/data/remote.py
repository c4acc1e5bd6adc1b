"""Files behind a URI (`s3://`, `gs://`, `hf://`, `https://`, `memory://`): listed and copied here by fsspec."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import posixpath
import re
from collections.abc import Iterator
from typing import Any

from repgeom.data.copies import copy_stream
from repgeom.data.formats.stored import Unavailable, needed, reason_of

# One or more protocols (`simplecache::s3://`), each of two letters at least: `C:` is a drive.
_URI = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]+::)*[A-Za-z][A-Za-z0-9+.\-]+://")
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "hf": "hf", "http": "http", "https": "http"}


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file, or a folder that is read as one: where it lies, what messages call it, and what tells this version of it."""

    filesystem: Any
    path: str
    name: str
    stamp: str  # a word that changes with the content, as far as the other side tells

    def copy_to(self, path: str) -> None:
        """Copy the file here in pieces, so that it is never whole in memory. Raises ValueError where it has changed."""
        with errors_named(self.name):
            if _stamp(self.filesystem, self.path) != self.stamp:
                raise Changed(
                    f"{self.name} changed while it was read. Let the program that writes it finish, then read it again."
                )
            info = self.filesystem.info(self.path)
            if info.get("type") == "directory":
                self.filesystem.get(self.path.rstrip("/") + "/", path + "/", recursive=True)
                return
            size = info.get("size")
            with self.filesystem.open(self.path, "rb") as stream:
                copied = copy_stream(stream, path, self.name)
        if size is not None and copied != size:
            raise Unavailable(f"{self.name} broke off after {copied:,} of {size:,} bytes. Give the command again.")


class Changed(Unavailable):
    """A file elsewhere that is another one than it was when its first rows were read."""


def _stamp(filesystem: Any, path: str) -> str:
    with contextlib.suppress(Exception):
        filesystem.invalidate_cache(path)
        return str(filesystem.ukey(path))
    return ""


def is_uri(name: str) -> bool:
    """Whether this is the URI of a file elsewhere, not a path of this machine."""
    return _URI.match(name) is not None and not os.path.exists(name)


def shown(uri: str) -> str:
    """A URI without what may be secret in it: names and passwords before the host, and what stands behind `?` or `#`."""
    return "::".join(_without_secrets(part) for part in uri.split("::"))


def _without_secrets(uri: str) -> str:
    uri = re.sub(r"://[^/\s]*@", "://", uri)
    if _begins_query(uri):
        uri = re.split(r"[?#]", uri, maxsplit=1)[0]
    return uri


def _begins_query(uri: str) -> bool:
    """Whether a `?` in a URI begins a query. Elsewhere than on the web it is part of a pattern, unless a `=` follows."""
    return re.match(r"https?://|[^?#]*[?#]\w+=", uri) is not None


def is_remote_pattern(uri: str) -> bool:
    """Whether a URI names files by a pattern."""
    return re.search(r"[*?\[]", shown(uri)) is not None


def opened(uri: str) -> tuple[Any, str]:
    """The file system that a URI belongs to, and the path in it."""
    needed("fsspec", shown(uri), "fsspec")
    from fsspec.core import url_to_fs

    with errors_named(shown(uri)):
        return url_to_fs(uri)


def is_local(filesystem: Any) -> bool:
    """Whether the files of a `file://` URI lie on this machine."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(filesystem, LocalFileSystem)


def remote_file(filesystem: Any, path: str, name: str = "") -> RemoteFile:
    """A file at a path that the file system gave."""
    return RemoteFile(filesystem, path, name or shown(filesystem.unstrip_protocol(path)), _stamp(filesystem, path))


def files_under(filesystem: Any, folder: str) -> list[str]:
    """All files under a folder, as paths within it."""
    return [posixpath.relpath(path, folder) for path in filesystem.find(folder)]


@contextlib.contextmanager
def errors_named(name: str) -> Iterator[None]:
    """Whatever the other side or its package raises becomes one error with one line that names the URI."""
    try:
        yield
    except (MemoryError, Warning, Unavailable):
        raise
    except Exception as error:
        raise _told(error, name) from None


def _told(error: Exception, name: str) -> Exception:
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, OSError):
        error = cause  # fsspec calls a server that does not answer a missing file
    reason = _secrets_removed(reason_of(error))
    status = _status_of(error)
    if isinstance(error, ImportError):
        return ImportError(f"Reading {name} needs a package that is not installed: {_install(name, reason)}")
    if isinstance(error, (FileNotFoundError, NotADirectoryError)) or status == 404:
        return FileNotFoundError(f"There is no file {name}.")
    if isinstance(error, PermissionError) or status in (401, 403) or "Credentials" in type(error).__name__:
        return PermissionError(f"{name} cannot be read: no permission ({reason}). Log in or set the credentials first.")
    if isinstance(error, ValueError) and "rotocol" in reason:
        return ValueError(
            f"{name} cannot be read: {reason}. Known are s3://, gs://, hf://, https:// and others of fsspec."
        )
    return Unavailable(f"{name} cannot be read: {reason}. Is it reachable from this machine?")


def _install(name: str, reason: str) -> str:
    for protocol in re.findall(r"([A-Za-z][\w+.\-]*)(?=::|://)", name):
        if protocol in EXTRAS:
            return f"`pip install 'repgeom[{EXTRAS[protocol]}]'`."
    return f"{reason}."


def _status_of(error: Exception) -> int | None:
    """The status by which a web server refuses, where an error holds one."""
    for holder in (error, getattr(error, "response", None)):
        for attribute in ("status", "status_code", "code"):
            status = getattr(holder, attribute, None)
            if isinstance(status, (int, str)) and str(status).isdigit():
                return int(status)
    return None


def _secrets_removed(text: str) -> str:
    text = re.sub(r"://[^/\s'\"]*@", "://", text)
    return re.sub(r"(://[^\s?'\"]+)\?[^\s'\")]*", r"\1", text)
