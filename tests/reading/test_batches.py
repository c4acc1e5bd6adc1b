"""Streams of batches read as the array of all their rows."""

import numpy as np
import pytest
import torch
from streamed import WIDTH, assert_same, features

import repgeom as rg


@pytest.mark.parametrize("normalize", [None, "l2"])
@pytest.mark.parametrize("step", [1, 130, 5000])
def test_a_generator_reads_as_the_array(step, normalize, small_chunks):
    x = features()
    report = rg.audit((x[i : i + step] for i in range(0, len(x), step)), normalize=normalize)
    assert_same(report, rg.audit(x, normalize=normalize))
    assert "read once" in " ".join(report.notes)


def test_a_data_loader_reads_as_the_array_and_labels_beside_are_left(small_chunks):
    x = torch.from_numpy(features())
    data = torch.utils.data.TensorDataset(x, torch.arange(len(x)))
    loader = torch.utils.data.DataLoader(data, batch_size=64)
    assert_same(rg.audit(loader, name="loader"), rg.audit(x))


def test_a_generator_may_use_its_memory_again_and_give_empty_batches(small_chunks):
    x = features()

    def batches():
        memory = np.empty((50, WIDTH), np.float32)
        for i in range(0, len(x), 50):
            memory[:] = x[i : i + 50]
            yield memory
            yield memory[:0]

    assert_same(rg.audit(batches()), rg.audit(x))


@pytest.mark.parametrize("mean", [100, 1e5])
def test_a_stream_far_from_zero_is_read_by_a_method_that_holds_for_rankme_too(mean, small_chunks):
    x = features(3000, np.float64) + mean
    report = rg.audit(iter(np.split(x, 30)))
    assert report["rankme"].in_these_rows == pytest.approx(rg.rankme(x), rel=1e-6)
    assert_same(report, rg.audit(x))


def test_a_list_of_matrices_is_a_stream_and_a_list_of_rows_is_not(small_chunks):
    x = features()
    assert_same(rg.audit(np.array_split(x, 7)), rg.audit(x))
    assert rg.audit(x[:200].tolist()).n_samples == 200


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            iter([(np.zeros((4, 3, 8, 8)), np.zeros(4))]),
            ValueError,
            r"batch 0. must be features.*\(4, 3, 8, 8\).*encode them",
        ),
        (iter([{"x": np.zeros((4, 3)), "y": 1}]), TypeError, r"is a dict with 'x', 'y'; give the features alone"),
        (iter(np.zeros((4, 3))), ValueError, r"has shape \(3,\).*if one row, `row\[None\]`"),
        (torch.utils.data.TensorDataset(torch.zeros(9, 3)), TypeError, "gives one sample at a time; wrap it"),
        (lambda: iter([]), TypeError, "is a function; call it"),
        (rg.SpectrumAccumulator(), TypeError, r"read what it holds: `accumulator\.spectrum\(\)`"),
    ],
)
def test_what_is_not_a_stream_of_features_says_what_to_do(given, error, message):
    with pytest.raises(error, match=message):
        rg.audit(given)


def test_a_short_stream_is_held_and_read_by_every_method():
    x = features(40) @ np.diag(np.arange(WIDTH) < 3).astype(np.float32)
    report = rg.audit(iter(np.split(x, 8)))
    assert report["numerical_rank"].in_these_rows == 3
    assert_same(report, rg.audit(x))


def test_a_low_rank_stream_takes_qr_from_its_first_rows(small_chunks):
    x = (features()[:, :3] @ np.random.default_rng(0).standard_normal((3, WIDTH))).astype(np.float64)
    report = rg.audit(iter(np.split(x, 50)))
    assert report.spectrum.method == "qr"
    assert report["numerical_rank"].in_these_rows == 3


def test_a_stream_that_turns_steep_says_so(small_chunks):
    x = features(4000, np.float64) - 0.5
    x[1000:, 0] *= 1e9
    report = rg.audit(iter(np.split(x, 40)))
    whole = rg.audit(x)
    for name in ("effective_rank", "participation_ratio", "stable_rank", "mean_cosine", "norm_mean"):
        assert report[name].in_these_rows == pytest.approx(whole[name].in_these_rows, rel=1e-9)
    for name in ("effective_rank_sigma", "rankme", "numerical_rank", "condition_number"):
        assert report[name].in_these_rows is None
        assert "rounding" in report[name].note
    assert "cannot be read again by a more exact method" in str(report)


def test_a_late_broken_row_is_named_and_the_rest_stands(small_chunks):
    x = features(4000, np.float64) - 0.5
    x[3210, 2] = 3e8
    report = rg.audit(iter(np.split(x, 40)))
    assert "The longest row is row 3,210, of norm 3e+08" in str(report)
    assert report["effective_rank"].in_these_rows == pytest.approx(rg.effective_rank(x), rel=1e-9)
    assert report.health.extreme_norms == 1


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "`features` gave no rows"),
        ([np.ones((0, 3))], "`features` gave no rows"),
        ([np.ones((3, 2)), np.ones((3, 4))], "batch 1 of `features` has 4 features and those before it 2"),
        (
            [np.ones((3, 2)), np.ones((3, 2), np.float32)],
            "batch 1 .* is torch.float32 and those before it torch.float64",
        ),
        (
            [np.ones((3, 2)), [[1.0, 2.0], [1.0, np.nan]]],
            r"batch 1 .* nan at row 1, column 1 .*\(row 4 of the stream\)",
        ),
        ([np.ones((1, 4))], "has 1 row"),
        (np.split(np.ones((900, 4)), 30), "zero variance: all 900 rows are equal"),
    ],
)
def test_streams_that_cannot_be_read(batches, message):
    with pytest.raises(ValueError, match=message):
        rg.audit(iter(batches))


def test_what_needs_rows_again_is_refused_of_a_stream():
    x = features(300)
    with pytest.raises(ValueError, match="`checkpoint`, `distributed` need rows that can be read again"):
        rg.audit(iter([x]), checkpoint="kept", distributed=True)
    with pytest.raises(ValueError, match="`reference` is a stream of batches and `features` is read beside it"):
        rg.audit(x, reference=iter([x]))


def test_an_error_inside_a_stream_passes():
    def broken():
        yield features(300)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        rg.audit(broken())
