"""docs/distillation.md names what there is, and its lines of Python read a run."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from repgeom_examples.distillation.data.load import DATASETS
from repgeom_examples.distillation.settings.presets import PUBLISHED
from repgeom_examples.distillation.students.networks import ARCHITECTURES, BASE
from repgeom_examples.distillation.students.objectives import SETTINGS, TERMS, objective_of
from repgeom_examples.distillation.teachers.load import TEACHERS

PAGE = (Path(__file__).parents[3] / "docs" / "distillation.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\{code-block\} python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
OWN = {"package.module:function"}


def first_column(heading):
    """Names in the first column of the table with that heading."""
    table = PAGE.split(f"\n| {heading} | what")[1].split("\n\n")[0]
    return {name for row in table.splitlines()[2:] for name in row.split("|")[1].split("`")[1::2]}


@pytest.mark.parametrize(
    ("heading", "names"), [("teacher", {*TEACHERS, *OWN}), ("data", set(DATASETS)), ("term", set(TERMS))]
)
def test_tables_name_all_that_there_is(heading, names):
    assert first_column(heading) == names


def test_students_and_settings_of_objectives_are_named():
    assert [name for name in ARCHITECTURES if name != BASE and f"`{name}`" not in PAGE] == []
    (example,) = re.findall(r"`(cosine\+\S*@\S*)`", PAGE)
    assert objective_of(example, PUBLISHED.training).training.epochs == 20
    assert all(f"@{name}=" in example for name in SETTINGS)


def test_the_files_of_a_run_are_named(whole):
    files = first_column("file")
    there = {p.relative_to(whole).as_posix() for p in whole.rglob("*") if p.is_file() and ".locks" not in p.parts}
    assert {re.sub(r"cells/.*\.", "cells/NAME.", name) for name in there} == files


def test_the_lines_of_pandas_read_a_run(whole, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "quick").symlink_to(whole)
    monkeypatch.chdir(tmp_path)
    (code,) = (block for block in BLOCKS if "json_normalize" in block)
    assert code.count("\n") == 2
    names = {}
    exec(code, names)
    table = names["table"]
    assert len(table) == len(list((whole / "cells").glob("*.json")))
    (grouped, logged) = re.findall(r"`((?:table\.group|pd\.read)[^`]*)`", PAGE)
    ranks = eval(grouped, names)
    record = json.loads((whole / "cells" / "make-digits--teacher.json").read_text())["record"]
    assert ranks["make-digits", "", 0] == record["effective_rank"]
    log = eval(logged, {"pd": pd})
    assert set(log.name) == {"make-digits", *(p.name.removesuffix(".json") for p in (whole / "cells").glob("*.json"))}


def test_the_images_that_rows_of_features_belong_to_are_read_as_said():
    (code,) = (block for block in BLOCKS if "load_dataset" in block)
    names = {}
    exec(code, names)
    digits = names["digits"]
    said = re.search(r"# uint8: (\(.*\)) and (\(.*\))", code)
    assert [str(tuple(half.pixels.shape)) for half in (digits.train, digits.test)] == [said[1], said[2]]
