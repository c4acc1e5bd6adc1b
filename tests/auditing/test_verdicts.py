"""Verdicts on planted troubles, thresholds, rows that are not finite, and refusals."""

import re

import numpy as np
import pytest
from audited import finding, healthy

import repgeom as rg
from repgeom.auditing.rules import RULES

# --- verdicts ----------------------------------------------------------------------------------------------------


def test_collapse_fails_with_the_number_and_a_way_out():
    x = rg.testing.features_with_spectrum([1.0] * 2 + [1e-3] * 62, 2000)
    report = rg.audit(x)
    f = finding(report, "rank_share")
    assert (report.level, f.level) == ("fail", "fail")
    assert re.search(r"uses 2\.00\d dimensions of 64 \(95 % interval [12]\.\d+ to 2\.\d+; share 0\.01", report.headline)
    assert "contrastive" in f.advice
    assert "2603.06698" in f.source


@pytest.mark.parametrize(("n", "d"), [(5000, 1), (5000, 2), (5000, 3), (2, 20), (3, 20)])
def test_narrow_or_few_is_not_mistaken_for_a_leading_direction(n, d):
    report = rg.audit(healthy(n, d))
    assert all(f.level == "ok" for f in report.findings if f.name == "leading_direction")
    assert report.level == ("ok" if n > d else "warn")


def test_labels_that_are_all_different_are_said_to_be(recwarn):
    report = rg.audit(healthy(50, 4), labels=np.arange(50))
    assert report["class_rank_median"].note == "every class has one row"


def test_a_report_shows_itself_in_a_notebook():
    report = rg.audit(healthy(), name="<b>")
    assert repr(report).startswith("<Report <b>: ok, uses")
    assert report._repr_html_().startswith("<pre>&lt;b&gt;: 600 samples")


@pytest.mark.parametrize(("n", "level"), [(40, "warn"), (64, "warn"), (130, "warn"), (160, "ok")])
def test_too_few_samples_for_the_width_is_said_and_collapse_is_not(n, level):
    report = rg.audit(healthy(n, 64))
    assert finding(report, "samples_per_feature").level == level
    assert finding(report, "rank_share").level == "ok"
    if level == "warn":
        assert f"too few samples for this width: {n} rows for 64 features" in str(report)


def _troubles():
    x = healthy(1000, 16)
    yield "leading_direction", x * np.where(np.arange(16) == 0, 10, 1), {}
    yield "mean_cosine", x + 30, {}
    yield "zero_rows", np.where(np.arange(1000)[:, None] < 20, 0, x), {}
    yield "duplicate_rows", np.concatenate([x, x[:900], x[:900]]), {}
    yield "constant_features", np.where(np.arange(16) < 9, 1.0, x), {}
    yield "extreme_norms", np.where(np.arange(1000)[:, None] < 150, 1e3, 1) * x, {}
    yield "directions_that_vary", x[:, :8] @ healthy(8, 16), {}
    yield "rank_retained", x * np.where(np.arange(16) < 3, 1, 1e-2), {"reference": x}
    yield "corrupted_drift", x, {"corrupted": x[::-1]}
    yield "corrupted_rank_ratio", x, {"corrupted": x * np.where(np.arange(16) < 5, 1, 1e-2)}
    collapsed = np.where(np.arange(1000)[:, None] % 2 == 0, x[:, :1], x)
    yield "collapsed_classes", collapsed, {"labels": np.arange(1000) % 2}


@pytest.mark.parametrize(("rule", "x", "more"), list(_troubles()), ids=lambda v: v if isinstance(v, str) else "")
def test_each_planted_trouble_is_found_and_absent_from_healthy_features(rule, x, more):
    assert finding(rg.audit(x, **more), rule).level in ("warn", "fail")
    clean = rg.audit(healthy(1000, 16), **{k: v if k == "labels" else healthy(1000, 16) for k, v in more.items()})
    assert finding(clean, rule).level == "ok"


def test_thresholds_can_be_set_and_say_so():
    x = healthy()
    f = finding(rg.audit(x, thresholds={"rank_share": (2, 1.5)}), "rank_share")
    assert (f.level, f.source) == ("fail", "set by the caller")
    assert finding(rg.audit(np.r_[x, x], thresholds={"duplicate_rows": (None, None)}), "duplicate_rows").level == "ok"
    with pytest.raises(ValueError, match=r"names rank, which no rule has. The rules are: rank_share"):
        rg.audit(x, thresholds={"rank": (1, 1)})
    for bad in ((0.1, 0.2), (float("nan"), 0.1)):
        with pytest.raises(ValueError, match="fail the stricter one: this rule warns below"):
            rg.audit(x, thresholds={"rank_share": bad})
    with pytest.raises(ValueError, match=r"two numbers \(warn, fail\).*got 3"):
        rg.audit(x, thresholds={"rank_share": 3})


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


def test_rules_have_distinct_names_and_words():
    assert len({r.name for r in RULES}) == len(RULES)
    assert all(r.causes and r.advice and r.source for r in RULES)
