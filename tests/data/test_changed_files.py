"""A file that changes while it is read is refused, and what is no file is refused before it is opened."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stored_files import largest, rows, write

import repgeom as rg
from repgeom.data.files import open_source, read_labels
from repgeom.data.formats import FORMATS, LABEL_FORMATS

N = 4000


def overwritten(path: Path) -> None:
    """Other bytes in place, and not one more or less."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"7" * 8)


def shortened(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def lengthened(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"7" * 8)


def replaced(path: Path) -> None:
    """Another file of the same content and date."""
    shutil.copy2(path, path.with_name("other"))
    os.replace(path.with_name("other"), path)


CHANGES = [overwritten, shortened, lengthened, replaced, os.unlink]
by_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


@by_change
@pytest.mark.parametrize("extension", FORMATS)
def test_features_that_change_while_they_are_read(
    tmp_path: Path, extension: str, change: Callable[[Path], None]
) -> None:
    path = write(tmp_path / f"x{extension}", rows(n=N, d=4))
    source = open_source(path)
    source.read(0, 100)
    change(largest(path))
    with pytest.raises(ValueError, match=rf"x\{extension} (was|went).* while it was read"):
        source.read(N - 100, N)


@by_change
def test_a_shard_that_changes(tmp_path: Path, change: Callable[[Path], None]) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.npy", rows(n=500, seed=i))
    source = open_source(tmp_path / "?.npy")
    pieces = source.chunks(100)
    next(pieces)
    change(tmp_path / "2.npy")
    with pytest.raises(ValueError, match=r"2\.npy (was|went).* while it was read"):
        list(pieces)


@pytest.mark.parametrize("what", ["reference", "corrupted"])
def test_what_stands_beside_the_rows_changes(tmp_path: Path, what: str) -> None:
    write(tmp_path / "x.npy", rows(n=500))
    other = open_source(write(tmp_path / "y.npy", rows(n=500, seed=1)))
    overwritten(tmp_path / "y.npy")
    with pytest.raises(ValueError, match=r"y\.npy was written to while it was read"):
        rg.audit(open_source(tmp_path / "x.npy"), **{what: other})


@pytest.mark.parametrize("extension", [".npy", ".txt", ".csv"])
def test_labels_that_change_while_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    path = tmp_path / f"y{extension}"
    path.write_text("a\n" + "1\n" * 99)
    if extension == ".npy":
        np.save(path, np.arange(99))
    formats = LABEL_FORMATS if extension in LABEL_FORMATS else FORMATS
    opener = formats[extension]

    def changing(name: str) -> object:
        arrays = opener(name)
        overwritten(path)
        return arrays

    monkeypatch.setitem(formats, extension, changing)
    with pytest.raises(ValueError, match=rf"y\{extension} was written to while it was read"):
        read_labels(path)


@pytest.mark.parametrize("extension", [".pt", ".safetensors", ".npy", ".h5"])
def test_a_file_shortened_within_a_piece_does_not_end_the_process(tmp_path: Path, extension: str) -> None:
    """The pages of a mapped file that are gone would be a bus error."""
    path = write(tmp_path / f"x{extension}", rows(n=100_000, d=64))
    source = open_source(path)
    piece = source.read(0, 50_000)
    shortened(path)
    assert float(piece.sum()) != 0
    with pytest.raises(ValueError, match="while it was read"):
        source.read(50_000, 100_000)


def special(folder: Path, kind: str, name: str) -> Path:
    path = folder / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))  # its names must be short
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "nowhere":
        path.symlink_to(folder / "gone")
    else:
        path.symlink_to(kind)
    return path


SPECIAL = {
    "pipe": "is a named pipe",
    "socket": "is a socket",
    "loop": "is a link that leads nowhere",
    "nowhere": "is a link that leads nowhere",
    "/dev/zero": "is a device",
    "/dev/random": "is a device",
    "/dev/null": "is a device",
    "/dev/tty": "is a device",
}


@pytest.mark.filterwarnings("ignore:unclosed")
@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("extension", [*FORMATS, *LABEL_FORMATS])
def test_what_is_no_regular_file_is_refused_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = special(tmp_path, kind, f"x{extension}")
    readers = [read_labels]
    if extension in FORMATS:
        readers.append(open_source)
    for read in readers:
        with pytest.raises((ValueError, FileNotFoundError), match=rf"x\{extension} {SPECIAL[kind]}"):
            read(path)


@pytest.mark.parametrize("kind", ["pipe", "nowhere", "/dev/zero"])
def test_a_pattern_does_not_pass_over_what_is_no_file(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "a.npy", rows())
    special(tmp_path, kind, "b.npy")
    with pytest.raises((ValueError, FileNotFoundError), match=rf"b\.npy {SPECIAL[kind]}"):
        open_source(tmp_path / "*.npy")
