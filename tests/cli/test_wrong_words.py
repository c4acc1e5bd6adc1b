"""What a mistyped word on the command line gets: one line that names it, and what may have been meant."""

import json

import numpy as np
import pandas as pd
import pytest

import repgeom as rg
from repgeom.cli.main import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("good.npy", rng.standard_normal((120, 8)))
    frame = pd.DataFrame(rng.standard_normal((120, 30)), columns=[f"f{i}" for i in range(30)])
    frame["label"] = np.arange(120) % 3
    frame.to_csv("good.csv", index=False)
    frame.to_parquet("good.parquet")
    (tmp_path / "baseline.json").write_text(rg.audit("good.npy").to_json())
    return tmp_path


def error_of(capsys, *args):
    try:
        status = main(list(args))
    except SystemExit as ended:
        status = ended.code
    error = capsys.readouterr().err
    assert status == 2
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    "args",
    [
        ("compare", "baseline.jsn", "baseline.json"),
        ("compare", "baseline.json", "baseline.jsn"),
        ("audit", "good.npy", "--baseline", "baseline.jsn"),
        ("audit", "baseline.jsn"),
        ("audit-model", "bert", "--texts", "baseline.jsn"),
    ],
)
def test_a_file_that_is_not_there_is_named_with_its_neighbours(here, capsys, args):
    error = error_of(capsys, *args)
    if args[0] != "audit-model" or "There is no file" in error:
        assert "There is no file baseline.jsn. Did you mean baseline.json" in error


def test_a_folder_is_no_report(here, capsys):
    assert "is a folder" in error_of(capsys, "compare", ".", "baseline.json")


@pytest.mark.parametrize("table", ["good.csv", "good.parquet"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--labels-column", "klass"], "--labels-column"),
        (["--labels", "{table}", "--labels-key", "klass"], "--labels-key"),
        (["--groups", "{table}", "--groups-key", "klass"], "--groups-key"),
    ],
)
def test_a_column_that_is_not_there_is_asked_back_with_the_option_that_named_it(here, capsys, table, options, says):
    error = error_of(capsys, "audit", table, *(one.format(table=table) for one in options))
    assert f"{table} has no column 'klass'" in error
    assert "Did you mean 'label'?" in error
    assert f"`{says} NAME`" in error
    assert "arrays" not in error


def test_a_column_left_out_as_labels_says_how_it_is_used(here, capsys):
    assert main(["audit", "good.csv"]) == 0
    assert "give `--labels-column label` to use it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("adit", "x"), "Did you mean audit"),
        (("audit", "x", "--for", "retreive"), "Did you mean retrieve?"),
        (("audit", "x", "--for", "cluster"), "choose from"),
        (("audit", "x", "--labelz", "y"), "Did you mean --labels"),
        (("compare", "x"), "NEW"),
    ],
)
def test_a_wrong_argument_is_one_line(here, capsys, args, says):
    error = error_of(capsys, *args)
    assert says in error
    assert "usage:" not in error
    assert "--help` shows" in error


def test_a_rule_that_is_not_there_is_asked_back(here, capsys):
    error = error_of(capsys, "audit", "good.npy", "--threshold", "rank_shar=0.2,0.1")
    assert "--threshold rank_shar: no rule" in error
    assert "Did you mean rank_share" in error
    assert "`thresholds`" not in error


@pytest.mark.parametrize("spelled", ["rank_share", "Rank-Share", "RANK SHARE"])
def test_a_rule_is_known_by_its_obvious_spellings(here, spelled):
    assert main(["audit", "good.npy", "--threshold", f"{spelled}=2,1.5", "--json", "a.json", "--fail-on", "fail"]) == 1
    assert json.loads((here / "a.json").read_text())["verdict"]["level"] == "fail"


@pytest.mark.parametrize("spelled", ["cifar10c", "CIFAR-10-C", "cifar_10_c"])
def test_a_published_set_is_known_by_its_obvious_spellings(here, capsys, spelled):
    (here / "pub").mkdir()
    for corruption in ("Gaussian-Noise", "gaussian_noise"):
        error = error_of(capsys, "published", spelled, "pub", "--clean", "good.npy", "--corruptions", corruption)
        assert "lacks gaussian_noise.npy of CIFAR-10-C" in error
        assert "--corruptions NAME" in error
    assert "mCE" not in error_of(capsys, "published", spelled, "pub", "--clean", "good.npy", "--corruptions", "mce")


def test_a_published_set_that_is_none_is_named(here, capsys):
    error = error_of(capsys, "published", "mnistc", "pub", "--clean", "good.npy")
    assert "no published set is called 'mnistc'; there are CIFAR-10-C" in error
    assert "`name`" not in error
