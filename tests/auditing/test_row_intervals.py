"""Intervals of an audit's measures that are no ranks, and the reason where there is none."""

import json

import numpy as np
import pytest
from audited import healthy

import repgeom as rg
from repgeom.auditing.row_intervals import WITH_INTERVAL
from repgeom.inference.intervals import normal_quantile, quantile, wilson
from repgeom.measures.measure import measures


def pair(n=300, d=8, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5 + 0.4
    return x, x + 0.5 * rng.standard_normal((n, d)), np.arange(n) % 3


def ends(v):
    return v.low, v.high


def leave_one_out(measure, n):
    """Standard error of the jackknife: pseudo-values' deviation over √n."""
    without = np.array([measure(np.delete(np.arange(n), i)) for i in range(n)])
    return np.sqrt((n - 1) ** 2 / n * without.var(ddof=1))


def test_means_over_rows_have_students_interval():
    x, y, _ = pair()
    report, t = rg.audit(x, reference=y), quantile(0.95, 299)
    lengths = np.linalg.norm(x, axis=1)
    half = t * lengths.std(ddof=1) / np.sqrt(300)
    factor = np.exp(half / lengths.mean())
    assert ends(report["norm_mean"]) == pytest.approx((lengths.mean() / factor, lengths.mean() * factor))
    cosines = (x * y).sum(1) / lengths / np.linalg.norm(y, axis=1)
    half = t * cosines.std(ddof=1) / np.sqrt(300) / (1 - cosines.mean() ** 2)
    middle = np.arctanh(cosines.mean())
    assert ends(report["cosine_alignment"]) == pytest.approx(tuple(np.tanh([middle - half, middle + half])))


@pytest.mark.parametrize("name", ["mean_cosine", "norm_cv", "linear_cka"])
def test_errors_are_about_those_of_leaving_rows_out(name):
    x, y, _ = pair()
    read = {
        "mean_cosine": lambda rows: rg.mean_cosine(x[rows]),
        "norm_cv": lambda rows: rg.norms(x[rows]).cv,
        "linear_cka": lambda rows: rg.linear_cka(x[rows], y[rows]),
    }[name]
    found = rg.audit(x, reference=y)[name]
    assert found.low < found.value < found.high
    assert found.value == found.in_these_rows
    assert found.estimate.se == pytest.approx(leave_one_out(read, 300), rel=0.02)


def test_an_interval_of_all_rows_is_narrower_than_that_of_the_sample():
    x, y, _ = pair(4000)
    whole = rg.audit(x, reference=y)
    sampled = rg.audit(x, reference=y, max_pair_rows=1000)
    for name in ("norm_mean", "cosine_alignment", "mean_cosine", "norm_cv", "linear_cka"):
        assert sampled[name].value == pytest.approx(whole[name].value)
        assert sampled[name].estimate.se == pytest.approx(whole[name].estimate.se, rel=0.15), name
    # Neighbours are sought among the rows that were sampled.
    assert sampled["mutual_knn"].estimate.n == 1000


def test_neighbours_have_an_interval_of_as_many_rows_as_were_read():
    x, y, labels = pair()
    report = rg.audit(x, reference=y, labels=labels)
    for name in ("knn_accuracy", "mutual_knn"):
        v = report[name]
        assert 0 <= v.low < v.value == v.in_these_rows < v.high <= 1
    # No interval is narrower than that of as many independent rows.
    low, high = wilson(report["knn_accuracy"].value, 300, normal_quantile(0.95))
    assert report["knn_accuracy"].high - report["knn_accuracy"].low >= high - low - 1e-12


def test_rows_that_are_told_to_depend_or_repeat_have_no_such_interval():
    x, y, labels = pair()
    clips = np.repeat(np.arange(100), 3)
    alike = np.repeat(x[:100], 3, 0) + 0.1 * x
    cases = [
        (rg.audit(alike, reference=y, labels=labels, groups=clips), "rows of a group depend on each other"),
        (rg.audit(np.r_[x, x], reference=np.r_[y, y], labels=np.r_[labels, labels]), "rows repeat"),
    ]
    of_rows, of_neighbours = ("linear_cka", "cosine_alignment", "norm_mean"), ("knn_accuracy", "mutual_knn")
    for report, reason in cases:
        for name in of_rows:
            assert report[name].low is None
            assert reason in report[name].note
    told, repeated = (report for report, _ in cases)
    for name in of_neighbours:
        # Halves without a common group tell the error, where groups are known.
        assert told[name].low is not None
        assert repeated[name].low is None
        assert "rows repeat" in repeated[name].note
    alone = rg.audit(x, reference=y, labels=labels, groups=np.arange(300))
    assert alone["linear_cka"].low is not None


def test_heavy_tails_leave_cka_and_norm_variation_without_an_interval():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2000, 8)) / np.sqrt(rng.chisquare(1.5, (2000, 1)))
    report = rg.audit(x, reference=x @ rng.standard_normal((8, 8)))
    for name in ("linear_cka", "norm_cv"):
        assert report[name].low is None
        assert "rows, whose lengths stand out" in report[name].note


@pytest.mark.parametrize("n", [2, 3, 4, 30, 300])
def test_no_number_stands_without_an_interval_or_the_reason(n):
    x, y, labels = pair(n)
    report = rg.audit(x, reference=y, labels=labels)
    plain = json.loads(report.to_json())["measures"]
    text, page = str(report), report.to_html()
    for v in report.values:
        assert (v.low is None) == (v.high is None)
        if v.value is None:
            continue
        assert (v.low is None) == ("no interval: " in v.note), v.name
        assert plain[v.name]["note"] == v.note
        assert v.note in text
        assert all(part in page for part in v.note.split('"')[:1])


def test_measures_that_are_fitted_to_the_rows_say_so():
    x, y, _ = pair()
    report = rg.audit(x, reference=y)
    assert "directions are fitted to the same rows" in report["captured_variance"].note
    assert "rests on the smallest variances" in report["condition_number"].note
    assert '`estimate(x, "effective_rank_sigma", center=False)`' in report["rankme"].note


def test_any_scale_has_the_same_intervals():
    x, y, labels = pair()
    one = rg.audit(x, reference=y, labels=labels)
    for scale in (1e-30, 1e30):
        other = rg.audit(x * scale, reference=y * scale, labels=labels)
        for name in ("linear_cka", "norm_cv", "mean_cosine", "knn_accuracy", "mutual_knn"):
            assert ends(other[name]) == pytest.approx(ends(one[name]), rel=1e-6), name


def test_unit_rows_are_read_as_unit_rows():
    x, y, _ = pair()
    units = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y)]
    found, wanted = rg.audit(x, reference=y, normalize="l2"), rg.audit(units[0], reference=units[1])
    assert ends(found["linear_cka"]) == pytest.approx(ends(wanted["linear_cka"]), rel=1e-9)


def test_equal_features_agree_without_doubt():
    x = healthy(300, 8)
    report = rg.audit(x, reference=x)
    assert ends(report["linear_cka"]) == pytest.approx((1, 1), abs=1e-9)
    assert report["mutual_knn"].low == report["mutual_knn"].high == 1


def test_the_guide_knows_which_measures_have_an_interval_in_an_audit():
    x, y, labels = pair(600)
    report = rg.audit(x, reference=y, labels=labels)
    known = {m.name for m in measures() if m.functional is not None} | set(WITH_INTERVAL)
    found = {v.name for v in report.values if v.low is not None}
    # The number of components has a value of the population and no interval.
    assert known - found == {"n_components_90", "n_components_99"}
    assert found <= known
