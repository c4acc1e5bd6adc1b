"""`.txt`: labels, one to a line."""

from __future__ import annotations

import numpy as np

from repgeom.data.formats.stored import StoredArray, damage_named, in_memory


def open_lines(path: str) -> dict[str, StoredArray]:
    with damage_named(path), open(path, encoding="utf-8-sig") as file:
        lines = [line.strip() for line in file.read().rstrip().splitlines()]
    if "" in lines:
        raise ValueError(f"{path} has no label in line {lines.index('') + 1}: it needs one label per line.")
    return {"": in_memory(np.array(lines, dtype=str), "text")}
