"""Options of the command line that change rows and columns, name what is audited, and say less."""

import json

import numpy as np
import pytest

import repgeom as rg
from repgeom.cli.main import main


@pytest.fixture
def stored(tmp_path):
    x = np.random.default_rng(0).standard_normal((300, 6))
    x = np.r_[np.c_[np.arange(300), x], np.c_[[300, 301], x[:2]]]
    np.save(tmp_path / "x.npy", x)
    return str(tmp_path / "x.npy"), x


def report_of(arguments, path):
    status = main(["audit", *arguments, "--json", str(path)])
    return status, json.loads(path.read_text())


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (["--drop-columns", "0"], {"drop_columns": [0]}),
        (["--drop-columns", "0,2-3"], {"drop_columns": [0, 2, 3]}),
        (["--standardize"], {"standardize": True}),
        (["--drop-columns", "0", "--duplicates", "drop"], {"drop_columns": "0", "duplicates": "drop"}),
        (["--drop-columns", "0", "--duplicates", "group"], {"drop_columns": "0", "duplicates": "group"}),
    ],
)
def test_they_are_those_of_audit(stored, options, asked, tmp_path, capsys):
    path, x = stored
    _, found = report_of([path, *options], tmp_path / "r.json")
    expected = json.loads(rg.audit(x, **asked).to_json())
    for part in ("measures", "health", "convention", "n_samples", "n_features"):
        assert found[part] == expected[part]


def test_an_index_is_found_and_the_advice_mends_it(stored, tmp_path, capsys):
    path, _ = stored
    assert main(["audit", path, "--fail-on", "fail"]) == 1
    shown = capsys.readouterr().out
    assert "column 0 counts rows: an index?" in shown
    assert "--drop-columns" in shown
    assert main(["audit", path, "--fail-on", "fail", "--drop-columns", "0"]) == 0


def test_quiet_prints_one_line_for_each_verdict(stored, tmp_path, capsys):
    path, _ = stored
    status, found = report_of([path, path, "--quiet", "--fail-on", "fail"], tmp_path / "r.json")
    captured = capsys.readouterr()
    assert status == 1
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert len(lines) == 3
    for line in lines[:2]:
        assert line.startswith(f"{path}: FAIL for transfer: uses about")
    assert lines[2].startswith("Exit status 1 by --fail-on fail")
    assert len(found) == 2
    assert main(["audit", str(tmp_path / "nowhere.npy"), "--quiet"]) == 2
    assert "nowhere.npy" in capsys.readouterr().err


def test_names_are_those_of_the_reports_in_their_order(stored, tmp_path, capsys):
    path, _ = stored
    _, found = report_of([path, path, "--name", "before", "--name", "after"], tmp_path / "r.json")
    assert [one["name"] for one in found] == ["before", "after"]
    assert "before: 302 samples" in capsys.readouterr().out
    assert main(["audit", path, path, "--name", "only"]) == 2
    assert "--name is given 1 times and there are 2 FEATURES" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--drop-columns", "99"], "names column 99 and `features` has 7"),
        (["--drop-columns", "id"], "names 'id', which is no column"),
        (["--duplicates", "group", "--groups", "{g}"], "`groups` is given as well"),
    ],
)
def test_what_cannot_be_done_ends_with_status_2_and_one_reason(stored, options, words, tmp_path, capsys):
    path, x = stored
    np.save(tmp_path / "g.npy", np.arange(len(x)))
    assert main(["audit", path, *(option.format(g=tmp_path / "g.npy") for option in options)]) == 2
    assert words in capsys.readouterr().err
