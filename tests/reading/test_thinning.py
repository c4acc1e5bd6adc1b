"""Counts of rows and medians of lengths add up, and their memory is bounded."""

import numpy as np
import pytest
import torch
from conftest import added_up
from streamed import features

import repgeom as rg
from repgeom.measures.cloud_tally import CloudTally


@pytest.mark.parametrize("kept", [1 << 20, 256])
def test_the_cloud_adds_up_and_its_memory_is_bounded(kept, monkeypatch):
    monkeypatch.setattr("repgeom.reading.thinning.KEPT_ROWS", kept)
    x = torch.from_numpy(np.concatenate([features(4000)] * 2))  # each row twice
    x[100] *= 50
    whole, parts = added_up(CloudTally(), x, 300), [CloudTally() for _ in range(3)]
    for part, rows, start in zip(parts, x.tensor_split([100, 5000]), (0, 100, 5000), strict=True):
        added_up(part, rows, 700, start)
    merged = parts[2]
    for other in parts[:2]:
        merged.merge(other)
    assert merged.health() == whole.health()
    assert whole.kept <= kept
    truth = rg.health(x) if kept > 8000 else None
    if truth:
        assert whole.health() == truth
        assert truth.duplicate_rows == 4001 - 1  # row 7 repeats row 3, and row 100 was made another one
    else:
        assert whole.health().duplicate_rows == pytest.approx(4000, rel=0.3)
    expected = rg.norms(x)
    for name in ("mean", "std", "minimum", "maximum"):
        for acc in (whole, merged):
            assert getattr(acc.norms(), name) == pytest.approx(float(getattr(expected, name)), rel=1e-5), name
    assert whole.norms().median == pytest.approx(float(expected.median), rel=1e-6 if truth else 0.05)
    assert merged.mean_cosine() == pytest.approx(float(rg.mean_cosine(x)), rel=1e-5)
    assert merged.feature_std() == pytest.approx(float(rg.feature_std(x)), rel=1e-5)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_a_row_that_comes_often_is_counted_exactly_however_many_rows_there_are(share, rng, monkeypatch):
    monkeypatch.setattr("repgeom.reading.thinning.KEPT_ROWS", 1000)
    x = rng.standard_normal((20_000, 4)).astype(np.float32)
    often = rng.random(len(x)) < share
    x[often] = 0
    h = rg.health(x)
    assert (h.zero_rows, h.duplicate_rows) == (often.sum(), pytest.approx(often.sum() - 1, abs=0.001 * len(x)))
    assert rg.health(x + 3).duplicate_rows == pytest.approx(often.sum() - 1, abs=0.001 * len(x))
    parts = [CloudTally() for _ in range(3)]
    for i, part in enumerate(parts):
        added_up(part, torch.from_numpy(x[i * 7000 : i * 7000 + 7000]), 500, i * 7000)
    for other in parts[1:]:
        parts[0].merge(other)
    assert parts[0].health().duplicate_rows == pytest.approx(often.sum() - 1, abs=0.001 * len(x))
    median = np.median(np.linalg.norm(x, axis=1))
    assert parts[0].norms().median == pytest.approx(median, abs=0.1)
