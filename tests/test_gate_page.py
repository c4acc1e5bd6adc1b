"""docs/gate.md: its Python prints what stands below it, its commands and its workflow are understood."""

import contextlib
import io
import itertools
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from repgeom.cli.main import main

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "gate.md").read_text(), re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = np.random.default_rng(0).standard_normal((1000, 20))
    np.save("old.npy", before)
    np.save("new.npy", before * np.r_[np.ones(15), np.full(5, 0.2)])
    np.save("y.npy", np.arange(1000) % 5)


def test_python_prints_what_stands_below_it(here):
    names: dict = {}
    checked = 0
    for (kind, code), (below, expected) in itertools.pairwise(BLOCKS):
        if kind == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(code, names)
            assert (below, out.getvalue()) == ("text", expected)
            checked += 1
    assert checked == 2


def test_commands_end_as_the_page_says(here, capsys):
    code, line = next((a[1], b[1]) for a, b in itertools.pairwise(BLOCKS) if a[0] == "bash")
    first, second, third = (shlex.split(command)[1:] for command in code.splitlines())
    assert main(first) == 0
    assert main([*second, "--json", "new.json"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == line.strip()
    assert main(third) == 0
    assert Path("repgeom.xml").exists()
    assert Path("change.md").exists()


def test_the_workflow_gives_inputs_that_the_action_has():
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    steps = yaml.safe_load(next(code for kind, code in BLOCKS if kind == "yaml"))["jobs"]["features"]["steps"]
    given = next(step["with"] for step in steps if step.get("uses", "").startswith("OWNER/repgeom@"))
    assert set(given) <= set(action["inputs"])
    assert {name for name, one in action["inputs"].items() if one.get("required")} <= set(given)
