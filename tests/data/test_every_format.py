"""What holds for every kind of file: round trips, pieces, damage, arrays of a wrong shape."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stored_files import D, N, rows, several, truncate, whole, write, write_text_array

from repgeom.data.files import open_source, read_labels
from repgeom.data.formats import FORMATS

PLAIN = (".csv", ".tsv", ".jsonl")  # cut off at a line, they are whole
TEXT = tuple(e for e in FORMATS if e.startswith((".csv", ".tsv", ".json", ".vec", ".txt")))
TABLES = (*TEXT, ".parquet", ".feather", ".arrow")

safetensors_torch = pytest.importorskip("safetensors.torch")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("extension", FORMATS)
def test_round_trip(tmp_path: Path, extension: str, dtype: str) -> None:
    x = rows(dtype)
    path = write(tmp_path / f"x{extension}", x)
    source = open_source(path)
    assert (source.n_samples, source.n_features, source.name) == (N, D, str(path))
    assert source.notes == ()
    assert source.read(0, 2).dtype == source.dtype
    if extension in TEXT:  # text has no dtype, and pandas' default parser is off by an ulp
        assert source.dtype == torch.float64
        np.testing.assert_allclose(whole(source), x.astype("float64"), rtol=1e-15 if dtype == "float64" else 1e-3)
    else:
        assert source.dtype == getattr(torch, dtype)
        np.testing.assert_array_equal(whole(source), x.astype("float64"))


@pytest.mark.parametrize("extension", [".pt", ".pth", ".safetensors"])
def test_bfloat16(tmp_path: Path, extension: str) -> None:
    x = torch.from_numpy(rows()).bfloat16()
    path = tmp_path / f"x{extension}"
    torch.save(x, path) if extension != ".safetensors" else safetensors_torch.save_file({"x": x}, path)
    source = open_source(path)
    assert source.dtype == torch.bfloat16
    assert torch.equal(source.read(0, N), x)


@pytest.mark.parametrize("extension", FORMATS)
def test_any_piece_equals_the_whole(tmp_path: Path, extension: str) -> None:
    source = open_source(write(tmp_path / f"x{extension}", rows()))
    everything = source.read(0, N)
    assert everything.shape == (N, D)
    for start in range(N + 1):
        for stop in range(start, N + 3):
            piece = source.read(start, stop)
            assert piece.dtype == everything.dtype
            assert torch.equal(piece, everything[start:stop])


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_integers_become_floats(tmp_path: Path, extension: str, dtype: str) -> None:
    x = np.arange(N * D).reshape(N, D).astype(dtype)
    source = open_source(write(tmp_path / f"x{extension}", x))
    assert source.dtype.is_floating_point
    assert source.read(0, 1).dtype == source.dtype
    np.testing.assert_array_equal(whole(source), x)


@pytest.mark.parametrize("extension", FORMATS)
def test_non_finite_rows_are_let_through(tmp_path: Path, extension: str) -> None:
    x = rows()
    x[2, 1], x[3, 0] = np.nan, np.inf
    np.testing.assert_array_equal(np.isfinite(whole(open_source(write(tmp_path / f"x{extension}", x)))), np.isfinite(x))


@pytest.mark.parametrize("extension", FORMATS)
def test_one_row_passes(tmp_path: Path, extension: str) -> None:
    assert open_source(write(tmp_path / f"x{extension}", rows(n=1))).n_samples == 1


@pytest.mark.parametrize("extension", FORMATS)
def test_garbage_and_empty_files_are_value_errors(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"x{extension}"
    needed = {".parquet": "pyarrow", ".h5": "h5py", ".hdf5": "h5py"}
    pytest.importorskip(needed.get(extension, "torch"))
    path.write_bytes(b"")
    with pytest.raises(
        ValueError, match=rf"x\{extension} is not a \{extension} file or damaged: it is empty \(0 bytes\)"
    ):
        open_source(path)
    for garbage in (
        b"\x00",
        b"\xff\xfe\x81garbage" * 50,
        b"PK\x03\x04" + bytes(100),
        b"\x93NUMPY\x01\x00\x10",
        b"\x80\x02cos\n",
    ):
        path.write_bytes(garbage)
        with pytest.raises((ValueError, TypeError), match=rf"x\{extension}"):
            open_source(path)


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files_are_value_errors(tmp_path: Path, extension: str, fraction: float) -> None:
    path = write(tmp_path / f"x{extension}", rows(n=300))
    if extension in PLAIN:
        return  # a shorter text is a text
    truncate(path, fraction)
    with pytest.raises(ValueError, match=rf"x\{extension}"):
        open_source(path).read(0, 300)


@pytest.mark.parametrize(
    "extension", [".npz", ".pt", ".safetensors", ".parquet", ".h5", ".npy", ".h5ad", ".zarr.zip", ".vec", ".vec.gz"]
)
def test_flipped_bytes_never_leak_another_error(tmp_path: Path, extension: str) -> None:
    good = write(tmp_path / f"x{extension}", rows(n=40)).read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / f"y{extension}"
    for _ in range(60):
        damaged = bytearray(good)
        for at in random.integers(0, min(len(good), 600), 4):
            damaged[at] = random.integers(0, 256)
        path.write_bytes(damaged)
        try:
            source = open_source(path)
            source.read(0, source.n_samples)
        except (ValueError, TypeError) as error:
            if str(path) not in str(error):
                raise


@pytest.mark.parametrize("extension", [e for e in FORMATS if e not in TEXT + TABLES])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros(5, "float32"), ValueError, r"has shape \(5,\) \(float32\) and needs n_samples x n_features"),
        (
            np.zeros((2, 3, 4), "float64"),
            ValueError,
            r"has shape \(2, 3, 4\) \(float64\).*`x.mean\(1\)`.*`x.reshape\(-1, 4\)`",
        ),
        (np.zeros((0, 4), "float32"), ValueError, r"has shape \(0, 4\) \(float32\): it has no rows"),
        (np.zeros((4, 0), "float32"), ValueError, r"has shape \(4, 0\) \(float32\): it has no columns"),
        (np.zeros((4, 2), "complex64"), TypeError, r"has shape \(4, 2\) \(complex64\): complex.*x\.real"),
    ],
)
def test_wrong_arrays(tmp_path: Path, extension: str, x: np.ndarray, error: type[Exception], message: str) -> None:
    if extension == ".safetensors" and x.dtype.kind == "c":
        pytest.skip("not every version of safetensors can write complex numbers")
    path = write(tmp_path / f"x{extension}", x)
    with pytest.raises(error, match=rf"x\{extension} {message}"):
        open_source(path)


@pytest.mark.parametrize("extension", [".npy", ".npz"])
def test_text_is_not_features(tmp_path: Path, extension: str) -> None:
    path = write_text_array(tmp_path / f"x{extension}", np.array([["a", "bc"]]))
    with pytest.raises(TypeError, match=r"has shape \(1, 2\) \(<U2\): not numbers"):
        open_source(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("extension", FORMATS)
def test_permission(tmp_path: Path, extension: str) -> None:
    path = write(tmp_path / f"x{extension}", rows())
    path.chmod(0)
    with pytest.raises(PermissionError, match=rf"x\{extension}"):
        open_source(path)


@pytest.mark.parametrize("extension", [".npz", ".pt", ".safetensors", ".h5"])
def test_several_arrays_need_a_key(tmp_path: Path, extension: str) -> None:
    path = several(tmp_path / f"x{extension}")
    listing = r"a \(\(11, 3\), float32\), b \(\(4, 1\), int64\)\. Choose one with `--key NAME` \(`key=` in Python\)"
    with pytest.raises(ValueError, match=rf"x\{extension} holds several arrays: {listing}"):
        open_source(path)
    with pytest.raises(ValueError, match=rf"x\{extension} holds no 'c' among its arrays: {listing}"):
        open_source(path, key="c")
    with pytest.raises(ValueError, match=rf"x\{extension} \(a\) has shape \(11, 3\) \(float32\) and needs one label"):
        read_labels(path, key="a")
    np.testing.assert_array_equal(open_source(path, key="a").read(2, 7).numpy(), rows()[2:7])
    np.testing.assert_array_equal(read_labels(path, key="b"), np.arange(4))


@pytest.mark.parametrize(
    ("extension", "module", "install"),
    [
        (".h5", "h5py", r"'repgeom\[hdf5\]'"),
        (".h5ad", "h5py", r"'repgeom\[hdf5\]'"),
        (".parquet", "pyarrow", r"'repgeom\[parquet\]'"),
        (".feather", "pyarrow", r"'repgeom\[parquet\]'"),
        (".zarr", "zarr", r"'repgeom\[zarr\]'"),
    ],
)
def test_missing_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, module: str, install: str
) -> None:
    path = write(tmp_path / f"x{extension}", rows())
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"Reading .*x\{extension} needs {module}: `pip install {install}`"):
        open_source(path)
