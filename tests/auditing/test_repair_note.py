"""An audit with labels names the repair that surely helps, and is silent elsewhere."""

import numpy as np
import pytest

import repgeom as rg


def classes(n=500, d=12, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    return rng.standard_normal((n, d)) + 3 * np.eye(4, d)[labels], labels


def note_of(report):
    found = [note for note in report.notes if note.startswith("A repair would help")]
    assert len(found) < 2
    return found[0] if found else ""


def test_an_audit_names_the_repair_and_what_it_gains():
    x, labels = classes()
    x[:, -3:] *= 30
    report = rg.audit(x, labels=labels)
    expected = rg.repair.compare_repairs(x, labels)
    assert expected.best in ("standardize", "whiten")
    assert expected.sentence in note_of(report)
    assert note_of(report) in str(report)
    assert note_of(rg.types.Report.from_json(report.to_json())) == note_of(report)


@pytest.mark.parametrize("kind", ["healthy", "no labels", "few rows", "repeats", "one group of each class"])
def test_an_audit_is_silent_where_nothing_surely_helps(kind):
    x, labels = classes()
    if kind != "healthy":
        x[:, -3:] *= 30
    beside = {"labels": labels}
    if kind == "no labels":
        beside = {}
    if kind == "few rows":
        x, beside = x[:150], {"labels": labels[:150]}
    if kind == "repeats":
        x[:50] = x[50:100]
    if kind == "one group of each class":
        beside["groups"] = labels
    assert note_of(rg.audit(x, **beside)) == ""


def test_copies_that_are_grouped_are_no_hindrance():
    x, labels = classes()
    x[:, -3:] *= 30
    x, labels, groups = np.repeat(x, 2, 0), np.repeat(labels, 2), np.repeat(np.arange(500), 2)
    assert note_of(rg.audit(x, labels=labels)) == ""
    assert "fitted on 500 rows" in note_of(rg.audit(x, labels=labels, groups=groups))


def test_where_hardly_a_row_is_voted_wrong_no_repair_is_tried(monkeypatch):
    """A repair cannot gain more than what is voted wrong."""
    x, labels = classes()
    monkeypatch.setattr("repgeom.repair.proof._fitted", lambda rows, repairs: pytest.fail("repairs were fitted"))
    assert note_of(rg.audit(x + 9 * np.eye(4, 12)[labels], labels=labels)) == ""
