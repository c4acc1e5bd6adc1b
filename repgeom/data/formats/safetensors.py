"""`.safetensors`: named tensors. The format's own library checks the header; rows are read by their place in the file."""

from __future__ import annotations

import json
import re
from typing import Any

from torch import Tensor

from repgeom.data.formats.saved_tensors import DTYPES
from repgeom.data.formats.stored import StoredArray, damage_named, read_nothing
from repgeom.data.formats.strided import contiguous

KINDS = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint", "C": "complex", "BOOL": "bool"}


def open_safetensors(path: str) -> dict[str, StoredArray]:
    import safetensors

    with damage_named(path):
        with safetensors.safe_open(path, framework="pt") as file:
            names = list(file.keys())
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size), object_pairs_hook=_unique)
        return {name: _member(path, header[name], 8 + size) for name in names}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The dict of a header, in which no name may come twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header has one name twice, and which is meant cannot be known")
    return found


def _member(path: str, header: dict[str, Any], values_begin: int) -> StoredArray:
    shape = tuple(header["shape"])
    letters, bits = re.fullmatch(r"([A-Z]+)(.*)", header["dtype"]).groups()  # type: ignore[union-attr]
    name = KINDS.get(letters, letters) + bits.lower()
    # PyTorch gives one of the floats of 8 bits a longer name.
    dtype = DTYPES.get(name, DTYPES.get(f"{name}fn"))
    if dtype is None:
        return StoredArray(shape, name, read_nothing, f"has the dtype {name}, which is not read; save it as float32.")
    values = contiguous(values_begin + header["data_offsets"][0], dtype, shape)

    def read(start: int, stop: int) -> Tensor:
        start, stop, _ = slice(start, stop).indices(shape[0])
        return values.read(path, start, max(start, stop))

    return StoredArray(shape, name, read)
