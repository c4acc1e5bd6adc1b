"""From a path or pattern to files, and what to say where there are none."""

from __future__ import annotations

import difflib
import glob
import os
import re
from pathlib import Path

from repgeom.data.formats import FORMATS
from repgeom.data.formats.stored import extension_of, listing


def shards_of(name: str) -> list[str]:
    """The file of this path, or all that match a pattern, in natural order. Raises FileNotFoundError, and ValueError for folders."""
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        raise _folder_error(path)
    if os.path.exists(path):
        return [path]
    if os.path.islink(path):
        return [path]  # it leads nowhere, which is said when it is opened
    if not glob.has_magic(path):
        raise FileNotFoundError(f"There is no file {path}.{_nearby(path)}")
    # Only folders are passed over: a pipe or a broken link among the shards is refused when it is opened.
    matches = [match for match in glob.glob(_in_literal_folder(path), recursive=True) if not os.path.isdir(match)]
    if not matches:
        raise FileNotFoundError(f"No file matches the pattern {path!r}.{_nearby(path)}")
    return sorted(matches, key=_natural)


def _in_literal_folder(pattern: str) -> str:
    """The same pattern in a folder whose name, such as `run[1]`, only looks like one."""
    folder, name = os.path.split(pattern)
    return os.path.join(glob.escape(folder), name) if os.path.isdir(folder) else pattern


def _natural(path: str) -> list[tuple[str, int]]:
    """The key of natural order, in which `part-2` comes before `part-10`."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", path)]


def _nearby(path: str) -> str:
    """A sentence on what the folder of a missing file or fruitless pattern does hold."""
    folder = Path(path).parent
    if not folder.is_dir():
        return f" There is no folder {folder} either."
    present = sorted((entry.name for entry in folder.iterdir() if entry.is_file()), key=_natural)
    if not glob.has_magic(path):
        close = difflib.get_close_matches(Path(path).name, present)
        if not close:
            return ""
        return f" Did you mean {listing(str(folder / name) for name in close)}?"
    return f" The folder {folder} holds {listing(present, most=5) or 'no files'}."


def _folder_error(path: str) -> ValueError:
    found = sorted({extension_of(entry.name) for entry in Path(path).iterdir()} & FORMATS.keys())
    way_out = f"It has none of {', '.join(FORMATS)}"
    if found:
        patterns = " or ".join(f"'{os.path.join(path, '*')}{extension}'" for extension in found)
        way_out = f"To join its files, give a quoted pattern: {patterns}"
    return ValueError(f"{path} is a folder, not a file. {way_out}.")
