"""A sample of the rows is the same whatever the split."""

import numpy as np
import pytest
import torch
from conftest import added_up

from repgeom.reading.sample import RowSample
from repgeom.reading.tally import Piece


@pytest.mark.parametrize("n", [None, 1000])
def test_a_sample_does_not_depend_on_the_split_and_every_row_has_its_chance(n, rng):
    x = torch.arange(1000.0)[:, None]

    def drawn(splits, seed):
        parts = [RowSample(50, seed, n) for _ in splits]
        start = 0
        for part, rows in zip(parts, x.tensor_split(splits[1:]), strict=True):
            added_up(part, rows, int(rng.integers(1, 200)), start)
            start += len(rows)
        for other in parts[1:]:
            parts[0].merge(other)
        found = parts[0].drawn()
        assert found.rows[:, 0].tolist() == found.places.tolist()
        first = parts[0].drawn(10)
        assert set(first.places) <= set(found.places)
        assert len(first) == 10
        return tuple(found.places)

    assert drawn([0], 1) == drawn([0, 300, 301, 900], 1)
    assert len(drawn([0], 1)) == 50
    counts = np.zeros(1000)
    for seed in range(400):
        counts[list(drawn([0], seed))] += 1
    assert counts.sum() == 400 * 50
    assert counts.var() == pytest.approx(400 * 0.05 * 0.95, rel=0.2)  # binomial
    halves = counts[:500].sum(), counts[500:].sum()
    assert abs(halves[0] - halves[1]) < 5 * 400**0.5 * 50**0.5


def test_a_group_of_which_rows_were_dropped_does_not_come_back_in_part():
    groups = np.repeat([30, 41, 42], [3, 12, 12])
    x = torch.arange(27.0)[:, None]
    # Machine 1 holds all rows but the last three of the second group.
    first, second = np.r_[0:12, 15:27], np.r_[12:15]

    def drawn(*parts):
        samples = []
        for part in parts:
            sample = RowSample(10, 0, whole_groups=True)
            sample.update(Piece(x[part], part, groups=groups[part]))
            sample.drawn()
            samples.append(sample)
        for other in samples[1:]:
            samples[0].merge(other)
        return sorted(samples[0].drawn().places.tolist())

    whole = drawn(np.arange(27))
    assert drawn(first, second) == drawn(second, first) == whole
