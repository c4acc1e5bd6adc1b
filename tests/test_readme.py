"""The README's Python runs in order and prints what stands below it; its commands run as they are."""

import contextlib
import importlib.util
import io
import itertools
import operator
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import repgeom as rg
from repgeom.cli.main import main

sys.path.insert(0, str(Path(__file__).parent / "models"))

from model_folders import bert_folder, dinov2_folder, image_folder, lines

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
PAGES = sorted(
    page for folder in (".", "benchmarks", "docs", "examples", "studies") for page in ROOT.glob(f"{folder}/*.md")
)
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def test_python_blocks_print_what_stands_below_them():
    names: dict = {}
    checked = 0
    for (kind, code), (below, expected) in itertools.pairwise(BLOCKS):
        if kind == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(code, names)
            assert below == "text"
            assert out.getvalue() == expected
            checked += 1
    assert checked >= 2


def test_commands_run_as_they_stand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "dump").mkdir()
    np.save("student.npy", rng.standard_normal((200, 8)))
    np.save("noisy.npy", rng.standard_normal((200, 8)))
    np.save("teacher.npy", rng.standard_normal((200, 8)))
    np.save("y.npy", np.arange(200) % 3)
    np.save("video.npy", np.arange(200) // 2)
    features = {f"f{i}": rng.standard_normal(200) for i in range(8)}
    pd.DataFrame(features | {"label": np.arange(200) % 3, "length": np.arange(200) % 7}).to_csv(
        "table.csv", index=False
    )
    np.save("features.npy", rng.standard_normal((200, 8)))
    bert_folder(tmp_path / "all-MiniLM")
    dinov2_folder(tmp_path / "vit")
    image_folder(tmp_path / "photos")
    Path("lines.txt").write_text("\n".join(lines(60)))
    for i in range(3):
        np.save(f"dump/part-{i}.npy", rng.standard_normal((50, 8)))
    commands = re.findall(r"^repgeom (.*)$", "\n".join(code for kind, code in BLOCKS if kind == "bash"), re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        assert main(shlex.split(command, comments=True)) in (0, 1), command
    assert "dump/part-*.npy: 150 samples" in capsys.readouterr().out


def test_commands_of_the_experiments_are_understood():
    from repgeom_examples.distillation.cli import configured, parser

    code = "\n".join(code for kind, code in BLOCKS if kind == "bash")
    commands = re.findall(r"^repgeom-distill (.*)$", code, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        arguments = parser().parse_args(shlex.split(command, comments=True))
        if command.startswith("run"):
            assert configured(arguments).settings


def test_the_ledger_is_the_reports():
    rows = re.findall(r"^\| \d\. .*$", README, re.MULTILINE)
    report = (ROOT / "examples/distillation_report/report.md").read_text()
    assert {row[2] for row in rows} == set("12345678")
    for row in rows:
        assert row in report


def test_the_table_of_functions_names_what_is_public():
    table = README[README.index("## What is measured") : README.index("`python -m repgeom.measures`")]
    names = re.findall(r"`([\w.]+)`", table)
    assert len(names) > 40
    for name in names:
        *room, function = name.split(".")
        place = getattr(rg, room[0]) if room else rg
        assert function in place.__all__, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_links_and_commands_of_a_page_exist(page):
    text = page.read_text().split("### Moved or renamed")[0]
    for name in re.findall(r"\brg\.([a-zA-Z_.]+\w)", text.replace("rg.NAME", "")):
        assert operator.attrgetter(name)(rg) is not None
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for module in re.findall(r"python -m ((?:benchmarks|studies|tests|repgeom|repgeom_examples)[\w.]*)", text):
        if not module.endswith("NAME"):
            assert importlib.util.find_spec(module) is not None, module


def test_the_changelog_says_truly_what_moved():
    rows = re.findall(r"^\| (.*) \| the same names in `rg\.(\w+)` \|$", CHANGELOG, re.MULTILINE)
    assert len(rows) >= 4
    for old, room in rows:
        for name in re.findall(r"`rg\.(\w+)`", old):
            assert name in getattr(rg, room).__all__
            assert not hasattr(rg, name)
    removed = re.findall(r"`rg\.(\w+).*\| removed: ", CHANGELOG)
    assert len(removed) >= 3
    assert not any(hasattr(rg, name) for name in removed)


def test_contributing_fits_on_a_screen():
    lines = (ROOT / "CONTRIBUTING.md").read_text().splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 120
