"""CKA of clean and corrupted rows: leaving rows out, what is refused, and how often the interval holds."""

import math

import numpy as np
import pytest
import torch
from drift_reference import coverage, measured, moved_pair

import repgeom as rg
from repgeom.robustness.alignment import cka_measurement, leave_one_out_cka

D = 24
VARIANCES = np.arange(1, D + 1.0) ** -1


def centred(x):
    return torch.as_tensor(x - x.mean(0))


def of(x, y):
    step = y - x
    return cka_measurement(centred(x), centred(y), torch.as_tensor(((step - step.mean(0)) ** 2).sum(1)))


@pytest.mark.parametrize(("n", "d1", "d2"), [(6, 3, 4), (40, 5, 2), (12, 20, 30)])
def test_leaving_a_row_out_is_cka_of_the_other_rows(n, d1, d2, rng):
    x = rng.exponential(size=(n, d1))
    y = np.tanh(x @ rng.standard_normal((d1, d2))) + 0.3 * rng.exponential(size=(n, d2))
    found = leave_one_out_cka(centred(x), centred(y))
    slow = [rg.linear_cka(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(n)]
    assert found.tolist() == pytest.approx(slow, abs=1e-11)


def test_contributions_are_pseudo_values_about_the_value(rng):
    x, y, _ = moved_pair(rng, 200, 5)
    one = measured(x, y)["linear_cka"]
    slow = np.array([rg.linear_cka(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(len(x))])
    assert one.value == pytest.approx(rg.linear_cka(x, y), abs=1e-12)
    assert one.contributions.numpy() == pytest.approx(one.value + 199 * (slow.mean() - slow), abs=1e-9)


@pytest.mark.parametrize("shape", [(40, 6), (12, 30)])
def test_the_table_has_the_value_and_any_scale_the_same_interval(shape, rng):
    x, y, _ = moved_pair(rng, *shape)
    one = measured(x, y, k=3)["linear_cka"]
    for scale in (1e-200, 1e-30, 1e30, 1e200):
        other = measured(x * scale, y * scale, k=3)["linear_cka"]
        assert (other.value, *other.interval(0.95)) == pytest.approx((one.value, *one.interval(0.95)), nan_ok=True)
        assert other.note == one.note


def test_where_nothing_moves_it_is_1_without_doubt(rng):
    x, _, _ = moved_pair(rng, 300)
    for y in (x, x + 5):
        assert measured(x, y)["linear_cka"].interval(0.95) == pytest.approx((1, 1), abs=1e-12)


def test_four_rows_and_rows_equally_far_apart_have_no_interval(rng):
    x, y, _ = moved_pair(rng, 4, 3)
    assert of(x, y).note == "no interval: fewer than 5 samples"
    one = of(np.eye(8), rng.standard_normal((8, 8)))
    assert (math.isnan(one.value), one.note) == (True, "all rows of one side lie equally far apart")
    assert math.isnan(one.interval(0.95)[0])


# --- how often the interval holds --------------------------------------------------------------------------------


def clean(rng, n):
    return rng.standard_normal((n, D)) * VARIANCES**0.5


def even_noise(rng, n):
    x = clean(rng, n)
    return x, x + 0.3 * rng.standard_normal((n, D))


def heavy_noise(rng, n):
    """Student's t of 2.5 degrees in every coordinate: a variance of 5, and no fourth moment."""
    x = clean(rng, n)
    return x, x + 0.15 * rng.standard_t(2.5, (n, D))


def ruined(share, size):
    def drawn(rng, n):
        x = clean(rng, n)
        return x, x + (rng.random((n, 1)) < share) * size * rng.standard_normal((n, D))

    return drawn


def true_cka(added):
    """Of x and x + noise whose variance along every axis is `added`."""
    return (VARIANCES**2).sum() / math.sqrt((VARIANCES**2).sum() * ((VARIANCES + added) ** 2).sum())


@pytest.mark.parametrize(
    ("pair", "added", "n"),
    [(even_noise, 0.09, 200), (even_noise, 0.09, 500), (ruined(0.2, 1.5), 0.45, 500)],
    ids=["even", "even, more rows", "one row in five"],
)
def test_intervals_hold_and_are_given_where_tails_are_light(pair, added, n):
    rng = np.random.default_rng(4)
    found = [of(*pair(rng, n)) for _ in range(200)]
    held, given = coverage([f.interval(0.95) for f in found], true_cka(added))
    assert given > 180
    assert 0.91 <= held <= 0.99
    errors = [float(f.contributions.std()) / math.sqrt(n) for f in found if f.known]
    assert 0.9 < np.std([f.value for f in found]) / np.mean(errors) < 1.1


@pytest.mark.parametrize(
    "pair",
    [heavy_noise, ruined(0.01, 4), ruined(0.02, 1.6)],
    ids=["t of 2.5 degrees", "one in a hundred", "one in fifty"],
)
def test_heavy_tails_are_refused(pair):
    rng = np.random.default_rng(4)
    found = [of(*pair(rng, 500)) for _ in range(100)]
    assert sum(f.known for f in found) <= 5
    refused = next(f for f in found if not f.known)
    assert "of 500 rows, whose lengths stand out, decide how wide it would be; it takes at least 23" in refused.note
    assert refused.note.startswith("no interval: ")
