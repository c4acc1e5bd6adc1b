"""`.pt` and `.pth`: tensors in what `torch.save` writes. No code is run, and rows are read by their place in the file."""

from __future__ import annotations

import io
import zipfile
from typing import IO, Any

import torch

from repgeom.data.formats.saved_tensors import CALLS, SavedTensor, Storage, named_tensors
from repgeom.data.formats.stored import StoredArray, dtype_name, extension_of, read_nothing, reason_of
from repgeom.data.formats.zips import begin_of, members_of
from repgeom.data.pickles import AsksForCode, read_pickle

MOST_PICKLE_BYTES = 1 << 26  # what says where tensors lie, 64 MB: 100 bytes or so for each
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # begins the files from before torch 1.6


def open_torch(path: str) -> dict[str, StoredArray]:
    try:
        with open(path, "rb") as file:
            if file.read(4) == b"PK\x03\x04":
                saved, places = _zipped(path, file)
            else:
                saved, places = _legacy(file)
        return {name: _member(path, tensor, places) for name, tensor in named_tensors(saved).items()}
    except MemoryError:
        raise
    except Exception as error:
        reason = reason_of(error)
        if isinstance(error, AsksForCode):
            reason = f"it holds `{error.name}`"
        raise ValueError(
            f"{path} cannot be read as tensors ({reason}). Only tensors are loaded from {extension_of(path)} files, "
            "because pickles can run code. If the file is whole, save the tensor alone: `torch.save(tensor, path)`; "
            "a NumPy array becomes one with `torch.from_numpy`."
        ) from None


_Places = dict[str, tuple[int, int]]  # of each storage: the byte at which it begins, and how many bytes it has


def _zipped(path: str, file: IO[bytes]) -> tuple[Any, _Places]:
    """What a file of torch 1.6 or later holds, and where its storages lie."""
    with zipfile.ZipFile(file) as archive:
        members = members_of(archive)
        pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise ValueError("it has no data.pkl, which torch.save writes")
        folder = pickles[0].removesuffix("data.pkl")
        order = members.get(f"{folder}byteorder")
        if order is not None and archive.open(order).read(16).strip() != b"little":
            raise ValueError("its values are big-endian; save it again on another machine")
        if members[pickles[0]].file_size > MOST_PICKLE_BYTES:
            raise ValueError(f"its data.pkl has more than {MOST_PICKLE_BYTES:,} bytes")
        content = archive.open(pickles[0]).read(MOST_PICKLE_BYTES)
    places: _Places = {}
    for name, info in members.items():
        if name.startswith(f"{folder}data/") and info.compress_type == zipfile.ZIP_STORED:
            places[name.removeprefix(f"{folder}data/")] = begin_of(path, info), info.file_size
    return read_pickle(io.BytesIO(content), CALLS, Storage.of), places


def _legacy(file: IO[bytes]) -> tuple[Any, _Places]:
    """The same of a file from before torch 1.6: pickles, and behind them each storage with its length before it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = io.BytesIO(file.read(MOST_PICKLE_BYTES))
    if read_pickle(head, {}) != LEGACY_MAGIC:
        raise ValueError("it does not begin as torch.save begins a file")
    read_pickle(head, {})  # the version of the protocol
    read_pickle(head, {})  # sizes of numbers on the machine
    storages: dict[str, Storage] = {}

    def storage(identity: Any) -> Storage:
        found = Storage.of(identity)
        return storages.setdefault(found.key, found)

    saved = read_pickle(head, CALLS, storage)
    keys = read_pickle(head, {})
    at, places = head.tell(), {}
    for key in keys:
        file.seek(at)
        n_bytes = int.from_bytes(file.read(8), "little", signed=True) * storages[key].itemsize
        if n_bytes < 0 or at + 8 + n_bytes > size:
            raise ValueError("it is truncated")
        places[key] = at + 8, n_bytes
        at += 8 + n_bytes
    return saved, places


def _member(path: str, tensor: SavedTensor, places: _Places) -> StoredArray:
    if tensor.problem:
        return StoredArray(tensor.size, "", read_nothing, tensor.problem)
    assert tensor.storage is not None
    assert tensor.dtype is not None
    name = dtype_name(tensor.dtype)
    if tensor.storage.key not in places:
        problem = "has values that are missing from the file, or compressed in it; write it again with `torch.save`."
        return StoredArray(tensor.size, name, read_nothing, problem)
    begin, n_bytes = places[tensor.storage.key]
    values = tensor.placed(begin)
    itemsize = tensor.dtype.itemsize
    if (tensor.offset + values.span) * itemsize > n_bytes:
        raise ValueError(f"a tensor of shape {tensor.size} needs more values than the file has of it")
    problem = ""
    if values.n_values * itemsize > n_bytes:
        problem = "repeats its values by strides, as `expand` makes them; save `x.contiguous()` instead."

    def read(start: int, stop: int) -> torch.Tensor:
        start, stop, _ = slice(start, stop).indices(tensor.size[0])
        return values.read(path, start, max(start, stop))

    return StoredArray(tensor.size, name, read, problem)
