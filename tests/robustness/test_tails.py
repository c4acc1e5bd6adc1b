"""Which squared lengths are carried by few rows."""

import math

import numpy as np
import pytest
import torch

from repgeom.robustness.tails import carrying_rows, heavy_tails, slow_tails, tail_index


def tensor(values):
    return torch.as_tensor(np.asarray(values, float))


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_the_number_of_rows_is_n_over_the_kurtosis(scale, rng):
    squares = rng.exponential(size=50)
    c = squares - squares.mean()
    kurtosis = (c**4).mean() / (c**2).mean() ** 2
    assert carrying_rows(tensor(squares * scale)) == pytest.approx(50 / kurtosis)


def test_closed_forms():
    assert carrying_rows(tensor([1, 3] * 10)) == pytest.approx(20)
    # One among n: deviations 1 − 1/n and −1/n.
    n = 100
    lone = (1 - 1 / n) ** 2 + (n - 1) / n**2
    assert carrying_rows(tensor([1] + [0] * 99)) == pytest.approx(lone**2 / ((1 - 1 / n) ** 4 + (n - 1) / n**4))
    assert carrying_rows(tensor([0.0] * 9)) == carrying_rows(tensor([7.1] * 9)) == 9


def test_the_bound_is_the_root_of_n_and_the_worst_decides():
    # m lengths of 1 among n: kurtosis (1 − 3 p q) / (p q) with p = m / n.
    for m, light in ((19, True), (18, False)):
        p = m / 400
        assert (400 * p * (1 - p) / (1 - 3 * p * (1 - p)) >= 20) == light
        assert (heavy_tails(tensor([1.0] * 400), tensor([1.0] * m + [0.0] * (400 - m))) == "") == light
    assert heavy_tails(tensor([1.0] + [0.0] * 399), tensor([1.0] * 400)) == (
        "no interval: about 1 of 400 rows, whose lengths stand out, decide how wide it would be; it takes at least 20"
    )


def test_the_bound_can_be_a_part_of_the_root_of_n():
    squares = tensor([1.0] * 9 + [0.0] * 391)  # 9.4 rows by the formula above
    assert heavy_tails(squares).endswith("it takes at least 20")
    assert heavy_tails(squares, times=0.25) == ""
    assert heavy_tails(squares, times=0.5).endswith("it takes at least 10")


def test_the_index_of_a_power_law_is_its_exponent():
    # Quantiles of Pareto's law: the i-th largest of n lengths is (n / i)^(1/a), and Σ ln(length_i / length_(k+1)) = ln((k + 1)^k / k!) / a.
    n, k = 900, 30
    factor = k / (k * math.log(k + 1) - math.lgamma(k + 1))
    for a in (2.5, 4, 8):
        squares = tensor((n / np.arange(1, n + 1)) ** (2 / a))
        assert tail_index(squares) == pytest.approx(a * factor)
        assert tail_index(squares * 1e-200) == pytest.approx(a * factor)
        assert (slow_tails(squares, least=4) == "") == (a * factor >= 4)


def test_of_few_rows_ten_lengths_are_read_and_the_worst_layer_decides():
    squares = tensor([4.0**j for j in range(11)] + [0.5] * 9)  # lengths 1, 2, ..., 1024: Σ = 55 ln 2
    assert tail_index(squares) == pytest.approx(10 / (55 * math.log(2)))
    assert tail_index(squares[:5]) == pytest.approx(4 / (10 * math.log(2)))
    assert slow_tails(tensor([1.0] * 20), squares, least=4) == (
        "no interval: lengths of rows fall off so slowly (tail index 0.26) that rows which are not here would decide how wide it would "
        "be; it takes at least 4"
    )


def test_equal_lengths_have_no_tail_and_lengths_beside_zeros_have_nothing_else():
    assert tail_index(tensor([7.1] * 30)) == math.inf
    assert tail_index(tensor([1.0] * 3 + [0.0] * 30)) == 0
