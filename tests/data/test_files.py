from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from repgeom.data.arrays import CHUNK_VALUES
from repgeom.data.files import FORMATS, open_source, read_labels
from repgeom.data.sources import Source

pandas = pytest.importorskip("pandas")
safetensors_torch = pytest.importorskip("safetensors.torch")

N, D = 11, 3


def rows(dtype: str = "float32", n: int = N, d: int = D, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def write(path: Path, x: np.ndarray) -> Path:
    """`x` in the format that the extension asks for."""
    t = torch.from_numpy(np.ascontiguousarray(x))
    frame = pandas.DataFrame(x, columns=[f"f{i}" for i in range(x.shape[-1])]) if x.ndim == 2 else None
    match path.suffix:
        case ".npy":
            np.save(path, x)
        case ".npz":
            np.savez(path, x=x)
        case ".pt" | ".pth":
            torch.save(t, path)
        case ".safetensors":
            safetensors_torch.save_file({"x": t}, path)
        case ".parquet":
            pytest.importorskip("pyarrow")
            frame.to_parquet(path)
        case ".csv":
            frame.to_csv(path, index=False)
        case ".tsv":
            frame.to_csv(path, index=False, sep="\t")
        case ".h5" | ".hdf5":
            with pytest.importorskip("h5py").File(path, "w") as file:
                file["x"] = x
    return path


def whole(source: Source) -> np.ndarray:
    return source.read(0, source.n_samples).double().numpy()


# ---- every format ----


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("extension", FORMATS)
def test_round_trip(tmp_path: Path, extension: str, dtype: str) -> None:
    x = rows(dtype)
    path = write(tmp_path / f"x{extension}", x)
    source = open_source(path)
    assert (source.n_samples, source.n_features, source.name) == (N, D, str(path))
    assert source.notes == ()
    assert source.read(0, 2).dtype == source.dtype
    if extension in (".csv", ".tsv"):  # text has no dtype, and pandas' default parser is off by an ulp
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
    if extension in (".csv", ".tsv"):
        return  # a shorter text is a text
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * fraction))
    with pytest.raises(ValueError, match=rf"x\{extension}"):
        open_source(path).read(0, 300)


@pytest.mark.parametrize("extension", [".npz", ".pt", ".safetensors", ".parquet", ".h5", ".npy"])
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


@pytest.mark.parametrize("extension", [e for e in FORMATS if e not in (".csv", ".tsv", ".parquet")])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros(5, "float32"), ValueError, r"has shape \(5,\) \(float32\) and needs n_samples x n_features"),
        (
            np.zeros((2, 3, 4), "float64"),
            ValueError,
            r"has shape \(2, 3, 4\) \(float64\).*`x.reshape\(-1, 4\)`.*np\.save",
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


def write_text_array(path: Path, x: np.ndarray) -> Path:
    np.save(path, x) if path.suffix == ".npy" else np.savez(path, x=x)
    return path


# ---- paths ----


def test_missing_file_suggests_close_names(tmp_path: Path) -> None:
    write(tmp_path / "features.npy", rows())
    with pytest.raises(FileNotFoundError, match=r"no file .*feature\.npy\. Did you mean .*features\.npy\?"):
        open_source(tmp_path / "feature.npy")
    with pytest.raises(FileNotFoundError, match=r"no file .*zzz\.h5\.$"):
        open_source(tmp_path / "zzz.h5")
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere either"):
        open_source(tmp_path / "nowhere" / "x.npy")


def test_folder_suggests_the_quoted_pattern(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is a folder, not a file\. It has none of \.npy, .*\.hdf5\."):
        open_source(tmp_path)
    write(tmp_path / "a.npy", rows())
    write(tmp_path / "b.pt", rows())
    with pytest.raises(ValueError, match=r"is a folder.*quoted pattern: '.*/\*\.npy' or '.*/\*\.pt'\."):
        open_source(tmp_path)


def test_unknown_extension(tmp_path: Path) -> None:
    for name, kind in (("x.mat", r"ending in '\.mat'"), ("x", "without an extension"), ("x.txt", r"'\.txt'")):
        (tmp_path / name).write_bytes(b"1")
        with pytest.raises(
            ValueError, match=rf"{name} cannot be read: files .*{kind}.*Supported: \.npy, \.npz, .*\.hdf5\."
        ):
            open_source(tmp_path / name)


def test_extension_in_capitals_and_path_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", rows())
    (tmp_path / "x.npy").rename(tmp_path / "X.NPY")
    assert open_source(str(tmp_path / "X.NPY")).n_samples == N
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_source("~/X.NPY").name == "~/X.NPY"
    assert open_source("~/*.NPY").n_samples == N


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("extension", FORMATS)
def test_permission(tmp_path: Path, extension: str) -> None:
    path = write(tmp_path / f"x{extension}", rows())
    path.chmod(0)
    with pytest.raises(PermissionError, match=rf"x\{extension}"):
        open_source(path)


# ---- shards ----


def test_shards_join_in_natural_order(tmp_path: Path) -> None:
    parts = {f"part-{i}.npy": rows(n=n, seed=i) for i, n in ((10, 4), (2, 5), (1, 1), (0, 3))}
    for name, x in parts.items():
        write(tmp_path / name, x)
    expected = np.concatenate([parts[f"part-{i}.npy"] for i in (0, 1, 2, 10)])
    pattern = str(tmp_path / "part-*.npy")
    source = open_source(pattern)
    assert (source.name, source.n_samples, source.n_features) == (pattern, 13, D)
    for start in range(14):
        for stop in range(start, 15):
            np.testing.assert_array_equal(source.read(start, stop).numpy(), expected[start:stop])
    at = np.array([0, 2, 3, 4, 8, 9, 12])
    np.testing.assert_array_equal(source.rows(at).numpy(), expected[at])
    keep = np.ones(13, bool)
    keep[[0, 3, 9]] = False
    selected = source.select(keep)
    assert selected.n_samples == 10
    np.testing.assert_array_equal(whole(selected), expected[keep])
    np.testing.assert_array_equal(torch.cat(list(source.chunks())).numpy(), expected)


def test_chunks_cross_the_borders_of_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 4 * D)
    write(tmp_path / "a.npy", rows(seed=1))
    write(tmp_path / "b.npy", rows(seed=2))
    pieces = list(open_source(tmp_path / "?.npy").chunks())
    assert [len(piece) for piece in pieces] == [4, 4, 4, 4, 4, 2]
    np.testing.assert_array_equal(torch.cat(pieces).numpy(), np.concatenate([rows(seed=1), rows(seed=2)]))


@pytest.mark.parametrize(
    ("kinds", "promoted"), [(("float16", "float32"), torch.float32), (("float32", "int64"), torch.float64)]
)
def test_shards_of_several_dtypes_are_promoted(tmp_path: Path, kinds: tuple[str, str], promoted: torch.dtype) -> None:
    for kind in kinds:
        write(tmp_path / f"{kind}.npy", np.ones((2, 2), kind))
    source = open_source(tmp_path / "*.npy")
    assert source.dtype == promoted
    assert {source.read(start, stop).dtype for start, stop in ((0, 1), (2, 4), (1, 3), (4, 4))} == {promoted}


def test_shards_of_several_formats(tmp_path: Path) -> None:
    write(tmp_path / "1.npy", rows())
    write(tmp_path / "2.pt", rows())
    write(tmp_path / "3.safetensors", rows())
    np.testing.assert_array_equal(whole(open_source(tmp_path / "*")), np.tile(rows().astype("float64"), (3, 1)))


def test_shards_of_different_width(tmp_path: Path) -> None:
    write(tmp_path / "a.npy", rows(d=3))
    write(tmp_path / "b.npy", rows(d=5))
    with pytest.raises(ValueError, match=r"differ in width: .*a\.npy has 3 features, .*b\.npy has 5"):
        open_source(tmp_path / "*.npy")


def test_shards_with_columns_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("y,x\n1,2\n")
    with pytest.raises(ValueError, match=r"differ in columns: 'x' in .*a\.csv, 'y' in .*b\.csv"):
        open_source(tmp_path / "*.csv")


def test_a_pattern_that_matches_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"No file matches the pattern '.*/\*\.npy'\. The folder .* holds no files\."
    ):
        open_source(tmp_path / "*.npy")
    for i in range(7):
        write(tmp_path / f"x{i}.pt", rows())
    with pytest.raises(FileNotFoundError, match=r"pattern '.*/\*\.npy'.*holds x0\.pt, x1\.pt, .*, x4\.pt and 2 more\."):
        open_source(tmp_path / "*.npy")
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere either"):
        open_source(tmp_path / "nowhere" / "*.npy")


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    write(tmp_path / "x[1].npy", rows(seed=1))
    write(tmp_path / "x1.npy", rows(seed=2))
    np.testing.assert_array_equal(open_source(tmp_path / "x[1].npy").read(0, N).numpy(), rows(seed=1))


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.npy", rows())
    (tmp_path / "b.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"b\.npy is not a \.npy file or damaged"):
        open_source(tmp_path / "*.npy")


# ---- .npy ----


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8", ">i4", ">u2", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_byte_and_memory_order(tmp_path: Path, dtype: str, order: str) -> None:
    x = np.asarray((rows("float64") * 3).round(1).clip(0 if dtype == ">u2" else -9, 9).astype(dtype), order=order)
    np.save(tmp_path / "x.npy", x)
    source = open_source(tmp_path / "x.npy")
    for start in range(N):
        for stop in range(start, N + 1):
            np.testing.assert_array_equal(source.read(start, stop).double().numpy(), x[start:stop].astype("float64"))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_versions(tmp_path: Path, version: tuple[int, int]) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array(file, rows(), version=version)
    np.testing.assert_array_equal(open_source(tmp_path / "x.npy").read(0, N).numpy(), rows())


def test_npy_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "x.npy", rows())
    with pytest.raises(ValueError, match=r"x\.npy holds a single array without a name: leave out the key \('a'\)"):
        open_source(path, key="a")
    with path.open("r+b") as file:
        file.truncate(200)
    with pytest.raises(ValueError, match=r"truncated: 260 bytes expected for shape \(11, 3\) \(float32\), 200 found"):
        open_source(path)
    np.save(path, np.array([{}, None]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"x\.npy is pickled \(dtype object\) and is never loaded.*allow_pickle=False"):
        open_source(path)
    np.save(path, rows().view("V2"))  # what ml_dtypes leaves of bfloat16
    with pytest.raises(ValueError, match=r"no name for \(dtype \|V2\).*bfloat16.*astype\(np\.float32\)"):
        open_source(path)
    np.save(path, np.zeros(3, [("a", "f4")]))
    with pytest.raises(ValueError, match=r"records"):
        open_source(path)
    np.save(path, np.zeros((3, 2), "M8[s]"))
    with pytest.raises(TypeError, match=r"\(3, 2\) \(datetime64\[s\]\): not numbers"):
        open_source(path)


def test_npy_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    source = open_source(path := write(tmp_path / "x.npy", rows()))
    with path.open("r+b") as file:
        file.truncate(200)
    with pytest.raises(ValueError, match=r"x\.npy .*became shorter while it was read"):
        source.read(0, N)


PEAK = """
import re, sys
from repgeom.data.files import open_source
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10
open_source(sys.argv[2]).read(0, 1)
before = peak()
source = open_source(sys.argv[1])
source.read(1000, 1003)
first = peak() - before
n = sum(len(chunk) for chunk in source.chunks() if chunk.sum() == 0)  # the sum touches every page
print(source.n_samples, n, first, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("kind", ["C", "F", "safetensors"])
def test_a_large_file_is_neither_mapped_nor_loaded_whole(tmp_path: Path, kind: str) -> None:
    n, d = 1 << 20, 512  # 2 GB of float32, sparse on the disk
    path = tmp_path / ("x.npy" if kind in "CF" else "x.safetensors")
    with path.open("wb") as file:
        if kind in "CF":
            header = {"descr": "<f4", "fortran_order": kind == "F", "shape": (n, d)}
            np.lib.format.write_array_header_1_0(file, header)
        else:
            text = json.dumps({"x": {"dtype": "F32", "shape": [n, d], "data_offsets": [0, n * d * 4]}}).encode()
            file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(file.tell() + n * d * 4)
    small = write(tmp_path / f"small{path.suffix}", rows())
    code = [sys.executable, "-c", PEAK, str(path), str(small)]
    done = subprocess.run(
        code, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": os.getcwd()}
    )
    samples, seen, first_mb, all_mb = map(int, done.stdout.split())
    assert samples == seen == n
    assert first_mb < 20
    assert all_mb < 8 * CHUNK_VALUES * 4 >> 20


# ---- files with several arrays ----


def several(path: Path) -> Path:
    a, b = rows(), np.arange(4)
    match path.suffix:
        case ".npz":
            np.savez_compressed(path, a=a, b=b)
        case ".safetensors":
            safetensors_torch.save_file({"a": torch.from_numpy(a), "b": torch.from_numpy(b)}, path)
        case ".h5":
            with pytest.importorskip("h5py").File(path, "w") as file:
                file["a"], file["b"] = a, b
        case ".pt":
            torch.save({"a": torch.from_numpy(a), "b": torch.from_numpy(b), "epoch": 3, "name": "x"}, path)
    return path


@pytest.mark.parametrize("extension", [".npz", ".pt", ".safetensors", ".h5"])
def test_several_arrays_need_a_key(tmp_path: Path, extension: str) -> None:
    path = several(tmp_path / f"x{extension}")
    listing = r"a \(\(11, 3\), float32\), b \(\(4,\), int64\)\. Choose one with `--key NAME` \(`key=` in Python\)"
    with pytest.raises(ValueError, match=rf"x\{extension} holds several arrays: {listing}"):
        open_source(path)
    with pytest.raises(ValueError, match=rf"x\{extension} holds no 'c' among its arrays: {listing}"):
        open_source(path, key="c")
    with pytest.raises(ValueError, match=rf"x\{extension} \(b\) has shape \(4,\) \(int64\)"):
        open_source(path, key="b")
    np.testing.assert_array_equal(open_source(path, key="a").read(2, 7).numpy(), rows()[2:7])
    np.testing.assert_array_equal(read_labels(path, key="b"), np.arange(4))


def test_npz_members(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, np.array([{}], dtype=object), good=rows())
    with pytest.raises(ValueError, match=r"x\.npz \(arr_0\) is pickled \(dtype object\)"):
        open_source(path, key="arr_0")
    assert open_source(path, key="good").n_samples == N
    np.savez(path)
    with pytest.raises(ValueError, match=r"x\.npz holds no arrays"):
        open_source(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "not an array")
    with pytest.raises(ValueError, match=r"x\.npz is not a \.npz file or damaged: .*magic"):
        open_source(path)


def test_npz_damage_within_a_member(tmp_path: Path) -> None:
    path = write(tmp_path / "x.npz", rows(n=500))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"x\.npz is not a \.npz file or damaged: Bad CRC-32"):
        open_source(path)


def test_torch_nesting(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    x = torch.from_numpy(rows())
    torch.save({"layer": [{"weight": x}, (x + 1, torch.nn.Parameter(x + 2))], 5: x + 3, "steps": [1, 2]}, path)
    for key, offset in (("layer.0.weight", 0), ("layer.1.0", 1), ("layer.1.1", 2), ("5", 3)):
        source = open_source(path, key=key)
        assert torch.equal(source.read(0, N), x + offset)
        assert not source.read(0, N).requires_grad
    with pytest.raises(ValueError, match=r"layer\.0\.weight \(\(11, 3\), float32\), layer\.1\.0 "):
        open_source(path)
    torch.save([x], path)
    assert open_source(path).n_samples == N
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match=r"x\.pt holds no arrays"):
        open_source(path)


def test_torch_single_tensor_takes_no_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"single array without a name: leave out the key \('a'\)"):
        open_source(write(tmp_path / "x.pt", rows()), key="a")


def test_torch_old_file_format(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(rows()), tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(open_source(tmp_path / "x.pt").read(0, N).numpy(), rows())


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("new", [True, False])
def test_torch_loads_tensors_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: bool) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pt"
    advice = r"Only tensors are loaded from \.pt files, because pickles can run code.*`torch\.save\(tensor, path\)`"
    torch.save({"a": Payload()}, path, _use_new_zipfile_serialization=new)
    with pytest.raises(ValueError, match=rf"x\.pt cannot be read as tensors \(it holds `\w+\.mkdir`\)\. {advice}"):
        open_source(path)
    assert not (tmp_path / "ran").exists()
    torch.save(rows(), path, _use_new_zipfile_serialization=new)
    with pytest.raises(ValueError, match=rf"it holds `numpy.*`\)\. {advice}.*torch\.from_numpy"):
        open_source(path)
    torch.save(torch.nn.Linear(2, 2), path, _use_new_zipfile_serialization=new)
    with pytest.raises(ValueError, match=rf"it holds `torch\.nn\.modules\.linear\.Linear`\)\. {advice}"):
        open_source(path)


def test_torch_sparse_tensor(tmp_path: Path) -> None:
    torch.save(torch.eye(3).to_sparse(), tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x\.pt is a sparse tensor; save `x\.to_dense\(\)`"):
        open_source(tmp_path / "x.pt")


def test_hdf5_groups_and_kinds(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("deep/inside/x", data=rows(">f4"), compression="gzip", chunks=(2, 2))
        file["names"] = ["é", "b"]
        file["scalar"] = 1.0
        file["nothing"] = h5py.Empty("f4")
    with pytest.raises(
        ValueError, match=r"deep/inside/x \(\(11, 3\), float32\), names \(\(2,\), text\), scalar \(\(\), float64\)"
    ):
        open_source(path)
    np.testing.assert_array_equal(open_source(path, key="deep/inside/x").read(3, 8).numpy(), rows()[3:8])
    assert read_labels(path, key="names").tolist() == ["é", "b"]
    with pytest.raises(TypeError, match=r"x\.h5 \(names\) has shape \(2,\) \(text\): not numbers"):
        open_source(path, key="names")
    with pytest.raises(ValueError, match=r"\(scalar\) has shape \(\) \(float64\)"):
        open_source(path, key="scalar")


@pytest.mark.parametrize(
    ("extension", "module", "install"),
    [(".h5", "h5py", r"'repgeom\[hdf5\]'"), (".parquet", "pyarrow", r"'repgeom\[parquet\]'")],
)
def test_missing_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, module: str, install: str
) -> None:
    path = write(tmp_path / f"x{extension}", rows())
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"Reading .*x\{extension} needs {module}: `pip install {install}`"):
        open_source(path)


# ---- tables ----


def table(path: Path, columns: dict[str, object]) -> Path:
    frame = pandas.DataFrame(columns)
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


BOTH = pytest.mark.parametrize("extension", [".parquet", ".csv", ".tsv"])


@BOTH
def test_a_table_gives_its_numeric_columns(tmp_path: Path, extension: str) -> None:
    columns = {"id": ["a", "b"], "x": [1.5, 2.5], "ok": [True, False], "y": [3, 4]}
    source = open_source(table(tmp_path / f"x{extension}", columns))
    assert whole(source).tolist() == [[1.5, 3], [2.5, 4]]
    assert source.notes == ("left out 2 columns that are not numbers: id, ok",)
    one = open_source(table(tmp_path / f"y{extension}", {"id": ["a"], "x": [1.5]}))
    assert one.notes == ("left out 1 column that is not a number: id",)
    both = open_source(tmp_path / f"x*{extension}")
    assert both.notes == source.notes


@BOTH
def test_a_table_gives_the_columns_of_the_key(tmp_path: Path, extension: str) -> None:
    columns = {"id": ["a", "b"], "x": [1.5, 2.5], "y, z": [3, 4], "w": [5, 6]}
    path = table(tmp_path / f"x{extension}", columns)
    assert whole(open_source(path, key="w, x")).tolist() == [[5, 1.5], [6, 2.5]]
    assert whole(open_source(path, key="y, z")).tolist() == [[3], [4]]
    assert open_source(path, key="x").notes == ()
    with pytest.raises(ValueError, match=r"no column 'v', 'u'; its columns are id, x, y, z, w\."):
        open_source(path, key="w,v,u")
    with pytest.raises(TypeError, match=rf"x\{extension} has no numbers to read in its column id \(first value 'a'\)"):
        open_source(path, key="id,x")


@BOTH
def test_a_table_without_numbers(tmp_path: Path, extension: str) -> None:
    path = table(tmp_path / f"x{extension}", {"id": ["a", "b"], "text": ["some words", "c"], "ok": [True, False]})
    seen = r"columns id \(first value 'a'\), text \(first value 'some words'\), ok \(first value (np\.)?True_?\)"
    with pytest.raises(TypeError, match=rf"x\{extension} has no numbers to read in its {seen}"):
        open_source(path)


@BOTH
def test_a_column_of_lists(tmp_path: Path, extension: str) -> None:
    x = rows("float64")
    columns = {"id": range(N), "emb": x.tolist(), "tags": [["a", "b"]] * N, "score": 1.0}
    path = table(tmp_path / f"x{extension}", columns)
    np.testing.assert_array_equal(whole(open_source(path)), x)
    np.testing.assert_array_equal(whole(open_source(path, key="emb")), x)
    assert whole(open_source(path, key="id,score"))[3].tolist() == [3, 1]


@BOTH
def test_several_columns_of_lists(tmp_path: Path, extension: str) -> None:
    path = table(tmp_path / f"x{extension}", {"a": [[1.0, 2], [3, 4]], "b": [[5.0], [6]]})
    with pytest.raises(ValueError, match=r"has 2 columns of lists: a, b\. Choose one with `--key NAME`"):
        open_source(path)
    assert whole(open_source(path, key="b")).tolist() == [[5], [6]]


@BOTH
@pytest.mark.parametrize(
    ("bad", "found"),
    [([1.0], "1 numbers in row 2"), (None, r"(None|nan) in row 2"), ([1.0, 2.0, 3.0], "3 numbers in row 2")],
)
def test_ragged_lists(tmp_path: Path, extension: str, bad: object, found: str) -> None:
    path = table(tmp_path / f"x{extension}", {"emb": [[1.0, 2.0], [3.0, 4.0], bad, [1.0]]})
    with pytest.raises(
        ValueError, match=rf"x\{extension} has lists of different lengths: column 'emb' has {found}, 2 in row 0"
    ):
        open_source(path)


def test_parquet_kinds(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(range(6), pa.float32()), 3)
    parquet.write_table(pa.table({"emb": fixed}), path)
    source = open_source(path)
    assert source.dtype == torch.float32
    assert whole(source).tolist() == [[0, 1, 2], [3, 4, 5]]
    parquet.write_table(pa.table({"emb": pa.array([[1.0, None], [2.0, 3.0]])}), path)
    assert np.isnan(whole(open_source(path))).tolist() == [[False, True], [False, False]]
    frame = {
        "a": pandas.array([1, None], "Int64"),
        "b": pandas.array([1, 2], "Int16"),
        "c": pandas.array([True, None], "boolean"),
    }
    pandas.DataFrame(frame).to_parquet(path)
    source = open_source(path)
    np.testing.assert_array_equal(whole(source), [[1, 1], [np.nan, 2]])
    assert source.notes == ("left out 1 column that is not a number: c",)
    assert read_labels(path, key="b").dtype == np.int16
    pandas.DataFrame({"a": [[[1, 2], [3]]]}).to_parquet(path)
    with pytest.raises(TypeError, match=r"no numbers to read in its column a"):
        open_source(path)
    pandas.DataFrame({"a": []}).to_parquet(path)
    with pytest.raises(ValueError, match=r"has 0 rows and 1 columns"):
        open_source(path)


@pytest.mark.parametrize(
    ("text", "values", "notes"),
    [
        ("1,2\n3,4\n", [[1, 2], [3, 4]], []),  # no header
        ("0.5,0.5\n3,4\n", [[0.5, 0.5], [3, 4]], []),  # no header, though pandas would rename the second
        ("nan,-1e3\n3,4\n", [[np.nan, -1000], [3, 4]], []),
        ("0,1\n3,4\n", [[3, 4]], ["read the first line (0, 1) as column names"]),
        ('"[1, 2]"\n"[3, 4]"\n', [[1, 2], [3, 4]], []),
        ("a,b\n1,\n,4\n", [[1, np.nan], [np.nan, 4]], []),
        ("\ufeffa,b\n1,2\n", [[1, 2]], []),
        ("a,b\r\n1,2\r\n", [[1, 2]], []),
        ('emb\n"[1, NaN]"\n"[2, 3]"\n', [[1, np.nan], [2, 3]], []),
    ],
)
def test_csv_text(tmp_path: Path, text: str, values: list[list[float]], notes: list[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())
    source = open_source(path)
    np.testing.assert_array_equal(whole(source), values)
    assert list(source.notes) == notes


@pytest.mark.parametrize("names", [["a", "b", "c"], [0, 1, 2]])
def test_csv_row_numbers_are_no_feature(tmp_path: Path, names: list[object]) -> None:
    frame = pandas.DataFrame(rows("float64"), columns=names).sample(frac=1, random_state=0)
    frame.to_csv(tmp_path / "x.csv")
    source = open_source(tmp_path / "x.csv")
    np.testing.assert_allclose(whole(source), frame.to_numpy(), rtol=1e-15)
    assert source.notes[-1].startswith("left out the first column: it has no name")


def test_csv_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for content, message in (
        (b"\n\n", r"x\.csv is not a \.csv file or damaged: No columns"),
        (b"a,b\n", r"x\.csv has 0 rows and 2 columns"),
        (b"a,b\n1,2\n1,2,3,4\n", r"x\.csv is not a \.csv file or damaged: .*Expected 2 fields in line 3, saw 4"),
        (b"a,b\n1,2,3\n1,2,3\n", r"x\.csv .*rows have more cells than its first line, which has 2"),
        (b"a,b\n\xff\xfe,2\n", r"x\.csv is not a \.csv file or damaged: 'utf-8' codec can't decode"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            open_source(path)


# ---- labels ----


LABELS = {
    "int64": np.array([3, 1, 2]),
    "int8": np.array([3, 1, 2], "int8"),
    "bool": np.array([True, False, True]),
    "float32": np.array([0.5, 1.5, 2.5], "float32"),
    "text": np.array(["cat", "dög", "c"]),
    "big-endian": np.array([3, 1, 2], ">i4"),
    "bytes": np.array([b"cat", b"dog"]),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("extension", [".npy", ".npz"])
def test_labels_of_numpy(tmp_path: Path, extension: str, kind: str) -> None:
    values = LABELS[kind]
    for shape in ((-1,), (-1, 1)):
        labels = read_labels(write_text_array(tmp_path / f"x{extension}", values.reshape(shape)))
        assert labels.ndim == 1
        assert labels.dtype.isnative
        assert labels.dtype.kind == values.dtype.kind.replace("S", "U")
        assert labels.tolist() == [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]


@pytest.mark.parametrize("kind", ["int64", "int8", "bool", "float32"])
@pytest.mark.parametrize("extension", [".pt", ".safetensors", ".h5"])
def test_labels_of_tensors(tmp_path: Path, extension: str, kind: str) -> None:
    labels = read_labels(write(tmp_path / f"x{extension}", LABELS[kind]))
    np.testing.assert_array_equal(labels, LABELS[kind])
    assert labels.dtype == LABELS[kind].dtype


def test_labels_in_bfloat16(tmp_path: Path) -> None:
    torch.save(torch.tensor([0.5, 2]).bfloat16(), tmp_path / "x.pt")
    assert read_labels(tmp_path / "x.pt").tolist() == [0.5, 2]


@BOTH
@pytest.mark.parametrize("values", [[3, 1], ["cat", "dog"], [True, False], [0.5, 1.5]])
def test_labels_of_tables(tmp_path: Path, extension: str, values: list[object]) -> None:
    one = read_labels(table(tmp_path / f"x{extension}", {"label": values}))
    path = table(tmp_path / f"y{extension}", {"id": ["a", "b"], "label": values})
    assert one.tolist() == values == read_labels(path, key="label").tolist()
    with pytest.raises(
        ValueError, match=rf"y\{extension} holds several arrays: id \(\(2,\), text\), label .*`--labels-key NAME`"
    ):
        read_labels(path)
    with pytest.raises(ValueError, match=r"no 'x' among its arrays: id"):
        read_labels(path, key="x")


def test_labels_of_other_columns(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    pandas.DataFrame({"a": pandas.Categorical(["u", "v", "u"])}).to_parquet(path)
    assert read_labels(path).tolist() == ["u", "v", "u"]
    pandas.DataFrame({"a": ["u", None]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"x\.parquet .*row 1 holds (None|nan), not text"):
        read_labels(path)
    pandas.DataFrame({"a": pandas.to_datetime(["2020-01-01"])}).to_parquet(path)
    with pytest.raises(TypeError, match=r"datetime64.*: labels must be integers, text, bools or floats"):
        read_labels(path)
    pandas.DataFrame({"a": [[1, 2], [3, 4]]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"has shape \(2, 2\) \(int64\) and needs one label per sample"):
        read_labels(path)


def test_labels_with_row_numbers(tmp_path: Path) -> None:
    pandas.DataFrame({"label": ["a", "b"]}).to_csv(tmp_path / "x.csv")
    assert read_labels(tmp_path / "x.csv").tolist() == ["a", "b"]
    (tmp_path / "y.csv").write_text("0\n1\n0\n")
    assert read_labels(tmp_path / "y.csv").tolist() == [0, 1, 0]


def test_labels_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffcat\r\nbig dög\r\n 7\r\n\r\n".encode())
    assert read_labels(path).tolist() == ["cat", "big dög", "7"]
    path.write_text("cat\n\ndog\n")
    with pytest.raises(ValueError, match=r"x\.txt has no label in line 2"):
        read_labels(path)
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(ValueError, match=r"x\.txt is not a \.txt file or damaged: 'utf-8' codec"):
        read_labels(path)
    path.write_text("\n\n")
    with pytest.raises(ValueError, match=r"x\.txt has shape \(0,\)"):
        read_labels(path)


def test_labels_in_shards(tmp_path: Path) -> None:
    np.save(tmp_path / "y-10.npy", np.array([5, 6]))
    np.save(tmp_path / "y-9.npy", np.array([3, 4]))
    assert read_labels(tmp_path / "y-*.npy").tolist() == [3, 4, 5, 6]
    np.save(tmp_path / "y-11.npy", np.array(["a"]))
    with pytest.raises(ValueError, match=r"of two kinds: int64 in .*y-9\.npy, <U1 in .*y-11\.npy"):
        read_labels(tmp_path / "y-*.npy")


def test_labels_of_a_wrong_kind(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"has shape \(4, 2\) \(float64\) and needs one label per sample"):
        read_labels(path)
    np.save(path, np.zeros(0))
    with pytest.raises(ValueError, match=r"has shape \(0,\) \(float64\) and needs one label"):
        read_labels(path)
    np.save(path, np.array(["a", None], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"is pickled \(dtype object\)"):
        read_labels(path)
    np.save(path, np.zeros(2, complex))
    with pytest.raises(TypeError, match=r"\(complex128\): labels must be integers"):
        read_labels(path)
    (tmp_path / "x.mat").write_bytes(b"1")
    with pytest.raises(ValueError, match=r"x\.mat cannot be read.*\.hdf5, \.txt\."):
        read_labels(tmp_path / "x.mat")
