"""JSON in the forms that people write, and Arrow batches with what only they have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest
from stored_files import N, rows, table, whole, write, write_arrow

from repgeom.data.files import open_source, read_labels

pa = pytest.importorskip("pyarrow")
X = [[0.5, 1.5], [2.5, 3.5], [4.5, 5.5]]


@pytest.mark.parametrize(
    "content",
    [
        [{"emb": row, "id": i, "text": "x"} for i, row in enumerate(X)],
        [{"f0": a, "f1": b} for a, b in X],
        X,
        {"emb": X, "label": ["a", "b", "c"]},
        {"f0": {"0": 0.5, "1": 2.5, "2": 4.5}, "f1": {"0": 1.5, "1": 3.5, "2": 5.5}},  # as pandas writes it
        {"columns": ["f0", "f1"], "index": [0, 1, 2], "data": X},  # orient="split"
        [{"emb": str(row)} for row in X],  # lists as text
        [{"f0": a, "f1": b, "meta": None} for a, b in X],
    ],
)
def test_forms_of_json(tmp_path: Path, content: object) -> None:
    (tmp_path / "x.json").write_text(json.dumps(content))
    assert whole(open_source(tmp_path / "x.json")).tolist() == X


@pytest.mark.parametrize("how", [{}, {"orient": "split"}, {"orient": "records"}, {"orient": "columns"}])
def test_what_pandas_writes(tmp_path: Path, how: dict[str, str]) -> None:
    frame = pandas.DataFrame(rows("float64"), columns=["f0", "f1", "f2"])
    frame.to_json(tmp_path / "x.json", double_precision=15, **how)
    np.testing.assert_allclose(whole(open_source(tmp_path / "x.json")), frame, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[0.5, 1.5]\n[2.5, 3.5]\n", [[0.5, 1.5], [2.5, 3.5]]),
        ('\ufeff{"emb": [0.5, 1.5]}\r\n{"emb": [2.5, NaN]}\r\n\r\n', [[0.5, 1.5], [2.5, np.nan]]),
        ('{"f0": 0.5, "f1": 1.5}\n{"f1": 3.5, "f0": 2.5}', [[0.5, 1.5], [2.5, 3.5]]),
        ('{"f0": 0.5}\n{"f0": null}\n{}', [[0.5], [np.nan], [np.nan]]),
        ('{"emb": [1, null]}\n{"emb": [2.5, 3]}', [[1, np.nan], [2.5, 3]]),
    ],
)
def test_lines_of_json(tmp_path: Path, text: str, expected: list[list[float]]) -> None:
    (tmp_path / "x.jsonl").write_text(text, encoding="utf-8", newline="")
    np.testing.assert_array_equal(whole(open_source(tmp_path / "x.jsonl")), expected)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", '{"a": 0.5}\n{"a": 1.5\n', r"line 2 is no JSON"),
        ("x.jsonl", '{"a": 0.5}\n"text"\n', r"line 2 is 'text', and each must be an object or a list"),
        (
            "x.jsonl",
            '{"emb": [0.5, 1]}\n{"emb": [2.5]}\n',
            r"lists of different lengths: column 'emb' has 1 numbers in row 1",
        ),
        ("x.jsonl", '{"emb": [0.5, 1]}\n{}\n', r"lists of different lengths: column 'emb' has None in row 1"),
        ("x.jsonl", '{"f0": 0.5}\n{"f0": "abc"}\n', r"column 'f0' cannot be read: row 1 holds 'abc'"),
        ("x.jsonl", '{"f0": 0.5, "id": 7}\n{"f0": 1.5, "id": 9}\n{"f0": 2.5, "id": 9}\n', ""),
        ("x.json", "[" * 100_000, r"x\.json"),
        ("x.json", "3", r"holds 3, and must hold a list"),
        ("x.json", "[]", r"0 rows"),
        (
            "x.json",
            '{"emb": [[0.5]], "model": "m"}',
            r"columns of one length, and holds emb \(1 cells\), model \(str\)",
        ),
        ("x.json", '{"a": [0.5], "b": [1, 2]}', r"columns of one length, and holds a \(1 cells\), b \(2 cells\)"),
        ("x.json", '{"columns": ["a"], "data": [[0.5, 1]]}', r"x\.json"),
        ("x.json", "[0.5, 1.5]", r"element 1 is 0\.5"),
    ],
)
def test_json_that_is_no_table(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    if not message:
        assert open_source(tmp_path / name).columns.used == ("f0",)
        return
    with pytest.raises((ValueError, TypeError), match=message):
        open_source(tmp_path / name)


@pytest.mark.parametrize("extension", [".arrow", ".feather"])
@pytest.mark.parametrize("batch_rows", [1, 7, 5000])
def test_batches_of_any_size_in_any_order(tmp_path: Path, extension: str, batch_rows: int) -> None:
    x = rows(n=3000, d=2)
    frame = pandas.DataFrame({"emb": list(x), "text": "some words"})
    source = open_source(write_arrow(tmp_path / f"x{extension}", frame, batch_rows))
    for start, stop in ((2990, 3000), (0, 5), (1020, 1030), (0, 3000), (7, 7)):
        np.testing.assert_array_equal(source.read(start, stop).numpy(), x[start:stop])


@pytest.mark.parametrize("compression", ["lz4", "zstd", "uncompressed"])
def test_feather_as_pandas_writes_it(tmp_path: Path, compression: str) -> None:
    frame = pandas.DataFrame(rows(), columns=["f0", "f1", "f2"])
    frame["label"] = pandas.Categorical(["a", "b"] * 5 + ["a"])
    frame["empty"] = pandas.array([1, None] * 5 + [3], "Int64")
    frame.to_feather(tmp_path / "x.feather", compression=compression)
    source = open_source(tmp_path / "x.feather", columns="f*")
    np.testing.assert_array_equal(whole(source), rows())
    assert read_labels(tmp_path / "x.feather", key="label").tolist() == ["a", "b"] * 5 + ["a"]
    assert np.isnan(whole(open_source(tmp_path / "x.feather", columns="empty"))).sum() == 5


def test_feather_of_the_first_version(tmp_path: Path) -> None:
    (tmp_path / "x.feather").write_bytes(b"FEA1" + bytes(100) + b"FEA1")
    with pytest.raises(ValueError, match=r"x\.feather .*Feather's first version; write it again"):
        open_source(tmp_path / "x.feather")


def test_a_stream_that_breaks_off_between_two_batches(tmp_path: Path) -> None:
    frame = pandas.DataFrame(rows(n=40), columns=["f0", "f1", "f2"])
    short = write_arrow(tmp_path / "short.arrow", frame[:20], 10).read_bytes()
    path = write_arrow(tmp_path / "x.arrow", frame, 10)
    path.write_bytes(path.read_bytes()[: len(short) - 8])
    with pytest.raises(ValueError, match=r"x\.arrow .*no end: it was cut off"):
        open_source(path)


def test_the_shards_of_a_data_set_of_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"emb": rows("float64").tolist()}).save_to_disk(tmp_path / "ds", num_shards=2)
    np.testing.assert_array_equal(whole(open_source(tmp_path / "ds")), rows("float64"))


def test_an_id_is_no_feature_in_any_kind_of_table(tmp_path: Path) -> None:
    columns = {"id": np.arange(N), "label": np.arange(N) % 2, **{f"f{i}": c for i, c in enumerate(rows("float64").T)}}
    for extension in (".csv", ".csv.gz", ".tsv.xz", ".parquet", ".feather", ".arrow", ".json", ".jsonl", ".jsonl.gz"):
        source = open_source(table(tmp_path / f"x{extension}", columns))
        assert source.columns.used == ("f0", "f1", "f2"), extension
        assert source.columns.left_out.keys() == {"id", "label"}, extension


def test_lines_of_json_may_be_cut_off_at_a_line_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", rows())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=rf"x\.jsonl .*line {N} is no JSON"):
        open_source(path)
