"""What rules read, against closed forms and direct calculations, and the sentences that say it."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from planted import estimated, finding, normal, of_one_row, of_ranks, of_votes, stub, white

import repgeom as rg
from repgeom.auditing import readings, readings_beside
from repgeom.auditing.rules import RULES

NAMED = {rule.name: rule for rule in RULES}


def geometric_share(d, *ranks):
    """The geometric mean of shares of the width that are 0 for a line and 1 for an isotropic cloud."""
    return math.prod((rank - 1) / (d - 1) for rank in ranks) ** (1 / len(ranks))


# Dimensions in use ------------------------------------------------------------------------------------------------


def test_the_share_and_its_interval_are_those_of_both_effective_ranks():
    x = normal(400, 9) * np.arange(1, 10) ** -1.5
    report, f = rg.audit(x), finding(rg.audit(x), "rank_share")
    e, spread = rg.estimate(x), rg.estimate(x, "effective_rank_sigma")
    assert e.low is not None
    for value, rank in ((f.value, e.value), (f.low, e.low), (f.high, e.high)):
        assert value == pytest.approx(geometric_share(9, rank, spread.value), rel=1e-6)
    assert report.summary == f"uses about {e.value:.4g} of 9 dimensions (95 %: {e.low:.4g} to {e.high:.4g})"


@pytest.mark.parametrize(("by_variance", "by_spread", "share"), [(1, 50, 0), (100, 100, 1), (1 + 99 / 4, 100, 0.5)])
def test_the_share_is_nothing_on_a_line_and_all_in_an_isotropic_cloud(by_variance, by_spread, share):
    assert readings.rank_share(of_ranks(by_variance, by_spread, d=100)) == pytest.approx(share)


def test_a_typical_tail_stands_in_where_the_smallest_singular_values_are_rounding():
    evidence = stub(estimates={"effective_rank": estimated(16.0)}, d=100)
    assert readings.rank_share(evidence) == pytest.approx(geometric_share(100, 16, 40))  # √(16 · 100)


@pytest.mark.parametrize(("reach", "margin"), readings._MARGINS)
def test_without_an_interval_the_share_has_a_margin_that_grows_where_rows_are_few(reach, margin):
    for n, wanted in ((max(reach, 0.3) * 100, margin), (reach * 100 - 1, None)):
        e = of_ranks(8.0, 30.0, d=100, n=round(n))
        if wanted is None:
            wanted = next((m for r, m in readings._MARGINS if r < reach), None)
        if wanted is None:
            continue
        low, high = readings.rank_share_interval(e)
        assert low == pytest.approx(geometric_share(100, 8 * (1 - wanted), 30))
        assert high == pytest.approx(geometric_share(100, 8 * (1 + wanted), 30))
        words = re.fullmatch(r"uses about 8 of 100 dimensions \(no 95 % interval.* (\d+%).*\)", readings.summary(e))
        assert words[1] == f"{wanted:.0%}"
    assert [m for _, m in readings._MARGINS] == sorted(m for _, m in readings._MARGINS)


def test_a_margin_counts_rows_that_depend_on_each_other_for_less():
    alone, together = of_ranks(8.0, d=100, n=100), of_ranks(8.0, d=100, n=100, independent=50.0)
    width = [np.diff(readings.rank_share_interval(e))[0] for e in (alone, together)]
    assert width[1] > 1.5 * width[0]


def test_a_margin_ends_at_a_line_and_at_the_width():
    assert readings.rank_with_margin(of_ranks(1.02, d=100))[1] == 1
    assert readings.rank_with_margin(of_ranks(99.0, d=100))[2] == 100


@pytest.mark.parametrize(
    ("n", "rank", "said"), [(24, 12.1, True), (24, 12.0, False), (25, 20.0, False), (7, 2.0, True), (8, 2.0, False)]
)
def test_too_few_rows_are_said_to_be_and_nothing_is_judged(n, rank, said):
    x = normal(n, 100)
    e = of_ranks(rank, d=100, n=n, spectrum=rg.spectrum(x))
    assert readings.summary(e).startswith("too few rows to say how many of 100 dimensions are in use") == said
    for read in (readings.rank_share, readings.rank_share_interval):
        assert (read(e) is None) == said
    if said:
        shown = rg.effective_rank(rg.isotropic_baseline(x))
        assert f"{n} rows, of which an isotropic cloud would show {shown:.4g}; about {rank:.4g} by" in readings.summary(
            e
        )


def test_of_three_rows_only_the_rows_themselves_are_said():
    x = normal(3, 20)
    report = rg.audit(x)
    assert report.summary == f"reads {rg.effective_rank(x):.4g} of 20 dimensions in these 3 rows"
    assert not {"rank_share", "live_directions", "noise_at_a_point"} & {f.name for f in report.findings}


def test_of_columns_and_rows_that_dominate_those_count_that_leave_more():
    few, many = (SimpleNamespace(effective_ranks=(r, r), n_features=90, what="rows") for r in (5.0, 50.0))
    for dominating in ((few, many), (many, few)):
        e = of_ranks(1.1, d=100, dominating=dominating)
        assert readings.rank_share(e) == pytest.approx(geometric_share(90, 50))


def test_one_column_has_no_share():
    assert not any(f.name == "rank_share" for f in rg.audit(normal(400, 1)).findings)


def test_directions_have_faded_below_a_share_of_the_mean_variance():
    d, faded = 400, 300
    for factor, live in ((0.98, (d - faded) / d), (1.02, 1.0)):
        # a · (d − faded) + small · faded = d, with small = factor · FADED of the mean variance, which is 1
        small = factor * readings.FADED
        behind = estimated(0)
        behind.variances = np.array([(d - small * faded) / (d - faded), small])
        behind.counts = np.array([d - faded, faded], float)
        e = of_ranks(90.0, d=d, n=4000)
        e.population = estimated(0)
        e.population.fit = estimated(0)
        e.population.fit.corrected = behind
        assert readings.live_directions(e) == pytest.approx(live)
    words = {"five-hundredth": 500, "thousandth": 1000, "hundredth": 100}
    said = re.fullmatch(
        r"about 300 of 400 directions have faded: each holds less than a (\S+) of the mean variance",
        readings.live_sentence(e, 0.25),
    )
    assert words[said[1]] == pytest.approx(1 / readings.FADED)


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e-3])
def test_columns_that_hold_next_to_nothing_are_directions_that_have_faded(scale):
    x = normal(400, 50)
    x[:, :30] *= scale
    assert finding(rg.audit(x), "live_directions").value == pytest.approx(0.4, abs=0.01)
    assert finding(rg.audit(normal(400, 50)), "live_directions").value == pytest.approx(1, abs=0.01)


def test_the_leading_direction_is_read_beyond_what_isotropic_rows_show():
    x = normal(50, 8) * np.r_[3, np.ones(7)]
    share, least = 1 / rg.stable_rank(x), 1 / rg.stable_rank(rg.isotropic_baseline(x))
    f = finding(rg.audit(x, thresholds={"leading_direction": (0.01, None)}), "leading_direction")
    assert f.value == pytest.approx((share - least) / (1 - least))
    assert f.reason == (
        f"the leading direction holds {share:.0%} of the variance; in isotropic features of this size it holds {least:.0%}"
    )


@pytest.mark.parametrize(("n", "d"), [(5000, 1), (5000, 2), (5000, 3), (2, 20), (3, 20)])
def test_narrow_or_few_is_not_mistaken_for_a_leading_direction(n, d):
    report = rg.audit(normal(n, d))
    assert all(f.level == "ok" for f in report.findings if f.name == "leading_direction")
    assert [f.name for f in report.findings if f.level != "ok"] == ([] if n > 100 else ["few_rows"])


# A point ----------------------------------------------------------------------------------------------------------


def test_spread_is_the_standard_deviations_of_all_features_over_the_length_of_their_mean():
    x = normal(300, 5) * np.arange(1, 6) + np.arange(5)
    wanted = math.sqrt(x.var(0, ddof=1).sum()) / np.linalg.norm(x.mean(0))
    assert finding(rg.audit(x), "spread_over_mean").value == pytest.approx(wanted, rel=1e-9)
    for scale in (1e-150, 1e150):
        assert finding(rg.audit(x * scale), "spread_over_mean").value == pytest.approx(wanted, rel=1e-9)
    assert not any(f.name == "spread_over_mean" for f in rg.audit(x, normalize="l2").findings)


def test_noise_at_a_point_is_read_only_where_rows_have_no_structure():
    names = {f.name for f in rg.audit(normal(400, 12) * np.arange(1, 13) + 50).findings}
    assert "noise_at_a_point" not in names
    assert "spread_over_mean" in names
    isotropic = rg.audit(normal(400, 12) + 50)
    assert finding(isotropic, "noise_at_a_point").value == finding(isotropic, "spread_over_mean").value


@pytest.mark.parametrize(("rank", "d", "read"), [(89.9, 100, 0), (90.0, 100, 1), (8.0, 8, 1), (7.0, 7, 0)])
def test_rows_have_no_structure_where_nearly_all_directions_are_alike(rank, d, read):
    x = normal(300, d) + 9
    e = of_ranks(rank, d=d, n=300, spectrum=rg.spectrum(x))
    assert (readings.noise_at_a_point(e) == readings.spread_over_mean(e)) == bool(read)
    assert (readings.noise_at_a_point(e) is None) == (not read)


# Rows -------------------------------------------------------------------------------------------------------------


def test_whole_numbers_may_repeat():
    tokens = np.random.default_rng(0).integers(0, 3, (400, 2)).astype(float)
    assert rg.audit(tokens).health.duplicate_rows > 300
    assert not any(f.name == "duplicate_rows" for f in rg.audit(tokens).findings)
    assert finding(rg.audit(tokens + 0.5), "duplicate_rows").level == "fail"


def test_a_few_rows_of_the_variance_say_their_share():
    f = finding(rg.audit(**of_one_row(0.4)), "dominating_rows")
    assert f.value == pytest.approx(0.4, rel=1e-6)
    calm = rg.audit(normal(400, 12), thresholds={"dominating_rows": (-1, None)})
    assert (finding(calm, "dominating_rows").value, finding(calm, "dominating_rows").level) == (0, "warn")


# Labels -----------------------------------------------------------------------------------------------------------


def test_classes_need_one_dimension_less_than_they_are():
    labels = np.arange(600) % 7
    x = normal(600, 20) + 9 * np.eye(20)[labels]
    e = rg.estimate(x)
    f = finding(rg.audit(x, labels=labels, purpose="classify"), "rank_per_class")
    ends = (e.value, e.low, e.high) if e.low is not None else (e.value,)
    assert (f.value, f.low, f.high)[: len(ends)] == pytest.approx(tuple(v / 6 for v in ends), rel=1e-6)
    forced = rg.audit(x, labels=labels, purpose="classify", thresholds={"rank_per_class": (99, None)})
    assert finding(forced, "rank_per_class").reason == f"7 classes need 6 dimensions, and {e.value:.3g} are in use"
    assert not any(f.name == "rank_per_class" for f in rg.audit(x, labels=labels % 2, purpose="classify").findings)


def test_a_class_counts_as_collapsed_below_a_share_of_the_variance_of_others():
    # The first class has as large a variance as the others, of fewer rows.
    base, small = white(60, 12) * math.sqrt(59), white(20, 12) * math.sqrt(19)
    labels = np.repeat(np.arange(4), [20, 60, 60, 60])
    for factor, n_collapsed in ((0.999, 1), (1.001, 0)):
        x = np.concatenate([math.sqrt(factor * readings_beside.COLLAPSED_CLASS) * small, base, base, base])
        f = finding(rg.audit(x, labels=labels), "collapsed_classes")
        assert f.value == n_collapsed / 4


def test_classes_of_one_row_have_not_collapsed():
    labels = np.r_[np.arange(90) % 3, 3, 4]
    assert finding(rg.audit(normal(92, 5), labels=labels), "collapsed_classes").value == 0


@pytest.mark.parametrize("k", [0, 1, 10, 14])
def test_collapsed_classes_are_found_while_fewer_than_three_in_four_have(k):
    x, labels = normal(20 * 12, 6), np.repeat(np.arange(20), 12)
    x[labels < k] *= 1e-3
    assert finding(rg.audit(x, labels=labels), "collapsed_classes").value == k / 20


@pytest.mark.parametrize(("k", "names"), [(1, "0"), (5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4, ...")])
def test_collapsed_classes_are_named_five_at_most(k, names):
    x, labels = normal(20 * 12, 6), np.repeat(np.arange(20), 12)
    x[labels < k] *= 1e-3
    reason = finding(rg.audit(x, labels=labels), "collapsed_classes").reason
    assert reason.startswith(f"{k} of 20 classes have collapsed beside the others: less than ")
    assert reason.endswith(f" of their variance ({names})")
    assert f"{readings_beside.COLLAPSED_CLASS:.0%}" in reason


def test_the_share_between_classes_is_that_of_their_means():
    x, labels = normal(600, 6), np.arange(600) % 5
    x += 2 * normal(5, 6, 1)[labels]
    f = finding(rg.audit(x, labels=labels, thresholds={"between_share": (0, None)}), "between_share")
    means = np.stack([x[labels == c].mean(0) for c in range(5)])[labels]
    assert f.value == pytest.approx(((means - x.mean(0)) ** 2).sum() / ((x - x.mean(0)) ** 2).sum(), rel=1e-9)
    assert f"{f.value:.1%} of the variance lies between classes, {1 - f.value:.1%} within" in f.reason


def test_agreement_runs_from_chance_to_perfect():
    labels = np.r_[np.zeros(300, int), np.ones(100, int), np.full(200, 2)]
    x = normal(600, 6) + 1.5 * normal(3, 6, 1)[labels]
    accuracy, chance = rg.knn_accuracy(x, labels), (3**2 + 1 + 2**2) / 6**2
    report = rg.audit(x, labels=labels)
    f = finding(report, "agreement")
    assert f.value == pytest.approx((accuracy - chance) / (1 - chance))
    v = report["knn_accuracy"]
    assert (f.low, f.high) == pytest.approx(((v.low - chance) / (1 - chance), (v.high - chance) / (1 - chance)))
    named = {"thresholds": {"agreement": (2, None)}}
    words = f"{accuracy:.1%} of the rows have the label that their nearest neighbours have"
    bad = finding(rg.audit(x, labels=labels, **named), "agreement")
    assert bad.reason == f"{words}; from guessing (0) to always (1) that is {f.value:.2f}"
    chance = finding(rg.audit(normal(600, 6), labels=np.arange(600) % 2, **named), "agreement")
    assert abs(chance.value) < 0.1
    assert chance.reason.endswith(" neighbours have: hardly better than guessing") == (chance.value < 0.05)
    separate = rg.audit(normal(600, 6) + 50 * np.eye(6)[labels], labels=labels, purpose="classify")
    assert finding(separate, "classes_told_apart").value == 1


def test_where_nearly_all_rows_are_of_one_class_agreement_says_nothing():
    labels = (np.arange(600) < 10).astype(int)
    assert not any(f.name == "agreement" for f in rg.audit(normal(600, 6), labels=labels).findings)


def test_votes_in_doubt_do_not_warn():
    rule = NAMED["agreement"]
    sure, unsure = (of_votes(rule.warn - 0.02, half=half) for half in (0.01, 0.05))
    levels = [readings_beside.agreement_interval(e)[1] < rule.warn for e in (sure, unsure)]
    assert levels == [True, False]


def test_what_could_not_be_looked_at_to_classify_is_noted():
    x = normal(60, 6)
    for labels, words in (
        (None, "without labels"),
        (np.zeros(60, int), "All labels are one class"),
        (np.arange(60) % 3, None),
    ):
        notes = [n for n in rg.audit(x, labels=labels, purpose="classify").notes if "looked at" in n]
        assert len(notes) == (words is not None)
        assert words is None or words in notes[0]
        assert not any("looked at" in note for note in rg.audit(x, labels=labels).notes)


# Pairs ------------------------------------------------------------------------------------------------------------


def test_intervals_of_findings_about_pairs_are_those_of_their_tables():
    x = normal(400, 6)
    reference = x * np.r_[np.ones(3), 2, 2, 2]
    report = rg.audit(x, reference=reference, corrupted=x + 0.5 * normal(400, 6, 1))
    table, c = report.drift.set_index("measure"), rg.compare(reference, x, paired=True)
    f = finding(report, "rank_retained")
    assert (f.value, f.low, f.high) == pytest.approx((c.ratio, c.ratio_low, c.ratio_high), rel=1e-6)
    assert finding(report, "alike").value == pytest.approx(report["linear_cka"].value, rel=1e-9)
    for name, measure in (
        ("corrupted_drift", "centred_relative_l2_drift"),
        ("corrupted_rank_ratio", "effective_rank_ratio"),
    ):
        f, row = finding(report, name), table.loc[measure]
        assert (f.value, f.low, f.high) == pytest.approx((row.value, row.low, row.high), rel=1e-9)


def test_rows_in_another_order_have_nothing_in_common_with_the_reference():
    x = normal(400, 12)
    assert finding(rg.audit(x[::-1].copy(), reference=x), "reference_order").level == "fail"
    assert finding(rg.audit(x, reference=x @ normal(12, 12, 1)), "alike").level == "ok"


def test_few_rows_are_counted_as_independent_ones():
    x, groups = np.repeat(normal(8, 5), 30, axis=0) + 1e-6 * normal(240, 5, 1), np.repeat(np.arange(8), 30)
    f = finding(rg.audit(x, groups=groups), "few_rows")
    assert f.value == pytest.approx(8, rel=0.02)
    assert f.level == "warn"
    assert f.reason == f"{f.value:.3g} independent rows show next to nothing of what they were drawn from"
    assert finding(rg.audit(x), "few_rows").value == 240


def test_a_count_is_said_with_its_share():
    x = normal(1000, 6)
    x[:300] = 0
    reason = finding(rg.audit(x), "zero_rows").reason
    assert reason == "300 of 1,000 rows (30.00%) are all zero"
    assert re.fullmatch(r"299 of 1,000 rows \(29\.90%\) repeat .*", finding(rg.audit(x), "duplicate_rows").reason)
