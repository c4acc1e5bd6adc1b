"""Files that are whole and not what they seem: values that lie elsewhere or nowhere, sizes without end, names twice."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stored_files import N, rows, write

from repgeom.data.files import open_source, read_labels
from repgeom.data.formats import npz, saved_tensors

h5py = pytest.importorskip("h5py")


# ---- HDF5: values outside the file ----


def virtual(path: Path, source: str) -> None:
    layout = h5py.VirtualLayout((N, 3), "f4")
    layout[:] = h5py.VirtualSource(source, "x", (N, 3))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)


def external(path: Path, source: str) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (N, 3), "f4", external=[(source, 0, N * 12)])


def linked(path: Path, source: str) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink(source, "/x")


OUTSIDE = {
    "virtual": (virtual, r"\(x\) is virtual: its rows lie elsewhere|is virtual: its rows lie elsewhere"),
    "external": (external, "keeps its values outside the file"),
    "linked": (linked, "is a link to another file"),
}


@pytest.mark.parametrize("source", ["gone.h5", "other.h5", "x.h5", ".", "/etc/passwd", "short.bin"])
@pytest.mark.parametrize("kind", OUTSIDE)
def test_hdf5_values_that_lie_outside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "other.h5", rows())
    (tmp_path / "short.bin").write_bytes(b"1")
    make, reason = OUTSIDE[kind]
    make(tmp_path / "x.h5", source)
    for read in (open_source, read_labels):
        with pytest.raises(ValueError, match=rf"x\.h5 .*({reason})"):
            read(tmp_path / "x.h5")


def test_hdf5_values_that_come_to_lie_outside(tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5", rows())
    source = open_source(path)
    virtual(path, "gone.h5")
    with pytest.raises(ValueError, match="while it was read"):
        source.read(0, N)


def test_hdf5_link_beside_an_array_is_not_passed_over(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["own"], file["outer"] = rows(), h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(ValueError, match="holds several arrays"):
        open_source(tmp_path / "x.h5")
    assert open_source(tmp_path / "x.h5", key="own").n_samples == N


@pytest.mark.parametrize("how", [{}, {"chunks": (100, 3)}, {"chunks": (100, 3), "compression": "gzip"}])
@pytest.mark.parametrize("written", [0, 100])
def test_hdf5_rows_that_were_never_written(tmp_path: Path, how: dict[str, Any], written: int) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        x = file.create_dataset("x", (10**9, 3), "f4", **({"chunks": (100, 3)} | how if written else how))
        x[:written] = 1
    with pytest.raises(ValueError, match=r"x\.h5 .*HDF5 would give zeros"):
        open_source(tmp_path / "x.h5")


# ---- .pt: what is no plain tensor, and shapes that are no shapes ----


def nested_lists(depth: int) -> list[Any]:
    shared: list[Any] = [torch.zeros(2, 2)]
    for _ in range(depth):
        shared = [shared, shared]
    return shared


def itself() -> list[Any]:
    value: list[Any] = [torch.zeros(2, 2)]
    value.append(value)
    return value


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "shared lists": (lambda: nested_lists(40), "more than 100,000 tensors, or lists that are shared without end"),
    "deep lists": (lambda: nested_lists(100), "more than"),
    "a list in itself": (itself, "within each other more than 60 deep"),
    "one name twice": (lambda: {1: torch.zeros(2, 2), "1": torch.ones(2, 2)}, "two tensors named 1"),
    "a long name": (lambda: {"a" * 10**6: {"b": torch.zeros(2, 2)}}, "a name without end"),
    "meta": (lambda: torch.zeros(5, 3, device="meta"), "is a meta tensor"),
    "nested": (lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), "is a nested tensor"),
    "quantized": (lambda: torch.quantize_per_tensor(torch.zeros(5, 3), 0.1, 0, torch.qint8), "is quantized"),
    "sparse": (lambda: torch.eye(3).to_sparse(), "is a sparse tensor"),
    "csr": (lambda: torch.eye(3).to_sparse_csr(), "is a sparse tensor"),
    "expanded": (lambda: torch.zeros(1).expand(10**9, 3), "repeats its values"),
    "negated": (lambda: torch.zeros(3, 2, dtype=torch.complex64).conj().imag, "negates or conjugates"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", REFUSED)
def test_pt_that_is_refused(tmp_path: Path, kind: str) -> None:
    make, reason = REFUSED[kind]
    torch.save(make(), tmp_path / "x.pt")
    for read in (open_source, read_labels):
        with pytest.raises(ValueError, match=rf"x\.pt.*{reason}"):
            read(tmp_path / "x.pt")


def test_pt_shared_lists_without_tensors_are_passed_over(tmp_path: Path) -> None:
    shared: list[Any] = [1.5]
    for _ in range(40):
        shared = [shared, shared]
    torch.save({"history": shared, "x": torch.from_numpy(rows())}, tmp_path / "x.pt")
    assert open_source(tmp_path / "x.pt").n_samples == N


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int8", "uint8", "int64", "bool"])
def test_pt_and_safetensors_of_every_layout_read_as_torch_reads_them(tmp_path: Path, dtype: str, new: bool) -> None:
    x = (torch.from_numpy(rows(n=40, d=12)) * 9).to(getattr(torch, dtype))
    layouts = {
        "plain": x, "transposed": x.T.contiguous().T, "rows": x[3:30:2], "columns": x[:, 2:9], "steps": x[:, ::3],
        "parameter": torch.nn.Parameter(x, requires_grad=False), "one row": x[5:6], "column": x[:, 3:4],
    }  # fmt: skip
    torch.save(layouts, tmp_path / "x.pt", _use_new_zipfile_serialization=new)
    loaded = torch.load(tmp_path / "x.pt", weights_only=True)
    for name, expected in loaded.items():
        source = open_source(tmp_path / "x.pt", key=name)
        for start, stop in ((0, len(expected)), (1, 4), (3, 3)):
            assert torch.equal(source.read(start, stop).double(), expected[start:stop].double()), name


def crafted(size: Any, stride: Any, offset: Any = 0) -> bytes:
    """What torch.save writes of a tensor, with a shape of one's own."""

    class Made:
        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (torch.zeros(6).untyped_storage(), offset, size, stride, False, {})

    file = io.BytesIO()
    torch.save(Made(), file)
    return file.getvalue()


@pytest.mark.parametrize(
    "shape",
    [((10**9, 3), (3, 1)), ((3, 2), (2, 10**9)), ((2, 3), (3, 1), 10**18), ((-1, 3), (3, 1)), ((2, 3), (-3, 1)),
     ((2, 3), (3,)), ((1 << 64, 3), (3, 1)), ((2.0, 3), (3, 1)), (3, 1), ((2, 3), (3, 1), -1)],
)  # fmt: skip
def test_pt_with_a_shape_that_is_none(tmp_path: Path, shape: Any) -> None:
    (tmp_path / "x.pt").write_bytes(crafted(*shape))
    with pytest.raises(ValueError, match=r"x\.pt cannot be read as tensors"):
        open_source(tmp_path / "x.pt")


# ---- .npy and .npz ----


def npy_bytes(x: np.ndarray, **header: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_2_0(
        file, {"descr": x.dtype.str, "fortran_order": False, "shape": x.shape, **header}
    )
    return file.getvalue() + x.tobytes()


@pytest.mark.parametrize("version", [(9, 9), (0, 0), (1, 1), (4, 0), (255, 255)])
def test_npy_of_an_unknown_version(tmp_path: Path, version: tuple[int, int]) -> None:
    data = bytearray(npy_bytes(rows()))
    data[6:8] = bytes(version)
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(ValueError, match=rf"x\.npy.*of version {version[0]}\.{version[1]}, and known are"):
        open_source(tmp_path / "x.npy")


@pytest.mark.parametrize("read", [open_source, read_labels])
def test_npy_with_more_than_its_header_says(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    x = rows() if read is open_source else np.arange(N)
    for more in (b"\0", b"1" * 1000, npy_bytes(rows(seed=1))):
        (tmp_path / "x.npy").write_bytes(npy_bytes(x) + more)
        with pytest.raises(ValueError, match=r"x\.npy holds more than its header says: .* one array to a file"):
            read(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "header",
    [{"shape": (10**30, 3)}, {"shape": (1 << 62, 1 << 62)}, {"shape": (-1, 3)}, {"descr": "<U0", "shape": (10**12, 1)},
     {"descr": "|S0", "shape": (10**12, 1)}, {"descr": "|V0"}, {"shape": (True, 3)}, {"shape": (1,) * 100}],
)  # fmt: skip
@pytest.mark.parametrize("kind", [".npy", ".npz"])
def test_numpy_headers_with_absurd_shapes(tmp_path: Path, kind: str, header: dict[str, Any]) -> None:
    path, data = tmp_path / f"x{kind}", npy_bytes(rows(), **header)
    path.write_bytes(data)
    if kind == ".npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", data)
    for read in (open_source, read_labels):
        with pytest.raises((ValueError, TypeError), match=rf"x\{kind}"):
            read(path)


def test_npz_that_decompresses_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy_bytes(rows()) + bytes(1 << 26))
    plain, given = zipfile.ZipExtFile.read, []

    def read(self: zipfile.ZipExtFile, n: int = -1) -> bytes:
        given.append(plain(self, n))
        return given[-1]

    monkeypatch.setattr(zipfile.ZipExtFile, "read", read)
    with pytest.raises(ValueError, match=r"x\.npz .*its member x\.npy has at least"):
        open_source(path)
    assert sum(map(len, given)) < 3 * npz.PIECE_BYTES


def test_npz_that_would_be_held_whole_and_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "MOST_HELD_BYTES", 1000)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((4000, 8), order="F"))
    with pytest.raises(ValueError, match=r"x\.npz is column-major and compressed.*ascontiguousarray"):
        open_source(tmp_path / "x.npz")


@pytest.mark.parametrize("names", [("x.npy", "x.npy"), ("x", "x.npy")])
def test_npz_with_two_members_of_one_name(tmp_path: Path, names: tuple[str, str]) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        warnings.simplefilter("ignore")  # zipfile warns of the name too
        for seed, name in enumerate(names):
            archive.writestr(name, npy_bytes(rows(seed=seed)))
    with pytest.raises(ValueError, match=r"x\.npz .*it has two members"):
        open_source(tmp_path / "x.npz")


@pytest.mark.parametrize("extension", [".npz", ".pt"])
def test_an_encrypted_member(tmp_path: Path, extension: str) -> None:
    path = write(tmp_path / f"x{extension}", rows())
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        begin = data.find(mark)
        while begin >= 0:
            data[begin + at] |= 1
            begin = data.find(mark, begin + 1)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"x\{extension} .*is encrypted"):
        open_source(path)


# ---- .safetensors and .parquet ----


def safetensors_file(path: Path, header: str, n_bytes: int) -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(n_bytes))
    return path


def entry(shape: list[int], begin: int, end: int) -> str:
    return json.dumps({"dtype": "F32", "shape": shape, "data_offsets": [begin, end]})


@pytest.mark.parametrize(
    ("header", "n_bytes"),
    [
        (f'{{"a": {entry([4, 2], 0, 32)}, "b": {entry([4, 2], 16, 48)}}}', 48),
        (f'{{"a": {entry([4, 2], 0, 32)}, "a": {entry([2, 4], 0, 32)}}}', 32),
        (f'{{"a": {entry([10**9, 10**9], 0, 32)}}}', 32),
        (f'{{"a": {entry([4, 2], 8, 40)}}}', 40),
        (f'{{"a": {entry([4, 2], 32, 0)}}}', 32),
        (f'{{"a": {entry([4, 2], 0, 32)}}}', 40),
    ],
    ids=["overlapping", "one name twice", "absurd", "a hole", "backwards", "more bytes"],
)
def test_safetensors_with_a_header_that_does_not_fit(tmp_path: Path, header: str, n_bytes: int) -> None:
    path = safetensors_file(tmp_path / "x.safetensors", header, n_bytes)
    with pytest.raises(ValueError, match=r"x\.safetensors is not a \.safetensors file or damaged"):
        open_source(path)


def test_safetensors_of_eight_bits(tmp_path: Path) -> None:
    path = safetensors_file(
        tmp_path / "x.safetensors", '{"a": {"dtype": "F8_E4M3", "shape": [4, 2], "data_offsets": [0, 8]}}', 8
    )
    assert open_source(path).read(0, 4).tolist() == [[0.0, 0.0]] * 4


def test_the_bounds_leave_room_for_large_networks(tmp_path: Path) -> None:
    assert saved_tensors.MOST_NAMES >= 100_000
    torch.save({f"layer.{i}": torch.zeros(1) for i in range(3000)} | {"x": torch.from_numpy(rows())}, tmp_path / "x.pt")
    assert open_source(tmp_path / "x.pt", key="x").n_samples == N
