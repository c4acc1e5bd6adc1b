"""How the study of real rows draws, corrects for finite sets, and judges."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import repgeom as rg
from studies import real, real_digits, real_text
from studies.real_populations import Population, narrowing

RANDOM = np.random.default_rng(0)


def test_a_draw_takes_no_row_twice_and_the_truth_is_that_of_all_rows():
    rows = RANDOM.standard_normal((200, 3)).astype(np.float32)
    population = Population("digits, pixels", rows)
    drawn = population.draw(150, np.random.default_rng(1))
    assert len(torch.unique(drawn, dim=0)) == 150
    assert population.true_values()["effective_rank"] == rg.effective_rank(rows.astype(np.float64))
    assert population.about.startswith("the same, each turned")


def test_what_a_finite_set_changes_is_that_of_a_mean():
    """A mean of 50 of 200 rows, and the square of it, whose bias is the variance of the mean."""
    rows = RANDOM.standard_normal(200)
    rows -= rows.mean()
    means = np.array([rows[RANDOM.choice(200, 50, replace=False)].mean() for _ in range(20_000)])
    independent = rows.std(ddof=1) / 50**0.5
    assert means.std() == pytest.approx(narrowing(200, 50) * independent, rel=0.02)
    missing = -np.mean(means**2)  # the truth is 0
    # Corrected for 50 independent rows, the mean square lies below the truth.
    corrected = np.mean(means**2) - independent**2
    assert real.overshoot(missing, 50 / 200) == pytest.approx(corrected, rel=0.1)


def test_a_cell_counts_intervals_that_miss_and_draws_without_one():
    draws = np.array([(9, 8, 11, 1), (12, 11, 13, 1), (9, math.nan, math.nan, math.nan), (10, 9, 11, 1)])
    cell = real.cell_of(draws, 10.0, 10.0, 1.0)
    assert (cell.bias, cell.coverage, cell.given) == (0.0, pytest.approx(2 / 3), 0.75)
    assert cell.size == pytest.approx(0.25)
    assert cell.spread == pytest.approx(np.std([9, 12, 10], ddof=1))
    assert real.cell_of(draws[2:3], 10.0, 10.0, 1.0).size == 0


def test_numbers_outside_their_bar_are_bold():
    cell = real.Cell(bias=-0.02, coverage=0.95, given=0.0, spread=math.nan)
    assert real.shown(cell) == "**−2.0**; 95.0; **0**; –"


def test_rows_of_digits_and_text_are_made_alike_twice_and_in_one_order():
    moved, labels = real_digits.moved_digits((0,))
    assert moved.shape == (9 * 1797, 64)
    np.testing.assert_array_equal(moved[4 * 1797 : 5 * 1797], load_digits().data.astype(np.float32) / 16)
    assert list(labels[:5]) == list(labels[1797:1802]) == [0, 1, 2, 3, 4]
    once, again = (real_text.text_rows(50, steps=1) for _ in range(2))
    assert once.keys() == again.keys()
    assert all(np.array_equal(once[name], again[name]) and once[name].shape == (50, 128) for name in once)
