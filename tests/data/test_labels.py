"""Labels from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stored_files import BOTH, table, write, write_text_array

from repgeom.data.files import read_labels

pandas = pytest.importorskip("pandas")


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
    with pytest.raises(ValueError, match=r"no column 'x'; its columns are id"):
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
    with pytest.raises(ValueError, match=r"x\.mat cannot be read.*\.hdf5.*, \.txt"):
        read_labels(tmp_path / "x.mat")
