"""Blocks of the site's pages that its build does not run: Python prints what stands below it, commands run as they are."""

import inspect
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from page_blocks import blocks_of, commands_of, printed_by, write_files

import repgeom as rg
from repgeom.cli.main import main

DOCS = Path(__file__).parent.parent / "docs"
# These have tests of their own: they need a cluster, loggers, or an earlier report.
ELSEWHERE = {"clusters", "monitors", "gate"}
# Rooms that answer no question of features: they open files and lay out text and pages.
ELSEWHERE_THAN_MEASURES = {"files", "pages", "terminal"}
PAGES = {
    str(page.relative_to(DOCS).with_suffix("")): page.read_text()
    for page in sorted([*DOCS.glob("*.md"), *DOCS.glob("tutorials/*.md")])
    if page.stem not in ELSEWHERE or page.parent != DOCS
}
WITH_PYTHON = [name for name, text in PAGES.items() if any(kind == "python" for kind, _ in blocks_of(text))]


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_python_prints_what_stands_below_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for printed, expected in printed_by(blocks_of(PAGES[name])):
        assert printed == expected


def test_the_pages_hold_blocks_of_python():
    assert len(WITH_PYTHON) >= 6


def test_commands_run_as_they_stand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    commands = {command for text in PAGES.values() for command in commands_of(blocks_of(text), "repgeom")}
    commands = {command.split("#")[0].strip() for command in commands} - {"demo"}
    assert len(commands) >= 15
    for command in sorted(commands):
        assert main(shlex.split(command)) in (0, 1), command


def test_commands_of_the_experiments_are_understood(tmp_path, monkeypatch):
    from repgeom_examples.distillation.cli import configured, parser

    # The page's own teacher and student, which one of its commands names.
    blocks = re.findall(r"^```\{code-block\} python\n(.*?)^```", PAGES["distillation"], re.DOTALL | re.MULTILINE)
    (tmp_path / "mine.py").write_text(next(block for block in blocks if "def student" in block))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    commands = commands_of(blocks_of(PAGES["distillation"]), "repgeom-distill")
    assert len(commands) >= 6
    for command in commands:
        arguments = parser().parse_args(shlex.split(command, comments=True))
        if command.startswith("run"):
            assert configured(arguments).settings


def test_the_table_of_functions_names_what_is_public():
    rows = PAGES["measures"].split("## All functions by question")[1]
    names = [name for line in rows.splitlines() if line.startswith("| ") for name in line.split("`")[1::2]]
    assert len(names) == len(set(names))
    for name in names:
        *room, function = name.split(".")
        place = getattr(rg, room[0]) if room else rg
        assert function in place.__all__, name
    missing = public_functions() - set(names)
    assert not missing, f"put into the table at the end of docs/measures.md: {sorted(missing)}"


def public_functions():
    """Names that a user calls, as `audit` or `robustness.published`, each once: what is shown in `rg` has that name."""
    in_rg = {name for name in rg.__all__ if inspect.isroutine(getattr(rg, name))}
    found = set(in_rg)
    for room in rg.__all__:
        place = getattr(rg, room)
        if isinstance(place, ModuleType) and room not in ELSEWHERE_THAN_MEASURES:
            found |= {
                f"{room}.{name}" for name in set(place.__all__) - in_rg if inspect.isroutine(getattr(place, name))
            }
    return found
