"""Zip archives, in which `.npz` and `.pt` files keep their arrays: the members by name, and where each begins."""

from __future__ import annotations

import struct
import zipfile


def members_of(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by name. Raises ValueError where a name is there twice or a member is encrypted."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in found:
            raise ValueError(f"it has two members named {info.filename!r}, and which is meant cannot be known")
        if info.flag_bits & 1:
            raise ValueError(f"its member {info.filename!r} is encrypted")
        found[info.filename] = info
    return found


def begin_of(path: str, info: zipfile.ZipInfo) -> int:
    """Where in the file the content of a member begins: behind its local header of 30 bytes, its name and extra fields."""
    with open(path, "rb") as file:
        file.seek(info.header_offset)
        # The archive's directory has lengths too, but its extra fields may differ from these.
        name_length, extra_length = struct.unpack("<26xHH", file.read(30))
    return info.header_offset + 30 + int(name_length) + int(extra_length)
