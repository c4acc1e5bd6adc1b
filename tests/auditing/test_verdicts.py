"""Verdicts on planted troubles, rows that are not finite, and refusals."""

import numpy as np
import pytest
from audited import finding, healthy

import repgeom as rg

# --- verdicts ----------------------------------------------------------------------------------------------------


def test_labels_that_are_all_different_are_said_to_be(recwarn):
    report = rg.audit(healthy(50, 4), labels=np.arange(50))
    assert report["class_rank_median"].note == "every class has one row"


def test_a_report_shows_itself_in_a_notebook():
    report = rg.audit(healthy(), name="<b>")
    assert repr(report).startswith("<Report <b>: ok, uses")
    shown = report._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown


def _troubles():
    x = healthy(1000, 16)
    yield "leading_direction", x * np.where(np.arange(16) == 0, 10, 1), {}
    yield "spread_over_mean", x * np.arange(1, 17) ** 0.5 + 300, {}
    yield "noise_at_a_point", x + 5, {}
    yield "zero_rows", np.where(np.arange(1000)[:, None] < 20, 0, x), {}
    yield "duplicate_rows", np.concatenate([x, x[:900], x[:900]]), {}
    yield "constant_features", np.where(np.arange(16) < 9, 1.0, x), {}
    yield "extreme_norms", np.where(np.arange(1000)[:, None] < 150, 1e3, 1) * x, {}
    yield "live_directions", x[:, :4] @ healthy(4, 16), {}
    yield "rank_share", x[:, :1] @ healthy(1, 16), {}
    yield "alike", x, {"reference": np.random.default_rng(9).standard_normal(x.shape)}
    yield "reference_order", x[::-1], {"reference": x}
    yield "corrupted_order", x, {"corrupted": x[::-1]}
    in_turn = np.concatenate([np.arange(rank, 1000, 4) for rank in range(4)])
    yield "label_order", x + 9 * np.eye(16)[np.arange(1000) // 200], {"labels": in_turn // 200}
    yield "index_columns", np.c_[np.arange(1000), x], {}
    yield "rank_retained", x * np.where(np.arange(16) < 3, 1, 1e-2), {"reference": x}
    yield "corrupted_drift", x, {"corrupted": x[::-1]}
    yield "corrupted_rank_ratio", x, {"corrupted": x * np.where(np.arange(16) < 5, 1, 1e-2)}
    yield "dominating_rows", np.where(np.arange(1000)[:, None] == 7, 1e5, x), {}
    yield "collapsed_classes", np.where(np.arange(1000)[:, None] % 5 == 0, 1e-3, 1) * x, {"labels": np.arange(1000) % 5}
    yield "agreement", x, {"labels": np.arange(1000) % 5}
    yield "between_share", x + 90 * np.eye(16)[np.arange(1000) % 5], {"labels": np.arange(1000) % 5}
    yield "nonfinite_rows", np.where(np.arange(1000)[:, None] < 20, np.nan, x), {"drop_nonfinite": True}


@pytest.mark.parametrize(("rule", "x", "more"), list(_troubles()), ids=lambda v: v if isinstance(v, str) else "")
def test_each_planted_trouble_is_found_and_absent_from_healthy_features(rule, x, more):
    assert finding(rg.audit(x, **more), rule).level in ("warn", "fail")
    # A mean of one leaves something to read for rules about a point, and classes two apart for those about labels.
    clean = healthy(1000, 16) + 1
    if "labels" in more:
        clean += 2 * np.eye(16)[more["labels"]]
    beside = {name: clean if name in ("reference", "corrupted") else value for name, value in more.items()}
    found = [f for f in rg.audit(clean, **beside).findings if f.name == rule]
    assert [f.level for f in found] == ["ok"] * len(found)
    assert found or rule == "noise_at_a_point"


def test_nonfinite_rows_stop_the_audit_or_are_counted():
    x = healthy()
    x[[3, 7], 2] = np.nan, np.inf
    y = healthy(seed=1)
    y[9, 0] = np.nan
    with pytest.raises(ValueError, match="`features` has 2 non-finite values; the first is nan at row 3, column 2"):
        rg.audit(x)
    with pytest.raises(ValueError, match="`reference` has 1 non-finite value"):
        rg.audit(healthy(), reference=y)
    report = rg.audit(x, reference=y, labels=np.arange(600) % 2, drop_nonfinite=True)
    kept = np.delete(np.arange(600), [3, 7, 9])
    assert report.n_samples == 597
    assert "3 rows with NaN or infinity were left out; 597 remain" in report.notes[0]
    assert report["effective_rank"].in_these_rows == pytest.approx(rg.effective_rank(x[kept]), rel=1e-12)
    assert report["linear_cka"].in_these_rows == pytest.approx(rg.linear_cka(x[kept], y[kept]), rel=1e-9)
    assert report["knn_accuracy"].in_these_rows == rg.knn_accuracy(x[kept], (np.arange(600) % 2)[kept])
    assert finding(report, "nonfinite_rows").level == "warn"
    assert "3 rows (0.50%) hold NaN or infinity" in str(report)
    assert report.health.nonfinite_rows == 3


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: rg.audit(x, labels=[1, 2, 3]), ValueError, "`labels` has 3 entries and `features` 600 rows"),
        (lambda x: rg.audit(x, reference=x[:-1]), ValueError, "`features` has 600 rows and `reference` 599"),
        (lambda x: rg.audit(x, corrupted=x[:-1]), ValueError, "`features` has 600 rows and `corrupted` 599"),
        (lambda x: rg.audit(x, corrupted=x[:, 1:]), ValueError, "`features` has 24 columns and `corrupted` 23"),
        (lambda x: rg.audit(x, corrupted=x * np.inf), ValueError, "`corrupted` has 14,400 non-finite"),
        (lambda x: rg.audit(x[None]), ValueError, r"got shape \(1, 600, 24\)"),
        (lambda x: rg.audit(x[:1]), ValueError, "has 1 row "),
        (lambda x: rg.audit(np.ones((9, 3))), ValueError, "zero variance"),
        (lambda x: rg.audit(np.full((9, 3), np.nan), drop_nonfinite=True), ValueError, "0 rows after 9 rows with NaN"),
        (lambda x: rg.audit(x, reference=np.ones((600, 3))), ValueError, "zero variance"),
        (lambda x: rg.audit(x, normalize="l1"), ValueError, "got 'l1'"),
        (lambda x: rg.audit("no/such.npy"), FileNotFoundError, "no/such.npy"),
    ],
)
def test_refusals(call, kind, message):
    with pytest.raises(kind, match=message):
        call(healthy())
