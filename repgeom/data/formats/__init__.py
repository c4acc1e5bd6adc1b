"""The kinds of files that can be read: one opener for each, in a module of its own.

An opener takes a path and returns the arrays of that file by name, as `StoredArray`s: shape and dtype from the header, and
a function that reads rows start..stop-1. To add a kind of file:

1. Write its opener in a new module here. `npy.py` is the shortest one for arrays, `delimited.py` the one for tables.
   Wrap what the format's library does in `damage_named(path)`, and import the library inside the function with `needed`.
2. Add one row for each extension to `FORMATS`.
3. Add the extension to `write` in `tests/stored_files.py`: the tests in `tests/data/test_every_format.py` then run on it.
   A kind of text goes beside `.csv` wherever that file names it, because text has no dtype and may end anywhere.

Memory must not grow with the file: read the rows that are asked for and no others. Where a library can only load
everything, keep it in a `Held` and let go of it in `StoredArray.release`, which is called when the next file is begun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from repgeom.data.formats.delimited import open_delimited
from repgeom.data.formats.h5ad import open_h5ad
from repgeom.data.formats.hdf5 import open_hdf5
from repgeom.data.formats.json_records import open_json, open_json_lines
from repgeom.data.formats.lines import open_lines
from repgeom.data.formats.npy import open_npy
from repgeom.data.formats.npz import open_npz
from repgeom.data.formats.parquet import open_parquet
from repgeom.data.formats.pt import open_torch
from repgeom.data.formats.safetensors import open_safetensors
from repgeom.data.formats.stored import StoredArray
from repgeom.data.formats.vectors import open_vectors
from repgeom.data.formats.zarr import open_zarr

Opener = Callable[..., Mapping[str, StoredArray]]  # of a path; text tables take `header` and `delimiter` too

FORMATS: dict[str, Opener] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".pt": open_torch,
    ".pth": open_torch,
    ".safetensors": open_safetensors,
    ".parquet": open_parquet,
    ".arrow": open_parquet,
    ".feather": open_parquet,
    ".csv": open_delimited,
    ".csv.gz": open_delimited,
    ".csv.bz2": open_delimited,
    ".csv.xz": open_delimited,
    ".tsv": open_delimited,
    ".tsv.gz": open_delimited,
    ".tsv.bz2": open_delimited,
    ".tsv.xz": open_delimited,
    ".jsonl": open_json_lines,
    ".jsonl.gz": open_json_lines,
    ".json": open_json,
    ".json.gz": open_json,
    ".h5": open_hdf5,
    ".hdf5": open_hdf5,
    ".h5ad": open_h5ad,
    ".zarr": open_zarr,
    ".zarr.zip": open_zarr,
    ".vec": open_vectors,
    ".vec.gz": open_vectors,
    ".txt": open_vectors,
}
LABEL_FORMATS: dict[str, Opener] = {".txt": open_lines}  # read as labels, never as features
TEXT_TABLES = tuple(extension for extension, opener in FORMATS.items() if opener is open_delimited)
