"""Files: reading that was interrupted goes on where it stopped, and reading ahead keeps the order."""

import os
import signal

import numpy as np
import pytest
import torch
from streamed import WIDTH, assert_same, features

import repgeom as rg
from repgeom.auditing.audit_tally import AuditTally
from repgeom.reading import reader
from repgeom.reading.checkpoint import Kept


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
    with pytest.raises(ValueError, match="`features` cannot be read again"):
        rg.audit(features(300), checkpoint=tmp_path / "kept")


def test_reading_ahead_gives_every_row_in_order_and_passes_errors(shards, small_chunks):
    source = rg.open_source(shards / "*.npy")
    np.testing.assert_array_equal(torch.cat(list(source.chunks())), features())
    np.testing.assert_array_equal(torch.cat(list(source.part(123, 2345))), features()[123:2345])
    (shards / "part-3.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"part-3\.npy"):
        list(source.chunks())


def test_labels_in_another_order_and_a_reference_in_another_role_read_from_the_start(shards, small_chunks, tmp_path):
    kept, pattern = tmp_path / "kept", shards / "part-*.npy"
    labels = np.random.default_rng(0).integers(0, 3, 5000)
    interrupted(pattern, kept, labels=labels)
    assert_same(rg.audit(pattern, checkpoint=kept, labels=labels[::-1]), rg.audit(pattern, labels=labels[::-1]), 1e-12)
    other = tmp_path / "other.npy"
    np.save(other, features() + 0.1)
    interrupted(pattern, kept, reference=other)
    assert_same(rg.audit(pattern, checkpoint=kept, corrupted=other), rg.audit(pattern, corrupted=other), 1e-12)
    with pytest.raises(ValueError, match="`corrupted` cannot be read again"):
        rg.audit(pattern, checkpoint=kept, corrupted=features())
