"""A copy of an accumulator has sums of its own."""

import copy

import numpy as np
import pytest

import repgeom as rg


@pytest.mark.parametrize("method", ["float64", "qr"])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_rows_added_to_a_copy_are_not_added_to_the_first(method, copied):
    x, y = np.random.default_rng(0).standard_normal((2, 60, 5)) + 3
    first = rg.SpectrumAccumulator(method=method, normalize="l2").update(x)
    second = copied(first).update(y)
    alone = rg.spectrum(x, normalize="l2").singular_values
    both = rg.spectrum(np.r_[x, y], normalize="l2").singular_values
    assert (first.n_samples, second.n_samples) == (60, 120)
    assert first.spectrum().singular_values == pytest.approx(alone, rel=1e-12)
    assert second.spectrum().singular_values == pytest.approx(both, rel=1e-12)
    first.update(y)
    assert first.spectrum().singular_values == pytest.approx(both, rel=1e-12)
    assert second.n_samples == 120


def test_a_copy_of_an_empty_accumulator_is_empty():
    first = rg.SpectrumAccumulator()
    copy.copy(first).update(np.eye(3))
    assert first.n_samples == 0
