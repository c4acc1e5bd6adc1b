"""Which squared lengths are carried by few rows."""

import numpy as np
import pytest
import torch

from repgeom.robustness.tails import carrying_rows, heavy_tails


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
