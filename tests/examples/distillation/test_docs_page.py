"""docs/distillation.md names what there is, and its lines of Python read a run."""

import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from repgeom_examples.distillation import cli
from repgeom_examples.distillation.data.load import DATASETS
from repgeom_examples.distillation.settings.presets import PUBLISHED
from repgeom_examples.distillation.students.networks import ARCHITECTURES, BASE
from repgeom_examples.distillation.students.objectives import SETTINGS, TERMS, objective_of
from repgeom_examples.distillation.teachers.load import TEACHERS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "distillation.md").read_text(encoding="utf-8")
REPORT = ROOT / "examples" / "distillation_report"
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
    assert ranks["make-digits", record["cell"]["architecture"], False, "", 0] == record["effective_rank"]
    # A group holds the seeds of one model, and no other model.
    files = [p.stem for p in (whole / "cells").glob("*.json")]
    assert len(ranks) == len({re.sub(r"-s\d+$", "", name) for name in files})
    log = eval(logged, {"pd": pd})
    assert set(log.name) == {"make-digits", *(p.name.removesuffix(".json") for p in (whole / "cells").glob("*.json"))}


def test_the_images_that_rows_of_features_belong_to_are_read_as_said():
    (code,) = (block for block in BLOCKS if "load_dataset" in block)
    names = {}
    exec(code, names)
    digits = names["digits"]
    said = re.search(r"# uint8: (\(.*\)) and (\(.*\))", code)
    assert [str(tuple(half.pixels.shape)) for half in (digits.train, digits.test)] == [said[1], said[2]]


def test_a_teacher_and_a_student_of_ones_own_run_to_a_report_as_the_page_has_them(tmp_path, monkeypatch, capsys):
    (code,) = (block for block in BLOCKS if "def teacher" in block)
    run, report = re.findall(r"^repgeom-distill (.*runs/mine)$", PAGE, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    small = (
        "--n-train 70 --n-test 64 --epochs 1 --batch-size 32 --widths 1 2 --objectives cosine --seeds 1 --device cpu"
    )
    assert cli.main([*run.split(), *small.split(), "--quiet", "--cache", "cache"]) == 0
    assert cli.main(report.split()) == 0
    assert "your own teacher mine (64 features" in capsys.readouterr().out.replace("\n", " ")
    assert (tmp_path / "runs" / "mine" / "report" / "report.html").exists()


TEACHERS_OF = {"EfficientNet-lite0": "efficientnet-lite0", "never trained": "random-relu"}
IMAGES = {"digits": "digits", "photographs": "photos"}


def test_the_table_of_ranks_is_that_of_the_stored_report():
    ranks = pd.read_csv(REPORT / "table1.csv").set_index(["setting", "model"])["effective rank"]
    rows = PAGE.split("\n| effective rank |")[1].split("\n\n")[0].splitlines()[2:-1]
    assert len(rows) == 4
    for row in rows:
        name, teacher, *students = (cell.strip() for cell in row.strip("|").split("|"))
        setting = "-".join(names[part] for names, part in zip((TEACHERS_OF, IMAGES), name.split(", "), strict=True))
        assert teacher == f"{ranks[setting, 'teacher']:.1f}"
        for objective, said in zip(("cosine", "cosine+infonce"), students, strict=True):
            models = [(setting, f"cnn-w{width}-{objective}") for width in (1, 2, 4)]
            assert said == ", ".join(f"{ranks[model]:.1f}" for model in models if model in ranks)


def test_what_is_said_of_claims_is_what_the_stored_ledger_has():
    ledger = pd.read_csv(REPORT / "ledger.csv")
    verdict = ledger.groupby(["claim", "setting"])["claim verdict"].first()
    digits = "efficientnet-lite0-digits"
    assert {verdict[number, digits] for number in (1, 6, 7, 8, 13)} == {"undecided"}
    shares = {"0.93": digits, "0.78": "efficientnet-lite0-photos", "0.86": "random-relu-digits"}
    captured = pd.read_csv(REPORT / "overview.csv").set_index("setting")["captured by 20"]
    for said, setting in shares.items():
        assert f"({said})" in PAGE
        assert said == f"{captured[setting]:.2f}"
        assert verdict[5, setting] == ("supported" if setting == digits else "contradicted")
    published = pd.read_csv(REPORT / "published.csv")
    control = published[published["setting"] == "random-relu-digits"].set_index(["quantity", "published in"])
    figure = [control.loc[(f"captured by the teacher's leading {n}", "v1, figure 1")] for n in (20, 100)]
    words = " ".join(PAGE.split())
    ours, theirs, raw = ([row[name] for row in figure] for name in ("ours", "published", "ours as published"))
    assert f"With both centred, {ours[0]:.2f} of the student's variance" in words
    assert f"directions and {ours[1]:.2f} in 100; published are {theirs[0]:.3f} and {theirs[1]:.3f}." in words
    assert f"it would be {raw[0]:.2f} and {raw[1]:.2f}." in words
    (longest,) = ledger[ledger["test"] == "effective rank over the teacher's after 100 epochs"].to_dict("records")
    assert (longest["verdict"], f"{longest['value']:.0%}") == ("undecided", "55%")
    (larger,) = ledger[(ledger["test"] == "effective rank, width 4 over width 1")].to_dict("records")
    low, high = larger["low"], larger["high"]
    assert f"{larger['value']:.2f} times the rank of the smallest ({low:.2f} to {high:.2f})" in PAGE


def test_the_stored_report_says_first_what_its_overview_has():
    from repgeom_examples.distillation.reporting.in_short import in_short
    from repgeom_examples.distillation.settings.presets import PRESETS

    short = in_short(pd.read_csv(REPORT / "overview.csv"), PRESETS["packaged"])
    report = (REPORT / "report.md").read_text(encoding="utf-8")
    assert report.split("\n\n")[1] == f"**{short.headline}**"
    assert all(f"* **{about}:** {words}\n" in report for about, words in short.lines)
