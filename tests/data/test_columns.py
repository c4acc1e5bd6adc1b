"""Which columns of a table are features: what is left out is said, and doubt is an error that names what settles it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest
from stored_files import BOTH, table, whole

import repgeom as rg
from repgeom.cli.main import main
from repgeom.data.files import open_source

N, D = 60, 6
E = np.random.default_rng(0).standard_normal((N, D))
FEATURES = {f"f{i}": E[:, i] for i in range(D)}
ANY_NAMES = dict(zip(["width", "height", "depth", "mass", "charge", "spin"], E.T, strict=True))
NUMBERED = {str(i): E[:, i] for i in range(D)}
RANDOM_IDS = np.random.default_rng(1).permutation(10 * N)[:N]


def with_column(features: dict[str, np.ndarray], name: str, values: object, first: bool) -> dict[str, object]:
    return {name: values, **features} if first else {**features, name: values}


@BOTH
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("features", [FEATURES, ANY_NAMES, NUMBERED], ids=["family", "names", "numbered"])
@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("id", range(N), "counts the rows"),
        ("anything", range(1, N + 1), "counts the rows"),
        ("anything", range(N, 0, -1), "counts the rows"),
        ("user_id", RANDOM_IDS, "an id"),
        ("imageId", RANDOM_IDS.astype(float), "an id"),
        ("row index", RANDOM_IDS, "an id"),
        ("label", np.arange(N) % 3, "labels"),
        ("true_class", (np.arange(N) % 3).astype(float), "labels"),
        ("Target", np.arange(N) // 20, "labels"),
        ("split", np.arange(N) % 2 == 0, "labels"),
        ("title", [f"picture {i}" for i in range(N)], "text"),
        ("day", pandas.date_range("2026-01-01", periods=N).astype(str), "text"),
        ("id", [f"{i:05}x" for i in range(N)], "text"),
    ],
)
def test_what_is_surely_no_feature_is_left_out(tmp_path, extension, features, name, values, why, first):
    path = table(tmp_path / f"x{extension}", with_column(features, name, values, first))
    source = open_source(path)
    np.testing.assert_allclose(whole(source), E, rtol=1e-12)
    assert source.columns.used == tuple(features)
    assert list(source.columns.left_out) == [name]
    assert why in source.columns.left_out[name]


@BOTH
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("features", [FEATURES, ANY_NAMES], ids=["family", "names"])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("n_tokens", np.arange(N) % 37),
        ("k", np.arange(N) // 20),
        ("k", np.full(N, 3)),
        ("seen", np.arange(N) % 2 == 0),
        ("age", RANDOM_IDS.astype(float)),
        ("label", np.arange(N) / 7),
    ],
)
def test_what_may_be_a_feature_is_asked(tmp_path, extension, features, name, values, first):
    path = table(tmp_path / f"x{extension}", with_column(features, name, values, first))
    with pytest.raises(ValueError, match=rf"beside .* may be a feature or not: {name} \(first values ") as error:
        open_source(path)
    assert f"`--drop '{name}'` leaves it out" in str(error.value)
    np.testing.assert_allclose(whole(open_source(path, drop=name)), E, rtol=1e-12)
    np.testing.assert_allclose(whole(open_source(path, columns=list(features))), E, rtol=1e-12)
    assert open_source(path, columns="*").n_features == D + 1
    assert open_source(path, labels_column=name).columns.left_out == {name: "taken as labels"}


@BOTH
def test_a_score_beside_a_family_is_asked_and_beside_other_names_is_one_of_them(tmp_path, extension):
    path = table(tmp_path / f"x{extension}", FEATURES | {"score": E[:, 0]})
    with pytest.raises(
        ValueError, match=r"beside f0, f1, f2, f3, f4, f5 .*score.*`--columns 'f\*'` reads the others alone"
    ):
        open_source(path)
    np.testing.assert_allclose(whole(open_source(path, columns="f*")), E, rtol=1e-12)
    assert open_source(table(tmp_path / f"y{extension}", ANY_NAMES | {"score": E[:, 0]})).n_features == D + 1


@BOTH
def test_a_feature_that_counts_the_rows_is_asked(tmp_path, extension):
    path = table(tmp_path / f"x{extension}", FEATURES | {"f3": range(N)})
    with pytest.raises(ValueError, match=r"f3 \(first values 0, 1, 2\)"):
        open_source(path)


@BOTH
@pytest.mark.parametrize("kind", ["int8", "bool", "dead", "family of whole numbers"])
def test_whole_numbers_that_are_features_are_read(tmp_path, extension, kind):
    x = {"int8": np.round(E * 20).astype(int), "bool": E > 0, "dead": E * (np.arange(D) != 2)}.get(kind, np.round(E))
    names = [f"f{i}" for i in range(D)] if kind.startswith("family") else list(ANY_NAMES)
    columns: dict[str, object] = dict(zip(names, x.T, strict=True))
    if kind == "dead":
        columns["depth"] = np.zeros(N, int)  # as text writes a feature that is always 0
    source = open_source(table(tmp_path / f"x{extension}", columns))
    np.testing.assert_allclose(whole(source), x, rtol=1e-12)


@BOTH
def test_labels_sorted_by_class_are_no_dead_feature(tmp_path, extension):
    n = 3000  # more rows than are looked at before one is read
    columns = {"a": np.random.default_rng(0).standard_normal(n), "k": np.repeat([0, 1], n // 2)}
    with pytest.raises(ValueError, match="may be a feature or not: k"):
        open_source(table(tmp_path / f"x{extension}", columns))


BAD_CELLS = ["abc", "#REF!", "-", "1e", "5%", "1.5D+00", "1_000", "True", "1,5", "−3", "0x1F", "1 000"]


@pytest.mark.parametrize("extension", [".csv", ".tsv"])
@pytest.mark.parametrize("cell", BAD_CELLS)
@pytest.mark.parametrize("names", [FEATURES, ANY_NAMES], ids=["family", "names"])
def test_a_cell_that_is_no_number_is_an_error_with_its_place(tmp_path, extension, cell, names):
    frame = pandas.DataFrame(names).astype(object)
    frame.iloc[41, 2] = cell
    frame.to_csv(tmp_path / f"x{extension}", index=False, sep="\t" if extension == ".tsv" else ",")
    name = list(names)[2]
    with pytest.raises(ValueError, match=rf"column '{name}' cannot be read: row 41 holds ") as error:
        open_source(tmp_path / f"x{extension}")
    assert repr(cell) in str(error.value)
    assert open_source(tmp_path / f"x{extension}", drop=name).n_features == D - 1
    with pytest.raises(ValueError, match="row 41 holds"):  # not even where it is asked for
        open_source(tmp_path / f"x{extension}", columns=name)


@pytest.mark.parametrize("write", ["{:.3f}%", "1,{:03.0f}.5", "{:.0f}D+00", "{:.3f} %"])
def test_numbers_written_in_another_way_all_down_a_column_are_no_text(tmp_path, write):
    frame = pandas.DataFrame(ANY_NAMES | {"rate": [write.format(abs(v)) for v in E[:, 0]]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(
        ValueError, match="column 'rate' cannot be read: its cells look like numbers written in another way"
    ):
        open_source(tmp_path / "x.csv")


def test_a_title_that_is_a_year_among_titles_is_text(tmp_path):
    titles = ["Solaris", "1984", *["a book"] * (N - 2)]
    pandas.DataFrame(FEATURES | {"title": titles}).to_csv(tmp_path / "x.csv", index=False)
    assert open_source(tmp_path / "x.csv").columns.left_out == {"title": "text"}


def test_names_and_patterns_choose_columns(tmp_path):
    path = table(tmp_path / "x.csv", {"b": [1.5, 2.5], "a1": [3.5, 4.5], "a2": [5.5, 6.5], "t": ["x", "y"]})
    assert whole(open_source(path, columns="a*,b"))[0].tolist() == [3.5, 5.5, 1.5]
    assert whole(open_source(path, columns=["b"]))[0].tolist() == [1.5]
    assert whole(open_source(path, drop=["a?", "t"]))[0].tolist() == [1.5]
    assert open_source(path, drop="b").columns.left_out == {"b": "dropped on request", "t": "text"}
    with pytest.raises(ValueError, match=r"no column 'z\*'; its columns are b, a1, a2, t"):
        open_source(path, columns="z*")
    with pytest.raises(TypeError, match=r"no numbers to read in its column t \(first value 'x'\)"):
        open_source(path, columns="*")
    with pytest.raises(ValueError, match="not both"):
        open_source(path, columns="b", key="b")
    with pytest.raises(ValueError, match="no column 'y'"):
        open_source(path, labels_column="y")
    np.save(tmp_path / "x.npy", E)
    with pytest.raises(ValueError, match=r"x\.npy is no table"):
        open_source(tmp_path / "x.npy", drop="b")


def test_shards_of_which_other_columns_would_be_read_are_refused(tmp_path):
    table(tmp_path / "x1.parquet", {"a": list(E[:3]), "n": [1, 2, 3]})
    table(tmp_path / "x2.parquet", {"b": list(E[3:6]), "n": [1, 2, 3]})
    with pytest.raises(
        ValueError, match=r"differ in columns.*x1\.parquet: Read 1 column: a.*x2\.parquet: Read 1 column: b"
    ):
        open_source(tmp_path / "x*.parquet")


def test_the_command_line_says_and_writes_what_it_read(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    n = 200
    x = np.random.default_rng(2).standard_normal((n, D))
    x[:, 0] += np.repeat([0, 9], n // 2)
    frame = pandas.DataFrame(x, columns=[f"f{i}" for i in range(D)]).assign(kind=np.repeat([0, 1], n // 2), note="a")
    frame.to_csv("x.csv", index=False)
    assert main(["audit", "x.csv"]) == 2
    assert "`--labels-column kind` takes it as labels" in capsys.readouterr().err
    assert main(["audit", "x.csv", "--labels-column", "kind", "--json", "x.json"]) == 0
    assert (
        "Read 6 columns: f0, f1, f2, f3, f4, f5. Left out: kind (taken as labels); note (text)."
        in capsys.readouterr().out
    )
    columns = json.loads(Path("x.json").read_text())["columns"]
    assert columns["used"] == [f"f{i}" for i in range(D)]
    assert columns["left_out"][0] == {"name": "kind", "why": "taken as labels"}
    report = rg.Report.from_json("x.json")
    assert report.columns.left_out == {"kind": "taken as labels", "note": "text"}
    assert report["knn_accuracy"].value > 0.9
    assert main(["audit", "x.csv", "--drop", "kind", "--delimiter", "ab"]) == 2
    assert "must be one character" in capsys.readouterr().err


@BOTH
def test_short_vectors_beside_many_numbers_are_asked(tmp_path, extension):
    """Boxes or places beside features are no embedding; a few scores beside an embedding are no features."""
    path = table(tmp_path / f"x{extension}", FEATURES | {"box": ["[0.1, 0.2, 0.3, 0.4]"] * N})
    with pytest.raises(ValueError, match=r"1 column of vectors beside f0, .* may be a feature or not: box"):
        open_source(path)
    assert open_source(path, columns="f*").n_features == D
    assert open_source(path, key="box").n_features == 4


@BOTH
def test_empty_columns_are_left_out_unless_their_name_is_one_of_a_family(tmp_path, extension):
    path = table(tmp_path / f"x{extension}", FEATURES | {"nothing": [None] * N})
    assert open_source(path).columns.left_out == {"nothing": "empty"}
    path = table(tmp_path / f"y{extension}", FEATURES | {"f3": [None] * N})
    assert np.isnan(whole(open_source(path))[:, 3]).all()
