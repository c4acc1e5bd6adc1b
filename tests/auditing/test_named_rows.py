"""Findings name the rows and columns that they speak of, by their numbers in the input, in text, JSON and page."""

import json

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.finding import numbers_named
from repgeom.auditing.report import Report
from repgeom.reading.first_places import FirstPlaces
from repgeom.reading.hashing import mixed, unmixed

N, BAD = 1000, np.arange(7, 1000, 60)  # sixteen rows: 7, 67, 127, ...


def normal(seed=0, width=12):
    return np.random.default_rng(seed).standard_normal((N, width))


def planted(kind):
    x = normal()
    if kind == "zero_rows":
        x[BAD] = 0
    elif kind == "duplicate_rows":
        x[BAD] = x[3]
    elif kind == "extreme_norms":
        x[BAD] *= 1e3
    elif kind == "nonfinite_rows":
        x[BAD, 2] = np.nan
    return x


ROWS = ("zero_rows", "duplicate_rows", "extreme_norms", "nonfinite_rows")


def stream(x):
    return (x[i : i + 130] for i in range(0, len(x), 130))


def merged(x):
    first = rg.AuditAccumulator(drop_nonfinite=True).update(x[600:], start=600)
    first.merge(rg.AuditAccumulator(drop_nonfinite=True).update(x[:600], start=0))
    return rg.AuditAccumulator.from_bytes(first.to_bytes()).report()


def dask(x):
    import dask.array as da

    return rg.audit(da.from_array(x, (170, 12)), drop_nonfinite=True)


def file(x, path):
    np.save(path / "x.npy", x)
    return rg.audit(path / "x.npy", drop_nonfinite=True)


WAYS = {
    "array": lambda x, path: rg.audit(x, drop_nonfinite=True),
    "float32": lambda x, path: rg.audit(x.astype(np.float32), drop_nonfinite=True),
    "stream": lambda x, path: rg.audit(stream(x), drop_nonfinite=True),
    "dask": lambda x, path: dask(x),
    "accumulator": lambda x, path: merged(x),
    "file": file,
}


def finding(report, name):
    return next(f for f in report.findings if f.name == name)


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_rows_are_numbered_as_in_the_input_whatever_they_come_as(way, kind, tmp_path):
    found = finding(way(planted(kind), tmp_path), kind)
    assert found.rows == tuple(BAD[:10].tolist())
    assert found.n_rows == len(BAD)
    assert (found.columns, found.n_columns, found.row_places) == ((), 0, ())


def test_numbers_stay_those_of_the_input_after_rows_were_dropped():
    x = planted("nonfinite_rows")
    x[500], x[20] = 0, x[3]
    x[900] *= 1e3
    report = rg.audit(x, drop_nonfinite=True)
    for name, row in (("zero_rows", 500), ("duplicate_rows", 20), ("extreme_norms", 900)):
        assert (finding(report, name).rows, finding(report, name).n_rows) == ((row,), 1)


def test_what_is_found_in_the_reference_is_a_row_of_both():
    other = normal(1)
    other[40, 0] = np.inf
    assert finding(rg.audit(normal(), reference=other, drop_nonfinite=True), "nonfinite_rows").rows == (40,)


def test_columns_are_named():
    x = normal()
    x[:, [2, 5, 11]] = 3.0
    found = finding(rg.audit(x), "constant_features")
    assert (found.columns, found.n_columns, found.rows) == ((2, 5, 11), 3, ())
    wide = np.where(np.arange(12) > 0, x[:1], x)
    assert finding(rg.audit(wide), "constant_features").columns == tuple(range(1, 11))
    assert finding(rg.audit(wide), "constant_features").n_columns == 11


def test_dominating_rows_are_named_the_largest_first():
    x = normal()
    x[[17, 900]] *= np.array([[1e5], [2e5]])
    found = finding(rg.audit(x), "dominating_rows")
    assert (found.rows, found.n_rows) == ((900, 17), 2)


def test_text_json_and_page_show_them():
    x = planted("nonfinite_rows")
    x[:, 4:] = 0
    report = rg.audit(x, drop_nonfinite=True)
    shown = "7, 67, 127, 187, 247, 307, 367, 427, 487, 547 and 7 more"
    assert f"       rows: {shown}\n" in str(report)
    assert "       columns: 4, 5, 6, 7, 8, 9, 10, 11\n" in str(report)
    assert f"<dt>rows</dt><dd>{shown}</dd>" in report.to_html()
    written = {f["name"]: f for f in json.loads(report.to_json())["verdict"]["findings"]}
    assert written["nonfinite_rows"]["rows"] == BAD[:10].tolist()
    assert written["nonfinite_rows"]["n_rows"] == len(BAD)
    assert written["constant_features"]["columns"] == list(range(4, 12))
    back = Report.from_json(report.to_json())
    assert back.findings == report.findings
    assert str(back) == str(report)


def test_of_shards_the_file_and_the_row_in_it_are_named(tmp_path):
    x = planted("zero_rows")
    for i, part in enumerate(np.split(x, [100, 500])):
        np.save(tmp_path / f"part-{i}.npy", part)
    report = rg.audit(str(tmp_path / "part-*.npy"))
    found = finding(report, "zero_rows")
    assert found.rows == tuple(BAD[:10].tolist())
    places = [place.split("/")[-1] for place in found.row_places]
    assert places[:3] == ["part-0.npy row 7", "part-0.npy row 67", "part-1.npy row 27"]
    assert places[-1] == "part-2.npy row 47"
    assert f"67 ({tmp_path / 'part-0.npy'} row 67)" in numbers_named(found)["rows"]
    assert Report.from_json(report.to_json()).findings == report.findings


def test_a_report_without_numbers_is_read_as_one(tmp_path):
    text = json.loads(rg.audit(normal()).to_json())
    for found in text["verdict"]["findings"]:
        for name in ("rows", "n_rows", "row_places", "columns", "n_columns"):
            del found[name]
    assert Report.from_json(json.dumps(text)).findings[0].rows == ()


def test_rows_that_come_often_are_named_where_hashes_are_thinned(monkeypatch):
    monkeypatch.setattr("repgeom.reading.thinning.KEPT_ROWS", 128)
    x = planted("duplicate_rows")
    x[BAD[0] :: 2] = x[3]
    found = finding(rg.audit(stream(x)), "duplicate_rows")
    assert set(found.rows) <= set(range(BAD[0], N, 2)) | set(BAD)
    assert len(found.rows) == 10


def test_first_places_are_the_smallest_and_scrambled_numbers_come_back():
    first = FirstPlaces()
    for part in np.split(np.random.default_rng(0).permutation(100), 4):
        first.add(part)
    assert first.numbers == tuple(range(10))
    numbers = np.r_[np.arange(1000), 2**53, 2**63 - 1].astype(np.uint64)
    np.testing.assert_array_equal(unmixed(mixed(numbers)), numbers)


# Columns that count rows ------------------------------------------------------------------------------------------

COUNTS = {
    "from 0": np.arange(N),
    "from 1": 1 + np.arange(N),
    "backwards": N - np.arange(N),
    "by 0.01": 5 + 0.01 * np.arange(N),
    "far away": 1_000_000 + 3 * np.arange(N),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS)
def test_a_column_that_counts_rows_is_found_in_every_type(count, dtype):
    if dtype == np.float16 and count.max() > 6e4:
        return
    x = np.insert(normal(), 3, count, axis=1).astype(dtype)
    for rows in (x, stream(x)):
        report = rg.audit(rows)
        found = finding(report, "index_columns")
        assert (found.level, found.columns, found.n_columns) == ("fail", (3,), 1)
        assert found.reason == "column 3 counts rows: an index?"
        assert "--drop-columns" in found.advice
        assert report.level == "fail"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_whatever_rows_come_as_and_whichever_are_dropped(way, tmp_path):
    x = np.c_[normal(width=11), np.arange(N)]
    x[BAD, 0] = np.nan
    assert finding(way(x, tmp_path), "index_columns").columns == (11,)


def test_features_that_do_not_count_are_left_alone():
    x = normal()
    x[:, 0] = np.arange(N) + 0.001 * x[:, 0]
    x[:, 1] = np.arange(N) ** 1.0001
    x[:, 2] = np.arange(N) // 2
    x[:, 3] = 7.0
    x[:, 4] = np.where(np.arange(N) == 500, 0, np.arange(N))
    x[:, 5] = np.where(np.arange(N) < 500, np.arange(N), 2 * np.arange(N) - 500)
    for report in (rg.audit(x), rg.audit(stream(x)), merged(x)):
        assert finding(report, "index_columns").value == 0
    # Any few numbers are a progression.
    assert finding(rg.audit(np.c_[np.arange(7), normal()[:7]]), "index_columns").value == 0
