"""`.pt` and `.pth`: tensors in what `torch.save` writes, loaded as weights only, because pickles can run code."""

from __future__ import annotations

import dataclasses
import re
import zipfile
from typing import Any

import torch
from torch import Tensor

from repgeom.data.formats.stored import Held, StoredArray, dtype_name, extension_of, reason_of

MAPPED_BYTES = 1 << 25  # of a mapped file that are read before the mapping is made anew, 32 MB


@dataclasses.dataclass(frozen=True)
class _Saved:
    tensors: dict[str, Tensor]
    mapped: bool  # the files of `torch.save` today are; those from before torch 1.6 are loaded whole


def open_torch(path: str) -> dict[str, StoredArray]:
    saved = Held(lambda: _load(path))
    return {name: _member(saved, name, x) for name, x in saved.get().tensors.items()}


def _member(saved: Held[_Saved], name: str, x: Tensor) -> StoredArray:
    n_bytes = 0

    def read(start: int, stop: int) -> Tensor:
        # The pages of a mapped file count as this process's memory until the mapping is let go.
        nonlocal n_bytes
        now = saved.get()
        rows = now.tensors[name][start:stop]
        n_bytes += rows.nbytes
        if now.mapped and n_bytes > MAPPED_BYTES:
            saved.release()
            n_bytes = 0
        return rows

    problem = ""
    if x.layout is not torch.strided:
        problem = "is a sparse tensor; save `x.to_dense()` instead."
    return StoredArray(tuple(x.shape), dtype_name(x.dtype), read, problem, release=saved.release)


def _load(path: str) -> _Saved:
    try:
        mapped = zipfile.is_zipfile(path)
        return _Saved(_flat(torch.load(path, weights_only=True, map_location="cpu", mmap=mapped)), mapped)
    except MemoryError:
        raise
    except Exception as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = reason_of(error)
        if refused:
            reason = f"it holds `{refused[1]}`"
        raise ValueError(
            f"{path} cannot be read as tensors ({reason}). Only tensors are loaded from {extension_of(path)} files, "
            "because pickles can run code. If the file is whole, save the tensor alone: `torch.save(tensor, path)`; "
            "a NumPy array becomes one with `torch.from_numpy`."
        ) from None


def _flat(value: Any, prefix: str = "") -> dict[str, Tensor]:
    """Nested dicts and lists of tensors under dotted names; what is not a tensor is passed over."""
    if isinstance(value, Tensor):
        return {prefix: value.detach()}
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    found: dict[str, Tensor] = {}
    if isinstance(value, dict):
        for key, inner in value.items():
            name = str(key)
            if prefix:
                name = f"{prefix}.{key}"
            found |= _flat(inner, name)
    return found
