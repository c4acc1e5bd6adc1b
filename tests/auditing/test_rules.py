"""Findings on either side of every threshold: features with a planted value for each rule, and the words that show it."""

import html
import math

import numpy as np
import pytest
from scipy.optimize import brentq

import repgeom as rg
from repgeom.auditing.rules import RULES

# What the rules are published to ask. A threshold that moves must move here, with its reason in the changelog.
THRESHOLDS = {
    "rank_share": ("below", 0.10, 0.05),
    "rank_retained": ("below", 0.5, 0.25),
    "collapsed_classes": ("above", 0.0, 0.5),
    "samples_per_feature": ("below", 2.25, None),
    "leading_direction": ("above", 0.5, 0.9),
    "directions_that_vary": ("below", 0.9, None),
    "corrupted_drift": ("above", 0.7, 1.2),
    "corrupted_rank_ratio": ("below", 0.8, 0.5),
    "mean_cosine": ("above", 0.7, 0.99),
    "nonfinite_rows": ("above", 0.0, 0.01),
    "zero_rows": ("above", 0.0, 0.01),
    "duplicate_rows": ("above", 0.01, 0.5),
    "constant_features": ("above", 0.0, 0.5),
    "extreme_norms": ("above", 0.001, 0.1),
}
FEW = 80  # rows for which no interval is known, so that the value alone decides


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def finding(report, name):
    return next(f for f in report.findings if f.name == name)


def white(n, d, seed=0):
    """Rows with mean zero and equal variances of exactly 1/n along all directions."""
    x = normal(n, d, seed)
    return np.linalg.svd(x - x.mean(0), full_matrices=False)[0]


def solved(read, target, low=-4.0, high=8.0):
    """Where a rising function of one number has this value."""
    return brentq(lambda t: read(t) - target, low, high, xtol=1e-8, rtol=1e-8)


# Features whose value for a rule is the one asked -----------------------------------------------------------------


def of_share(value, d=12):
    base, limit = white(FEW, d), rg.effective_rank(rg.isotropic_baseline(np.zeros((FEW, d))))

    def stretched(t):
        return base * np.exp(-np.exp(-t) * np.arange(d))

    return {"features": stretched(solved(lambda t: (rg.effective_rank(stretched(t)) - 1) / (limit - 1), value))}


def of_retained(value, d=12):
    teacher = white(FEW, d)

    def student(t):
        return teacher * np.exp(-np.exp(-t) * np.arange(d))

    found = solved(lambda t: rg.compare(teacher, student(t), paired=True).ratio, value)
    return {"features": student(found), "reference": teacher}


def of_classes(value, n_classes=20, rows=12, d=4):
    """As large a share of classes that lie on a line."""
    x, labels = normal(n_classes * rows, d), np.repeat(np.arange(n_classes), rows)
    flat = labels < round(value * n_classes)
    x[flat] = x[flat, :1]
    return {"features": x, "labels": labels}


def of_leading(value, d=12):
    base, least = white(FEW, d), 1 / rg.stable_rank(rg.isotropic_baseline(np.zeros((FEW, d))))
    share = least + value * (1 - least)  # of the variance that the first direction holds
    return {"features": base * np.r_[math.sqrt(share * (d - 1) / (1 - share)), np.ones(d - 1)]}


def of_varying(value, d=100):
    x = normal(3 * d, d)
    x[:, round(value * d) :] = 0
    return {"features": x}


def of_drift(value):
    """Every row moves by the same share of its own distance from the centre, so that the interval is a point."""
    x = normal(300, 6)
    away = np.linalg.norm(x - x.mean(0), axis=1, keepdims=True)
    return {"features": x, "corrupted": x + value * away * np.eye(6)[0]}


def of_ratio(value):
    x, d = white(FEW, 12), 12

    def moved(t):
        return x * np.exp(-np.exp(-t) * np.arange(d))

    def read(t):
        return finding(rg.audit(x, corrupted=moved(t)), "corrupted_rank_ratio").value

    return {"features": x, "corrupted": moved(solved(read, value, -1, 5))}


def of_cosine(value):
    x = np.r_[normal(300, 6), -normal(300, 6)]
    return {"features": x + np.exp(solved(lambda t: rg.mean_cosine(x + np.exp(t)), value))}


def of_rows(change):
    """As large a share of 1,000 rows, from the first on, is replaced by what `change` makes of them."""

    def planted(value):
        x = normal(1000, 6)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        k = round(1000 * value)
        x[:k] = change(x[:k])
        return {"features": x, "drop_nonfinite": True}

    return planted


def of_repeats(value):
    x, k = normal(1000, 6), round(1000 * value)
    x[1000 - k :] = x[:1]
    return {"features": x}


def of_constants(value):
    return {"features": np.where(np.arange(100) < round(100 * value), 3.0, normal(300, 100))}


def of_samples(value):
    return {"features": normal(round(40 * value) + 1, 40)}


# Each with the smallest step that its planted value can take.
PLANTED = {
    "rank_share": (of_share, 1e-3),
    "rank_retained": (of_retained, 1e-3),
    "collapsed_classes": (of_classes, 0.05),
    "samples_per_feature": (of_samples, 0.025),
    "leading_direction": (of_leading, 1e-3),
    "directions_that_vary": (of_varying, 0.01),
    "corrupted_drift": (of_drift, 1e-3),
    "corrupted_rank_ratio": (of_ratio, 1e-3),
    "mean_cosine": (of_cosine, 1e-3),
    "nonfinite_rows": (of_rows(lambda x: np.nan * x), 1e-3),
    "zero_rows": (of_rows(lambda x: 0 * x), 1e-3),
    "duplicate_rows": (of_repeats, 1e-3),
    "constant_features": (of_constants, 0.01),
    "extreme_norms": (of_rows(lambda x: 1e3 * x), 1e-3),
}
COUNTED = ("collapsed_classes", "samples_per_feature", "directions_that_vary", "nonfinite_rows", "zero_rows",
           "duplicate_rows", "constant_features", "extreme_norms")  # fmt: skip
SIDES = [(r.name, level) for r in RULES for level in ("warn", "fail") if getattr(r, level) is not None]


def test_thresholds_are_the_published_ones():
    assert {r.name: (r.worse, r.warn, r.fail) for r in RULES} == THRESHOLDS
    assert set(PLANTED) == set(THRESHOLDS)


@pytest.mark.parametrize(("name", "level"), SIDES)
def test_a_finding_turns_where_its_threshold_lies_and_shows_it(name, level):
    worse, warn, fail = THRESHOLDS[name]
    plant, step = PLANTED[name]
    limit, sign = (warn if level == "warn" else fail), (1 if worse == "above" else -1)
    better = {"warn": "ok", "fail": "warn"}[level]
    report = rg.audit(**plant(limit + sign * step))
    bad = finding(report, name)
    assert bad.value == pytest.approx(limit + sign * step, rel=1e-6, abs=1e-9)
    assert bad.level == level
    assert (bad.worse, bad.warn, bad.fail) == (worse, warn, fail)
    assert f"threshold: {name} {worse} {limit:g} (" in str(report)
    if limit > 0:
        good = finding(rg.audit(**plant(limit - sign * step)), name)
        assert good.level == better
    if name in COUNTED:  # a count can lie on the threshold itself, which is not beyond it
        on_it = finding(rg.audit(**plant(limit)), name)
        assert on_it.value == pytest.approx(limit, rel=1e-12)
        assert on_it.level == better


def test_the_page_shows_the_threshold_that_was_crossed():
    x = normal(300, 10)
    x[:, 4:] = 0  # 0.6 of the features never change
    x[:6] = 0  # 2 % of the rows
    page = html.unescape(rg.audit(x, thresholds={"extreme_norms": (None, None)}).to_html())
    assert "<dt>threshold</dt><dd>constant_features above 0.5 (" in page
    assert "<dt>threshold</dt><dd>zero_rows above 0.01 (" in page
    assert "<dt>threshold</dt><dd>duplicate_rows above 0.01 (" in page  # a warning


def test_a_class_counts_as_collapsed_below_three_hundredths_of_its_baseline():
    base, labels = white(60, 12), np.arange(120) % 2

    def stretched(t):
        return base * np.exp(-np.exp(-t) * np.arange(12))

    def share(t):
        return rg.class_effective_rank(stretched(t), np.zeros(60)).share[0]

    for value, collapsed in ((0.0299, 1), (0.0301, 0)):
        x = normal(120, 12)
        x[labels == 0] = stretched(solved(share, value))
        report = rg.audit(x, labels=labels)
        assert finding(report, "collapsed_classes").value == collapsed / 2
        assert [row["collapsed"] for row in report.to_dict()["classes"]] == [bool(collapsed), False]


@pytest.mark.parametrize(("k", "names"), [(1, "0"), (5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4, ...")])
def test_collapsed_classes_are_named_five_at_most(k, names):
    reason = finding(rg.audit(**of_classes(k / 8, n_classes=8)), "collapsed_classes").reason
    assert reason == f"{k} of 8 classes have collapsed for their own number of rows: {names}"


# What a finding reads ---------------------------------------------------------------------------------------------


def test_the_share_and_its_interval_are_those_of_the_estimate():
    x = normal(400, 9) * np.arange(1, 10) ** -1.5
    e, f = rg.estimate(x), finding(rg.audit(x), "rank_share")
    assert (f.value, f.low, f.high) == pytest.approx(tuple((v - 1) / 8 for v in (e.value, e.low, e.high)), rel=1e-6)
    assert f"uses {e.value:.4g} dimensions of 9 (95 % interval {e.low:.4g} to {e.high:.4g}; share {f.value:.3f})" == (
        f.reason
    )
    assert not any(f.name == "rank_share" for f in rg.audit(normal(400, 1)).findings)


@pytest.mark.parametrize("n", [9, 60])
def test_without_an_interval_the_share_is_that_of_isotropic_rows(n):
    x = normal(n, 12)
    read, limit = rg.effective_rank(x), rg.effective_rank(rg.isotropic_baseline(x))
    f = finding(rg.audit(x), "rank_share")
    assert (f.value, f.low, f.high) == (pytest.approx((read - 1) / (limit - 1)), None, None)
    assert f.reason == (
        f"uses {read:.1f} dimensions of 12; isotropic features of this size would read {limit:.1f} (share {f.value:.3f})"
    )


def test_the_leading_direction_is_read_beyond_what_isotropic_rows_show():
    x = normal(50, 8) * np.r_[3, np.ones(7)]
    share, least = 1 / rg.stable_rank(x), 1 / rg.stable_rank(rg.isotropic_baseline(x))
    f = finding(rg.audit(x, thresholds={"leading_direction": (0.01, None)}), "leading_direction")
    assert f.value == pytest.approx((share - least) / (1 - least))
    assert f.reason == (
        f"the leading direction holds {share:.0%} of the variance; in isotropic features of this size it holds {least:.0%}"
    )


def test_intervals_of_findings_about_pairs_are_those_of_their_tables():
    x = normal(400, 6)
    report = rg.audit(x, reference=x * np.r_[np.ones(3), 2, 2, 2], corrupted=x + 0.5 * normal(400, 6, 1))
    table, c = report.drift.set_index("measure"), rg.compare(x * np.r_[np.ones(3), 2, 2, 2], x, paired=True)
    f = finding(report, "rank_retained")
    assert (f.value, f.low, f.high) == pytest.approx((c.ratio, c.ratio_low, c.ratio_high), rel=1e-6)
    for name, measure in (
        ("corrupted_drift", "centred_relative_l2_drift"),
        ("corrupted_rank_ratio", "effective_rank_ratio"),
    ):
        f, row = finding(report, name), table.loc[measure]
        assert (f.value, f.low, f.high) == pytest.approx((row.value, row.low, row.high), rel=1e-9)


def test_rows_that_repeat_in_groups_count_once_for_the_width():
    x, groups = np.repeat(normal(30, 10), 4, axis=0), np.repeat(np.arange(30), 4)
    f = finding(rg.audit(x, groups=groups), "samples_per_feature")
    assert f.value == pytest.approx(29 / 10, rel=0.02)
    many = finding(rg.audit(np.repeat(normal(20, 10), 4, axis=0), groups=np.repeat(np.arange(20), 4)), f.name)
    assert many.level == "warn"
    assert "80 rows count as 20 for 10 features, as rows of a group are alike" in many.reason


def test_doubt_is_said_where_an_interval_reaches_past_a_threshold():
    x = normal(400, 9) * np.arange(1, 10) ** -1.5
    share = finding(rg.audit(x), "rank_share")
    for limit, level in ((share.high + 1e-6, "warn"), (share.high - 1e-6, "ok"), (share.value - 1e-6, "ok")):
        f = finding(rg.audit(x, thresholds={"rank_share": (limit, None)}), "rank_share")
        assert f.level == level
        assert ("not sure enough for warn" in f.reason) == (limit == share.high - 1e-6)


def test_a_threshold_may_equal_the_stricter_one_and_no_more():
    x = normal(100, 4)
    assert finding(rg.audit(x, thresholds={"rank_share": (0.2, 0.2)}), "rank_share").level == "ok"
    assert finding(rg.audit(x, thresholds={"mean_cosine": (0.2, 0.2)}), "mean_cosine").level == "ok"
    for name, bad in (("mean_cosine", (0.3, 0.2)), ("rank_share", (0.2, 0.3)), ("rank_share", (0.1, math.nan))):
        with pytest.raises(ValueError, match="with fail the stricter one"):
            rg.audit(x, thresholds={name: bad})


def test_the_worst_findings_come_first():
    x = normal(300, 10)
    x[:, 4:] = 0
    x[:2] = 0
    levels = [f.level for f in rg.audit(x).findings]
    assert levels == sorted(levels, key=["fail", "warn", "ok"].index)
    assert set(levels) == {"ok", "warn", "fail"}
