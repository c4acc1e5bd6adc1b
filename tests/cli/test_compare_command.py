"""`repgeom compare` and `audit --baseline`: what is printed, written and refused, and the exit status."""

import json

import numpy as np
import pytest

import repgeom as rg
from repgeom.cli.main import main

N = 400


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).standard_normal((N, 10))
    np.save("a.npy", x)
    np.save("b.npy", x * np.r_[np.ones(8), 0.1, 0.1])
    np.save("other.npy", np.random.default_rng(1).standard_normal((N, 10)))
    np.save("labels.npy", np.arange(N) % 3)
    np.save("ids.npy", np.arange(N))
    run("audit", "a.npy", "--json", "old.json")
    run("audit", "b.npy", "--json", "new.json")
    return tmp_path


def run(*args):
    return main([str(a) for a in args])


def last_line(capsys):
    return capsys.readouterr().out.splitlines()[-1]


# The exit status ----------------------------------------------------------------------------------------------------

DROPS = [
    (["effective_rank=5%"], [], 1, "effective_rank fell by"),
    (["effective_rank=1"], [], 1, "more than 1"),
    (["effective_rank=50%"], [], 0, "within 50%"),
    (["effective_rank=50%", "participation_ratio=1%"], [], 1, "participation_ratio fell"),
    (["numerical_rank=1"], [], 0, "not decided"),
    (["numerical_rank=1"], ["--strict"], 1, "(--strict): not decided"),
    (["effective_rank=50%"], ["--strict"], 0, "within 50%"),
]


@pytest.mark.parametrize(("drops", "options", "status", "why"), DROPS)
@pytest.mark.parametrize("command", ["compare", "audit"])
def test_a_drop_is_a_failure_only_where_it_is_sure(here, command, drops, options, status, why, capsys):
    gate = [word for drop in drops for word in ("--fail-on-drop", drop)]
    start = (
        ["compare", "old.json", "new.json"] if command == "compare" else ["audit", "b.npy", "--baseline", "old.json"]
    )
    assert run(*start, *gate, *options) == status
    line = last_line(capsys)
    assert line.startswith(f"Exit status {status} by --fail-on-drop ")
    assert why in line


def test_both_gates_say_why(here, capsys):
    gate = ["--baseline", "old.json", "--fail-on", "fail", "--fail-on-drop", "effective_rank=5%"]
    assert run("audit", "b.npy", *gate) == 1
    line = last_line(capsys)
    assert line.startswith(
        "Exit status 1 by --fail-on fail: none reads fail; by --fail-on-drop effective_rank=5%: effective_rank fell"
    )


def test_the_reason_stands_on_standard_error_beside_json(here, capsys):
    gate = ["--fail-on-drop", "effective_rank=5%", "--json", "-"]
    for start in (["compare", "old.json", "new.json"], ["audit", "b.npy", "--baseline", "old.json"]):
        assert run(*start, *gate) == 1
        out, err = capsys.readouterr()
        json.loads(out)
        assert err.splitlines()[-1].startswith("Exit status 1")


def test_reports_are_written_though_the_gate_fails(here):
    files = ["--json", "now.json", "--html", "now.html", "--junit", "now.xml", "--markdown", "now.md"]
    assert run("audit", "b.npy", "--baseline", "old.json", "--fail-on-drop", "effective_rank=5%", *files) == 1
    assert rg.types.Report.from_json("now.json").name == "b.npy"
    assert all((here / name).stat().st_size > 500 for name in files[1::2])


def test_the_baseline_may_be_the_file_that_is_written(here):
    for expected in (1, 0):
        assert (
            run("audit", "b.npy", "--baseline", "old.json", "--json", "old.json", "--fail-on-drop", "effective_rank=5%")
            == expected
        )


# What is compared ---------------------------------------------------------------------------------------------------


def test_the_comparison_is_that_of_python(here, capsys):
    assert run("compare", "old.json", "new.json", "--measures", "all", "--json", "c.json") == 0
    expected = rg.compare_reports("old.json", "new.json")
    assert capsys.readouterr().out == f"{expected}\n"
    assert json.loads((here / "c.json").read_text()) == expected.to_dict()


@pytest.mark.parametrize("mark", [["--labels", "labels.npy"], ["--row-ids", "ids.npy"], ["--groups", "ids.npy"]])
@pytest.mark.parametrize("kept", [True, False])
def test_rows_are_compared_one_by_one_where_known_and_kept(here, mark, kept, capsys):
    keep = ["--keep-scores"] if kept else []
    run("audit", "a.npy", *mark, *keep, "--json", "old.json")
    run("audit", "b.npy", *mark, *keep, "--json", "new.json")
    capsys.readouterr()
    run("compare", "old.json", "new.json", "--json", "-")
    found = json.loads(capsys.readouterr().out)
    assert found["paired"] is found["measures"]["effective_rank"]["paired"] is kept
    run("audit", "b.npy", *mark, "--baseline", "old.json", "--json", "now.json")
    assert ("Rows: compared one by one" in capsys.readouterr().out) is kept
    assert ("scores" in json.loads((here / "now.json").read_text())["row_identity"]) is False


def test_paired_says_what_no_checksum_says(here, capsys):
    for name in "ab":
        run("audit", f"{name}.npy", "--keep-scores", "--json", f"{name}.json")
    capsys.readouterr()
    run("compare", "a.json", "b.json")
    assert "Rows: not compared one by one; nothing says that" in capsys.readouterr().out
    assert run("compare", "a.json", "b.json", "--paired") == 0
    assert "Rows: compared one by one; row i of both is one sample, as was said" in capsys.readouterr().out


@pytest.mark.parametrize("order", [("a", "other"), ("other", "a")])
def test_several_reports_are_matched_by_name(here, order, capsys):
    run("audit", "a.npy", "other.npy", "--json", "both.json")
    capsys.readouterr()
    run("audit", *(f"{name}.npy" for name in order), "--baseline", "both.json", "--fail-on-drop", "effective_rank=5%")
    out = capsys.readouterr().out
    for name in order:
        assert f"Since the baseline: {name}.npy (400 × 10) before, {name}.npy" in out
        assert f"{name}.npy: effective_rank is" in out.splitlines()[-1]


def test_several_reports_of_other_names_are_matched_by_order(here, capsys):
    for names, path in ((("a", "other"), "old.json"), (("b", "labels"), "new.json")):
        np.save("labels.npy", np.load("other.npy"))
        run("audit", *(f"{name}.npy" for name in names), "--json", path)
    capsys.readouterr()
    assert run("compare", "old.json", "new.json", "--json", "-") == 0
    pairs = [(one["old"]["name"], one["new"]["name"]) for one in json.loads(capsys.readouterr().out)]
    assert pairs == [("a.npy", "b.npy"), ("other.npy", "labels.npy")]


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no JSON"), ("hello", "is no JSON"), ("{", "is no JSON"), ("[" * 100_000, "is no JSON"), ("[]", "holds no report"),
        ("3", "holds no report"), ('["a"]', "holds no report"), ("null", "holds no report"), ("{}", "is no report of schema version"),
        ('{"schema_version": 4}', "not a whole report"), ('{"schema_version": 99}', "`schema_version` is 99"),
        ("é".encode("latin-1"), "is no JSON"), (None, "There is no file"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "command", [["compare", "BAD", "new.json"], ["compare", "new.json", "BAD"], ["audit", "a.npy", "--baseline", "BAD"]]
)
def test_what_is_no_report_is_status_2_and_named(here, command, content, message, capsys):
    if content is not None:
        (here / "bad.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    capsys.readouterr()
    assert run(*(word.replace("BAD", "bad.json") for word in command)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "bad.json" in err
    assert "text_or_path" not in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["audit", "a.npy", "--fail-on-drop", "effective_rank=5%"], "--baseline old.json"),
        (["audit", "a.npy", "--strict"], "--baseline old.json"),
        (["audit", "a.npy", "--paired"], "--baseline old.json"),
        (["audit", "a.npy", "--baseline", "old.json", "--strict"], "which is not given"),
        (["audit", "a.npy", "--baseline", "old.json", "--fail-on-drop", "rank=5%"], "no measure"),
        (["audit", "a.npy", "--baseline", "old.json", "--fail-on-drop", "knn_accuracy=5%"], "need labels"),
        (["audit", "a.npy", "b.npy", "--baseline", "old.json"], "holds 1 report and 2 would be compared"),
        (["audit", "a.npy", "--baseline", "old.json", "--normalize", "l2"], "--normalize"),
        (["audit", "a.npy", "--baseline", "old.json", "--paired"], "--keep-scores"),
        (["audit", "a.npy", "--row-ids", "short.npy"], "there are 3 row ids for 400 rows"),
        (["audit", "a.npy", "--row-ids", "labels.npy"], "only 3 of 400 row ids are different"),
        (["audit", "a.npy", "--junit", "-"], "--junit needs the path of a file"),
        (["audit", "a.npy", "--markdown", "-"], "--markdown needs the path of a file"),
        (["audit", "a.npy", "--junit", "nowhere/a.xml"], "does not exist"),
        (["compare", "old.json", "new.json", "--json", "nowhere/a.json"], "does not exist"),
    ],
)
def test_what_cannot_be_judged_is_status_2_with_advice(here, args, message, capsys):
    np.save("short.npy", np.arange(3))
    capsys.readouterr()
    assert run(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_names_that_fit_in_part_are_not_guessed(here, capsys):
    run("audit", "a.npy", "other.npy", "--json", "both.json")
    assert run("audit", "b.npy", "a.npy", "--baseline", "both.json") == 2
    assert "which belongs to which?" in capsys.readouterr().err
