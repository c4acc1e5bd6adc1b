"""The README's Python runs in order and prints what stands below it; its commands run as they are."""

import contextlib
import io
import itertools
import re
import shlex
from pathlib import Path

import numpy as np

import repgeom as rg
from repgeom.cli.main import main

README = (Path(__file__).parent.parent / "README.md").read_text()
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
    report = (Path(__file__).parent.parent / "examples/distillation_report/report.md").read_text()
    assert {row[2] for row in rows} == set("12345678")
    for row in rows:
        assert row in report


def test_the_table_of_functions_names_what_is_public():
    table = README[README.index("## What is measured") : README.index("`python -m repgeom.measures`")]
    for name in re.findall(r"`([\w.]+)`", table):
        places = (rg, rg.robustness, rg.probes, rg.testing)
        assert any(name in place.__all__ for place in places) or name.split(".")[1] in rg.corruptions.__all__, name


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parent.parent / target).exists(), target
