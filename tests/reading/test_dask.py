"""An audit of a Dask array is that of its rows, whatever the blocks and wherever they are computed."""

import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.auditing.audit_tally import Asked, AuditTally
from repgeom.reading.dask_arrays import _merged_state, _of_kind, dask_rows
from repgeom.reading.tally import Piece, from_bytes, to_bytes

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

ROWS, WIDTH = 301, 12


def features():
    rng = np.random.default_rng(0)
    return rng.standard_normal((ROWS, WIDTH)) * np.arange(1, WIDTH + 1.0) ** -1 + 100


def beside():
    rng = np.random.default_rng(1)
    x = features()
    return {
        "labels": rng.integers(0, 3, ROWS), "groups": np.arange(ROWS) // 2,
        "reference": x[:, :5] * 2 + rng.standard_normal((ROWS, 5)), "corrupted": x + 0.1 * rng.standard_normal(x.shape),
    }  # fmt: skip


def unknown(x, step):
    """A Dask array whose chunks have unknown lengths, some of them zero."""
    array = da.from_array(x, chunks=(step, -1))
    return array[da.from_array(np.arange(len(x)) >= step, chunks=step)]


def assert_same(found, expected, tolerance=1e-9):
    assert (found.n_samples, found.n_features, found.level) == (expected.n_samples, expected.n_features, expected.level)
    assert found.health == expected.health
    for v in expected.values:
        value = found[v.name].in_these_rows
        assert value == (
            None if v.in_these_rows is None else pytest.approx(v.in_these_rows, rel=tolerance, abs=tolerance)
        ), v.name


CHUNKS = [(ROWS, WIDTH), (1, WIDTH), ((100, 1, 0, 200), WIDTH), (70, 5), ((0, 0, 301), (1, 11)), (7, (11, 0, 1))]


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
def test_any_chunking_gives_the_whole(scheduler, chunks):
    x, more = features(), beside()
    with dask.config.set(scheduler=scheduler):
        report = rg.audit(da.from_array(x, chunks=chunks), **more)
    assert_same(report, rg.audit(x, **more))


def test_what_stands_beside_may_be_dask_arrays_too():
    x, more = features(), beside()
    arrays = {name: da.from_array(values, chunks=90) for name, values in more.items()}
    with dask.config.set(scheduler="synchronous"):
        found = rg.audit(da.from_array(x, chunks=(100, -1)), normalize="l2", **arrays)
    assert_same(found, rg.audit(x, normalize="l2", **more))
    with pytest.raises(ValueError, match="`labels` has 300 entries and `features` 301 rows"):
        rg.audit(da.from_array(x), labels=np.zeros(300))


def test_a_distributed_cluster_gives_the_same():
    distributed = pytest.importorskip("distributed")
    x, more = features(), beside()
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster),
    ):
        report = rg.audit(da.from_array(x, chunks=(60, WIDTH)), **more)
    assert_same(report, rg.audit(x, **more))


def test_between_processes_only_states_travel():
    results = []
    seen = dask.callbacks.Callback(posttask=lambda key, result, dsk, state, worker: results.append(result))
    array = da.from_array(features(), chunks=(60, WIDTH)) * 1.0
    with dask.config.set(scheduler="processes", num_workers=2), seen:
        report = rg.audit(array)
    assert_same(report, rg.audit(features()))
    states = [result for result in results if np.asarray(result).dtype == object]
    assert len(states) >= 6
    assert {type(np.asarray(state, object).item()) for state in states} == {bytes}


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_unknown_lengths_and_empty_blocks(scheduler):
    x = features()
    with dask.config.set(scheduler=scheduler):
        assert_same(rg.audit(unknown(x, 50)), rg.audit(x[50:]))
        with pytest.raises(ValueError, match=r"`features` is empty: shape \(0, 12\)|has 0 rows"):
            rg.audit(unknown(x, ROWS))


def test_a_merge_run_again_counts_nothing_twice():
    x = torch.tensor(features())
    parts = []
    for rows in (slice(0, 100), slice(100, ROWS)):
        tally = AuditTally(Asked(None, 0, 100, 100))
        tally.update(Piece(x[rows], np.arange(ROWS)[rows]))
        parts.append(to_bytes({"tally": _of_kind(tally)}))
    before = list(parts)
    first, again = (_merged_state(*parts).item() for _ in range(2))
    assert parts == before
    assert first == again
    assert from_bytes(first)["tally"]["state"]["n_read"] == ROWS


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8", "uint8", "int64", "bool"])
def test_dtypes(dtype):
    x = (np.random.default_rng(1).standard_normal((60, 4)) * 3 + 5).clip(0).astype(dtype)
    if dtype == "bool":
        x = np.random.default_rng(1).random((60, 4)) < 0.5
    with dask.config.set(scheduler="synchronous"):
        found = rg.audit(da.from_array(x, chunks=(17, 3)))
    whole = rg.audit(x)
    assert found.dtype == whole.dtype
    # The cloud of narrow rows is added up in float32, piece by piece.
    assert_same(found, whole, 1e-9 if dtype in (">f8", "int64") else 1e-6)


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
        assert rg.audit(da.from_array(x, chunks=(50, WIDTH))).n_samples == ROWS
    assert warnings.filters == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nonfinite_values_are_placed_or_dropped(value):
    x = features()
    x[250, 3] = value
    array = da.from_array(x, chunks=(100, 5))
    with dask.config.set(scheduler="synchronous"):
        with pytest.raises(
            ValueError, match=rf"`features` has 1 non-finite value; the first is {value} at row 250, column 3"
        ):
            rg.audit(array)
        assert_same(rg.audit(array, drop_nonfinite=True), rg.audit(x, drop_nonfinite=True))


REFUSED = [
    (lambda x: x[:, 0], ValueError, r"n_samples x n_features, got shape \(301,\)"),
    (lambda x: x.reshape(7, 43, WIDTH), ValueError, r"got shape \(7, 43, 12\).*reshape"),
    (lambda x: x[:0], ValueError, r"`features` is empty: shape \(0, 12\)"),
    (lambda x: x[:, :0], ValueError, r"`features` is empty: shape \(301, 0\)"),
    (lambda x: x.astype(complex), TypeError, r"`features` is complex"),
    (lambda x: x.astype(str), TypeError, r"`features` holds <U32 values \(shape \(301, 12\)\), not numbers"),
    (lambda x: x.astype(object), TypeError, r"`features` holds object values"),
    (lambda x: x.astype("M8[s]"), TypeError, r"`features` holds datetime64\[s\] values"),
    (lambda x: da.ma.masked_array(x), TypeError, r"`features` is a masked array"),
    (lambda x: x[:, da.from_array(np.arange(WIDTH) > 5, chunks=6)], ValueError, r"2 blocks of unknown width.*compute_chunk"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED)
def test_what_cannot_be_added_up_is_refused_before_it_is_computed(make, kind, message):
    array = make(da.from_array(features(), chunks=(50, 6)))

    def computed(*_):
        raise AssertionError("a task ran")

    with dask.config.set(scheduler="synchronous"), dask.callbacks.Callback(pretask=computed):
        with pytest.raises(kind, match=message):
            rg.audit(array)
        with pytest.raises(ValueError, match="must be"):
            rg.audit(da.ones((5, 2)), normalize="l1")
        with pytest.raises(ValueError, match="`checkpoint`, `distributed` need rows"):
            rg.audit(da.ones((5, 2)), checkpoint="kept", distributed=True)


def test_other_functions_say_where_a_dask_array_can_go():
    with pytest.raises(TypeError, match=r"`repgeom\.audit\(array\)` adds it up where it lies"):
        rg.effective_rank(da.ones((50, 4)))


def test_importing_repgeom_leaves_dask_alone():
    code = "import sys, repgeom, repgeom.reading.dask_arrays; sys.exit('dask' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_of_an_array_know_their_number():
    assert dask_rows(da.ones((50, 4), chunks=(7, 2))).n_samples == 50


@pytest.mark.parametrize(
    ("beside", "error", "message"),
    [
        ({"labels": np.zeros((ROWS, 2))}, ValueError, r"`labels` must be one label per row"),
        ({"labels": np.full(ROWS, np.nan)}, ValueError, "`labels` has 301 of 301 values that are not finite"),
        ({"labels": "nowhere.npy"}, FileNotFoundError, "nowhere.npy"),
        ({"labels": 3}, ValueError, "`labels` must be one label per row"),
        ({"reference": "x.npy"}, TypeError, "`reference` is a path, and `features` a Dask array"),
        ({"reference": np.zeros(ROWS)}, ValueError, "`reference` must have shape"),
        ({"reference": np.zeros((ROWS - 1, 3))}, ValueError, "`features` has 301 rows and `reference` 300"),
        ({"corrupted": np.zeros((ROWS, 3))}, ValueError, "`features` has 12 columns and `corrupted` 3"),
    ],
    ids=str,
)
def test_what_does_not_belong_beside_a_dask_array_is_refused(beside, error, message):
    with dask.config.set(scheduler="synchronous"), pytest.raises(error, match=message):
        rg.audit(da.from_array(features(), chunks=(100, -1)), **beside)


def test_labels_may_be_objects_or_of_unknown_length_as_the_rows_are():
    x = features()
    names = np.array(["a", None, "b"], object)[np.zeros(ROWS, int)]
    labels = np.random.default_rng(0).integers(0, 3, ROWS)
    keep = da.from_array(np.arange(ROWS) % 4 > 0, chunks=100)
    with dask.config.set(scheduler="synchronous"):
        assert rg.audit(da.from_array(x, chunks=(100, -1)), labels=names).classes.labels.tolist() == ["a"]
        found = rg.audit(da.from_array(x, chunks=(100, -1))[keep], labels=da.from_array(labels, chunks=100)[keep])
    mask = np.arange(ROWS) % 4 > 0
    assert_same(found, rg.audit(x[mask], labels=labels[mask]))
