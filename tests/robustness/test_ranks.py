"""Ranks in tables of drift: they are what `estimate` and `compare` give, one encoder's and the difference of two."""

import math

import numpy as np
import pytest
import torch
from drift_reference import coverage, moved_pair, table

import repgeom as rg
from repgeom.robustness.ranks import RATIOS, Ranks, all_rows_equal


def ranks(x):
    return Ranks.of(torch.as_tensor(x), "features")


def ratios(x, y):
    return {m.measure: m for m in ranks(y).ratios_to(ranks(x))}


def ends(one, other):
    return [math.nan if end is None else end for end in (one, other)]


# --- one home ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize(("n", "d"), [(300, 8), (120, 40), (30, 50)], ids=["interval", "some", "none"])
def test_ratios_are_what_compare_gives_for_the_same_rows(n, d, confidence, rng):
    x, y, _ = moved_pair(rng, n, d)
    found = table(x, y, k=3, confidence=confidence)
    for name, measure in RATIOS.items():
        c = rg.compare(x, y, measure, paired=True, confidence=confidence)
        expected = [c.ratio, *ends(c.ratio_low, c.ratio_high)]
        row = found.loc[name, ["value", "low", "high"]].tolist()
        assert row == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)
        assert found.note[name].startswith("no interval: ") == (c.ratio_low is None)
        for warning in {w.split(": ", 1)[1].removeprefix("no interval: ") for w in c.warnings}:
            assert warning in found.note[name]


@pytest.mark.parametrize(("n", "d"), [(300, 8), (30, 50)], ids=["interval", "none"])
def test_the_effective_rank_is_what_estimate_gives(n, d, rng):
    x, y, _ = moved_pair(rng, n, d)
    both = rg.robustness.feature_robustness(x, y, k=3, confidence=0.9)
    both = both[both.measure == "effective_rank"].set_index("corruption")
    for name, rows in (("clean", x), ("corrupted", y)):
        e = rg.estimate(rows, confidence=0.9)
        row = both.loc[name, ["value", "low", "high"]].tolist()
        assert row == pytest.approx([e.value, *ends(e.low, e.high)], rel=1e-12, nan_ok=True)


def test_nothing_but_the_rounding_of_the_mean_is_equal():
    assert all_rows_equal(torch.full((7, 3), 1e5 + 0.1, dtype=torch.float64))
    assert not all_rows_equal(1 + 1e-12 * torch.arange(6, dtype=torch.float64)[:, None])


# --- notes -------------------------------------------------------------------------------------------------------


def test_a_reason_of_one_side_names_it_and_one_of_both_is_said_once(rng):
    x, y, _ = moved_pair(rng, 300, 8)
    y[7] += 400
    note = ratios(x, y)["effective_rank_ratio"].note
    assert note.startswith("no interval: corrupted: ")
    assert "one row holds more than a quarter of the variance" in note
    assert "corrupted: row 7 holds" in note
    note = ratios(x[:60], y[10:70])["effective_rank_ratio"].note
    assert note == "no interval: 60 rows, and it needs 100"


def test_repeats_leave_no_interval_as_in_compare(rng):
    x, y, _ = moved_pair(rng, 150, 8)
    x, y = np.repeat(x, 2, 0), np.repeat(y, 2, 0)
    x, y = np.repeat(x, 2, 0), np.repeat(y, 2, 0)
    one = ratios(x, y)["participation_ratio_ratio"]
    assert (one.known, "450 of 600 rows repeat earlier ones" in one.note) == (False, True)
    assert math.isnan(one.interval(0.95)[0])


def test_copies_among_the_clean_rows_are_one_row_on_both_sides(rng):
    x, y, _ = moved_pair(rng, 300, 8)
    x[290:], y[290:] = x[:10], y[:10]
    found = ratios(x, y)
    for name, measure in RATIOS.items():
        c = rg.compare(x, y, measure, paired=True)
        assert found[name].known
        assert found[name].interval(0.95) == pytest.approx((c.ratio_low, c.ratio_high), rel=1e-12)
        alone = rg.compare(x[:290], y[:290], measure, paired=True)
        assert found[name].value == pytest.approx(alone.ratio, rel=1e-6)
        assert c.ratio_high / c.ratio_low == pytest.approx(alone.ratio_high / alone.ratio_low, rel=0.02)


# --- how often intervals hold ------------------------------------------------------------------------------------

D = 12
VARIANCES = np.arange(1, D + 1.0) ** -1


def shannon(v):
    return math.exp(-(v / v.sum() * np.log(v / v.sum())).sum())


TRUE = {
    "effective_rank_ratio": shannon,
    "effective_rank_ratio_sigma": lambda v: shannon(v**0.5),
    "participation_ratio_ratio": lambda v: v.sum() ** 2 / (v**2).sum(),
}


def noisy(rng, n):
    x = rng.standard_normal((n, D)) * VARIANCES**0.5
    return x, x + 0.3 * rng.standard_normal((n, D))


def drawn(pair, n, draws, seed=0):
    rng = np.random.default_rng(seed)
    return [ratios(*pair(rng, n)) for _ in range(draws)]


def test_standard_errors_are_the_spread_of_many_draws():
    found = drawn(noisy, 200, 100)
    for name, measure in TRUE.items():
        truth = measure(VARIANCES + 0.09) / measure(VARIANCES)
        logs = np.log([f[name].value for f in found])
        held, given = coverage([f[name].interval(0.95) for f in found], truth)
        assert given >= 0.95 * len(found)
        assert 0.9 <= held <= 1, (name, held)
        errors = [f[name]._log_error()[0] for f in found if f[name].known]
        assert 0.85 < logs.std(ddof=1) / np.mean(errors) < 1.18, name


def test_one_ruined_row_in_a_hundred_leaves_no_interval_and_says_why():
    """In-sample influence, of which the ruined rows find their own directions, held 22 % of the time here."""
    variances = np.arange(1, 25.0) ** -0.5

    def ruined(rng, n):
        x = rng.standard_normal((n, 24)) * variances**0.5
        return x, x + (rng.random((n, 1)) < 0.01) * 10 * variances**0.5 * rng.standard_normal((n, 24))

    found = drawn(ruined, 500, 16)
    for name in RATIOS:
        # Every variance is doubled.
        assert np.median([f[name].value for f in found]) == pytest.approx(1, abs=0.03)
        assert not any(f[name].known for f in found)
        notes = [f[name].note for f in found]
        assert sum(note.startswith("no interval: corrupted: its error rests on about ") for note in notes) >= 14
        assert all("corrupted: row " in note and "of the variance" in note for note in notes)


# --- two encoders ------------------------------------------------------------------------------------------------


def two_encoders(rng, n):
    x, y = noisy(rng, n)
    turn = np.eye(D) * 0.9 + 0.05
    return ratios(x, y), ratios(x @ turn, y @ turn)


def test_a_difference_of_ratios_subtracts_four_influences_row_by_row(rng):
    x, y = noisy(rng, 300)
    z, w = x[:, :9], y[:, :9] + 0.2 * rng.standard_normal((300, 9))
    (a, b), name = (ratios(x, y), ratios(z, w)), "participation_ratio_ratio"
    one, other = a[name], b[name]
    row = one.difference(other, 0.9)
    total = 0
    for scale, rows in ((one.value, x), (-one.value, y), (-other.value, z), (other.value, w)):
        total = total + scale * ranks(rows).corrected["participation_ratio"].influence
    # The participation ratio is nearly linear in this many rows, so the first order is nearly all.
    error = total.std(ddof=1) / math.sqrt(300)
    half = (row["high"] - row["low"]) / 2 / 1.6500
    assert row["difference"] == pytest.approx(other.value - one.value)
    assert (row["high"] + row["low"]) / 2 == pytest.approx(row["difference"])
    assert half == pytest.approx(error, rel=0.05)
    alone = math.hypot(*(math.log(m.interval(0.9)[1] / m.value) * m.value / 1.65 for m in (one, other)))
    assert half < 0.9 * alone


def test_differences_are_found_where_there_are_some_and_seldom_where_there_are_none():
    rng, found = np.random.default_rng(5), []
    for _ in range(60):
        x, y = noisy(rng, 200)
        turned = np.linalg.qr(np.random.default_rng(1).standard_normal((D, D)))[0]
        # The same noise along other directions: another encoder with the same ratio in the population.
        other = x @ turned + 0.3 * rng.standard_normal((200, D))
        first, second = ratios(x, y), ratios(x @ turned, other)
        found.append(first["effective_rank_ratio"].difference(second["effective_rank_ratio"], 0.95))
    found = [f for f in found if not math.isnan(f["low"])]
    assert len(found) >= 54
    assert sum(f["p_value"] < 0.05 for f in found) <= 8
    assert all((f["p_value"] < 0.05) == (f["low"] > 0 or f["high"] < 0) for f in found)
    differences = np.array([f["difference"] for f in found])
    # Student's quantile at 60 degrees, about as many as such differences have, is 2.00.
    errors = [(f["high"] - f["low"]) / 2 / 2.0 for f in found]
    assert 0.8 < differences.std(ddof=1) / np.mean(errors) < 1.2


def test_equal_encoders_do_not_differ_and_turning_round_turns_the_sign(rng):
    x, y = noisy(rng, 200)
    a, b = ratios(x, y), ratios(x[:, 2:], y[:, 2:])
    for name in RATIOS:
        same = a[name].difference(a[name], 0.95)
        assert (same["difference"], same["p_value"], same["test"]) == (0, 1, "t, paired")
        there, back = a[name].difference(b[name], 0.95), b[name].difference(a[name], 0.95)
        assert (back["low"], back["high"]) == pytest.approx((-there["high"], -there["low"]))
        assert back["p_value"] == pytest.approx(there["p_value"])
