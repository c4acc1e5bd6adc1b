"""Features that come through a pipe: what kind of file is it, and where does it lie while it is read?"""

from __future__ import annotations

import codecs
import os
import re
import sys
import zipfile
from typing import Any

import torch.distributed as dist

from repgeom.data.copies import TemporaryCopy, TemporaryFolder, copy_stream
from repgeom.data.formats.stored import Unavailable

NAME = "standard input"
MAGIC = {
    b"\x93NUMPY": ".npy",
    b"PAR1": ".parquet",
    b"\x89HDF\r\n": ".h5",
    b"ARROW1": ".arrow",
}
_read: list[Any] = []  # the streams that were read: each can be read once


def spooled(extension: str | None = None) -> TemporaryCopy:
    """Copy what comes through standard input to a temporary file, which is removed at the end.

    Args:
        extension: what kind of file it is; by default its first bytes tell.

    Raises ValueError where they do not tell, where nothing comes, or where standard input was read before.
    """
    if any(stream is sys.stdin for stream in _read):
        raise ValueError("standard input (-) can be read once, and is asked for twice. Save it to a file first.")
    if sys.stdin is None or sys.stdin.isatty():
        raise ValueError("nothing comes through standard input (-): pipe a file into the command.")
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        raise ValueError(
            "standard input (-) reaches one process only, and several read together. Save it to a file first."
        )
    _read.append(sys.stdin)
    folder = TemporaryFolder()
    path = os.path.join(folder.path, "stdin")
    if not copy_stream(sys.stdin.buffer, path, NAME):
        raise ValueError("standard input is empty (0 bytes): did the command before it fail?")
    kind = extension or _kind_of(path)
    os.replace(path, path + kind)
    return TemporaryCopy(folder, "stdin" + kind, _cannot_come, comes_again=False)


def _cannot_come(path: str) -> None:
    raise Unavailable(f"{NAME} was copied to {path}, and the copy was removed by another program.")


def _kind_of(path: str) -> str:
    """The extension of a file by its content, where that is certain."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    for magic, extension in MAGIC.items():
        if head.startswith(magic):
            return extension
    if head.startswith(b"PK") and zipfile.is_zipfile(path):
        return _kind_of_archive(path)
    if re.match(rb"[\s\S]{6}\x00\x00\{", head):  # the length of a header of JSON in eight bytes
        return ".safetensors"
    kind = _kind_of_text(head)
    if kind:
        return kind
    raise ValueError(
        f"standard input begins with {head[:16]!r}, which tells no kind of file. Say which it is: `--format npy` "
        "(`format=` in Python), or csv, tsv, jsonl, parquet, npz, pt."
    )


def _kind_of_archive(path: str) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if names and all(name.endswith(".npy") for name in names):
        return ".npz"
    if any(name.endswith("/data.pkl") for name in names):
        return ".pt"
    raise ValueError(f"standard input is a zip archive of {', '.join(names[:3])}, neither .npz nor .pt.")


def _kind_of_text(head: bytes) -> str:
    """ ".jsonl", ".json", ".tsv" or ".csv", or nothing where this is no text or has no delimiter."""
    try:
        # The last character may be cut in two.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head).lstrip()
    except UnicodeDecodeError:
        return ""
    first, _, rest = text.partition("\n")
    if first.startswith("{") and first.rstrip().endswith("}") and (not rest.strip() or rest.lstrip().startswith("{")):
        return ".jsonl"
    if first.startswith(("{", "[")):
        return ".json"
    if "\x00" in text:
        return ""
    if "\t" in first:
        return ".tsv"
    if "," in first or ";" in first:
        return ".csv"
    return ""
