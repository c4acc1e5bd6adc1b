"""What may be lost: sure, surely not, or not decided; and what is no allowed drop at all."""

import dataclasses

import numpy as np
import pytest
from audited import healthy

import repgeom as rg
from repgeom.auditing.changes import Change
from repgeom.auditing.comparing import ReportComparison
from repgeom.auditing.drops import AllowedDrop, allowed_drop, check_measured, decide


@pytest.fixture(scope="module")
def report():
    return rg.audit(healthy(100, 4), name="old")


def outcome(report, text, **numbers):
    """What becomes of a drop of these numbers."""
    allowed = allowed_drop(text)
    given = {
        "label": "",
        "unit": "",
        "better": "higher",
        "old_low": None,
        "old_high": None,
        "new_low": None,
        "new_high": None,
    }
    change = Change(**{"name": allowed.measure, **given, **numbers})
    return decide(allowed, ReportComparison(report, report, (change,), False, ""))


# The interval decides -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("better", ["higher", "lower", ""])
@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (3.5, 5.0, "dropped"),
        (3.0, 5.0, "undecided"),  # the allowed drop itself is allowed
        (2.9, 5.0, "undecided"),
        (-1.0, 3.1, "undecided"),
        (-1.0, 3.0, "kept"),
        (-5.0, -3.5, "kept"),  # it got better
        (0.0, 0.0, "kept"),
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_only_a_whole_interval_decides(report, better, low, high, expected, relative):
    """`low` and `high` are how much worse it got, of 100."""
    sign = 1 if better == "lower" else -1
    ends = sorted((sign * low, sign * high))
    new = 100 + sign * (low + high) / 2
    numbers = {"old": 100.0, "new": new, "difference": new - 100, "low": ends[0], "high": ends[1], "better": better}
    found = outcome(report, "effective_rank=3%" if relative else "effective_rank=3", **numbers)
    assert found.outcome == expected
    assert found.reason.startswith("not decided") is (expected == "undecided")
    assert ("%" in found.reason) is relative


def test_a_share_goes_by_the_interval_of_the_ratio(report):
    numbers = {"old": 100.0, "new": 90.0, "difference": -10.0, "low": -30.0, "high": 10.0, "ratio": 0.9}
    assert outcome(report, "effective_rank=5%", **numbers, ratio_low=0.85, ratio_high=0.94).outcome == "dropped"
    assert outcome(report, "effective_rank=5%", **numbers, ratio_low=0.85, ratio_high=0.96).outcome == "undecided"
    assert outcome(report, "effective_rank=20%", **numbers, ratio_low=0.85, ratio_high=0.96).outcome == "kept"


@pytest.mark.parametrize(("old", "new"), [(-4.0, -3.0), (-0.5, 0.5)])
def test_a_share_of_a_negative_number_is_of_its_size(report, old, new):
    numbers = {"old": old, "new": new, "difference": 1.0, "low": 0.9, "high": 1.1, "better": "lower"}
    assert outcome(report, "uniformity=10%", **numbers).outcome == "dropped"
    assert outcome(report, "uniformity=300%", **numbers).outcome == "kept"
    assert outcome(report, "uniformity=10%", **{**numbers, "better": "higher"}).outcome == "kept"


@pytest.mark.parametrize("difference", [-1.0, 0.0, 1.0])
def test_a_share_of_0_is_not_decided(report, difference):
    numbers = {"old": 0.0, "new": difference, "difference": difference, "low": difference, "high": difference}
    found = outcome(report, "mean_cosine=5%", **numbers)
    assert found.outcome == "undecided"
    assert "5% of 0 is nothing" in found.reason
    assert outcome(report, "mean_cosine=0.5", **numbers).outcome == ("dropped" if difference < 0 else "kept")


# Without an interval ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("new", [0.0, 10.0, 99.0, 100.0, 120.0])
@pytest.mark.parametrize("name", ["knn_accuracy", "condition_number", "uniformity"])
def test_a_number_without_an_interval_decides_nothing(report, name, new):
    numbers = {
        "old": 100.0,
        "new": new,
        "difference": new - 100,
        "ratio": new / 100,
        "note": "no interval: of a reason",
    }
    found = outcome(report, f"{name}=5%", **numbers)
    assert found.outcome == "undecided"
    assert "no interval: of a reason" in found.reason


@pytest.mark.parametrize(
    ("new", "independent", "allowed", "expected"),
    [
        (40.0, 100, "5%", "dropped"),
        (51.0, 100, "5%", "undecided"),
        (40.0, 40, "5%", "undecided"),  # too few rows to say anything
        (40.0, None, "5%", "undecided"),
        (40.0, 100, "70%", "undecided"),
        (40.0, 100, "70", "undecided"),
    ],
)
def test_a_rank_that_is_halved_has_dropped_also_without_an_interval(report, new, independent, allowed, expected):
    rows = dataclasses.replace(report.rows, independent=independent)
    given = dataclasses.replace(report, rows=rows)
    numbers = {
        "old": 100.0,
        "new": new,
        "difference": new - 100,
        "ratio": new / 100,
        "unit": "dimensions",
        "note": "why",
    }
    found = outcome(given, f"effective_rank={allowed}", **numbers)
    assert found.outcome == expected
    if expected == "dropped":
        assert "no interval is known, but it is less than half" in found.reason


def test_a_collapse_of_few_rows_a_feature_is_no_pass():
    """300 rows of 200 features give no interval; a collapse must be seen, and another draw must not."""
    rng = np.random.default_rng(0)
    x, again = rng.standard_normal((300, 200)), rng.standard_normal((300, 200))
    collapsed = x[:, :3] @ rng.standard_normal((3, 200)) + 1e-3 * again
    outcomes = [
        decide(allowed_drop("effective_rank=5%"), rg.compare_reports(rg.audit(x), rg.audit(y))).outcome
        for y in (collapsed, again)
    ]
    assert outcomes == ["dropped", "undecided"]


def test_what_cannot_be_compared_is_not_decided(report):
    found = outcome(report, "knn_accuracy=5%", old=None, new=0.9, note="not in the old report")
    assert (found.outcome, found.reason) == ("undecided", "not decided: knn_accuracy: not in the old report")


# No false alarm -----------------------------------------------------------------------------------------------------


def test_another_draw_of_the_same_law_is_hardly_ever_a_drop():
    """The wrong answer, of no drop at all where none is allowed, at most as often as the interval says: 2.5 %."""
    rng = np.random.default_rng(0)
    spread = np.arange(1, 9) ** -0.5
    reports = [rg.audit(rng.standard_normal((150, 8)) * spread) for _ in range(60)]
    outcomes = [
        decide(allowed_drop("effective_rank=0"), rg.compare_reports(a, b)).outcome
        for a, b in zip(reports[::2], reports[1::2], strict=True)
    ]
    assert outcomes.count("dropped") <= 3


# What may be asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("effective_rank=5%", AllowedDrop("effective_rank", 0.05, True)),
        (" effective_rank = 5 % ", AllowedDrop("effective_rank", 0.05, True)),
        ("effective_rank=3", AllowedDrop("effective_rank", 3.0, False)),
        ("n_components_80=0", AllowedDrop("n_components_80", 0.0, False)),
        ("corrupted.cosine_drift=.1", AllowedDrop("corrupted.cosine_drift", 0.1, False)),
    ],
)
def test_allowed_drops_as_text(text, expected):
    assert allowed_drop(text) == expected
    assert allowed_drop(str(expected)) == expected


@pytest.mark.parametrize("amount", ["", "%", "nan", "nan%", "inf", "-1", "-5%", "5%%", "five", "1,5", "=5"])
def test_an_amount_that_is_none_is_refused(amount):
    with pytest.raises(ValueError, match=r"--fail-on-drop takes MEASURE=SHARE%"):
        allowed_drop(f"effective_rank={amount}")


@pytest.mark.parametrize(
    ("name", "hint"), [("efective_rank", "Did you mean effective_rank"), ("rank", "Measures are"), ("x", "no measure")]
)
def test_a_measure_that_there_is_not_is_refused_before_any_row_is_read(name, hint):
    with pytest.raises(ValueError, match=hint):
        allowed_drop(f"{name}=5%")


@pytest.mark.parametrize("name", ["knn_accuracy", "linear_cka", "corrupted.cosine_drift", "n_components_80"])
def test_a_measure_that_the_report_lacks_would_never_be_decided(report, name):
    with pytest.raises(ValueError, match=f"names {name}, which the report of old does not have; it has effective_rank"):
        check_measured(allowed_drop(f"{name}=5%"), report)
    check_measured(allowed_drop("effective_rank=5%"), report)
    drifted = rg.audit(healthy(100, 4), corrupted=healthy(100, 4, 1))
    check_measured(allowed_drop("corrupted.cosine_drift=5%"), drifted)
