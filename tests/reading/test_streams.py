"""Rows that come in pieces: streams, interruptions, samples and counts that add up whatever the split."""

import os
import signal

import numpy as np
import pytest
import torch
from conftest import added_up

import repgeom as rg
from repgeom.auditing.audit_tally import AuditTally
from repgeom.data.processes import ALONE
from repgeom.measures.cloud_tally import CloudTally
from repgeom.reading import reader
from repgeom.reading.checkpoint import Kept
from repgeom.reading.hashing import row_hashes
from repgeom.reading.sample import RowSample

WIDTH = 16


def features(n=5000, dtype=np.float32):
    x = rg.testing.features_with_spectrum(np.arange(1, WIDTH + 1.0) ** -0.5 * n**0.5, n, mean=np.full(WIDTH, 0.5))
    x[7] = x[3]
    return x.astype(dtype)


def assert_same(found, expected, tolerance=1e-6):
    assert (found.n_samples, found.n_features) == (expected.n_samples, expected.n_features)
    assert found.health == expected.health
    assert found.level == expected.level
    for v in expected.values:
        value = found[v.name].value
        assert value == (None if v.value is None else pytest.approx(v.value, rel=tolerance, abs=1e-9)), v.name
        if v.estimate is not None and v.estimate.low is not None:
            assert found[v.name].estimate.low == pytest.approx(v.estimate.low, rel=1e-4), v.name


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 400 * WIDTH)
    monkeypatch.setattr("repgeom.reading.checkpoint.SAVE_SECONDS", 0)


# --- samples and counts ------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_hashes_tell_rows_apart_and_leave_them_alone(dtype):
    """Small whole numbers have long runs of zero bits, on which a plain sum of products collides."""
    x = torch.cartesian_prod(*[torch.arange(5.0)] * 6).to(dtype)
    before = x.clone()
    hashes = row_hashes(x)
    assert len(np.unique(hashes)) == len(x)
    assert torch.equal(x, before)
    assert (row_hashes(x.flip(0)) == hashes[::-1]).all()
    bits = (hashes[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / len(x) ** 0.5


# --- streams -----------------------------------------------------------------------------------------------------


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
    assert report["rankme"].value == pytest.approx(rg.rankme(x), rel=1e-6)
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
    assert report["numerical_rank"].value == 3
    assert_same(report, rg.audit(x))


def test_a_low_rank_stream_takes_qr_from_its_first_rows(small_chunks):
    x = (features()[:, :3] @ np.random.default_rng(0).standard_normal((3, WIDTH))).astype(np.float64)
    report = rg.audit(iter(np.split(x, 50)))
    assert report.spectrum.method == "qr"
    assert report["numerical_rank"].value == 3


def test_a_stream_that_turns_steep_says_so(small_chunks):
    x = features(4000, np.float64) - 0.5
    x[1000:, 0] *= 1e9
    report = rg.audit(iter(np.split(x, 40)))
    whole = rg.audit(x)
    for name in ("effective_rank", "participation_ratio", "stable_rank", "mean_cosine", "norm_mean"):
        assert report[name].value == pytest.approx(whole[name].value, rel=1e-9)
    for name in ("effective_rank_sigma", "rankme", "numerical_rank", "condition_number"):
        assert report[name].value is None
        assert "rounding" in report[name].note
    assert "cannot be read again by a more exact method" in str(report)


def test_a_late_broken_row_is_named_and_the_rest_stands(small_chunks):
    x = features(4000, np.float64) - 0.5
    x[3210, 2] = 3e8
    report = rg.audit(iter(np.split(x, 40)))
    assert "The longest row is row 3,210, of norm 3e+08" in str(report)
    assert report["effective_rank"].value == pytest.approx(rg.effective_rank(x), rel=1e-9)
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


# --- files: reading ahead, interruptions -------------------------------------------------------------------------


@pytest.fixture
def shards(tmp_path):
    for i, part in enumerate(np.array_split(features(), 4)):
        np.save(tmp_path / f"part-{i}.npy", part)
    return tmp_path


def interrupt_after(monkeypatch, rows):
    """Ctrl-C in the middle of the piece that would be more than so many rows; the list says how many were taken in."""
    taken, whole = [], AuditTally.update

    def update(self, piece):
        if sum(taken) + len(piece) > rows:
            raise KeyboardInterrupt
        taken.append(len(piece))
        whole(self, piece)

    monkeypatch.setattr(AuditTally, "update", update)
    return taken


@pytest.mark.parametrize("normalize", [None, "l2"])
def test_an_interrupted_audit_goes_on_and_ends_with_the_same_report(normalize, shards, small_chunks, tmp_path):
    pattern, kept = shards / "*.npy", tmp_path / "kept"
    expected = rg.audit(pattern, normalize=normalize)
    with pytest.MonkeyPatch.context() as patch:
        first = interrupt_after(patch, 3000)
        with pytest.raises(KeyboardInterrupt):
            rg.audit(pattern, normalize=normalize, checkpoint=kept)
    assert kept.exists()
    with pytest.MonkeyPatch.context() as patch:
        second = interrupt_after(patch, 1 << 40)
        report = rg.audit(pattern, normalize=normalize, checkpoint=kept)
    assert sum(first) + sum(second) == 5000  # no row was read twice
    assert_same(report, expected, 1e-12)
    assert not kept.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_piece_and_keeps_what_was_read(
    number, shards, small_chunks, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("repgeom.reading.checkpoint.SAVE_SECONDS", 1e9)
    monkeypatch.setattr(signal, "raise_signal", lambda came: (_ for _ in ()).throw(KeyboardInterrupt(came)))
    kept, taken, whole = tmp_path / "kept", [], AuditTally.update

    def update(self, piece):
        whole(self, piece)
        taken.append(len(piece))
        if sum(taken) == 2400:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(AuditTally, "update", update)
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match=str(int(number))):
        rg.audit(shards / "*.npy", checkpoint=kept)
    assert signal.getsignal(number) is before
    report = rg.audit(shards / "*.npy", checkpoint=kept, progress=True)
    assert sum(taken) == 5000
    assert "repgeom: going on after 2,400 of 5,000 rows, kept in" in capsys.readouterr().err
    assert_same(report, rg.audit(shards / "*.npy"), 1e-12)


def test_the_same_holds_where_a_second_pass_was_cut_short(shards, small_chunks, tmp_path, monkeypatch):
    """The rows turn out to be steep only late, so that they are read again by another method."""
    x = features(5000, np.float64) - 0.5
    x[1000:, 0] *= 1e9
    for i, part in enumerate(np.split(x, 4)):
        np.save(shards / f"part-{i}.npy", part)
    kept, passes = tmp_path / "kept", []
    whole = reader._finish

    def finish(begun, name, shown):
        passes.append(name)
        return whole(begun, name, shown)

    monkeypatch.setattr(reader, "_finish", finish)
    expected = rg.audit(shards / "*.npy")
    assert passes[:2] == ["features", "features-again"]
    with pytest.MonkeyPatch.context() as patch:
        whole_save = Kept.save
        calls = []

        def save(self, *args, **how):
            calls.append(args)
            whole_save(self, *args, now=True)
            if len(calls) == 20:
                raise KeyboardInterrupt

        patch.setattr(Kept, "save", save)
        with pytest.raises(KeyboardInterrupt):
            rg.audit(shards / "*.npy", checkpoint=kept)
    assert len(list(kept.iterdir())) == 2
    assert_same(rg.audit(shards / "*.npy", checkpoint=kept), expected, 1e-12)


def interrupted(pattern, folder, **how):
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 3000)
        with pytest.raises(KeyboardInterrupt):
            rg.audit(pattern, checkpoint=folder, **how)
    return next(folder.glob("*.checkpoint"))


def test_a_checkpoint_knows_what_it_has_seen(shards, small_chunks, tmp_path):
    kept = tmp_path / "kept"
    interrupted(shards / "*.npy", kept)
    for path in shards.glob("*.npy"):  # another date and the same rows: read once more, for the checksum
        os.utime(path, (1, 1))
    assert_same(rg.audit(shards / "*.npy", checkpoint=kept), rg.audit(shards / "*.npy"), 1e-12)
    path = interrupted(shards / "*.npy", kept)
    x = np.load(shards / "part-1.npy")
    np.save(shards / "part-1.npy", x[::-1])
    os.utime(shards / "part-1.npy", (2, 2))
    with pytest.raises(ValueError, match=rf"has changed since .*{path.name} was written\. Delete"):
        rg.audit(shards / "*.npy", checkpoint=kept)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="is damaged or no checkpoint"):
        rg.audit(shards / "*.npy", checkpoint=kept)


@pytest.mark.parametrize("how", [{"normalize": "l2"}, {"seed": 1}, {"max_pair_rows": 20_000}, "key", "shard", "rows"])
def test_a_checkpoint_of_another_audit_is_left_alone(how, shards, small_chunks, tmp_path):
    x, kept = features(), tmp_path / "kept"
    y = x[:, ::-1] * np.arange(1, WIDTH + 1, dtype=np.float32)
    x[5], y[9] = np.nan, np.nan
    np.savez(tmp_path / "two.npz", x=x, y=y)

    def audit(key, **more):
        return rg.audit(rg.open_source(tmp_path / "two.npz", key=key), drop_nonfinite=True, **more)

    interrupted(rg.open_source(tmp_path / "two.npz", key="x"), kept, drop_nonfinite=True)
    interrupted(shards / "*.npy", kept)
    if isinstance(how, dict):
        assert_same(rg.audit(shards / "*.npy", checkpoint=kept, **how), rg.audit(shards / "*.npy", **how), 1e-12)
    elif how == "shard":
        np.save(shards / "part-9.npy", y[100:])
        assert_same(rg.audit(shards / "*.npy", checkpoint=kept), rg.audit(shards / "*.npy"), 1e-12)
    else:
        key = "y" if how == "key" else "x"
        more = {"reference": np.where(np.arange(5000)[:, None] == 4000, np.nan, y)} if how == "rows" else {}
        if how == "rows":  # as many rows are left out, and others
            np.save(tmp_path / "r.npy", more["reference"])
            more = {"reference": tmp_path / "r.npy"}
        assert_same(audit(key, checkpoint=kept, **more), audit(key, **more), 1e-12)
    assert len(list(kept.glob("*.checkpoint"))) >= 1  # that of the other


def test_only_what_the_audit_wrote_is_removed(shards, small_chunks):
    (shards / "model-1-of-1.pt").write_text("mine")
    np.save(shards / "features-1-of-1.npy", features(300))
    rg.audit(shards / "part-*.npy", checkpoint=shards)
    assert {path.name for path in shards.iterdir()} >= {"model-1-of-1.pt", "features-1-of-1.npy", "part-0.npy"}
    assert not list(shards.glob("*.checkpoint"))


def test_a_checkpoint_must_be_a_folder(shards):
    with pytest.raises(ValueError, match=r"must be a folder, and .*part-0\.npy is a file"):
        rg.audit(shards / "*.npy", checkpoint=shards / "part-0.npy")


def test_a_checkpoint_needs_files(tmp_path):
    with pytest.raises(ValueError, match="`features` lies in memory"):
        rg.audit(features(300), checkpoint=tmp_path / "kept")


def test_reading_ahead_gives_every_row_in_order_and_passes_errors(shards, small_chunks):
    source = rg.open_source(shards / "*.npy")
    np.testing.assert_array_equal(torch.cat(list(source.chunks())), features())
    np.testing.assert_array_equal(torch.cat(list(source.part(123, 2345))), features()[123:2345])
    (shards / "part-3.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"part-3\.npy"):
        list(source.chunks())


# --- processes ---------------------------------------------------------------------------------------------------


def test_one_process_reads_all_and_several_need_a_group():
    assert (ALONE.part(10), ALONE.everyone(3), ALONE.by_first(lambda: 4)) == ((0, 10), [3], 4)
    with pytest.raises(ZeroDivisionError):
        ALONE.agreed(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="torchrun"):
        rg.audit(features(300), distributed=True)
