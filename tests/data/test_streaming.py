"""Memory does not grow with rows or shards: pieces are read by themselves, and a finished shard is let go."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
import weakref
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from stored_files import rows, write, write_arrow

from repgeom.data.files import open_source
from repgeom.data.formats import delimited, parquet

needs_pyarrow = pytest.importorskip("pyarrow")

STREAMED = {
    "stored.npz": lambda path, x: np.savez(path, x=x),
    "compressed.npz": lambda path, x: np.savez_compressed(path, x=x),
    "columns.parquet": lambda path, x: write(path, x),
    "groups.parquet": lambda path, x: pandas.DataFrame(x, columns=list("abcd")).to_parquet(path, row_group_size=700),
    "lists.parquet": lambda path, x: pandas.DataFrame({"emb": list(x)}).to_parquet(path),
    "x.npy": np.save,
    "x.arrow": lambda path, x: write_arrow(path, pandas.DataFrame(x, columns=list("abcd")), batch_rows=700),
    "x.feather": lambda path, x: write_arrow(path, pandas.DataFrame({"emb": list(x)}), batch_rows=700),
    "x.h5ad": lambda path, x: write(path, x),
}
SHARD_BY_SHARD = {
    "column-major.npz": lambda path, x: np.savez_compressed(path, x=np.asfortranarray(x)),
    "x.csv": lambda path, x: write(path, x),
    "x.csv.gz": lambda path, x: write(path, x),
}
by_kind = pytest.mark.parametrize("kind", STREAMED | SHARD_BY_SHARD)


def shards(folder: Path, kind: str, n_shards: int, n_rows: int) -> tuple[str, np.ndarray]:
    """The pattern of some shards of `n_rows` x 4, and all rows."""
    folder.mkdir()
    x = rows(n=n_shards * n_rows, d=4)
    for i, part in enumerate(np.split(x, n_shards)):
        (STREAMED | SHARD_BY_SHARD)[kind](folder / f"{i}-{kind}", part)
    return str(folder / f"*{kind}"), x


def peak(pattern: str) -> int:
    """Most bytes that Python and NumPy hold while a source is opened and read twice in pieces."""
    open_source(pattern)  # imports what is needed
    gc.collect()
    tracemalloc.start()
    source = open_source(pattern)
    for _ in range(2):
        for start in range(0, source.n_samples, 500):
            source.read(start, start + 500)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


@by_kind
def test_memory_does_not_grow_with_shards(tmp_path: Path, kind: str) -> None:
    few, _ = shards(tmp_path / "few", kind, 3, 6000)
    many, _ = shards(tmp_path / "many", kind, 9, 6000)
    one_shard = 6000 * 4 * 4
    assert peak(many) < peak(few) + one_shard


@pytest.mark.parametrize("kind", STREAMED)
def test_memory_does_not_grow_with_rows(tmp_path: Path, kind: str) -> None:
    short, _ = shards(tmp_path / "short", kind, 1, 150_000)
    long, _ = shards(tmp_path / "long", kind, 1, 450_000)
    assert peak(long) < peak(short) + 300_000 * 4 * 4 / 4


@by_kind
def test_rows_are_the_same_in_whatever_order_they_are_read(tmp_path: Path, kind: str) -> None:
    pattern, x = shards(tmp_path / "x", kind, 3, 2500)
    source, random = open_source(pattern), np.random.default_rng(0)
    spans = [(0, 7500), (2400, 2600), (2400, 2600), (100, 5100), (7499, 7500), (0, 1), (5000, 5000)]
    spans += [tuple(sorted(random.integers(0, 7501, 2).tolist())) for _ in range(10)]
    for start, stop in spans:
        np.testing.assert_allclose(source.read(start, stop).numpy(), x[start:stop], rtol=1e-6)
    at = np.sort(random.choice(7500, 200, replace=False))
    np.testing.assert_allclose(source.rows(at).numpy(), x[at], rtol=1e-6)
    np.testing.assert_allclose(torch.cat(list(source.chunks(999))).numpy(), x, rtol=1e-6)


def test_one_csv_shard_is_held_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, _ = shards(tmp_path / "x", "x.csv", 4, 50)
    parse, parsed = delimited._parse, []

    def seen(*arguments: object) -> object:
        table = parse(*arguments)
        parsed.extend(weakref.ref(cells) for cells in table.cells.values())
        return table

    monkeypatch.setattr(delimited, "_parse", seen)
    source = open_source(pattern)
    for start in range(0, 200, 25):
        source.read(start, start + 25)
        gc.collect()
        assert sum(values() is not None for values in parsed) <= 4
    assert len(parsed) == 4 * 4 * 2  # to know the shape, and to read


def test_a_single_csv_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, _ = shards(tmp_path / "x", "x.csv", 1, 50)
    parse, calls = delimited._parse, []
    monkeypatch.setattr(delimited, "_parse", lambda *of: calls.append(of) or parse(*of))
    source = open_source(pattern)
    for start in (0, 20, 0, 40):
        source.read(start, start + 10)
    assert len(calls) == 1


def test_a_stored_member_is_read_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, x = shards(tmp_path / "x", "stored.npz", 1, 3000)
    source = open_source(pattern)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the archive was opened again"))
    np.testing.assert_array_equal(source.read(2990, 3000).numpy(), x[2990:])


def test_a_compressed_member_is_decompressed_once_a_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, _ = shards(tmp_path / "x", "compressed.npz", 1, 3000)
    source = open_source(pattern)
    took = count(monkeypatch, zipfile.ZipExtFile, "_read1", len)
    for start in range(0, 3000, 100):
        source.read(start, start + 100)
    assert 3000 * 16 <= sum(took) < 3000 * 16 * 1.5


def count(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, what: Callable[..., int]) -> list[int]:
    """What each call of a function gave, measured by `what`."""
    plain, found = getattr(owner, name), []

    def counted(*args: object, **kwargs: object) -> object:
        result = plain(*args, **kwargs)
        found.append(what(result))
        return result

    monkeypatch.setattr(owner, name, counted)
    return found


def test_parquet_runs_forward_and_leaves_groups_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, x = shards(tmp_path / "x", "groups.parquet", 1, 7000)
    source, plain, groups = open_source(pattern), parquet._batches, []
    monkeypatch.setattr(parquet, "_batches", lambda p, c, group=0: groups.append(group) or plain(p, c, group))
    for start in range(0, 7000, 100):
        source.read(start, start + 100)
    assert groups == [0]
    source.read(6999, 7000)
    source.read(6000, 6100)
    assert groups == [0, 9, 8]
    np.testing.assert_array_equal(source.read(700, 710).numpy(), x[700:710])
    np.testing.assert_array_equal(source.read(6998, 7000).numpy(), x[6998:])
    assert groups == [0, 9, 8, 1, 9]


PEAK = """
import re, sys
from repgeom.data.files import open_source
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10
small, *large = sys.argv[1:]
open_source(small).read(0, 1)
before = peak()
for path in large:
    source = open_source(path)
    source.read(1000, 1003)
    n = sum(len(chunk) for chunk in source.chunks() if chunk.sum() == 0)  # the sum touches every page
    print(n, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_large_file_is_neither_mapped_nor_loaded_whole(tmp_path: Path) -> None:
    n, d = 1 << 17, 512  # 256 MB of float32
    for order in "CF":
        with (tmp_path / f"{order}.npy").open("wb") as file:
            header = {"descr": "<f4", "fortran_order": order == "F", "shape": (n, d)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + n * d * 4)  # sparse on the disk
    with (tmp_path / "x.safetensors").open("wb") as file:
        text = json.dumps({"x": {"dtype": "F32", "shape": [n, d], "data_offsets": [0, n * d * 4]}}).encode()
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(file.tell() + n * d * 4)
    torch.save(torch.zeros(n, d), tmp_path / "x.pt")
    small = write(tmp_path / "small.npy", rows())
    large = [str(tmp_path / name) for name in ("C.npy", "F.npy", "x.safetensors", "x.pt")]
    code = [sys.executable, "-c", PEAK, str(small), *large]
    done = subprocess.run(
        code, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": os.getcwd()}
    )
    for path, line in zip(large, done.stdout.splitlines(), strict=True):
        n_read, megabytes = map(int, line.split())
        assert n_read == n, path
        # Two pieces of 8 MB are in use. Freed ones that the allocator keeps make it 36 to 156, of files of 1 GB too.
        assert megabytes < 200, path
