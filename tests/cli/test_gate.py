"""What the verdict does on the command line: what features are for, thresholds, and an exit status that says why."""

import argparse
import json

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.purposes import PURPOSES
from repgeom.auditing.rules import RULES
from repgeom.cli.audit import add_parser
from repgeom.cli.main import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Files that read ok, warn and fail, whatever the thresholds of rules are."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 20))
    np.save("ok.npy", x)
    np.save("fail.npy", x[:, :1] * np.arange(1, 21.0))
    zeros = next(rule for rule in RULES if rule.name == "zero_rows")
    x[: round(150 * (zeros.warn + zeros.fail))] = 0
    np.save("warn.npy", x)
    np.save("labels.npy", np.arange(300) % 4)
    return tmp_path


def run(*args):
    return main([str(a) for a in args])


def test_the_files_read_as_they_are_named(here):
    assert [rg.audit(f"{level}.npy").level for level in ("ok", "warn", "fail")] == ["ok", "warn", "fail"]


# The exit status --------------------------------------------------------------------------------------------------

GATES = [
    (["ok"], "warn", 0, "all read ok"),
    (["ok"], "fail", 0, "none reads fail"),
    (["warn"], "warn", 1, "warn.npy reads warn"),
    (["warn"], "fail", 0, "none reads fail"),
    (["fail"], "warn", 1, "fail.npy reads fail"),
    (["fail"], "fail", 1, "fail.npy reads fail"),
    (["ok", "fail", "warn"], "warn", 1, "fail.npy reads fail, warn.npy reads warn"),
    (["ok", "fail", "warn"], "fail", 1, "fail.npy reads fail"),
    (["ok", "warn"], "fail", 0, "none reads fail"),
]


@pytest.mark.parametrize(("files", "gate", "status", "why"), GATES)
def test_the_last_line_says_why_the_exit_status_is_what_it_is(here, files, gate, status, why, capsys):
    assert run("audit", *(f"{name}.npy" for name in files), "--fail-on", gate) == status
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"Exit status {status} by --fail-on {gate}: {why}."
    assert err == ""


@pytest.mark.parametrize(("files", "gate", "status", "why"), GATES[2:8])
def test_beside_json_the_reason_stands_on_standard_error(here, files, gate, status, why, capsys):
    assert run("audit", *(f"{name}.npy" for name in files), "--fail-on", gate, "--json", "-") == status
    out, err = capsys.readouterr()
    found = json.loads(out)
    levels = [one["verdict"]["level"] for one in (found if len(files) > 1 else [found])]
    assert levels == files
    assert err == f"Exit status {status} by --fail-on {gate}: {why}.\n"


def test_without_a_gate_the_status_is_0_and_nothing_is_said_of_it(here, capsys):
    assert run("audit", "fail.npy", "--json", "a.json") == 0
    out, err = capsys.readouterr()
    assert "Exit status" not in out + err
    assert "Exit status" not in (here / "a.json").read_text()


def test_beside_a_json_file_the_reason_stands_below_the_table(here, capsys):
    assert run("audit", "fail.npy", "--json", "a.json", "--fail-on", "fail") == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("Exit status 1 by --fail-on fail")
    assert json.loads((here / "a.json").read_text())["verdict"]["level"] == "fail"


def test_a_verdict_has_a_first_and_a_last_line_for_each_file(here, capsys):
    run("audit", "ok.npy", "fail.npy")
    out = capsys.readouterr().out
    for name in ("ok", "fail"):
        lines = out[out.index(f"{name}.npy: 300 samples") :].splitlines()
        report = rg.audit(f"{name}.npy")
        assert lines[1] == f"  {report.summary[0].upper()}{report.summary[1:]}."
        assert lines[lines.index("") - 1].startswith(f"  Verdict: {name.upper()} for transfer")


# What features are for --------------------------------------------------------------------------------------------


def options():
    commands = argparse.ArgumentParser().add_subparsers()
    add_parser(commands)
    return {action.dest: action for action in commands.choices["audit"]._actions}


def test_the_command_takes_the_purposes_that_there_are():
    purpose = options()["purpose"]
    assert tuple(purpose.choices) == tuple(PURPOSES)
    assert purpose.default == "transfer"
    for name in PURPOSES:
        assert name in purpose.help or "decoder" in purpose.help


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_purpose_is_that_of_the_audit(here, purpose, capsys):
    run("audit", "fail.npy", "ok.npy", "--labels", "labels.npy", "--for", purpose, "--json", "a.json")
    out = capsys.readouterr().out
    assert out.count(f" for {purpose}") == 2
    for one in json.loads((here / "a.json").read_text()):
        report = rg.audit(one["name"], labels=np.load("labels.npy"), purpose=purpose)
        assert one["verdict"]["purpose"] == purpose
        assert one["verdict"]["level"] == report.level
        assert [f["name"] for f in one["verdict"]["findings"]] == [f.name for f in report.findings]


def test_a_purpose_that_there_is_not_is_refused_with_those_that_there_are(here, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("audit", "ok.npy", "--for", "clustering")
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "--for" in err
    assert "clustering" in err
    assert all(purpose in err for purpose in PURPOSES)


# Thresholds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_thresholds_of_ones_own_reach_their_rule(here, rule, capsys):
    limits = "100,0.5" if rule.worse == "below" else "0.5,100"
    args = ["audit", "ok.npy", "--labels", "labels.npy", "--reference", "ok.npy", "--corrupted", "warn.npy"]
    run(*args, "--for", rule.purposes[0], "--threshold", f" {rule.name}={limits}", "--json", "-")
    findings = json.loads(capsys.readouterr().out)["verdict"]["findings"]
    for f in findings:
        if f["name"] == rule.name:
            assert (f["warn"], f["fail"]) == tuple(map(float, limits.split(",")))
            assert f["source"] == "set by the caller"
        else:
            assert f["source"] != "set by the caller"
    # Features about a mean that is nearly zero have no cone; all others read a number.
    assert rule.name in {f["name"] for f in findings}


@pytest.mark.parametrize("never", ["none", "none,none", "None, NONE"])
def test_none_switches_a_rule_off(here, never, capsys):
    run(
        "audit",
        "fail.npy",
        "--threshold",
        f"rank_share={never}",
        "--threshold",
        "leading_direction=none",
        "--json",
        "-",
    )
    findings = {f["name"]: f for f in json.loads(capsys.readouterr().out)["verdict"]["findings"]}
    for name in ("rank_share", "leading_direction"):
        assert (findings[name]["level"], findings[name]["warn"], findings[name]["fail"]) == ("ok", None, None)


def test_thresholds_decide_the_gate(here, capsys):
    assert run("audit", "warn.npy", "--fail-on", "warn", "--threshold", "zero_rows=none", "--threshold",
               "duplicate_rows=none") == 0  # fmt: skip
    assert "all read ok" in capsys.readouterr().out
    assert run("audit", "ok.npy", "--fail-on", "warn", "--threshold", "rank_share=2,none") == 1
    assert "ok.npy reads warn" in capsys.readouterr().out
