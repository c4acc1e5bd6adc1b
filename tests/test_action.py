"""The composite action: its inputs exist, its step runs, and nothing that stands in an input becomes part of a script."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from repgeom.cli.main import _parser

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "action.yml").read_text()
ACTION = yaml.safe_load(TEXT)
STEPS = ACTION["runs"]["steps"]
AUDIT = next(step for step in STEPS if step.get("name") == "Audit")
NASTY = [
    "a b",
    "it's",
    'say "x"',
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "-rf",
    "--json",
    "$HOME",
    "*",
    "é",
    "a\\b",
]


def environment(inputs):
    """The step's environment with the inputs substituted, as GitHub does."""
    given = {name: one.get("default", "") for name, one in ACTION["inputs"].items()} | inputs
    expression = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")
    return {name: expression.sub(lambda found: given[found[1]], value) for name, value in AUDIT["env"].items()}


def run(folder, expected, **inputs):
    """Run the audit step as GitHub does: inputs substituted in its environment, its script untouched. Returns what it printed."""
    (folder / "step.py").write_text(AUDIT["run"])
    found = subprocess.run(
        [sys.executable, str(folder / "step.py")],
        env={
            **os.environ,
            **environment(inputs),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "PYTHONPATH": str(ROOT),
        },
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert found.returncode == expected, found.stdout + found.stderr
    assert not (folder / "pwned").exists()
    return found.stdout + found.stderr


@pytest.fixture
def folder(tmp_path):
    x = np.random.default_rng(0).standard_normal((200, 6))
    np.save(tmp_path / "good.npy", x)
    np.save(tmp_path / "less.npy", x * np.r_[np.ones(4), 0.1, 0.1])
    return tmp_path


# As a file ----------------------------------------------------------------------------------------------------------


def test_every_input_that_is_used_exists_and_every_one_that_exists_is_used():
    used = set(re.findall(r"inputs\.([\w-]+)", TEXT))
    assert used == set(ACTION["inputs"])
    assert all(one["description"] and (one.get("required") or "default" in one) for one in ACTION["inputs"].values())


def test_no_script_holds_an_expression():
    scripts = [step for step in STEPS if "run" in step]
    assert len(scripts) == 2
    for step in scripts:
        assert "${{" not in step["run"]
        assert step["shell"] in ("bash", "python")


def test_it_installs_from_its_own_path_and_uploads_nothing():
    assert [step["uses"] for step in STEPS if "uses" in step] == ["actions/setup-python@v5"]
    install = STEPS[1]
    assert install["env"]["ACTION_PATH"] == "${{ github.action_path }}"
    assert '"$ACTION_PATH[parquet,hdf5]"' in install["run"]
    assert (ROOT / "constraints.txt").exists()


# As a step ----------------------------------------------------------------------------------------------------------


def test_a_gate_over_time(folder):
    """The first run has no baseline; the second sees what was lost since, and adds to the summary of the job."""
    asked = {
        "baseline": "old.json",
        "json": "old.json",
        "fail-on-drop": "\neffective_rank=5%\n participation_ratio=5% \n",
    }
    assert "There is no old.json yet" in run(folder, 0, features="good.npy", **asked)
    printed = run(folder, 1, features="less.npy", **asked)
    assert "by --fail-on-drop effective_rank=5%: effective_rank fell" in printed
    assert "participation_ratio=5%" in printed
    assert (folder / "summary.md").read_text().count("### ") == 3  # two audits and one comparison


@pytest.fixture
def words(monkeypatch, folder):
    """The arguments of `repgeom` that a step with these inputs would run, as its parser understands them."""
    monkeypatch.chdir(folder)

    def of(**inputs):
        called = []
        monkeypatch.setattr(subprocess, "call", lambda command: called.append(command) or 0)
        for name, value in environment(inputs).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
        with pytest.raises(SystemExit) as stopped:
            exec(compile(AUDIT["run"], "step", "exec"), {})
        assert stopped.value.code == 0
        assert called[0][:4] == [sys.executable, "-P", "-m", "repgeom"]
        return _parser().parse_args(called[0][4:])

    return of


def test_defaults(words):
    args = words(features="good.npy")
    assert (args.features, args.fail_on, args.baseline, args.fail_on_drop) == (["good.npy"], "fail", None, [])
    assert (args.json, args.markdown) == ("repgeom-report.json", "summary.md")


def test_no_gate_at_all(words):
    assert words(features="good.npy", **{"fail-on": "never"}).fail_on is None


@pytest.mark.parametrize("name", NASTY)
def test_whatever_stands_in_an_input_is_one_value(words, name, capsys):
    assert words(features=f"{name}\n{name}.npy\n").features == [name, f"{name}.npy"]
    assert words(features="good.npy", json=name).json == name
    (Path.cwd() / name).touch()
    args = words(features="good.npy", baseline=name, **{"fail-on-drop": f"{name}\nx=1"})
    assert (args.baseline, args.fail_on_drop) == (name, [name, "x=1"])
    with pytest.raises(SystemExit) as stopped:
        words(features="good.npy", **{"fail-on": name})
    assert stopped.value.code == 2


def test_more_options_are_split_as_a_shell_would_and_not_run(words):
    args = words(features="good.npy", args="--labels 'my labels.npy' --for \"classify\" --keep-scores --key $(x);y")
    assert (args.labels, args.purpose, args.keep_scores, args.key) == ("my labels.npy", "classify", True, "$(x);y")
    assert args.features == ["good.npy"]


def test_a_drop_without_a_baseline_is_an_error(folder):
    assert "name it by baseline" in run(folder, 2, features="good.npy", **{"fail-on-drop": "effective_rank=5%"})
