"""What is on disk: records with arrays, written whole, checked when read, and made once even by many processes.

A record is `NAME.json` with a checksum of itself and of `NAME.safetensors`, which holds its arrays. The arrays are
written first: a record that is there is whole, whenever the process was killed.

`NAME.json` is one JSON object. Its "sha256" is that of the file's own bytes with those 64 digits left out, so that
whoever has the file can check it: `files.schema.json` says what else stands there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load as arrays_of
from safetensors.torch import save as bytes_of
from torch import Tensor

from repgeom.files import write_whole

FORMAT = 2
SEAL = re.compile(r'"sha256": "([0-9a-f]{64})"')
UNSEALED = '"sha256": ""'


class Stored(NamedTuple):
    """A record of plain values, and the arrays that were saved with it, by name."""

    record: dict[str, Any]
    arrays: dict[str, Tensor]


class Damaged(ValueError):
    """A file does not have the checksum that it was written with."""


class OtherFormat(ValueError):
    """A file was written by a version that kept its records in another way."""


class Busy(RuntimeError):
    """Another process holds the lock."""


def save(path: Path, record: Mapping[str, Any], arrays: Mapping[str, Tensor] | None = None) -> None:
    """Writes `path`.json and, with arrays, `path`.safetensors; infinity and NaN are refused in the record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole: dict[str, Any] = {"format": FORMAT, "sha256": "", "arrays_sha256": None, "record": dict(record)}
    if arrays:
        data = bytes_of({name: value.detach().cpu().contiguous() for name, value in arrays.items()})
        whole["arrays_sha256"] = hashlib.sha256(data).hexdigest()
    text = json.dumps(whole, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    if arrays:
        write_whole(_beside(path, ".safetensors"), data)
    # The place of the seal comes before the record, in which the same words may stand.
    write_whole(_beside(path, ".json"), text.replace(UNSEALED, f'"sha256": "{_sha(text)}"', 1))


def load(path: Path) -> Stored | None:
    """What was saved, or None where nothing is.

    Raises:
        Damaged: the file, named, is not as it was written.
        OtherFormat: the file, named, was written by another version.
    """
    file = _beside(path, ".json")
    try:
        text = file.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    if text.startswith('{"sha256"'):
        raise OtherFormat(_other_format(file, 1))
    seal = SEAL.search(text)
    if seal is None or _sha(SEAL.sub(UNSEALED, text, count=1)) != seal[1]:
        raise Damaged(f"{file} is damaged: it does not have the checksum that it was written with.")
    whole = json.loads(text)
    if whole["format"] != FORMAT:
        raise OtherFormat(_other_format(file, whole["format"]))
    return Stored(whole["record"], _arrays(_beside(path, ".safetensors"), whole["arrays_sha256"]))


def _other_format(file: Path, number: int) -> str:
    return (
        f"{file} was written by another version of repgeom (format {number}, this one reads {FORMAT}); read it with "
        "that version, or run again in another folder with --out."
    )


def _arrays(file: Path, expected: str | None) -> dict[str, Tensor]:
    if expected is None:
        return {}
    data = file.read_bytes() if file.exists() else b""
    if hashlib.sha256(data).hexdigest() != expected:
        raise Damaged(f"{file} is {'damaged' if data else 'missing'}: its record expects the checksum {expected[:12]}…")
    return dict(arrays_of(data))


def made_once(path: Path, recipe: Mapping[str, Any], make: Callable[[], Stored]) -> Stored:
    """What is kept at `path`, or else made now and kept. Other processes that want the same wait for it.

    A file that is damaged, or of another version, is named on standard error and made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        try:
            found = load(path)
        except Damaged as error:
            print(f"{error} It is made again.", file=sys.stderr)
            found = None
        except OtherFormat:
            print(f"{_beside(path, '.json')} was kept by another version. It is made again.", file=sys.stderr)
            found = None
        # A path holds only twelve digits of a recipe's checksum, so the recipe itself decides.
        if found is None or found.record["recipe"] != plain(recipe):
            found = make()
            save(path, {"recipe": plain(recipe), **found.record}, found.arrays)
        return found


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True, owner: str = "") -> Iterator[None]:
    """Holds the lock of a path, a file in the folder .locks beside it. The system gives it back when a process ends,
    however it ends. `owner` is written into it.

    Raises:
        Busy: `wait` is False and another process holds it; the message names that process.
    """
    file = lock_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Busy(file.read_text(encoding="utf-8").strip() or "another process") from None
        # Written by the holder alone: others read here whom they wait for.
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()} {owner}".strip().encode())
        yield
    finally:
        os.close(handle)


def lock_file(path: Path) -> Path:
    """Where the lock of a path lies; it is never removed, since another process may be waiting for it."""
    return path.parent / ".locks" / path.name


def check_room(folder: Path, n_bytes: int, option: str = "--out or --cache") -> None:
    """Makes the folder and tries to write in it, before hours are spent on what could not be kept.

    `option` is how another folder is named.

    Raises:
        OSError: it cannot be written, or less than `n_bytes` are free.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0" * 4096)
    except OSError as error:
        raise OSError(
            f"{folder} cannot be written ({error.strerror or error}); name another folder with {option}."
        ) from None
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise OSError(
            f"{folder} has {free / 1e9:.2f} GB free and this run may need {n_bytes / 1e9:.2f} GB there; free some, or "
            f"name another folder with {option}."
        )


def fingerprint(recipe: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that change with any value of a recipe, whatever the order of its keys."""
    return _sha(json.dumps(recipe, sort_keys=True))[:12]


def plain(recipe: Mapping[str, Any]) -> Any:
    """A recipe as JSON gives it back: tuples become lists."""
    return json.loads(json.dumps(recipe))


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
