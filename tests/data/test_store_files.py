"""Stores of many arrays: AnnData's `.h5ad`, and Zarr in folders and archives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from stored_files import N, rows, whole, write, write_zarr

from repgeom.data.files import open_source, read_labels

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")


def sparse(n: int = 200) -> scipy.sparse.csr_matrix:
    return scipy.sparse.random(n, 9, density=0.2, format="csr", random_state=0, dtype="float32")


def write_sparse(path: Path, matrix: scipy.sparse.spmatrix, **changes: np.ndarray) -> Path:
    """As AnnData writes it."""
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        group.attrs["encoding-type"] = f"{matrix.format}_matrix"
        group.attrs["shape"] = matrix.shape
        for part in ("data", "indices", "indptr"):
            group[part] = changes.get(part, getattr(matrix, part))
    return path


def write_adata(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["X"] = rows()
        file["obsm/X_pca"] = rows(d=2, seed=1)
        file["layers/counts"] = rows(seed=2)
        file["varm/loadings"] = rows(n=3)
        file["obs/_index"] = [f"cell{i}" for i in range(N)]
        file["obs/score"] = np.arange(N) / 2
        group = file.create_group("obs/cell_type")
        group.attrs["encoding-type"] = "categorical"
        group["codes"] = (np.arange(N) % 2).astype("int8")
        group["categories"] = ["B", "T"]
        file["obs/batch"] = (np.arange(N) % 3).astype("int8")
        file["obs/__categories/batch"] = ["x", "y", "z"]
        file["obs/batch"].attrs["categories"] = file["obs/__categories/batch"].ref
    return path


def test_matrices_of_adata_are_read_by_their_names(tmp_path: Path) -> None:
    path = write_adata(tmp_path / "x.h5ad")
    with pytest.raises(
        ValueError, match=r"X \(\(11, 3\), float32\), layers/counts .*, obsm/X_pca .*`--key NAME`"
    ) as error:
        open_source(path)
    assert "varm" not in str(error.value)
    for key, x in (("X", rows()), ("obsm/X_pca", rows(d=2, seed=1)), ("layers/counts", rows(seed=2))):
        np.testing.assert_array_equal(whole(open_source(path, key=key)), x)


def test_columns_of_obs_are_labels(tmp_path: Path) -> None:
    path = write_adata(tmp_path / "x.h5ad")
    assert read_labels(path, key="obs/cell_type").tolist() == ["B", "T"] * 5 + ["B"]
    assert read_labels(path, key="obs/batch").tolist() == list("xyz" * 3 + "xy")
    assert read_labels(path, key="obs/score")[3] == 1.5
    with h5py.File(path, "r+") as file:
        file["obs/cell_type/codes"][4] = -1
    with pytest.raises(ValueError, match=r"x\.h5ad .*row 4 of obs/cell_type has no category"):
        read_labels(path, key="obs/cell_type")


def test_rows_of_a_sparse_matrix_are_made_dense_in_pieces(tmp_path: Path) -> None:
    matrix = sparse()
    source = open_source(write_sparse(tmp_path / "x.h5ad", matrix))
    expected = matrix.toarray()
    for start, stop in ((0, 200), (0, 0), (3, 50), (199, 200), (150, 151)):
        np.testing.assert_array_equal(source.read(start, stop).numpy(), expected[start:stop])
    assert source.notes == ("read the sparse array X as a dense one",)


def test_sparse_matrices_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad"
    matrix = sparse()
    with pytest.raises(ValueError, match=r"x\.h5ad is sparse by columns.*`adata\.X\.tocsr\(\)`"):
        open_source(write_sparse(path, matrix.tocsc()))
    for part, change in {
        "indices": np.full_like(matrix.indices, 9),  # beyond the width
        "indptr": matrix.indptr[::-1].copy(),
        "data": matrix.data[:5],
    }.items():
        with pytest.raises(ValueError, match=r"x\.h5ad"):
            whole(open_source(write_sparse(path, matrix, **{part: change})))
    with pytest.raises(ValueError, match=r"x\.h5ad"):
        whole(open_source(write_sparse(path, matrix, indices=np.full_like(matrix.indices, -1))))
    write(tmp_path / "y.h5", rows()).rename(path)
    with pytest.raises(ValueError, match=r"x\.h5ad .*neither X nor layers nor obsm"):
        open_source(path)


@pytest.mark.parametrize("part", ["X", "X/data", "obsm/X_pca", "obs/cell_type/codes"])
@pytest.mark.parametrize("how", ["external", "soft", "virtual", "outside"])
def test_values_outside_an_h5ad_are_never_read(tmp_path: Path, part: str, how: str) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = rows()
    np.save(tmp_path / "raw.bin", rows())
    path = write_sparse(tmp_path / "x.h5ad", sparse(N)) if part == "X/data" else write_adata(tmp_path / "x.h5ad")
    with h5py.File(path, "r+") as file:
        shape = file[part].shape
        del file[part]
        if how == "external":
            file[part] = h5py.ExternalLink("other.h5", "/x")
        elif how == "soft":
            file["link"] = h5py.ExternalLink("other.h5", "/x")
            file[part] = h5py.SoftLink("/link")
        elif how == "virtual":
            layout = h5py.VirtualLayout(shape, "i4")
            file.create_virtual_dataset(part, layout)
        else:
            file.create_dataset(part, shape, "i4", external=[(str(tmp_path / "raw.bin.npy"), 0, 4000)])
    if part.startswith("obs/"):
        with pytest.raises(ValueError, match=r"x\.h5ad"):
            read_labels(path, key="obs/cell_type")
        return
    with pytest.raises(ValueError, match=r"x\.h5ad"):
        whole(open_source(path, key=None if part == "X/data" else part))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("extension", [".zarr", ".zarr.zip"])
def test_zarr_in_both_versions_and_places(tmp_path: Path, version: int, extension: str) -> None:
    x = rows(n=50)
    path = write_zarr(tmp_path / f"x{extension}", x, chunks=(7, 2), zarr_format=version)
    source = open_source(path)
    np.testing.assert_array_equal(whole(source), x)
    np.testing.assert_array_equal(source.read(5, 23).numpy(), x[5:23])


def test_arrays_in_groups_of_zarr(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "x.zarr")
    group.create_array("deep/inside/x", data=rows())
    group.create_array("y", data=np.arange(N))
    np.testing.assert_array_equal(whole(open_source(tmp_path / "x.zarr")), rows())
    np.testing.assert_array_equal(whole(open_source(tmp_path / "x.zarr", key="deep/inside/x")), rows())
    assert read_labels(tmp_path / "x.zarr", key="y").tolist() == list(range(N))


def test_chunks_that_are_not_stored_are_refused(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "x.zarr", rows(n=40), chunks=(10, 3))
    assert open_source(path).notes == ()
    (path / "c" / "1" / "0").unlink()
    with pytest.raises(ValueError, match=r"x\.zarr has 4 chunks, of which 1 are not stored: .* or hold 0\.0 alone"):
        open_source(path)


def test_a_damaged_chunk_is_named(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "x.zarr", rows(n=40), chunks=(10, 3))
    (path / "c" / "2" / "0").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"x\.zarr is not a \.zarr file or damaged"):
        whole(open_source(path))


def test_an_empty_folder_and_an_empty_group(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(ValueError, match=r"x\.zarr is not a \.zarr file or damaged"):
        open_source(tmp_path / "x.zarr")
    zarr.create_group(tmp_path / "y.zarr")
    with pytest.raises(ValueError, match=r"y\.zarr holds no arrays"):
        open_source(tmp_path / "y.zarr")


def test_a_pickle_in_a_store_never_runs(tmp_path: Path) -> None:
    pickle = pytest.importorskip("numcodecs").Pickle()
    path = write_zarr(tmp_path / "x.zarr", rows(), zarr_format=2, filters=[pickle])
    with pytest.raises(ValueError, match=r"x\.zarr (is not|is pickled)"):
        whole(open_source(path))
