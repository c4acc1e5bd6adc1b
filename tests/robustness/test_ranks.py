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
    x, y, _ = moved_pair(rng, 300, 8)
    x, y = np.repeat(x, 2, 0), np.repeat(y, 2, 0)
    one = ratios(x, y)["participation_ratio_ratio"]
    assert (one.known, "rows repeat" in one.note) == (False, True)
    assert math.isnan(one.interval(0.95)[0])


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
    found = drawn(noisy, 200, 150)
    for name, measure in TRUE.items():
        truth = measure(VARIANCES + 0.09) / measure(VARIANCES)
        logs = np.log([f[name].value for f in found])
        # Student's quantile at 199 degrees turns the half width back into the standard error.
        errors = [math.log(f[name].interval(0.95)[1] / f[name].value) / 1.97196 for f in found]
        held, given = coverage([f[name].interval(0.95) for f in found], truth)
        assert given == len(found)
        assert 0.9 <= held <= 1, (name, held)
        if name != "effective_rank_ratio_sigma":  # its standard error holds a doubt of the model on purpose
            assert 0.9 < logs.std(ddof=1) / np.mean(errors) < 1.1, name


def test_one_ruined_row_in_a_hundred_does_not_take_the_interval_off_the_truth():
    """In-sample influence, of which the ruined rows find their own directions, held 22 % of the time here."""
    variances = np.arange(1, 25.0) ** -0.5

    def ruined(rng, n):
        x = rng.standard_normal((n, 24)) * variances**0.5
        return x, x + (rng.random((n, 1)) < 0.01) * 10 * variances**0.5 * rng.standard_normal((n, 24))

    found = drawn(ruined, 500, 40)
    for name in ("effective_rank_ratio", "effective_rank_ratio_sigma"):
        truth = 1  # every variance is doubled
        held, given = coverage([f[name].interval(0.95) for f in found], truth)
        assert np.mean([f[name].value for f in found]) == pytest.approx(truth, abs=0.02)
        assert (held >= 0.92, given) == (True, 40), name
    # 500 rows that weigh so unevenly are too few for the participation ratio, and it says so.
    assert not any(f["participation_ratio_ratio"].known for f in found)
    assert "rows weigh so unevenly" in found[0]["participation_ratio_ratio"].note


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
    assert sum(f["p_value"] < 0.05 for f in found) <= 8
    assert all((f["p_value"] < 0.05) == (f["low"] > 0 or f["high"] < 0) for f in found)
    differences = np.array([f["difference"] for f in found])
    errors = [(f["high"] - f["low"]) / 2 / 1.97196 for f in found]
    assert 0.85 < differences.std(ddof=1) / np.mean(errors) < 1.15


def test_equal_encoders_do_not_differ_and_turning_round_turns_the_sign(rng):
    x, y = noisy(rng, 200)
    a, b = ratios(x, y), ratios(x[:, 2:], y[:, 2:])
    for name in RATIOS:
        same = a[name].difference(a[name], 0.95)
        assert (same["difference"], same["p_value"], same["test"]) == (0, 1, "t, paired")
        there, back = a[name].difference(b[name], 0.95), b[name].difference(a[name], 0.95)
        assert (back["low"], back["high"]) == pytest.approx((-there["high"], -there["low"]))
        assert back["p_value"] == pytest.approx(there["p_value"])
