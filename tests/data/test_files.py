"""Paths, patterns and shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stored_files import D, N, rows, whole, write

from repgeom.data.files import open_source


def test_missing_file_suggests_close_names(tmp_path: Path) -> None:
    write(tmp_path / "features.npy", rows())
    with pytest.raises(FileNotFoundError, match=r"no file .*feature\.npy\. Did you mean .*features\.npy\?"):
        open_source(tmp_path / "feature.npy")
    with pytest.raises(FileNotFoundError, match=r"no file .*zzz\.h5\.$"):
        open_source(tmp_path / "zzz.h5")
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere either"):
        open_source(tmp_path / "nowhere" / "x.npy")


def test_folder_suggests_the_quoted_pattern(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is a folder, not a file\. It has none of \.npy, .*\.hdf5.*\."):
        open_source(tmp_path)
    write(tmp_path / "a.npy", rows())
    write(tmp_path / "b.pt", rows())
    with pytest.raises(
        ValueError, match=r"is a folder.* files of 2 kinds.*quoted pattern: '.*/\*\.npy' or '.*/\*\.pt'\."
    ):
        open_source(tmp_path)


def test_unknown_extension(tmp_path: Path) -> None:
    for name, kind in (("x.mat", r"ending in '\.mat'"), ("x", "without an extension"), ("x.npy.gz", r"'\.npy\.gz'")):
        (tmp_path / name).write_bytes(b"1")
        with pytest.raises(
            ValueError, match=rf"{name} cannot be read: files .*{kind}.*Supported: \.npy, \.npz, .*\.hdf5.*\."
        ):
            open_source(tmp_path / name)


def test_extension_in_capitals_and_path_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", rows())
    (tmp_path / "x.npy").rename(tmp_path / "X.NPY")
    assert open_source(str(tmp_path / "X.NPY")).n_samples == N
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_source("~/X.NPY").name == "~/X.NPY"
    assert open_source("~/*.NPY").n_samples == N


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


def test_shards_with_and_without_named_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    write(tmp_path / "b.npy", rows(d=2))
    with pytest.raises(ValueError, match=r"differ in columns: 'x' in .*a\.csv, None in .*b\.npy"):
        open_source(tmp_path / "*")


def test_a_pattern_in_a_folder_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "run[1]"
    folder.mkdir()
    for i in range(2):
        write(folder / f"x{i}.npy", rows(seed=i))
    assert open_source(folder / "x*.npy").n_samples == 2 * N
    (tmp_path / "run1").mkdir()
    write(tmp_path / "run1" / "x9.npy", rows())
    assert open_source(tmp_path / "run[12]" / "*.npy").n_samples == N
