"""Spectra of rows that come in batches, split and merged in any way."""

import numpy as np
import pytest
from conftest import oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_spectra import READINGS, assert_readings

import repgeom as rg
from repgeom.data.sources import as_source
from repgeom.reading import reader
from repgeom.reading.pieces import PairedRows
from repgeom.spectral.decompose import made_exact
from repgeom.spectral.tally import SpectrumTally, Wanted


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.sampled_from(["float64", "qr"]), st.randoms())
def test_any_split_and_any_merge_order_give_the_wholes_answer(sizes, method, random):
    n = sum(sizes) + 1
    x = np.random.default_rng(n).standard_normal((n, 6)) * [1, 2, 3, 4, 5, 6] + 100
    parts = [rg.SpectrumAccumulator(method=method).update(rows) for rows in np.split(x, np.cumsum(sizes))]
    random.shuffle(parts)
    while len(parts) > 1:
        parts.append(parts.pop(0).merge(parts.pop(random.randrange(len(parts)))))
    whole, merged = rg.spectrum(x), parts[0].spectrum()
    assert merged.n_samples == n
    assert merged.mean == pytest.approx(whole.mean, rel=1e-12)
    # Two rows of six have one direction: what is left of the others is rounding of the large mean.
    assert merged.singular_values == pytest.approx(whole.singular_values, rel=1e-9, abs=1e-6)
    assert rg.effective_rank(merged) == pytest.approx(rg.effective_rank(whole), rel=1e-9)


def test_an_outlier_alone_in_the_first_batch_does_no_harm(rng):
    x = rng.standard_normal((2000, 10))
    x[0] = 1e6
    acc = rg.SpectrumAccumulator()
    for rows in (x[:1], x[1:700], x[700:]):
        acc.update(rows)
    assert rg.effective_rank(acc.spectrum()) == pytest.approx(oracle(x)["effective_rank"], rel=1e-9)


def test_uncentred_spectrum_of_a_stream(rng):
    x = rng.standard_normal((400, 7)) + 3
    acc = rg.SpectrumAccumulator().update(x[:100]).update(x[100:])
    assert acc.spectrum(center=False).singular_values == pytest.approx(np.linalg.svd(x, compute_uv=False), rel=1e-10)
    qr = rg.SpectrumAccumulator(method="qr").update(x)
    assert qr.spectrum(center=False).singular_values == pytest.approx(np.linalg.svd(x, compute_uv=False), rel=1e-12)


def test_a_product_refuses_the_tail_and_qr_answers():
    x = rg.testing.features_with_spectrum([1.0, 1e-2, 1e-7, 1e-7], 50)
    s = rg.SpectrumAccumulator().update(x).spectrum()
    assert rg.effective_rank(s) == pytest.approx(oracle(x)["effective_rank"], rel=1e-9)
    for read in (rg.numerical_rank, rg.condition_number, READINGS["effective_rank_sigma"]):
        with pytest.raises(ValueError, match=r'float64 product.*SpectrumAccumulator\(method="qr"\)'):
            read(s)
    exact = rg.SpectrumAccumulator(method="qr").update(x).spectrum()
    assert_readings(exact, oracle(x), 1e-6)


def test_dead_columns_do_not_make_a_product_refuse(rng):
    x = np.concatenate([rng.standard_normal((100, 5)), np.zeros((100, 3))], 1)
    s = rg.SpectrumAccumulator().update(x).spectrum()
    assert s.exact_tail
    assert rg.numerical_rank(s) == 5


def test_accumulator_errors(rng):
    acc = rg.SpectrumAccumulator().update(rng.standard_normal((4, 3)))
    with pytest.raises(ValueError, match=r"shape \(4, 2\), but earlier batches had 3 features: all"):
        acc.update(np.ones((4, 2)))
    with pytest.raises(ValueError, match="`batch` has 1 non-finite value; the first is nan at row 1, column 2"):
        acc.update([[1.0, 1.0, 1.0], [1.0, 1.0, np.nan]])
    with pytest.raises(ValueError, match="method='qr'"):
        acc.merge(rg.SpectrumAccumulator(method="qr"))
    with pytest.raises(ValueError, match="rows of 2 features and this one of 3"):
        acc.merge(rg.SpectrumAccumulator().update(np.ones((4, 2))))
    with pytest.raises(ValueError, match="at least 2 rows; this accumulator has seen 1"):
        rg.SpectrumAccumulator().update([[1.0, 2.0]]).spectrum()
    with pytest.raises(ValueError, match="got 'svd'"):
        rg.SpectrumAccumulator(method="svd")
    with pytest.raises(ValueError, match="count twice"):
        acc.merge(acc)
    with pytest.raises(TypeError, match="got int"):
        acc.merge(3)
    assert acc.n_samples == 4


def test_a_source_climbs_to_qr_and_counts_each_row_once(rng):
    x = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 10))
    rows = PairedRows(as_source(x))
    tally = reader.read(rows, SpectrumTally({"spectrum": Wanted(None, (True, False))}, n=200))
    made_exact(rows, tally, "features")
    centred, raw = (tally.read("spectrum", center=center).spectrum for center in (True, False))
    assert tally.sums["spectrum"].n_samples == 200
    assert centred.method == raw.method == "qr"
    assert rg.numerical_rank(centred) == 3
