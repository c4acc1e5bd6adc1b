"""Rows that are added up on several machines read as one audit of all."""

import copy

import numpy as np
import pytest
import torch

import repgeom as rg

N, WIDTH = 700, 10


def rows():
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, WIDTH)) * np.arange(1, WIDTH + 1.0) ** -0.5 + 3


def beside():
    rng, x = np.random.default_rng(1), rows()
    return {
        "labels": np.array(["a", "b", "cc"])[rng.integers(0, 3, N)],
        "groups": np.arange(N) // 2,
        "reference": x[:, :4] + rng.standard_normal((N, 4)),
        "corrupted": x + 0.2 * rng.standard_normal(x.shape),
    }


def assert_same(found, expected):
    assert (found.n_samples, found.level) == (expected.n_samples, expected.level)
    assert found.health == expected.health
    assert (found.purpose, found.notes) == (expected.purpose, expected.notes)
    assert [(f.name, f.level) for f in found.findings] == [(f.name, f.level) for f in expected.findings]
    for v in expected.values:
        value = found[v.name].in_these_rows
        assert value == (None if v.in_these_rows is None else pytest.approx(v.in_these_rows, rel=1e-9, abs=1e-9)), (
            v.name
        )
        if v.estimate is not None and v.estimate.low is not None:
            assert found[v.name].estimate.low == pytest.approx(v.estimate.low, rel=1e-6), v.name


@pytest.mark.parametrize("normalize", [None, "l2"])
@pytest.mark.parametrize("splits", [[], [3], [100, 101, 650]], ids=str)
@pytest.mark.parametrize("columns", [(), ("labels", "groups", "reference", "corrupted")], ids=len)
def test_any_split_over_machines_is_the_audit_of_all(splits, normalize, columns):
    x, more = rows(), {name: beside()[name] for name in columns}
    states = []
    for part in np.split(np.arange(N), splits):
        machine = rg.AuditAccumulator(normalize=normalize, method="qr")
        for piece in np.array_split(part, 1 + len(part) // 50):
            machine.update(x[piece], start=int(piece[0]), **{name: values[piece] for name, values in more.items()})
        states.append(machine.to_bytes())
    whole = rg.AuditAccumulator.from_bytes(states[-1])
    for state in states[:-1]:
        whole.merge(rg.AuditAccumulator.from_bytes(state))
    assert_same(whole.report(name="all"), rg.audit(x, normalize=normalize, **more))


@pytest.mark.parametrize("purpose", ["transfer", "classify", "retrieve", "generate"])
def test_the_purpose_and_thresholds_are_asked_for_with_the_report(purpose):
    x, labels = rows(), beside()["labels"]
    x[5], x[650] = 100, np.nan
    first, second = (rg.AuditAccumulator(drop_nonfinite=True) for _ in range(2))
    first.update(x[:300], labels=labels[:300])
    first.merge(second.update(x[300:], start=300, labels=labels[300:]))
    asked = {"purpose": purpose, "thresholds": {"zero_rows": (0.5, None)}}
    report = first.report(**asked)
    assert_same(report, rg.audit(x, labels=labels, drop_nonfinite=True, **asked))
    assert any(note.startswith("Row 5 holds 98% of the variance") for note in report.notes)
    assert report.findings != first.report(purpose="classify" if purpose != "classify" else "transfer").findings


def test_merging_leaves_the_other_as_it_was_and_copies_share_nothing():
    x = rows()
    first, second = rg.AuditAccumulator().update(x[:300]), rg.AuditAccumulator().update(x[300:], start=300)
    before = second.to_bytes()
    first.merge(second)
    assert second.to_bytes() == before
    assert (first.n_samples, second.n_samples) == (N, N - 300)
    assert_same(first.report(), rg.audit(x))


def test_low_rank_rows_keep_the_measures_that_stand():
    x = rows() @ np.diag(np.arange(WIDTH) < 3)
    x = x @ np.linalg.qr(np.random.default_rng(2).standard_normal((WIDTH, WIDTH)))[0]
    report = rg.AuditAccumulator().update(x).report()
    assert report["effective_rank"].in_these_rows == pytest.approx(rg.effective_rank(x), rel=1e-9)
    assert report["numerical_rank"].in_these_rows is None
    assert "rounding" in report["numerical_rank"].note
    assert rg.AuditAccumulator(method="qr").update(x).report()["numerical_rank"].value == 3


def test_nonfinite_rows_are_refused_or_dropped():
    x = rows()
    x[400, 2] = np.nan
    with pytest.raises(ValueError, match="`features` has 1 non-finite value; the first is nan at row 400, column 2"):
        rg.AuditAccumulator().update(x).report()
    report = rg.AuditAccumulator(drop_nonfinite=True).update(x).report()
    assert_same(report, rg.audit(x, drop_nonfinite=True))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a: a.update(np.ones((3, 4))), ValueError, "`features` has 4 features and earlier rows 10"),
        (
            lambda a: a.update(rows()[:3], labels=[1, 2, 3]),
            ValueError,
            "earlier rows came with nothing beside them, these with labels",
        ),
        (lambda a: a.update(rows()[:3], labels=[1, 2]), ValueError, "`labels` has 2 entries and `features` 3 rows"),
        (lambda a: a.merge(a), ValueError, "rows would count twice"),
        (lambda a: a.merge(3), TypeError, "must be an AuditAccumulator, got int"),
        (lambda a: a.merge(rg.AuditAccumulator(seed=1)), ValueError, "was made with"),
        (
            lambda a: a.merge(rg.AuditAccumulator().update(np.ones((3, 4)))),
            ValueError,
            "`other` holds .* features with nothing beside them",
        ),
        (lambda a: rg.AuditAccumulator(method="svd"), ValueError, '`method` must be "float64" or "qr"'),
        (lambda a: rg.AuditAccumulator(normalize="l1"), ValueError, "`normalize` must be"),
        (lambda a: rg.AuditAccumulator().report(), ValueError, "has seen no rows yet"),
        (lambda a: rg.AuditAccumulator.from_bytes(b"nothing"), ValueError, "hold no state of a repgeom tally"),
        (lambda a: rg.AuditAccumulator.from_bytes(a.to_bytes()[:-9]), ValueError, "hold no state of a repgeom tally"),
    ],
)
def test_what_does_not_belong_together_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        change(rg.AuditAccumulator().update(rows()))


def test_a_state_of_another_version_is_refused(monkeypatch):
    content = rg.AuditAccumulator().update(torch.tensor(rows())).to_bytes()
    monkeypatch.setattr("repgeom.reading.tally.STATE_VERSION", 2)
    with pytest.raises(ValueError, match="has version 1; this release reads version 2"):
        rg.AuditAccumulator.from_bytes(content)


def test_the_caller_may_use_its_memory_again():
    x, labels = rows(), beside()["labels"]
    memory, names = np.empty((100, WIDTH)), np.empty(100, labels.dtype)
    machine = rg.AuditAccumulator()
    for start in range(0, N, 100):
        memory[:], names[:] = x[start : start + 100], labels[start : start + 100]
        machine.update(memory, labels=names)
    memory[:], names[:] = 0, "a"
    assert_same(machine.report(), rg.audit(x, labels=labels))


def test_a_copy_shares_nothing():
    first = rg.AuditAccumulator().update(rows())
    second = copy.copy(first)
    second.update(rows(), start=N)
    assert (first.n_samples, second.n_samples) == (N, 2 * N)
    assert_same(first.report(), rg.audit(rows()))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda a: a.update(rows().astype(np.float32)),
            ValueError,
            "`features` is torch.float32 and earlier rows torch.f",
        ),
        (
            lambda a: a.merge(rg.AuditAccumulator().update(rows().astype(np.float32))),
            ValueError,
            "`other` holds rows of",
        ),
        (
            lambda a: a.update(np.zeros((2, 3, 4))),
            ValueError,
            r"must be \(n_samples, n_features\), got shape \(2, 3, 4\)",
        ),
        (lambda a: a.update(rows(), start=-5), ValueError, "`start` must be a whole number of at least 0, got -5"),
        (lambda a: a.update(rows(), start=1.5), ValueError, "`start` must be a whole number of at least 0, got 1.5"),
        (lambda a: rg.AuditAccumulator.from_bytes("abc"), TypeError, "a state is bytes, got str"),
        (
            lambda a: rg.AuditAccumulator().update(rows(), corrupted=rows()[:, :3]),
            ValueError,
            "`features` has 10 columns and `corrupted` 3",
        ),
        (
            lambda a: rg.AuditAccumulator().update(rows(), labels=[1] * N).update(rows(), labels=["a"] * N),
            ValueError,
            "`labels` are text in some batches and numbers in others",
        ),
    ],
)
def test_rows_of_another_kind_are_refused_at_once(change, error, message):
    with pytest.raises(error, match=message):
        change(rg.AuditAccumulator().update(rows()))
