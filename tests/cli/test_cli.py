"""The command line as a user meets it: output, exit status, files written, errors of one paragraph."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.rules import RULES
from repgeom.cli.main import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    teacher = rng.standard_normal((300, 20))
    np.save("teacher.npy", teacher)
    np.save("student.npy", (teacher @ rng.standard_normal((20, 3)) @ rng.standard_normal((3, 20))).astype(np.float32))
    np.save("labels.npy", np.arange(300) % 4)
    np.savez("several.npz", a=teacher, b=teacher[:, :5])
    (tmp_path / "dump").mkdir()
    for i, part in enumerate(np.array_split(teacher, 11)):
        np.save(f"dump/part-{i}.npy", part)
    return tmp_path


def run(*args):
    return main([str(a) for a in args])


def test_audit_prints_a_verdict_and_a_table(here, capsys):
    assert run("audit", "student.npy") == 0
    out, err = capsys.readouterr()
    assert "student.npy: 300 samples × 20 features, float32" in out
    assert "FAIL" in out or "WARN" in out
    assert "effective rank" in out
    assert err == ""


def test_the_long_command(here, capsys):
    args = ["audit", "student.npy", "--reference", "teacher.npy", "--labels", "labels.npy", "--normalize", "l2"]
    assert run(*args, "--json", "a.json", "--html", "a.html") == 0
    found = json.loads((here / "a.json").read_text())
    x, y, labels = np.load("student.npy"), np.load("teacher.npy"), np.load("labels.npy")
    assert found["measures"]["effective_rank"]["in_these_rows"] == pytest.approx(
        rg.effective_rank(x, normalize="l2"), rel=1e-9
    )
    assert found["measures"]["cosine_alignment"]["value"] == pytest.approx(rg.cosine_alignment(x, y), rel=1e-6)
    assert found["measures"]["knn_accuracy"]["value"] == rg.knn_accuracy(x, labels)
    assert found["convention"]["normalize"] == "l2"
    assert "</html>" in (here / "a.html").read_text()


def test_corrupted_features_add_a_table(here, capsys):
    np.save("noisy.npy", np.load("teacher.npy") + 0.1)
    assert run("audit", "teacher.npy", "--corrupted", "noisy.npy", "--labels", "labels.npy") == 0
    out = capsys.readouterr().out
    assert "Corrupted, row by row: teacher.npy against noisy.npy" in out
    assert "kNN accuracy drop" in out
    assert "95 % interval" in out


def test_shards_are_one_audit(here, capsys):
    assert run("audit", "dump/part-*.npy", "--json", "-") == 0
    shards = json.loads(capsys.readouterr().out)
    assert run("audit", "teacher.npy", "--json", "-") == 0
    whole = json.loads(capsys.readouterr().out)
    assert shards["n_samples"] == 300
    for name, entry in whole["measures"].items():
        assert shards["measures"][name]["value"] == pytest.approx(entry["value"], rel=1e-9), name


def test_several_files_stand_side_by_side(here, capsys):
    assert run("audit", "student.npy", "teacher.npy", "--json", "both.json") == 0
    out = capsys.readouterr().out
    assert ["student.npy", "teacher.npy"] in [line.split() for line in out.splitlines()]
    first, second = json.loads((here / "both.json").read_text())
    assert [first["name"], second["name"]] == ["student.npy", "teacher.npy"]
    c = rg.compare(np.load("student.npy"), np.load("teacher.npy"), paired=True)
    assert second["compared"]["with"] == "student.npy"
    assert second["compared"]["difference"] == pytest.approx(c.difference, rel=1e-4)
    assert "compared" not in first
    assert "Effective rank against student.npy" in out
    assert "p < 0.0001 (row i of both taken for one sample)" in out
    assert run("audit", *[f"dump/part-{i}.npy" for i in range(4)]) == 0
    assert "put the pattern in quotes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "gate", "status"),
    [("student.npy", "fail", 1), ("student.npy", "warn", 1), ("teacher.npy", "warn", 0), ("teacher.npy", "fail", 0)],
)
def test_gate(here, file, gate, status, capsys):
    thresholds = ["--threshold", "rank_share=0.2,0.15"]
    assert run("audit", file, "--fail-on", gate, *thresholds) == status


def test_of_several_files_the_error_names_the_one(here, capsys):
    np.save("same.npy", np.ones((300, 20)))
    assert run("audit", "teacher.npy", "same.npy") == 2
    assert "same.npy: the features have zero variance" in capsys.readouterr().err


def test_groups_from_a_file(here, capsys):
    np.save("video.npy", np.arange(300) // 2)
    np.save("twice.npy", np.repeat(np.load("teacher.npy")[:150], 2, 0))
    assert run("audit", "twice.npy", "--json", "-") == 0
    untold = json.loads(capsys.readouterr().out)
    assert untold["measures"]["effective_rank"]["estimate"]["low"] is None
    assert any("150 of 300 rows repeat" in note for note in untold["notes"])
    assert run("audit", "twice.npy", "--groups", "video.npy", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["measures"]["effective_rank"]["estimate"]["low"] > 15


def test_threshold_none_switches_a_rule_off(here, capsys):
    for never in ("none,none", "none"):
        run("audit", "student.npy", "--threshold", f"rank_share={never}", "--json", "-")
        findings = json.loads(capsys.readouterr().out)["verdict"]["findings"]
        assert next(f for f in findings if f["name"] == "rank_share")["level"] == "ok"


def test_key_of_features_and_labels(here, capsys):
    np.savez("dump.npz", x=np.load("teacher.npy"), y=np.load("labels.npy"))
    args = ["dump.npz", "--key", "x", "--labels", "dump.npz", "--labels-key", "y", "--reference", "dump.npz"]
    assert run("audit", *args, "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measures"]["linear_cka"]["value"] == pytest.approx(1)
    assert len(found["classes"]) == 4


def test_drop_nonfinite(here, capsys):
    x = np.load("teacher.npy")
    x[5, 3] = np.nan
    np.save("holes.npy", x)
    assert run("audit", "holes.npy") == 2
    assert "1 non-finite value; the first is nan at row 5, column 3" in capsys.readouterr().err
    assert run("audit", "holes.npy", "--drop-nonfinite") == 0
    assert "1 rows with NaN or infinity were left out; 299 remain" in capsys.readouterr().out


def damaged(here):
    np.save("whole.npy", np.ones((50, 4)) * np.arange(50)[:, None])
    whole = (here / "whole.npy").read_bytes()
    (here / "cut.npy").write_bytes(whole[:-100])
    (here / "junk.npy").write_bytes(b"this is not an array")
    (here / "notes.docx").write_text("x")
    np.save("objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    np.save("cube.npy", np.ones((2, 3, 4)))
    np.save("row.npy", np.ones((1, 4)))
    np.save("same.npy", np.ones((9, 4)))
    np.save("complex.npy", np.ones((9, 4)) * 1j)
    np.save("text.npy", np.array([["a", "b"]]))
    np.save("dump/part-11.npy", np.ones((3, 7)))
    np.save("few.npy", np.arange(7))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["missing.npy"], "missing.npy"),
        (["studnet.npy"], "student.npy"),
        (["notes.docx"], ".docx"),
        (["cut.npy"], "bytes expected"),
        (["junk.npy"], "not a .npy file or damaged"),
        (["objects.npy"], "never loaded"),
        (["cube.npy"], "reshape(-1, 4)"),
        (["row.npy"], "has 1 row"),
        (["same.npy"], "zero variance"),
        (["complex.npy"], "complex"),
        (["text.npy"], "not numbers"),
        (["several.npz"], "--key"),
        (["several.npz", "--key", "c"], "a ((300, 20), float64), b ((300, 5), float64)"),
        (["dump/part-*.npy"], "differ in width"),
        (["none-*.npy"], "none-*.npy"),
        (["dump"], "dump/part-0.npy has 20 features, dump/part-11.npy has 7"),
        (["teacher.npy", "--labels", "few.npy"], "`labels` has 7 entries and `features` 300 rows"),
        (["teacher.npy", "--reference", "few.npy"], "few.npy"),
        (["teacher.npy", "--reference", "whole.npy"], "`features` has 300 rows and `reference` 50"),
        (["teacher.npy", "--corrupted", "whole.npy"], "`features` has 300 rows and `corrupted` 50"),
        (["teacher.npy", "--threshold", "rank_share"], "RULE=WARN,FAIL"),
        (["teacher.npy", "--threshold", "rank=1,1"], "no rule has this name"),
    ],
)
def test_bad_input_is_one_paragraph_and_leaves_no_file(here, capsys, args, words):
    damaged(here)
    before = sorted(here.rglob("*"))
    assert run("audit", *args, "--json", "a.json", "--html", "a.html") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("repgeom: error: ")
    assert words in err
    assert err.count("\n") == 1
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_report_that_cannot_be_written_is_said_before_work_begins(here, capsys, option, monkeypatch):
    monkeypatch.setattr("repgeom.data.files.open_source", lambda *a, **k: pytest.fail("work began"))
    assert run("audit", "teacher.npy", option, "no/such/folder/a") == 2
    assert "the folder no/such/folder does not exist" in capsys.readouterr().err
    assert run("audit", "teacher.npy", option, ".") == 2
    assert ". is a folder" in capsys.readouterr().err
    assert run("audit", "teacher.npy", "--html", "-") == 2
    assert "--html needs the path of a file" in capsys.readouterr().err


def test_usage_errors_and_help(capsys):
    for args, status in ((["audit"], 2), (["audit", "--help"], 0), (["--version"], 0), ([], 2), (["demo", "x"], 2)):
        with pytest.raises(SystemExit) as stopped:
            main(args)
        assert stopped.value.code == status
    assert f"repgeom {rg.__version__}" in capsys.readouterr().out


def shown_in_the_docs(out):
    """The docs show the demo's verdict as it is printed, shortened at its dots; other machines train other digits."""
    page = (Path(__file__).parents[2] / "docs" / "start.md").read_text()
    block = re.search(r"```text\n(FAIL  alignment only: .*?)```", page, re.DOTALL)[1]
    printed = re.sub(r"\d[\d.,]*", "#", out)
    for line in block.splitlines():
        assert re.sub(r"\d[\d.,]*", "#", line.removesuffix("...")) in printed, line
    rule = next(rule for rule in RULES if rule.name == "rank_share")
    assert f"rank_share {rule.worse} {rule.fail:g} (" in block


def test_demo_shows_a_healthy_and_a_collapsed_encoder(here, capsys):
    assert run("demo") == 0
    out = capsys.readouterr().out
    assert "contrastive: 899 samples × 64 features" in out
    shown_in_the_docs(out)
    page = (here / "repgeom-demo" / "report.html").read_text()
    assert page.count("</section>") == 2
    healthy = rg.audit("repgeom-demo/contrastive.npy")
    collapsed = rg.audit("repgeom-demo/alignment-only.npy", labels="repgeom-demo/digits.npy")
    assert healthy.level == "ok"
    assert collapsed.level == "fail"
    assert healthy["effective_rank"].value > 5 * collapsed["effective_rank"].value


def test_module_runs_and_import_is_quiet(here):
    heavy = "matplotlib", "seaborn", "pandas", "sklearn"
    code = f"import sys, repgeom; print([m for m in {heavy!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    done = subprocess.run(
        [sys.executable, "-m", "repgeom", "audit", "x.npy"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
