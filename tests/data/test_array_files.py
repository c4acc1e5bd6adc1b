"""Files of arrays: `.npy`, `.npz`, `.pt` and `.h5`, each with what only it has."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from stored_files import D, N, rows, write

from repgeom.data.files import open_source, read_labels


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
    with pytest.raises(ValueError, match=r"x\.npy went from 260 to 200 bytes while it was read"):
        source.read(0, N)


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
        file["more"] = rows()
        file["names"] = ["é", "b"]
        file["scalar"] = 1.0
        file["nothing"] = h5py.Empty("f4")
    with pytest.raises(
        ValueError,
        match=r"deep/inside/x \(\(11, 3\), float32\), more .*, names \(\(2,\), text\), scalar \(\(\), float64\)",
    ):
        open_source(path)
    np.testing.assert_array_equal(open_source(path, key="deep/inside/x").read(3, 8).numpy(), rows()[3:8])
    assert read_labels(path, key="names").tolist() == ["é", "b"]
    with pytest.raises(TypeError, match=r"x\.h5 \(names\) has shape \(2,\) \(text\): not numbers"):
        open_source(path, key="names")
    with pytest.raises(ValueError, match=r"\(scalar\) has shape \(\) \(float64\)"):
        open_source(path, key="scalar")


@pytest.mark.parametrize("missing", [0, 1, 4, 7, 8, 9])
@pytest.mark.parametrize("dtype", ["int8", "float32", "float64"])
def test_npy_that_is_a_few_bytes_short(tmp_path: Path, dtype: str, missing: int) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.ones((N, D), dtype))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size - missing)
    if missing == 0:
        assert open_source(path).n_samples == N
        return
    with pytest.raises(ValueError, match=rf"is truncated: {size} bytes expected .*, {size - missing} found"):
        open_source(path)


def test_npz_member_that_is_shorter_than_its_header_says(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.save(tmp_path / "x.npy", rows())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", (tmp_path / "x.npy").read_bytes()[:-1])
    with pytest.raises(
        ValueError, match=r"x\.npz is not a \.npz file or damaged: its member x\.npy has 259 bytes where"
    ):
        open_source(path)
