"""Scores of a robustness table: against the papers' formulas, AlexNet itself, and areas known in closed form."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import trapezoid

import repgeom as rg

NAMES = list(rg.corruptions.names())
MCE = [name for name, kind in rg.corruptions.names().items() if kind == "mCE"]
SEVERITIES = [1, 2, 3, 4, 5]


def table(curves, clean=None, measure="accuracy"):
    """The table of {corruption: {severity: value}}."""
    rows = [("clean", 0.0, measure, clean)] * (clean is not None)
    rows += [(c, float(s), measure, v) for c, curve in curves.items() for s, v in curve.items()]
    columns = ["corruption", "severity", "measure", "value"]
    return pd.DataFrame(rows, columns=columns).assign(low=np.nan, high=np.nan, n=100, note="")


def of_errors(errors, clean, **settings):
    """A table with given mean errors, which differ over severities."""
    curves = {c: {s: 1 - e - 0.01 * (s - 3) for s in SEVERITIES} for c, e in errors.items()}
    return table(curves, 1 - clean, **settings)


def some_accuracies(rng, names=NAMES, clean=0.9, **settings):
    return table({c: dict(zip(SEVERITIES, rng.uniform(0.1, 0.8, 5), strict=True)) for c in names}, clean, **settings)


def without(frame, corruption, severity=None):
    gone = (frame.corruption == corruption) & (severity is None or frame.severity == severity)
    return frame[~gone]


def error(frame, corruption, severity):
    here = frame[(frame.corruption == corruption) & (frame.severity == severity)]
    return 1 - here["value"].item()


def slow_errors(mine, theirs, corruption):
    """CE and relative CE of Hendrycks & Dietterich (2019), section 4.1."""
    e, r = (np.array([error(t, corruption, s) for s in SEVERITIES]) for t in (mine, theirs))
    clean_e, clean_r = (error(t, "clean", 0) for t in (mine, theirs))
    return e.sum() / r.sum(), (e - clean_e).sum() / (r - clean_r).sum()


ALEXNET = {c: e for c, e in rg.robustness.ALEXNET_IMAGENET_C.items() if c != "clean"}
ALEXNET_CLEAN = rg.robustness.ALEXNET_IMAGENET_C["clean"]

# --- mean corruption error ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [1, 0.5, 0.1])
def test_a_model_with_alexnets_errors_has_mce_one_and_with_a_share_of_them_that_share(share):
    model = of_errors({c: e * share for c, e in ALEXNET.items()}, ALEXNET_CLEAN * share)
    found = rg.robustness.mean_corruption_error(model, rg.robustness.ALEXNET_IMAGENET_C)
    assert (found.mce, found.relative_mce, found.n_corruptions) == (pytest.approx(share), pytest.approx(share), 15)
    assert list(found.per_corruption) == MCE
    assert list(found.per_corruption.values()) == [pytest.approx((share, share))] * 15


def test_alexnets_errors_are_the_published_ones():
    assert list(ALEXNET) == MCE
    published = {"snow": [0.717, 0.884, 0.865, 0.919, 0.950], "elastic_transform": [0.526, 0.701, 0.557, 0.641, 0.806]}
    for name, errors in published.items():
        assert ALEXNET[name] == pytest.approx(np.mean(errors), abs=5e-4)
    assert pytest.approx(0.435, abs=5e-4) == ALEXNET_CLEAN  # 43.5 % in the paper's table 1


@pytest.mark.parametrize(("extra", "names"), [(False, MCE), (True, NAMES)])
@pytest.mark.parametrize("measure", ["accuracy", "knn_accuracy"])
def test_mce_is_the_mean_of_ratios_of_sums(extra, names, measure, rng):
    mine, theirs = (some_accuracies(rng, clean=clean, measure=measure) for clean in (0.95, 0.85))
    found = rg.robustness.mean_corruption_error(mine, theirs, extra=extra, measure=measure)
    expected = {c: slow_errors(mine, theirs, c) for c in names}
    assert found.per_corruption == {c: pytest.approx(pair) for c, pair in expected.items()}
    assert (found.mce, found.relative_mce) == pytest.approx(np.mean(list(expected.values()), axis=0))
    assert found.n_corruptions == len(names)
    reference = {c: np.mean([error(theirs, c, s) for s in SEVERITIES]) for c in names} | {"clean": 0.15}
    as_mapping = rg.robustness.mean_corruption_error(mine, reference, extra=extra, measure=measure)
    assert (as_mapping.mce, as_mapping.relative_mce) == pytest.approx((found.mce, found.relative_mce))


def test_a_classifiers_errors_at_hand_are_scored_as_their_table(rng):
    mine = some_accuracies(rng, clean=0.8)
    listed = {c: [error(mine, c, s) for s in SEVERITIES] for c in NAMES} | {"clean": 0.2}
    means = {c: np.mean(errors) for c, errors in listed.items()}
    alexnet = rg.robustness.ALEXNET_IMAGENET_C
    expected = rg.robustness.mean_corruption_error(mine, alexnet)
    for errors in (listed, means, {c: np.array(e, dtype=np.float64) for c, e in listed.items()}):
        found = rg.robustness.mean_corruption_error(errors, alexnet)
        assert (found.mce, found.relative_mce) == pytest.approx((expected.mce, expected.relative_mce))
        assert list(found.per_corruption) == MCE
        against = rg.robustness.mean_corruption_error(errors, listed, extra=True)
        assert (against.mce, against.relative_mce, against.n_corruptions) == pytest.approx((1, 1, 19))
    wrong = {
        "`table` has no error for clean": {c: e for c, e in listed.items() if c != "clean"},
        "`table` has no error for snow, fog": {c: e for c, e in listed.items() if c not in ("fog", "snow")},
        "`table` has 4 errors for fog; give 5": listed | {"fog": [0.1] * 4},
        "error of 43.0 for fog; errors are shares": listed | {"fog": 43.0},
        "for fog; errors are shares": listed | {"fog": [0.1, 0.1, float("nan"), 0.1, 0.1]},
    }
    for message, errors in wrong.items():
        with pytest.raises(ValueError, match=message):
            rg.robustness.mean_corruption_error(errors, alexnet)


def test_order_of_rows_other_measures_and_number_types_do_not_matter(rng, tmp_path):
    mine = some_accuracies(rng)
    expected = rg.robustness.mean_corruption_error(mine, rg.robustness.ALEXNET_IMAGENET_C).mce
    mixed = pd.concat([some_accuracies(rng, measure="knn_accuracy"), mine])
    mine.to_csv(tmp_path / "table.csv", index=False)
    for same in (
        mine.sample(frac=1, random_state=0),
        mixed,
        mine.astype({"severity": int, "value": np.float32}),
        pd.read_csv(tmp_path / "table.csv"),
    ):
        assert rg.robustness.mean_corruption_error(same, rg.robustness.ALEXNET_IMAGENET_C).mce == pytest.approx(
            expected, rel=1e-6
        )


def test_against_a_reference_that_is_always_wrong_mce_is_the_mean_error(rng):
    mine = some_accuracies(rng)
    wrong = dict.fromkeys(MCE, 1.0) | {"clean": 0.0}
    assert rg.robustness.mean_corruption_error(mine, wrong).mce == pytest.approx(
        1 - rg.robustness.mean_corruption_accuracy(mine)
    )


def test_there_is_no_default_reference(rng):
    with pytest.raises(TypeError, match="reference"):
        rg.robustness.mean_corruption_error(some_accuracies(rng))


def renamed(frame, new="frost_procedural"):
    return frame.assign(corruption=frame.corruption.replace("frost", new))


FULL = some_accuracies(np.random.default_rng(0))
LESS = {c: e for c, e in rg.robustness.ALEXNET_IMAGENET_C.items() if c not in ("fog", "clean")}
REFUSED = {
    "frost": (renamed(FULL), FULL, "frost is procedural, which is not ImageNet-C's: give `frost_images`"),
    "reference's frost": (FULL, renamed(FULL), "frost is procedural"),
    "severity": (without(FULL, "fog", 3), FULL, r"severities 1 to 5 of fog; the table has \[1.0, 2.0, 4.0, 5.0\]"),
    "reference's severity": (FULL, without(FULL, "snow", 5), r"of snow; the table has \[1.0, 2.0, 3.0, 4.0\]"),
    "corruption": (without(FULL, "snow"), FULL, "mCE needs severities 1 to 5 of snow; the table has none"),
    "clean": (without(FULL, "clean"), FULL, "the table has no clean accuracy"),
    "mapping": (FULL, LESS, "`reference` has no error for clean, fog"),
    "measure": (FULL.assign(measure="drift"), FULL, "the table has no measure 'accuracy'; it has drift"),
    "reference NaN": (FULL, rg.robustness.ALEXNET_IMAGENET_C | {"fog": float("nan")}, "fog"),
    "reference perfect": (FULL, rg.robustness.ALEXNET_IMAGENET_C | {"fog": 0.0}, "fog"),
    "reference as good as clean": (FULL, rg.robustness.ALEXNET_IMAGENET_C | {"fog": ALEXNET_CLEAN}, "fog"),
    "two runs in one table": (pd.concat([FULL, FULL]), FULL, "gaussian_noise|clean"),
}


@pytest.mark.parametrize(("mine", "theirs", "message"), REFUSED.values(), ids=REFUSED)
def test_mce_without_all_that_it_needs_is_refused(mine, theirs, message):
    with pytest.raises(ValueError, match=message):
        rg.robustness.mean_corruption_error(mine, theirs)


def test_alexnet_has_no_errors_of_the_extra_corruptions():
    message = "`reference` has no error for speckle_noise, gaussian_blur, spatter, saturate"
    with pytest.raises(ValueError, match=message):
        rg.robustness.mean_corruption_error(FULL, rg.robustness.ALEXNET_IMAGENET_C, extra=True)


def test_only_accuracies_have_an_error():
    ranks = FULL.assign(measure="effective_rank", value=50 * FULL["value"])
    with pytest.raises(ValueError, match="effective_rank"):
        rg.robustness.mean_corruption_error(ranks, rg.robustness.ALEXNET_IMAGENET_C, measure="effective_rank")


@pytest.mark.parametrize("score", [rg.robustness.mean_corruption_accuracy, rg.robustness.severity_auc])
def test_two_runs_in_one_table_are_refused(score):
    with pytest.raises(ValueError, match=r"gaussian_noise|clean"):
        score(pd.concat([FULL, some_accuracies(np.random.default_rng(1))]))


# --- mean corruption accuracy ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("extra", "names"), [(False, MCE), (True, NAMES)])
def test_mean_accuracy_is_the_mean_over_corruptions_of_means_over_severities(extra, names, rng):
    mine = without(without(some_accuracies(rng), "fog", 5), "fog", 1)  # unequal numbers of severities
    means = mine.groupby("corruption")["value"].mean()
    assert rg.robustness.mean_corruption_accuracy(mine, extra=extra) == pytest.approx(means[names].mean())


def test_procedural_frost_counts_and_missing_corruptions_do_not(rng):
    mine = some_accuracies(rng)
    assert rg.robustness.mean_corruption_accuracy(renamed(mine)) == pytest.approx(
        rg.robustness.mean_corruption_accuracy(mine)
    )
    two = table({"frost_procedural": {3: 0.5}, "fog": {1: 0.1, 2: 0.3}, "pixel_noise": {0.1: 0.9}}, clean=1.0)
    assert rg.robustness.mean_corruption_accuracy(two) == pytest.approx(0.35)
    other = pd.concat([two, table({"fog": {2: 7.0, 3: 9.0}}, measure="effective_rank")])
    assert rg.robustness.mean_corruption_accuracy(other, measure="effective_rank") == 8


def test_tables_without_a_mean_are_refused(rng):
    with pytest.raises(ValueError, match="none of these corruptions"):
        rg.robustness.mean_corruption_accuracy(table({"pixel_noise": {0.1: 0.9}}, clean=1.0))
    with pytest.raises(ValueError, match="none of these corruptions"):
        rg.robustness.mean_corruption_accuracy(table({"spatter": {1: 0.9}}, clean=1.0))
    with pytest.raises(ValueError, match="no measure 'knn_accuracy'; it has accuracy"):
        rg.robustness.mean_corruption_accuracy(some_accuracies(rng), measure="knn_accuracy")


@pytest.mark.parametrize("score", [
    rg.robustness.mean_corruption_accuracy, rg.robustness.severity_auc, lambda t: rg.robustness.mean_corruption_error(t, rg.robustness.ALEXNET_IMAGENET_C),
])  # fmt: skip
def test_a_cell_that_failed_is_named(score, rng):
    failed = some_accuracies(rng)
    failed.loc[(failed.corruption == "fog") & (failed.severity == 4), "value"] = np.nan
    with pytest.raises(ValueError, match="accuracy of fog at severity 4 is NaN"):
        score(failed)


# --- area under the curve ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 100, 1e-14, 1e14])
@pytest.mark.parametrize("severities", [[1, 2, 3, 4, 5], [3], [0.5, 1, 4.5], [2, 5]])
def test_area_of_a_straight_line_is_its_middle_and_of_any_the_trapezoids(severities, scale, rng):
    last, any_values = severities[-1], rng.random(len(severities))
    curves = {
        "fog": dict.fromkeys(severities, scale * 0.9),
        "snow": {s: scale * (0.9 - 0.1 * s) for s in severities},
        "frost_procedural": dict(zip(severities, scale * any_values, strict=True)),
    }
    found = rg.robustness.severity_auc(table(curves, scale * 0.9).sample(frac=1, random_state=1))
    slow = trapezoid([0.9, *any_values], [0, *severities]) / last
    expected = {"fog": 0.9, "snow": 0.9 - 0.05 * last, "frost_procedural": slow}
    assert found == {c: pytest.approx(scale * area, rel=1e-9, abs=0) for c, area in expected.items()}


def test_a_perfect_accuracy_has_area_one_and_any_measure_has_one():
    curves = table({"fog": {1: 1.0, 5: 1.0}}, 1.0)
    ranks = table({"fog": {1: 10.0, 2: 4.0}}, 20.0, measure="effective_rank")
    both = pd.concat([curves, ranks])
    assert rg.robustness.severity_auc(both) == {"fog": 1.0}
    assert rg.robustness.severity_auc(both, measure="effective_rank") == {"fog": pytest.approx((15 + 7) / 2)}


def test_a_curve_without_a_start_is_refused():
    with pytest.raises(ValueError, match="the table has no clean accuracy to start from"):
        rg.robustness.severity_auc(table({"fog": {1: 0.5}}))
    with pytest.raises(ValueError, match="no measure 'knn_accuracy'; it has accuracy"):
        rg.robustness.severity_auc(table({"fog": {1: 0.5}}, 1.0), measure="knn_accuracy")


# --- tables as they come -----------------------------------------------------------------------------------------


def test_scores_of_a_table_that_was_measured():
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(8, 3, 8, 8, generator=generator), [0, 1] * 4
    settings = {"corruptions": "mCE", "severities": SEVERITIES, "k": 1, "strengths": "cifar"}
    frost = [torch.rand(3, 200, 200, generator=generator)]
    with_photos = rg.robustness.corruption_robustness(
        lambda x: x.flatten(1), images, labels, frost_images=frost, **settings
    )
    found = rg.robustness.mean_corruption_error(with_photos, with_photos, measure="knn_accuracy")
    values = with_photos[with_photos.measure == "knn_accuracy"].set_index(["corruption", "severity"])["value"]
    assert (found.mce, found.n_corruptions) == (pytest.approx(1), 15)
    assert rg.robustness.mean_corruption_accuracy(with_photos, measure="knn_accuracy") == pytest.approx(
        values[MCE].mean()
    )
    areas = rg.robustness.severity_auc(with_photos, measure="knn_accuracy")
    curve = [values["clean", 0.0], *(values["fog", s] for s in SEVERITIES)]
    assert areas["fog"] == pytest.approx(sum((a + b) / 10 for a, b in itertools.pairwise(curve)))
    procedural = rg.robustness.corruption_robustness(lambda x: x.flatten(1), images, labels, **settings)
    with pytest.raises(ValueError, match="frost is procedural"):
        rg.robustness.mean_corruption_error(procedural, rg.robustness.ALEXNET_IMAGENET_C, measure="knn_accuracy")


def test_a_measure_of_clean_images_only_has_no_area():
    table = pd.DataFrame([("clean", 0, "mean_norm", 1.0)], columns=["corruption", "severity", "measure", "value"])
    with pytest.raises(ValueError, match="the table has mean_norm of clean images only"):
        rg.robustness.severity_auc(table, measure="mean_norm")


@pytest.mark.parametrize("score", [rg.robustness.mean_corruption_accuracy, rg.robustness.severity_auc])
@pytest.mark.parametrize("name", ["knn_accuracy", "knn_accuracy_k5"])
def test_an_accuracy_that_is_there_is_named_where_the_usual_one_is_not(score, name):
    frame = table({"fog": {1: 0.5, 3: 0.4}}, clean=0.9, measure=name)
    with pytest.raises(ValueError, match=rf'`measure="{name}"` reads the accuracy of its neighbours'):
        score(frame)
