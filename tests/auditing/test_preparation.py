"""Columns left out, repeats dropped or grouped, columns standardised: as if the user had done it to the array."""

import json
import re

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.preparation import column_numbers
from repgeom.auditing.report import Report

N, D = 600, 9


def features(seed=0, n=N, width=D):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, width)) * 10.0 ** np.linspace(-2, 3, width) + np.arange(width)


def beside(x):
    rng = np.random.default_rng(1)
    return {
        "labels": np.arange(len(x)) % 4,
        "reference": x @ rng.standard_normal((x.shape[1], 5)) * 10.0 ** np.arange(5),
        "corrupted": x * (1 + 0.1 * rng.standard_normal(x.shape)),
    }


def standardized(x, of=None):
    of = x if of is None else of
    spread = np.where((of == of[0]).all(0), 1, of.std(0))
    return np.where((of == of[0]).all(0), 0, x - of.mean(0)) / spread


def numbers(report):
    return {v.name: v.value for v in report.values if v.value is not None}


def assert_alike(found, expected, rel=1e-7, apart=()):
    """`apart`: measures of rows that are drawn by their numbers, which are others here."""
    mine, theirs = ({k: v for k, v in numbers(r).items() if k not in apart} for r in (found, expected))
    assert mine == pytest.approx(theirs, rel=rel, abs=1e-9)
    assert found.n_samples == expected.n_samples
    assert found.n_features == expected.n_features
    # A sentence may name the rows and columns of the input by other numbers.
    assert {f.name: f.level for f in found.findings} == {f.name: f.level for f in expected.findings}
    if expected.drift is not None:
        np.testing.assert_allclose(found.drift.value, expected.drift.value, rtol=rel, atol=1e-9)


def as_file(x, path):
    np.save(path / "x.npy", x)
    return path / "x.npy"


def as_shards(x, path):
    for i, part in enumerate(np.array_split(x, 3)):
        np.save(path / f"part-{i}.npy", part)
    return str(path / "part-*.npy")


def as_dask(x, path):
    import dask.array as da

    return da.from_array(x, (110, D))


def as_stream(x, path):
    return (x[i : i + 100] for i in range(0, len(x), 100))


READABLE = {"array": lambda x, path: x, "file": as_file, "shards": as_shards, "dask": as_dask}
every_way = pytest.mark.parametrize("way", [*READABLE.values(), as_stream], ids=[*READABLE, "stream"])
every_readable = pytest.mark.parametrize("way", READABLE.values(), ids=READABLE)


# Columns ----------------------------------------------------------------------------------------------------------


@every_way
def test_columns_are_left_out_as_from_the_array(way, tmp_path):
    x = features()
    left = np.delete(x, [0, 3, 4, 5], 1)
    report = rg.audit(way(x, tmp_path), drop_columns=[0, "3-5"])
    assert_alike(report, rg.audit(left))
    assert report.convention["dropped_columns"] == [0, 3, 4, 5]


def test_corrupted_rows_lose_the_same_columns_and_a_reference_none():
    x = features()
    given = beside(x)
    left = {**given, "corrupted": np.delete(given["corrupted"], 8, 1)}
    assert_alike(rg.audit(x, **given, drop_columns="8"), rg.audit(np.delete(x, 8, 1), **left))


def test_what_is_not_finite_in_a_dropped_column_does_not_matter():
    x = features()
    x[7, 2], x[9, 4] = np.nan, np.inf
    for rows in (x, as_stream(x, None)):
        assert_alike(rg.audit(rows, drop_columns=[2, 4]), rg.audit(np.delete(x, [2, 4], 1)))
    for rows in (x, as_stream(x, None)):
        with pytest.raises(ValueError, match=r"1 non-finite value; .*inf at row 9, column 4"):
            rg.audit(rows, drop_columns=[2])


def test_findings_name_columns_as_in_the_input():
    x = features()
    x[:, 6] = 2.0
    report = rg.audit(np.insert(x, 3, np.arange(N), axis=1), drop_columns=[0, 1])
    columns = {f.name: f.columns for f in report.findings if f.columns}
    assert columns == {"index_columns": (3,), "constant_features": (7,)}


def test_an_index_is_left_out_by_the_advice_of_its_finding():
    x = features()
    with_index = np.c_[np.arange(N), x]
    found = next(f for f in rg.audit(with_index).findings if f.name == "index_columns")
    assert_alike(rg.audit(with_index, drop_columns=found.columns), rg.audit(x))


def test_columns_of_a_table_are_named():
    import pandas as pd

    x = features()
    frame = pd.DataFrame(x, columns=[f"f{i}" for i in range(D)])
    report = rg.audit(frame, drop_columns="f0,f2,5-6")
    assert_alike(report, rg.audit(np.delete(x, [0, 2, 5, 6], 1)))
    assert report.columns.used == ("f1", "f3", "f4", "f7", "f8")
    assert report.columns.left_out["f2"] == "drop_columns"


@pytest.mark.parametrize(
    ("asked", "names", "found"),
    [
        ("3,17,20-25", None, (3, 17, 20, 21, 22, 23, 24, 25)),
        ([2, 1, 2], None, (1, 2)),
        (np.array([4, 0]), None, (0, 4)),
        (7, None, (7,)),
        ("b, 0", ["a", "b"], (0, 1)),
        ("1", ["a", "b", "1"], (2,)),
        ([], None, ()),
    ],
)
def test_numbers_ranges_and_names(asked, names, found):
    assert column_numbers(asked, names) == found


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ("id", ValueError, "names 'id', which is no column: give numbers from 0, ranges such as '20-25', or names"),
        ("5-3", ValueError, "'5-3'"),
        ([-1], ValueError, "names -1"),
        ([True], ValueError, "names True"),
        ([1.5], ValueError, "names 1.5"),
        (2.5, TypeError, "got float"),
        ([9], ValueError, "names column 9 and `features` has 9, numbered from 0"),
        ("0-8", ValueError, "names all 9 columns"),
    ],
)
@pytest.mark.parametrize("way", [READABLE["array"], as_dask, as_stream], ids=["array", "dask", "stream"])
def test_columns_that_are_not_there_are_refused(way, asked, error, words, tmp_path):
    with pytest.raises(error, match=re.escape(words)):
        rg.audit(way(features(), tmp_path), drop_columns=asked)


# Repeats ----------------------------------------------------------------------------------------------------------


def repeated(x):
    """Every fifth row once more, in some order, and two rows many times; all labels and the like go with their row."""
    every = np.r_[np.arange(N), np.arange(0, N, 5), np.full(40, 7), np.full(9, 8)]
    return np.random.default_rng(2).permutation(every)


@every_readable
def test_the_first_of_equal_rows_is_kept(way, tmp_path):
    x = features()
    order = repeated(x)
    first = np.sort(np.unique(order, return_index=True)[1])
    given = beside(x)
    more = {name: values[order] for name, values in given.items()}
    report = rg.audit(way(x[order], tmp_path), **more, duplicates="drop")
    expected = rg.audit(x[order][first], **{name: values[order][first] for name, values in given.items()})
    assert_alike(report, expected, apart=("class_rank_median",))
    assert report.health.duplicate_rows == 0
    assert "169 rows that repeat an earlier one were left out; one of each is kept." in report.notes
    assert report.convention["duplicates"] == "drop"


@every_way
def test_equal_rows_form_a_group(way, tmp_path):
    x = features()
    order = repeated(x)
    report = rg.audit(way(x[order], tmp_path), duplicates="group")
    expected = rg.audit(x[order], groups=order)
    assert_alike(report, expected)
    for mine, theirs in zip(report.values, expected.values, strict=True):
        assert (mine.low is None) == (theirs.low is None), mine.name
        assert mine.low is None or mine.low == pytest.approx(theirs.low, rel=1e-5, abs=1e-9), mine.name
    assert f"Rows that are equal form a group: {len(order):,} rows in {N:,} groups." in report.notes


def test_neighbours_of_equal_rows_are_other_rows():
    x = features()[:, :4]
    x = np.repeat(x[:100], 3, 0)
    labels = np.repeat(np.arange(100) % 5, 3)
    grouped = rg.audit(x, labels=labels, duplicates="group")
    assert grouped["knn_accuracy"].value == rg.knn_accuracy(x, labels, groups=np.repeat(np.arange(100), 3))
    assert rg.audit(x, labels=labels)["knn_accuracy"].value > grouped["knn_accuracy"].value + 0.2


def test_rows_are_equal_by_the_columns_that_are_left():
    x = np.c_[np.arange(N) % 7, np.repeat(features()[: N // 2], 2, 0)]
    report = rg.audit(x, drop_columns=[0], duplicates="drop")
    assert report.n_samples == N // 2


def test_kept_rows_are_numbered_as_in_the_input():
    x = features()
    x = np.r_[x[:5], x[:5], x[5:]]
    x[50] = 0
    report = rg.audit(x, duplicates="drop")
    assert next(f for f in report.findings if f.name == "zero_rows").rows == (50,)


# Standardised columns ---------------------------------------------------------------------------------------------


@every_readable
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_report_is_that_of_the_standardized_array(way, dtype, tmp_path):
    x = features().astype(dtype)
    x[:, 4] = 0.1
    given = {name: values.astype(dtype) if values.dtype.kind == "f" else values for name, values in beside(x).items()}
    given["corrupted"][:, 4] = 0.1
    report = rg.audit(way(x, tmp_path), **given, standardize=True)
    z = standardized(x.astype(float))
    theirs = {
        "labels": given["labels"],
        "reference": standardized(given["reference"].astype(float)),
        "corrupted": standardized(given["corrupted"].astype(float), x.astype(float)),
    }
    assert_alike(report, rg.audit(z, **theirs), 1e-7 if dtype == np.float64 else 2e-4)
    assert report.health.constant_features == 1
    assert report.convention["standardized"] is True
    assert "(columns standardized, then centred)" in str(report)
    assert "columns standardized, then centred" in report.to_html()
    back = Report.from_json(report.to_json())
    assert str(back) == str(report)


@pytest.mark.parametrize("normalize", [None, "l2"])
def test_all_of_it_together_and_rows_with_nan(normalize, tmp_path):
    x = features()
    order = repeated(x)
    rows = np.c_[np.arange(len(order)), x[order]]
    bad = np.flatnonzero(order == 17)
    rows[bad, 3] = np.nan
    report = rg.audit(
        as_shards(rows, tmp_path),
        drop_columns=[0],
        duplicates="drop",
        standardize=True,
        drop_nonfinite=True,
        normalize=normalize,
        checkpoint=tmp_path / "kept",
    )
    first = np.sort(np.unique(order, return_index=True)[1])
    z = standardized(np.delete(x[order][first], np.flatnonzero(order[first] == 17), 0))
    assert numbers(report) == pytest.approx(numbers(rg.audit(z, normalize=normalize)), rel=1e-7, abs=1e-9)
    assert report.n_samples == N - 1
    assert not (tmp_path / "kept").exists()


def test_a_report_without_choices_is_what_it_was_and_says_so():
    plain = rg.audit(features())
    assert plain.convention["standardized"] is False
    assert (plain.convention["duplicates"], plain.convention["dropped_columns"]) == ("keep", [])
    old = json.loads(plain.to_json())
    for name in ("standardized", "duplicates", "dropped_columns"):
        del old["convention"][name]
    assert str(Report.from_json(json.dumps(old))) == str(plain)


# What cannot be asked ---------------------------------------------------------------------------------------------


def test_what_cannot_be_asked_is_refused_by_name():
    x = features()
    with pytest.raises(ValueError, match=r"`duplicates` must be .*got 'remove'"):
        rg.audit(x, duplicates="remove")
    with pytest.raises(ValueError, match="`groups` is given as well"):
        rg.audit(x, duplicates="group", groups=np.arange(N))
    for name, value in (("standardize", True), ("duplicates", "drop")):
        with pytest.raises(
            ValueError, match=f"`features` is a stream of batches.*`{name}` needs rows that can be read again"
        ):
            rg.audit(as_stream(x, None), **{name: value})
    x[3, 1] = np.nan
    for option in ({"standardize": True}, {"duplicates": "drop"}):
        with pytest.raises(ValueError, match="nan at row 3, column 1"):
            rg.audit(x, **option)
    with pytest.raises(ValueError, match=r"zero variance|all rows are equal"):
        rg.audit(np.ones((30, 4)), standardize=True)


def test_a_report_of_standardized_columns_is_compared_with_none_of_others():
    plain, scaled = rg.audit(features()), rg.audit(features(), standardize=True)
    with pytest.raises(ValueError, match="--standardize"):
        rg.compare_reports(plain, scaled)
