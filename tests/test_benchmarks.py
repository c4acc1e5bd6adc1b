"""What decides whether a benchmark run fails, how its table reads, and that every study has a command and a page."""

import ast
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import answer, arrays, files, pipelines, processes, stored
from benchmarks.answer import Answer
from studies import __main__ as studies

ROOT = Path(__file__).parent.parent
SPECTRUM = Answer("spectrum a", "`rg.spectrum` of 50 × 7", 0.3, 0.2, 1e-9, 2e6, {"torch svd": 2.1})


def test_a_row_shows_ratios_to_the_rival_and_to_the_floor():
    assert SPECTRUM.cells() == [
        "`rg.spectrum` of 50 × 7", "300 ms", "1e-09", "2 MB", "torch svd 7", "**1.50**", "1.4",
    ]  # fmt: skip


def test_a_time_within_its_limit_is_not_in_bold():
    assert Answer("spectrum a", "?", 0.25, 0.2).cells()[-2:] == ["1.25", "1.4"]


def test_a_row_that_was_stopped_says_after_how_long_and_has_no_ratio():
    found = Answer("many a", "?", stopped=60.0)
    assert found.cells()[1] == "over 60 s"
    assert stored.ratios([found]) == {}


def test_a_limit_is_that_of_the_whole_first_word():
    assert Answer("spectrum a", "?").limit == 1.4
    assert Answer("spectrums a", "?").limit is None


def test_the_table_gives_the_reason_of_every_limit_it_shows_and_of_no_other():
    text = answer.table([SPECTRUM])
    assert "* spectrum: 1.4: " in text
    assert "* stack" not in text


def test_more_rows_than_a_page_holds_are_refused():
    with pytest.raises(ValueError, match="41 rows, and may have 40"):
        answer.table([SPECTRUM] * 41)


def test_the_questions_fit_the_table():
    in_python = sum(len(problem.ours) for problem in arrays.PROBLEMS)
    of_processes, of_pipelines = 10, 5
    assert in_python + of_processes + of_pipelines <= answer.MOST_ROWS


@pytest.mark.parametrize("shapes", [benchmarks.FULL, benchmarks.QUICK])
def test_rows_have_names_of_their_own_and_files_to_read(shapes):
    keys = [arrays.key(problem, ours, shapes) for problem in arrays.PROBLEMS for ours in problem.ours]
    assert len(set(keys)) == len(keys)


def test_every_candidate_that_is_asked_for_exists():
    candidates = re.findall(r'^    "([^"]+)": ', (ROOT / "benchmarks" / "inside.py").read_text(), re.MULTILINE)
    for problem in arrays.PROBLEMS:
        asked = {*problem.ours, *problem.rivals, problem.reading}
        assert {name for name in asked if "classes" not in name} <= set(candidates)


def test_ratios_are_ours_to_the_floor():
    assert stored.ratios([SPECTRUM, Answer("shards npz", "?", 3.0)]) == {"spectrum a": pytest.approx(1.5)}


@pytest.mark.parametrize(("now", "slower"), [(1.0, False), (2.2, False), (2.3, True)])
def test_half_as_slow_again_is_a_regression(now, slower):
    before = {"a": 1.5, "only then": 1.0}
    found = stored.slower({"a": now, "only now": 9.0}, before)
    assert found == ({"a": (1.5, now)} if slower else {})
    if slower:
        sentence = stored.sentence("a", *found["a"])
        assert sentence.startswith("\033[31m")
        assert "2.3 times the floor, stored 1.5" in sentence


def test_what_a_run_did_not_have_stays_stored(tmp_path):
    path = tmp_path / "stored.json"
    stored.write("full", {"GPU": 1.0, "a": 2.0}, path)
    stored.write("quick", {"a": 9.0}, path)
    stored.write("full", {"a": 3.0}, path)
    assert stored.read("full", path) == {"GPU": 1.0, "a": 3.0}
    assert stored.read("quick", path) == {"a": 9.0}
    assert stored.read("other", path) == {}


def test_a_process_is_stopped_when_its_time_is_up():
    found = files.run([sys.executable, "-c", "import time; time.sleep(60)"], longest=0.2)
    assert found.stopped
    with pytest.raises(RuntimeError, match="ended with status 3"):
        files.run([sys.executable, "-c", "raise SystemExit(3)"])


def test_the_program_that_starts_the_others_stays_small():
    """A child's peak memory is never below its parent's, so the parent must not import torch."""
    large = {"torch", "repgeom", "sklearn", "scipy"}
    for module in ("__main__", "arrays", "processes", "pipelines", "answer", "stored", "files", "page", "data"):
        tree = ast.parse((ROOT / "benchmarks" / f"{module}.py").read_text())
        for node in tree.body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            assert large.isdisjoint(name.split(".")[0] for name in names), module


@pytest.fixture
def measured_at_once(monkeypatch, tmp_path):
    """Nothing is run: every process takes two seconds and one megabyte, every child program half a second."""
    run = files.Run(2.0, 10**6, "")
    half = dict.fromkeys(
        ("seconds", "ours", "bare", "features", "notebook", "error", "scikit-learn", "profile", "forward"), 0.5
    ) | {
        "cells": [0.5],
        "memory": 1,
        "layers": 15,
    }
    monkeypatch.setattr(files, "run", lambda command, longest=None: run)
    monkeypatch.setattr(
        processes, "child", lambda action, *rest: {"seconds": 9.0} if len(rest) > 1 else {"product": 1.0}
    )
    monkeypatch.setattr(processes, "checked", lambda features, truth: 1e-9)
    monkeypatch.setattr(processes, "write_shards", lambda folder, kind, *shape: folder / kind)
    monkeypatch.setattr(pipelines, "child", lambda module, *command: half)
    return processes.Setting(tmp_path, benchmarks.FULL, 1, False, None)


def test_answers_about_processes_are_named_after_their_question(measured_at_once):
    for name, question in processes.QUESTIONS.items():
        assert {found.key.split(" ")[0] for found in question(measured_at_once)} == {name}


def test_a_page_holds_every_row_and_how_it_was_made(measured_at_once, monkeypatch):
    monkeypatch.setattr(benchmarks, "machine", lambda others: "* Date: today\n")
    rows = [row for question in processes.QUESTIONS.values() for row in question(measured_at_once)]
    rows += pipelines.answers(1)
    assert len(rows) == 18 + (find_spec("efficientnet_lite_pytorch") is not None)
    page = benchmarks.page(measured_at_once, rows)
    assert "    python -m benchmarks\n" in page
    assert "* Date: today" in page
    assert all(f"| {row.question} | {row.seconds:.3g} s | " in page or row.seconds < 1 for row in rows)
    assert "36 shards take 1.00 × the memory of 12" in page


@pytest.mark.parametrize("name", studies.STUDIES)
def test_every_study_has_a_command_that_parses_and_a_page_that_names_it(name):
    study = studies.STUDIES[name]
    assert studies.parser().parse_args([name, "--tiny"]).tiny
    page = study.path.read_text()
    assert page.startswith(f"# {study.title}\n\n    python -m studies {name}\n\n{study.about}\n* Date: ")
    assert re.search(r"^\* Date: 20\d\d-\d\d-\d\d; commit: [0-9a-f]{7}$", page, re.MULTILINE)
    assert study.sizes.keys() == study.tiny.keys()


def test_the_list_of_claims_names_every_study_with_its_minutes():
    rows = (ROOT / "studies" / "README.md").read_text().splitlines()
    for name, study in studies.STUDIES.items():
        assert [row for row in rows if f"]({name}.md)" in row and row.endswith(f"| {study.minutes} |")]
    pages = {path.stem for path in (ROOT / "studies").glob("*.md")}
    assert pages == {"README", *studies.STUDIES}


def test_a_study_that_is_not_known_is_refused(capsys):
    with pytest.raises(SystemExit):
        studies.parser().parse_args(["nothing"])
    assert "estimates" in capsys.readouterr().err
