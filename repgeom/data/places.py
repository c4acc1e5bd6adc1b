"""Where do rows lie? A path, pattern, folder, URI or standard input becomes the list of files to read, in their order."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import glob
import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from repgeom.data import remote
from repgeom.data.copies import TemporaryCopy, TemporaryFolder, renamed
from repgeom.data.folders import ZARR, files_in, partitions_of, shards_of
from repgeom.data.formats import FORMATS
from repgeom.data.formats.stored import StoredArray, extension_of, listing, natural
from repgeom.data.standard_input import NAME, spooled
from repgeom.data.unchanged import OpenedFile, OpenedFolder


@dataclasses.dataclass(frozen=True)
class Place:
    """One file to read.

    Args:
        name: what messages call it.
        path: where it lies on this machine when it is read.
        opened: the file as it was when it was opened; none of a copy.
        copy: the temporary copy at `path`, where the file itself is elsewhere.
        identity: what tells it from other files and versions of it; nothing where it cannot be read a second time.
        partitions: the values that the folders on the way to it give its rows.
    """

    name: str
    path: str
    opened: OpenedFile | OpenedFolder | None = None
    copy: TemporaryCopy | None = None
    identity: str = ""
    partitions: dict[str, str] = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def at_hand(self) -> Iterator[None]:
        """Have the file here while it is read; messages call it by its name."""
        if self.copy is None:
            yield
            return
        with renamed(self.path, self.name), self.copy.here():
            yield

    def check(self) -> None:
        """Raise ValueError where the file has changed since it was opened."""
        if self.opened is not None:
            self.opened.check()

    def let_go(self) -> None:
        """Remove the temporary copy, if it is one."""
        if self.copy is not None:
            self.copy.let_go()

    def kept(self, array: StoredArray) -> StoredArray:
        """An array of this file, for whose rows the file is brought here, and let go with them."""
        if self.copy is None:
            return array

        def read(start: int, stop: int) -> Any:
            with self.at_hand():
                return array.read(start, stop)

        def release() -> None:
            array.release()
            self.let_go()

        return dataclasses.replace(array, read=read, release=release)


def places_of(name: str, format: str | None = None) -> list[Place]:
    """The files that a path, pattern, folder or URI names, in natural order; for "-" what comes through standard input.

    Args:
        format: the kind of file, such as "npy", where no extension says so.

    Raises FileNotFoundError where there are none, ValueError for a folder of several kinds or a format unknown.
    """
    if format is not None:
        format = f".{format.lower().removeprefix('.')}"
        if format not in FORMATS:
            raise ValueError(f"format {format[1:]!r} is not known; known are {listing(e[1:] for e in FORMATS)}.")
    if name == "-":
        copy = spooled(format)
        return [Place(NAME, copy.path, copy=copy)]
    if remote.is_uri(name):
        filesystem, path = remote.opened(name)
        if not remote.is_local(filesystem):
            return _remote_places(name, filesystem, path, format or "")
        name = path
    if format is not None:
        raise ValueError(
            f"{name} is a file with a name, whose extension says what it holds: --format is for standard input and URIs."
        )
    return [_local_place(path, partitions) for path, partitions in _local_files(name).items()]


def shown_name(name: str) -> str:
    """What was asked for as messages and reports call it: without passwords in it."""
    if name == "-":
        return NAME
    if remote.is_uri(name):
        return remote.shown(name)
    return name


def named_places(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], format: str | None
) -> tuple[str, list[Place]]:
    """What messages call all files together, and the files."""
    if isinstance(path, (str, os.PathLike)):
        return shown_name(os.fsdecode(path)), places_of(os.fsdecode(path), format)
    places = [place for one in path for place in places_of(os.fsdecode(one), format)]
    if not places:
        raise ValueError("the list of paths is empty.")
    name = places[0].name
    if len(places) > 1:
        name = f"{name} and {len(places) - 1} more"
    return name, places


# ---- on this machine ----


def _local_place(path: str, partitions: dict[str, str]) -> Place:
    opened: OpenedFile | OpenedFolder
    if os.path.isdir(path) and extension_of(path) == ZARR:
        opened = OpenedFolder.of(path)
    else:
        opened = OpenedFile.of(path)
    return Place(path, path, opened, identity=path, partitions=partitions)


def _local_files(name: str) -> dict[str, dict[str, str]]:
    """Paths with their partitions."""
    path = os.path.expanduser(name)
    if os.path.isdir(path) and extension_of(path) != ZARR:
        _refuse_store(path)
        return {os.path.join(path, member): partitions_of(member) for member in shards_of(path, files_in(path))}
    if os.path.lexists(path):  # of a link that leads nowhere it is said when it is opened
        return {path: {}}
    if not glob.has_magic(path):
        raise no_such_file(path)
    # Only folders are passed over: a pipe or a broken link among the shards is refused when it is opened.
    found = glob.glob(_in_literal_folder(path), recursive=True)
    matches = [match for match in found if not os.path.isdir(match) or extension_of(match) == ZARR]
    if not matches:
        raise FileNotFoundError(f"No file matches the pattern {path!r}.{_nearby(path)}")
    return {match: {} for match in sorted(matches, key=natural)}


def _in_literal_folder(pattern: str) -> str:
    """The same pattern in a folder whose name, such as `run[1]`, only looks like one."""
    folder, name = os.path.split(pattern)
    if os.path.isdir(folder):
        return os.path.join(glob.escape(folder), name)
    return pattern


def _refuse_store(path: str) -> None:
    """Raise ValueError for a Zarr store by another name."""
    for mark in ("zarr.json", ".zgroup", ".zarray"):
        if os.path.exists(os.path.join(path, mark)):
            raise ValueError(f"{path} is a Zarr store. Give it a name that ends in {ZARR}, or a link with such a name.")


def no_such_file(path: str) -> FileNotFoundError:
    """The error that says that a file is not there, with the names that are close to it."""
    return FileNotFoundError(f"There is no file {path}.{_nearby(path)}")


def _nearby(path: str) -> str:
    """A sentence on what the folder of a missing file or fruitless pattern does hold."""
    folder = Path(path).parent
    if not folder.is_dir():
        return f" There is no folder {folder} either."
    present = sorted((entry.name for entry in folder.iterdir() if entry.is_file()), key=natural)
    if not glob.has_magic(path):
        close = difflib.get_close_matches(Path(path).name, present)
        if not close:
            return ""
        return f" Did you mean {listing(str(folder / name) for name in close)}?"
    return f" The folder {folder} holds {listing(present, most=5) or 'no files'}."


# ---- elsewhere ----


def _remote_places(uri: str, filesystem: Any, path: str, format: str) -> list[Place]:
    folder = TemporaryFolder()
    return [
        _copied(folder, i, file, format, partitions)
        for i, (file, partitions) in enumerate(_remote_files(uri, filesystem, path))
    ]


def _copied(folder: TemporaryFolder, i: int, file: remote.RemoteFile, format: str, partitions: dict[str, str]) -> Place:
    name = posixpath.basename(file.name.rstrip("/")) + format
    # Numbered, because files of several folders may have one name.
    copy = TemporaryCopy(folder, f"{i}-{name[-100:]}", file.copy_to)
    return Place(file.name, copy.path, copy=copy, identity=f"{file.name} {file.stamp}", partitions=partitions)


def _remote_files(uri: str, filesystem: Any, path: str) -> list[tuple[remote.RemoteFile, dict[str, str]]]:
    name = remote.shown(uri)
    if remote.is_remote_pattern(uri):
        with remote.errors_named(name):
            found = filesystem.glob(path, detail=True)
        matches = [
            match for match, info in found.items() if info["type"] == "file" or extension_of(match.rstrip("/")) == ZARR
        ]
        if not matches:
            raise FileNotFoundError(f"No file matches the pattern {name!r}.")
        return [(remote.remote_file(filesystem, match), {}) for match in sorted(matches, key=natural)]
    with remote.errors_named(name):
        is_folder = filesystem.info(path)["type"] == "directory"
    if not is_folder or extension_of(path.rstrip("/")) == ZARR:
        return [(remote.remote_file(filesystem, path, name), {})]
    with remote.errors_named(name):
        members = remote.files_under(filesystem, path)
    shards = shards_of(name, members)
    return [(remote.remote_file(filesystem, posixpath.join(path, member)), partitions_of(member)) for member in shards]
