"""A folder of shards of one kind is joined; one of several kinds is an error that gives the pattern."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stored_files import D, N, rows, table, whole, write

from repgeom.cli.main import main
from repgeom.data.files import open_source, read_labels
from repgeom.data.formats import FORMATS


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("beside", [None, "README.md", "_SUCCESS", ".part-3.crc", "_metadata/part-9.npy"])
def test_a_folder_joins_its_files_in_natural_order(tmp_path: Path, extension: str, beside: str | None) -> None:
    for i in (10, 2, 1):
        write(tmp_path / f"part-{i}{extension}", rows(seed=i))
    if beside is not None:
        (tmp_path / beside).parent.mkdir(exist_ok=True)
        (tmp_path / beside).write_text("x")
    source = open_source(tmp_path)
    expected = np.concatenate([rows(seed=i) for i in (1, 2, 10)])
    np.testing.assert_allclose(whole(source), expected, rtol=1e-6)
    assert source.name == str(tmp_path)


PARTITIONED = pytest.mark.parametrize("extension", [".parquet", ".npy", ".csv", ".feather", ".jsonl"])


@PARTITIONED
def test_the_names_of_partitions_are_labels(tmp_path: Path, extension: str) -> None:
    for label in (10, 2):
        (tmp_path / f"label={label}").mkdir()
        write(tmp_path / f"label={label}" / f"x{extension}", rows(n=60, d=4, seed=label))
    assert read_labels(tmp_path, key="label").tolist() == ["2"] * 60 + ["10"] * 60
    source = open_source(tmp_path, labels_column="label")
    assert source.n_features == 4
    assert source.notes[-1] == "The values in the names of folders are no features: label."
    with pytest.raises((ValueError, TypeError), match="day"):
        read_labels(tmp_path, key="day")
    assert main(["audit", str(tmp_path), "--labels-column", "label"]) == 0


def test_a_partition_and_a_column_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "label=2").mkdir()
    table(tmp_path / "label=2" / "x.csv", {"f0": [0.5, 1.5], "label": [3, 4]})
    with pytest.raises(ValueError, match=r"has a column 'label', and its folder says label=2: rename one"):
        read_labels(tmp_path, key="label")


@PARTITIONED
def test_partitions_are_no_features(tmp_path: Path, extension: str) -> None:
    for label in (10, 2, 1):
        for day in ("a", "b"):
            folder = tmp_path / f"label={label}" / f"day={day}"
            folder.mkdir(parents=True)
            write(folder / f"part-0{extension}", rows(seed=label))
    source = open_source(tmp_path)
    assert source.n_features == D
    expected = np.concatenate([rows(seed=label) for label in (1, 1, 2, 2, 10, 10)])
    np.testing.assert_allclose(whole(source), expected, rtol=1e-6)


def test_folders_that_are_no_partitions_are_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "part-0.npy", rows())
    (tmp_path / "extra").mkdir()
    write(tmp_path / "extra" / "part-1.npy", rows())
    with pytest.raises(
        ValueError, match=r"folders that are no partitions \(extra/part-1\.npy\).*pattern: '.*/\*\*/\*\.npy'"
    ):
        open_source(tmp_path)
    assert open_source(tmp_path / "**" / "*.npy").n_samples == 2 * N


def test_what_save_to_disk_writes_beside_shards_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "data-0.npy", rows())
    for name in ("state.json", "dataset_info.json"):
        (tmp_path / name).write_text("{}")
    assert open_source(tmp_path).n_samples == N


def test_a_store_by_another_name_is_named(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", rows()).rename(tmp_path / "store")
    with pytest.raises(ValueError, match=r"store is a Zarr store\. Give it a name that ends in \.zarr"):
        open_source(tmp_path / "store")
    (tmp_path / "link.zarr").symlink_to(tmp_path / "store")
    assert open_source(tmp_path / "link.zarr").n_samples == N
