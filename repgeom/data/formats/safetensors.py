"""`.safetensors`: named tensors, read in pieces by the format's own library."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from repgeom.data.formats.stored import StoredArray, damage_named

KINDS = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint", "C": "complex", "BOOL": "bool"}


def open_safetensors(path: str) -> dict[str, StoredArray]:
    import safetensors

    with damage_named(path), safetensors.safe_open(path, framework="pt") as file:
        return {name: _member(path, name, file.get_slice(name)) for name in file.keys()}  # noqa: SIM118


def _member(path: str, name: str, header: Any) -> StoredArray:
    def read(start: int, stop: int) -> Tensor:
        import safetensors

        # Opened anew for every piece: the library maps the file, and lets its pages go with the handle.
        with safetensors.safe_open(path, framework="pt") as file:
            return torch.as_tensor(file.get_slice(name)[start:stop])

    letters, bits = re.fullmatch(r"([A-Z]+)(.*)", header.get_dtype()).groups()  # type: ignore[union-attr]
    return StoredArray(tuple(header.get_shape()), KINDS.get(letters, letters) + bits.lower(), read)
