"""ln of how much each row weighs, along the directions of other rows: by a slow definition, and planted weights."""

import numpy as np
import pytest
import torch
from estimate_reference import decaying, normal

from repgeom.data.sources import source_of
from repgeom.inference.row_weights import _log_weights, _split, _without_noise, split_in_halves
from repgeom.spectral.directions import directions_of


def directions(rows, center=True):
    return directions_of(source_of(torch.as_tensor(rows), "x"), center=center, normalize=None, tail=False)


def slow_log_weights(rows, other):
    """Row by row: mean over directions of ln of the square over its median, less the means; drawn towards zero by the noise."""
    values, vectors = np.linalg.eigh(np.cov(other.T))
    moving = values > 1e-12 * values.max()
    values, squares = values[moving][::-1], ((rows - other.mean(0)) @ vectors[:, moving][:, ::-1]) ** 2
    logs = np.empty_like(squares)
    for j, column in enumerate(squares.T):
        # The median of torch is the lower one of an even number.
        typical = np.sort(column)[(len(column) - 1) // 2]
        if typical == 0:
            typical = column.mean()
        logs[:, j] = np.log(np.maximum(column / max(typical, 1e-300), 1e-4))
        logs[:, j] -= logs[:, j].mean()
    varying = max(1, sum(np.ptp(column) > 1e-9 for column in logs.T))
    means, noise = logs.sum(1) / varying, (logs**2).mean(0).sum() / varying**2
    kept = _without_noise(means, noise)
    off = np.log(squares.sum(1)) - means
    off -= np.median(off)
    error = np.sqrt(noise + 2 * (values**2).sum() / values.sum() ** 2)
    share = np.clip((kept - np.log(4)) / np.log(2), 0, 1)
    return [k + s * o if abs(o) < 2.5 * error else k for k, s, o in zip(kept, share, off, strict=True)]


def test_logarithms_of_weights_by_their_definition():
    weights = np.random.default_rng(1).choice([0.3, 1, 6, 15], (80, 1))
    x = decaying(80, 12) * np.sqrt(weights)
    x[5, 3] += 60  # one huge value is no heavy row
    found = _log_weights(torch.as_tensor(x[:40]), directions(x[40:]))
    wanted = slow_log_weights(x[:40], x[40:])
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    # The case holds rows of each kind: drawn to their length in part and wholly, and not at all.
    assert np.max(wanted) > np.log(8)
    assert any(np.log(4) < weight < np.log(8) for weight in wanted)


def axes(variances):
    """Rows along the axes, centred by themselves, so that directions are the axes to the last bit."""
    scaled = np.diag(np.sqrt(variances))
    return np.r_[scaled, -scaled]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_heavy_rows_whose_length_says_otherwise_keep_their_mean_of_logarithms(exponent):
    """Of the heavy rows some have ever more equal values, so their length falls short; in others ever more lies in one."""
    variances = np.linspace(1.5, 1.0, 200) * np.arange(1, 201) ** -exponent
    rows = normal(150, 200)
    rows[::3] *= 12
    rows[:75:3] = np.sign(rows[:75:3]) * 12 * np.abs(rows[:75:3] / 12) ** np.linspace(0, 1, 25)[:, None]
    rows[75::3, 0] *= np.geomspace(1, 60, 25)
    rows, other = rows * np.sqrt(variances), axes(variances)
    found, wanted = _log_weights(torch.as_tensor(rows), directions(other)), slow_log_weights(rows, other)
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_directions_in_which_nothing_varies_do_not_count():
    """One feature of signs, all squares alike; one where they hardly differ; one that is mostly, and one that is always zero."""
    rows = np.c_[normal(40, 2) * np.exp(2 * normal(40, 1, 1)), np.ones((40, 2)), np.zeros((40, 2))]
    rows[::2, 2:4] *= -1
    rows[:3, 3] *= 1.3
    rows[5:9, 4] = [0.1, 2.0, 3.0, 0.5]
    other = axes([9.0, 6.0, 4.0, 3.0, 2.0, 1.0])
    found, wanted = _log_weights(torch.as_tensor(rows), directions(other)), slow_log_weights(rows, other)
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert len(set(np.round(wanted, 6))) > 5


def test_along_one_direction_a_row_weighs_as_its_noise_allows():
    rows, other = normal(40, 1) * np.exp(normal(40, 1, 1)), normal(40, 1, 2)
    assert _log_weights(torch.as_tensor(rows), directions(other)).tolist() == [0.0] * 40
    few = np.array([[1.0], [1.0], [1.0], [1.0]])
    assert _log_weights(torch.as_tensor(few), directions(other, center=False)).tolist() == [0.0] * 4


def test_each_half_is_weighed_along_the_directions_of_the_other():
    x, squares = decaying(61, 7) + 5, normal(61, 1)[:, 0] ** 2
    whole = directions(x)
    found = split_in_halves(torch.as_tensor(x), whole, squares, None)
    first, second = (x[half] for half in _split(squares, 7, None))
    assert len(first) != len(second)
    wanted = np.r_[slow_log_weights(first, second), slow_log_weights(second, first)]
    assert found.log_weights == pytest.approx(wanted, rel=1e-8, abs=1e-10)
    # Without centring, squares count from zero.
    about_zero = directions_of(source_of(torch.as_tensor(x), "x"), center=False, normalize=None, tail=False)
    from_zero = split_in_halves(torch.as_tensor(x), about_zero, squares, None)
    assert from_zero.freedom == (len(first), len(second))
    expected = np.linalg.eigvalsh(first.T @ first)[::-1]
    assert from_zero.variances[0] == pytest.approx(expected / expected[0], rel=1e-9)


def test_planted_weights_are_found_along_many_directions():
    heavy = np.where(np.arange(400) % 8 == 0, 9.0, 0.5)
    x = decaying(400, 200, 0.25) * np.sqrt(heavy)[:, None]
    found = _log_weights(torch.as_tensor(x[:200]), directions(x[200:]))
    is_heavy = heavy[:200] > 1
    assert found[is_heavy].mean() - found[~is_heavy].mean() == pytest.approx(np.log(18), abs=0.15)
    assert found[is_heavy].min() > found[~is_heavy].max()


def test_one_huge_direction_is_no_weight_of_a_row():
    x = normal(400, 200)
    x[::20, 7] *= 40
    found = _log_weights(torch.as_tensor(x[:200]), directions(x[200:]))
    assert np.abs(found).max() < np.log(2)


def test_features_that_are_mostly_zero_are_measured_by_their_mean():
    rows = normal(60, 6) * (np.random.default_rng(1).random((60, 6)) < 0.3)
    rows[:12] *= 6
    assert (np.median(rows**2, 0) == 0).all()
    other = axes([9.0, 6.0, 4.0, 3.0, 2.0, 1.0])
    rows[~rows.any(1), 0] = 0.2  # a row of zeros has no length to take a logarithm of
    found, wanted = _log_weights(torch.as_tensor(rows), directions(other)), slow_log_weights(rows, other)
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_rows_without_length_weigh_alike():
    nothing = torch.zeros(20, 6, dtype=torch.float64)
    about_zero = directions(normal(40, 6), center=False)
    assert _log_weights(nothing, about_zero).tolist() == [0.0] * 20
    some = torch.as_tensor(np.r_[normal(20, 6), np.zeros((2, 6))])
    assert np.isfinite(_log_weights(some, about_zero)).all()
