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
import pytest

import repgeom as rg
from repgeom.cli.main import main

sys.path.insert(0, str(Path(__file__).parent / "models"))

from model_folders import bert_folder, lines

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
PAGES = sorted(
    page for folder in (".", "benchmarks", "docs", "examples", "studies") for page in ROOT.glob(f"{folder}/*.md")
)
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def test_python_blocks_print_what_stands_below_them():
    checked = 0
    for (kind, code), (below, expected) in itertools.pairwise(BLOCKS):
        if kind == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(code, {})  # each block alone
            assert below == "text"
            assert out.getvalue() == expected
            checked += 1
    assert checked == 1


def test_commands_run_as_they_stand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("features.npy", rng.standard_normal((200, 8)))
    bert_folder(tmp_path / "all-MiniLM")
    Path("lines.txt").write_text("\n".join(lines(60)))
    commands = re.findall(r"^repgeom (.*)$", "\n".join(code for kind, code in BLOCKS if kind == "bash"), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert main(shlex.split(command, comments=True)) in (0, 1), command
    assert "features.npy: 200 samples" in capsys.readouterr().out


def test_it_is_short_and_its_paragraphs_are_light():
    assert README.count("\n") <= 120
    prose = re.sub(r"```.*?```|^[|#!*].*?$", "", README, flags=re.DOTALL | re.MULTILINE)
    words = [len(paragraph.split()) for paragraph in prose.split("\n\n") if paragraph.strip()]
    assert len(words) >= 5
    assert sum(words) / len(words) <= 30


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
