"""Sums over the blocks of a Dask array are the whole's, whatever the blocks and wherever they are computed."""

import pickle
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.spectral.dask_arrays import _merged, accumulate_dask

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

ROWS, WIDTH = 301, 12


def features():
    rng = np.random.default_rng(0)
    return rng.standard_normal((ROWS, WIDTH)) * np.arange(1, WIDTH + 1.0) ** -1 + 100


def values_by_definition(x, normalize):
    rows = x / np.linalg.norm(x, axis=1, keepdims=True) if normalize else x
    return np.linalg.svd(rows - rows.mean(0), compute_uv=False)


def unknown(x, step):
    """A Dask array whose chunks have unknown lengths, some of them zero."""
    array = da.from_array(x, chunks=(step, -1))
    return array[da.from_array(np.arange(len(x)) >= step, chunks=step)]


CHUNKS = [(ROWS, WIDTH), (1, WIDTH), ((100, 1, 0, 200), WIDTH), (70, 5), ((0, 0, 301), (1, 11)), (7, (11, 0, 1))]


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize(("normalize", "method"), [(None, "float64"), ("l2", "float64"), (None, "qr"), ("l2", "qr")])
def test_any_chunking_gives_the_whole(scheduler, chunks, normalize, method):
    x = features()
    with dask.config.set(scheduler=scheduler):
        acc = accumulate_dask(da.from_array(x, chunks=chunks), normalize=normalize, method=method)
    s, whole = acc.spectrum(), rg.spectrum(x, normalize=normalize)
    assert (acc.n_samples, s.n_samples, s.normalize) == (ROWS, ROWS, normalize)
    assert isinstance(s.singular_values, np.ndarray)
    # Unit rows about a mean of 100 differ by 1e-2: rounding of 1e-16 is 1e-13 of the smallest of them.
    np.testing.assert_allclose(s.singular_values, values_by_definition(x, normalize), rtol=1e-10)
    np.testing.assert_allclose(s.singular_values, whole.singular_values, rtol=1e-10)
    np.testing.assert_allclose(s.mean, whole.mean, rtol=1e-12)


@pytest.mark.parametrize("method", ["float64", "qr"])
def test_between_processes_only_sums_travel(method):
    results = []
    seen = dask.callbacks.Callback(posttask=lambda key, result, dsk, state, worker: results.append(result))
    with dask.config.set(scheduler="processes", num_workers=2), seen:
        acc = accumulate_dask(da.from_array(features(), chunks=(60, WIDTH)) * 1.0, method=method)
    np.testing.assert_allclose(acc.spectrum().singular_values, values_by_definition(features(), None), rtol=1e-10)
    assert results
    assert {type(result) for result in results} == {rg.SpectrumAccumulator}


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_unknown_lengths_and_empty_blocks(scheduler):
    x = features()
    with dask.config.set(scheduler=scheduler):
        acc = accumulate_dask(unknown(x, 50))
        assert acc.n_samples == ROWS - 50
        np.testing.assert_allclose(acc.spectrum().singular_values, values_by_definition(x[50:], None), rtol=1e-10)
        with pytest.raises(ValueError, match="none of its blocks has a row"):
            accumulate_dask(unknown(x, ROWS))


def test_what_comes_back_goes_on():
    x = features()
    acc = accumulate_dask(da.from_array(x[:100], chunks=(30, WIDTH)))
    acc.update(x[100:200]).merge(rg.SpectrumAccumulator().update(x[200:]))
    np.testing.assert_allclose(acc.spectrum().singular_values, values_by_definition(x, None), rtol=1e-10)


@pytest.mark.parametrize("method", ["float64", "qr"])
def test_a_merge_run_again_counts_nothing_twice(method):
    def fresh():
        return rg.SpectrumAccumulator(method=method)

    parts = [fresh().update(features()[:100]), fresh().update(features()[100:])]
    before = pickle.dumps(parts)
    first, again = (_merged(fresh, *parts).spectrum() for _ in range(2))
    assert pickle.dumps(parts) == before
    assert first.n_samples == again.n_samples == ROWS
    np.testing.assert_array_equal(first.singular_values, again.singular_values)


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8", "uint8", "int64", "bool"])
def test_dtypes(dtype):
    x = (np.random.default_rng(1).standard_normal((60, 4)) * 3 + 5).clip(0).astype(dtype)
    s = accumulate_dask(da.from_array(x, chunks=(17, 3))).spectrum()
    whole = rg.spectrum(x)
    assert s.dtype == whole.dtype
    np.testing.assert_allclose(
        s.singular_values, values_by_definition(x.astype("float64"), None), rtol=1e-10, atol=1e-12
    )


def test_read_only_rows_in_threads_leave_the_warning_filters(monkeypatch):
    made = torch.from_numpy

    def slowly(array):  # so that threads meet where the gate has silenced a warning
        time.sleep(0.002)
        return made(array)

    monkeypatch.setattr(torch, "from_numpy", slowly)
    x = features()
    x.setflags(write=False)
    before = list(warnings.filters)
    with dask.config.set(scheduler="threads", num_workers=4):
        assert accumulate_dask(da.from_array(x, chunks=(10, WIDTH))).n_samples == ROWS
    assert warnings.filters == before


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nonfinite_values_are_placed(scheduler, value):
    x = features()
    x[250, 3] = value
    with dask.config.set(scheduler=scheduler):
        known = rf"`array\[200:300\]` has 1 non-finite value; the first is {value} at row 50, column 3.*isfinite"
        with pytest.raises(ValueError, match=known):
            accumulate_dask(da.from_array(x, chunks=(100, 5)))
        with pytest.raises(ValueError, match=rf"`array\.blocks\[2\]` has 1 .* {value} at row 50, column 3"):
            accumulate_dask(unknown(x, 100))
    array = da.from_array(x, chunks=(100, 5))
    kept = accumulate_dask(array[da.isfinite(array).all(axis=1)])  # the way out that the error names
    assert kept.n_samples == ROWS - 1


REFUSED = [
    (lambda x: x[:, 0], ValueError, r"n_samples x n_features, got shape \(301,\)"),
    (lambda x: x.reshape(7, 43, WIDTH), ValueError, r"got shape \(7, 43, 12\).*reshape"),
    (lambda x: x[:0], ValueError, r"`array` is empty: shape \(0, 12\)"),
    (lambda x: x[:, :0], ValueError, r"`array` is empty: shape \(301, 0\)"),
    (lambda x: x.astype(complex), TypeError, r"`array` is complex"),
    (lambda x: x.astype(str), TypeError, r"`array` holds <U32 values \(shape \(301, 12\)\), not numbers"),
    (lambda x: x.astype(object), TypeError, r"`array` holds object values"),
    (lambda x: x.astype("M8[s]"), TypeError, r"`array` holds datetime64\[s\] values"),
    (lambda x: da.ma.masked_array(x), TypeError, r"`array` is a masked array"),
    (lambda x: x[:, da.from_array(np.arange(WIDTH) > 5, chunks=6)], ValueError, r"2 blocks of unknown width.*compute_chunk"),
    (lambda x: x.compute(), TypeError, r"must be a dask.array.Array, got ndarray"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED)
def test_what_cannot_be_added_up_is_refused_before_it_is_computed(make, kind, message):
    array = make(da.from_array(features(), chunks=(50, 6)))

    def computed(*_):
        raise AssertionError("a task ran")

    with dask.config.set(scheduler="synchronous"), dask.callbacks.Callback(pretask=computed):
        with pytest.raises(kind, match=message):
            accumulate_dask(array)
        for setting in ({"normalize": "l1"}, {"method": "svd"}):
            with pytest.raises(ValueError, match="must be"):
                accumulate_dask(da.ones((5, 2)), **setting)


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(ImportError, match=r"pip install 'repgeom\[dask\]'"):
        accumulate_dask(features())


def test_importing_repgeom_leaves_dask_alone():
    code = "import sys, repgeom, repgeom.spectral.dask_arrays; sys.exit('dask' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
