"""Tables: which columns are read, lists in cells, empty cells, what CSV text means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stored_files import BOTH, N, rows, table, whole

from repgeom.data.files import open_source, read_labels

pandas = pytest.importorskip("pandas")


@BOTH
def test_a_table_gives_its_columns_of_numbers_and_says_what_it_left_out(tmp_path: Path, extension: str) -> None:
    columns = {"name": ["a", "b"], "x": [1.5, 2.5], "day": ["mon", "tue"], "y": [3.25, 4]}
    source = open_source(table(tmp_path / f"x{extension}", columns))
    assert whole(source).tolist() == [[1.5, 3.25], [2.5, 4]]
    assert source.columns.used == ("x", "y")
    assert source.columns.left_out == {"name": "text", "day": "text"}
    assert source.columns.sentence() == "Read 2 columns: x, y. Left out: name, day (text)."
    both = open_source(tmp_path / f"x*{extension}")
    assert both.columns == source.columns


@BOTH
def test_a_table_gives_the_columns_of_the_key(tmp_path: Path, extension: str) -> None:
    columns = {"id": ["a", "b"], "x": [1.5, 2.5], "y, z": [3, 4], "w": [5, 6]}
    path = table(tmp_path / f"x{extension}", columns)
    assert whole(open_source(path, key="w, x")).tolist() == [[5, 1.5], [6, 2.5]]
    assert whole(open_source(path, key="y, z")).tolist() == [[3], [4]]
    assert open_source(path, key="x").columns.left_out == dict.fromkeys(("id", "y, z", "w"), "not named")
    with pytest.raises(ValueError, match=r"no column 'v', 'u'; its columns are id, x, y, z, w\."):
        open_source(path, key="w,v,u")
    with pytest.raises(TypeError, match=rf"x\{extension} has no numbers to read in its column id \(first value 'a'\)"):
        open_source(path, key="id,x")


@BOTH
def test_a_table_without_numbers(tmp_path: Path, extension: str) -> None:
    path = table(tmp_path / f"x{extension}", {"id": ["a", "b"], "text": ["some words", "c"]})
    seen = r"columns id \(first value 'a'\), text \(first value 'some words'\)"
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
    with pytest.raises(ValueError, match=r"has 2 columns of vectors: a, b\. Choose one with `--key a`"):
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
    np.testing.assert_array_equal(whole(source), [[1, 1, 1], [np.nan, 2, np.nan]])
    assert read_labels(path, key="b").dtype == np.int16
    pandas.DataFrame({"a": [[[1, 2], [3]]]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"column 'a' cannot be read: .*lists of lists"):
        open_source(path)
    pandas.DataFrame({"a": pandas.Series([], dtype=float)}).to_parquet(path)
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
    assert list(source.columns.left_out) == ["Unnamed: 0"]
    assert source.columns.left_out["Unnamed: 0"] == "it counts the rows"  # each once, in another order


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


@pytest.mark.parametrize("first", [[4, 5], [4.0, 5.0], [4, ""]])
def test_unnamed_whole_numbers_are_row_numbers(tmp_path: Path, first: list[object]) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f",a\n{first[0]},1.5\n{first[1]},2.5\n")
    source = open_source(path)
    assert source.n_features == 1
    assert list(source.columns.left_out) == ["Unnamed: 0"]


def test_unnamed_fractions_are_asked_about(tmp_path: Path) -> None:
    """An index of times, or a feature whose name is missing."""
    (tmp_path / "x.csv").write_text(",a\n4.5,1.5\n5.5,2.5\n")
    with pytest.raises(ValueError, match=r"beside a may be a feature or not: Unnamed: 0 \(first values 4\.5, 5\.5\)"):
        open_source(tmp_path / "x.csv")


def test_an_unnamed_column_in_a_later_place_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,\n1.5,4\n2.5,5\n")
    with pytest.raises(ValueError, match=r"beside a may be a feature or not: Unnamed: 1 \(first values 4, 5\)"):
        open_source(tmp_path / "x.csv")


@pytest.mark.parametrize("statistics", [True, False])
def test_parquet_empty_cells_far_down(tmp_path: Path, statistics: bool) -> None:
    n = 3000
    frame = pandas.DataFrame({"a": range(n), "b": np.arange(n, dtype="float32")})
    frame["c"] = pandas.array([*range(n - 1), None], "Int32")
    frame["d"] = pandas.array(np.arange(n), "Int16")
    frame["e"] = pandas.Categorical([1, 2] * (n // 2))
    frame["ok"] = [None] + [True] * (n - 1)
    frame.index += 5
    frame.to_parquet(tmp_path / "x.parquet", row_group_size=1100, write_statistics=statistics)
    source = open_source(tmp_path / "x.parquet", columns="*")
    expected = pandas.read_parquet(tmp_path / "x.parquet").astype("f8").to_numpy()
    np.testing.assert_array_equal(whole(source), expected)
    assert source.read(0, 2).dtype == torch.float64
    assert read_labels(tmp_path / "x.parquet", key="d").dtype == np.int16


def test_parquet_lists_that_differ_far_down(tmp_path: Path) -> None:
    lists = [[1.0, 2.0]] * 2000
    for bad, found in (([1.0], "1 numbers in row 2000"), (None, "None in row 2000")):
        pandas.DataFrame({"emb": [*lists, bad]}).to_parquet(tmp_path / "x.parquet", row_group_size=900)
        with pytest.raises(ValueError, match=rf"column 'emb' has {found}, 2 in row 0"):
            open_source(tmp_path / "x.parquet")
    pandas.DataFrame({"emb": [None, *lists]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"column 'emb' has None in row 0, 2 in row 1"):
        open_source(tmp_path / "x.parquet")


def test_parquet_text_that_holds_lists(tmp_path: Path) -> None:
    cells = ["[1, 2]"] * 1500 + ["[1.5, 2]"]
    pandas.DataFrame({"emb": cells}).to_parquet(tmp_path / "x.parquet")
    source = open_source(tmp_path / "x.parquet")
    assert source.read(0, 1).dtype == torch.float64
    assert source.read(1499, 1501).tolist() == [[1, 2], [1.5, 2]]
