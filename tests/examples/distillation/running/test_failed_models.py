"""A model that cannot be trained or measured fails alone."""

import math
import shutil

import pandas as pd
import pytest
from torch import nn

from repgeom_examples.distillation import cli
from repgeom_examples.distillation.students import networks, objectives

from ..small_runs import BARE, arguments, contents


def nothing(batch):
    return batch.student.sum() * math.nan


@pytest.fixture
def failed(planted, tmp_path, monkeypatch, capsys):
    """A run one of whose objectives is never a number."""
    monkeypatch.setitem(objectives.TERMS, "bad", nothing)
    out = tmp_path / "small"
    assert cli.main(arguments(out, "--objectives", "bad", "cosine", *BARE)) == 0
    return out, capsys.readouterr().out


def test_a_cell_that_diverges_is_missing_and_not_zero(failed, capsys):
    out, printed = failed
    records = {name: record for name, (record, _) in contents(out).items()}
    bad = [name for name in records if "-bad-" in name]
    assert len(bad) == 4
    assert {records[name]["status"] for name in bad} == {"failed"}
    assert {records[name]["reason"] for name in bad} == {"the loss became nan in epoch 1 of 2"}
    assert {record["status"] for name, record in records.items() if name not in bad} == {"done"}
    assert "Failed: make-digits cnn-w1-bad, seed 1: the loss became nan in epoch 1 of 2" in printed
    assert cli.main(["status", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "5 of 9 cells done, 4 failed, 0 remain" in shown
    assert all(f"failed  {name}: the loss became nan" in shown for name in bad)
    assert cli.main(["report", str(out)]) == 0
    for name, column in (("table1", "effective rank"), ("table2", "clean"), ("record", "rank from σ²")):
        table = pd.read_csv(out / "report" / f"{name}.csv")
        rows = table[table.model.str.contains("bad")]
        assert len(rows) == 2
        assert (rows.seeds == 0).all()
        assert rows.drop(columns=["setting", "model", "seeds", "note"]).isna().all(axis=None)
        assert rows.note.str.contains("the loss became nan").all()
        others = table[~table.model.str.contains("bad")]
        assert len(others) == 3
        assert others[column].notna().all()
    assert "the loss became nan" in (out / "report" / "report.md").read_text()
    assert "the loss became nan" in (out / "report" / "report.html").read_text()


@pytest.mark.parametrize("objective", objectives.TERMS)
@pytest.mark.parametrize("rate", ["1e30", "1e6"])
def test_a_rate_that_is_far_too_high_never_stops_the_run(objective, rate, planted, tmp_path, capsys):
    """One batch: the last loss is a number, the weights after it need not be."""
    few = [*BARE, "--widths", 1, "--seeds", 1, "--batch-size", 70]
    out = tmp_path / "small"
    code = cli.main(arguments(out, *few, "--objectives", objective, "--epochs", 1, "--learning-rate", rate))
    assert code == 0, capsys.readouterr().err
    assert len(contents(out)) == 2
    shutil.rmtree(out)
    code = cli.main(arguments(out, *few, "--objectives", objective, "--epochs", 3, "--learning-rate", rate))
    assert code == 0, capsys.readouterr().err
    assert len(contents(out)) == 2


def test_a_student_that_says_nothing_fails_alone(planted, tmp_path, monkeypatch):
    def constant(width, out):
        net = networks.paper_cnn(width, out)
        nn.init.zeros_(net[-1].weight)
        return nn.Sequential(net, Constant())

    class Constant(nn.Module):
        def forward(self, x):
            return 0 * x + 1

    monkeypatch.setitem(networks.ARCHITECTURES, "constant", constant)
    for objective in ("cosine", "cosine+rank", "infonce"):
        out = tmp_path / objective / "small"
        few = [*BARE, "--architectures", "constant", "--widths", 1, "--seeds", 1, "--objectives", objective]
        assert cli.main(arguments(out, *few)) == 0
        records = {name: record for name, (record, _) in contents(out).items()}
        assert [n for n, r in records.items() if r["status"] == "failed"] == [
            f"make-digits--constant-w1-{objective}-s1"
        ]
