"""What features of known health read: trained classifiers, common means, few dead units, collapsed classes, faded directions."""

from functools import cache, partial

import numpy as np
import pytest
from planted import finding, normal

import repgeom as rg
from studies.verdict_sets_trained import body, classifier


def encoder_like(n=1200, d=128, seed=0):
    """Unit rows with variances that fall as those of trained encoders do."""
    x = normal(n, d, seed) * np.arange(1, d + 1) ** -0.4
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def level(x, **more):
    return rg.audit(x, **more).level


# Healthy ----------------------------------------------------------------------------------------------------------


@cache
def trained(kind, width):
    features, labels, accuracy = classifier(partial(body, kind, width), 0)
    assert accuracy > 0.92
    return features, labels


@pytest.mark.parametrize(("kind", "width"), [("MLP", 64), ("MLP", 256), ("deep MLP", 128), ("CNN", 64)])
def test_a_trained_classifier_is_fit_to_classify(kind, width):
    features, labels = trained(kind, width)
    for part in (slice(None), slice(1200, None)):  # all scans, and those that it has not seen
        assert level(features[part], purpose="classify") == "ok"
        report = rg.audit(features[part], labels=labels[part], purpose="classify")
        assert report.level == "ok", report.headline
        assert finding(report, "classes_told_apart").value > 0.85


@pytest.mark.parametrize("cosine", [0.75, 0.85, 0.99])
@pytest.mark.parametrize("purpose", ["transfer", "retrieve", "generate", "classify"])
def test_a_vector_common_to_all_rows_changes_no_level(cosine, purpose):
    x = encoder_like()
    x -= x.mean(0)
    moved = x + np.sqrt(cosine / (1 - cosine)) * np.linalg.qr(normal(128, 1))[0].T
    report, before = rg.audit(moved, purpose=purpose), rg.audit(x, purpose=purpose)
    assert report["mean_cosine"].value == pytest.approx(cosine, abs=0.03)
    assert report.level == before.level == "ok"
    if purpose != "classify":
        assert finding(report, "rank_share").value == pytest.approx(finding(before, "rank_share").value, rel=1e-6)


def test_a_vector_common_to_all_rows_saves_no_collapse():
    x = normal(600, 3) @ normal(3, 128, 1)
    assert [level(x + mean) for mean in (0, 5, 20)] == ["fail"] * 3


def test_one_dead_unit_is_nothing_to_worry_about():
    x = encoder_like()
    x[:, [5, 77]] = 0.25
    report = rg.audit(x)
    assert (report.level, report.health.constant_features) == ("ok", 2)


def test_a_few_rows_that_repeat_are_nothing_to_worry_about():
    x = encoder_like()
    x[-36:] = x[:36]  # 3 %
    report = rg.audit(x)
    assert (report.level, report.health.duplicate_rows) == ("ok", 36)


def test_few_rows_for_the_width_are_no_trouble_of_the_features():
    x = encoder_like(1200, 256)
    for n in (1200, 400, 200, 100, 40):
        report = rg.audit(x[:n])
        assert report.level == "ok", report.headline
    assert report.summary.startswith("too few rows to say how many of 256 dimensions are in use: 40 rows")


# Classes ----------------------------------------------------------------------------------------------------------


def classes_at_means(collapsed, noise, n_classes=11, d=64):
    """Classes a spread apart, of which the first few are at their means but for noise."""
    labels = np.arange(100 * n_classes) % n_classes
    spread = np.where(labels < collapsed, noise, 1.0)[:, None]
    return normal(n_classes, d, 1)[labels] + spread * normal(len(labels), d), labels


def test_classes_that_keep_a_spread_read_ok():
    x, labels = classes_at_means(0, 0)
    assert level(x, labels=labels) == "ok"


def test_half_of_the_classes_at_their_means_are_found():
    x, labels = classes_at_means(5, 0.1)
    report = rg.audit(x, labels=labels)
    assert report.level in ("warn", "fail")
    assert finding(report, "collapsed_classes").value == 5 / 11
    assert "(0, 1, 2, 3, 4)" in report.headline


def test_all_classes_near_their_means_warn_for_other_tasks_and_not_for_their_own():
    x, labels = classes_at_means(11, 0.3)
    report = rg.audit(x, labels=labels)
    assert finding(report, "between_share").level == report.level == "warn"
    assert finding(report, "collapsed_classes").value == 0
    assert level(x, labels=labels, purpose="classify") == "ok"


def test_labels_beside_other_rows_are_found():
    x, labels = classes_at_means(0, 0)
    shuffled = np.random.default_rng(0).permutation(labels)
    assert finding(rg.audit(x, labels=shuffled), "agreement").level == "warn"
    assert level(x, labels=shuffled, purpose="classify") == "fail"


# Loss and collapse ------------------------------------------------------------------------------------------------


def test_most_relu_units_at_a_thousandth_of_the_others_warn():
    x = np.maximum(normal(1500, 48) @ normal(48, 200, 1) / 7, 0)
    assert level(x) == "ok"
    x[:, 40:] *= 1e-3
    report = rg.audit(x)
    assert report.level in ("warn", "fail")
    assert finding(report, "live_directions").value == pytest.approx(0.2, abs=0.02)


def test_a_sixth_of_the_directions_and_a_little_noise_warn():
    x = normal(1600, 64) @ np.linalg.qr(normal(384, 64, 1))[0].T
    report = rg.audit(x + 0.01 * normal(1600, 384, 2))
    assert report.level in ("warn", "fail")
    assert finding(report, "live_directions").value == pytest.approx(64 / 384, abs=0.01)


def test_a_point_with_noise_fails_by_its_own_rule():
    x = normal(1000, 64)
    x *= 0.1 / np.sqrt((x**2).sum(1).mean())
    report = rg.audit(x + np.eye(64)[3])
    assert report.level == finding(report, "noise_at_a_point").level == "fail"
    assert [f.name for f in report.findings if f.level == "fail"] == ["noise_at_a_point"]
    assert finding(report, "noise_at_a_point").value == pytest.approx(0.1, rel=0.01)
    assert "all rows lie at one point" in report.headline
    assert level(x) == "ok"  # the same noise about no point


def test_collapse_fails_with_its_numbers_and_a_way_out():
    report = rg.audit(rg.testing.features_with_spectrum([1.0] * 2 + [1e-3] * 62, 2000))
    f = finding(report, "rank_share")
    assert (report.level, f.level) == ("fail", "fail")
    assert report.summary.startswith("uses about 2.0")
    assert "2603.06698" in f.source
    assert "contrastive" in f.advice


@pytest.mark.parametrize("n", [60, 150, 400, 800, 1600])
def test_thirty_of_768_dimensions_read_one_level_at_any_number_of_rows(n):
    x = normal(1600, 30) * np.arange(1, 31) ** -0.2 @ np.linalg.qr(normal(768, 30, 1))[0].T
    report = rg.audit(x[:n], max_pair_rows=200)
    assert report.level == "fail", report.headline
    assert finding(report, "rank_share").level == "fail"
    assert report["effective_rank"].value == pytest.approx(28, abs=2)
