"""A checkpoint's folder on a bad day: two runs, a full disk, a folder that goes away, content of something else."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from streamed import assert_same, features

import repgeom as rg
from repgeom.auditing.audit_tally import AuditTally
from repgeom.reading import checkpoint
from repgeom.reading.locks import Lock
from repgeom.reading.tally import from_bytes, to_bytes


@pytest.fixture
def shards(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SAVE_SECONDS", 0)
    for i, part in enumerate(np.array_split(features(), 4)):
        np.save(tmp_path / f"part-{i}.npy", part)
    return tmp_path / "*.npy"


def during(monkeypatch, row, act):
    """Do something once, when so many rows were taken in."""
    seen, whole, done = [0], AuditTally.update, []

    def update(self, piece):
        whole(self, piece)
        seen[0] += len(piece)
        if seen[0] >= row and not done:
            done.append(True)
            act()

    monkeypatch.setattr(AuditTally, "update", update)


def interrupted(pattern, folder, **how):
    with pytest.MonkeyPatch.context() as patch:
        during(patch, 3000, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rg.audit(pattern, checkpoint=folder, **how)
    (path,) = folder.glob("*.checkpoint")
    assert {path} == set(folder.iterdir())
    return path


def test_a_second_run_goes_on_without_and_both_end_well(shards, small_chunks, tmp_path, monkeypatch):
    second = []

    def again():
        with pytest.warns(UserWarning, match="another run of this audit is writing .* goes on without a checkpoint"):
            second.append(rg.audit(shards, checkpoint=tmp_path / "kept"))

    during(monkeypatch, 2000, again)
    first = rg.audit(shards, checkpoint=tmp_path / "kept")
    assert_same(second[0], first, 1e-12)
    assert not (tmp_path / "kept").exists()


def test_another_audit_in_the_folder_ends_first(shards, small_chunks, tmp_path, monkeypatch):
    """It removes the folder where nothing else lies there yet."""
    kept = tmp_path / "kept"
    during(monkeypatch, 1, lambda: rg.audit(shards, checkpoint=kept, normalize="l2"))
    assert_same(rg.audit(shards, checkpoint=kept), rg.audit(shards), 1e-12)
    assert not kept.exists()


def test_a_folder_that_goes_away_is_made_again(shards, small_chunks, tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    during(monkeypatch, 2000, lambda: shutil.rmtree(kept))
    assert_same(rg.audit(shards, checkpoint=kept), rg.audit(shards), 1e-12)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_costs_the_checkpoint_alone(number, shards, small_chunks, tmp_path, monkeypatch):
    expected = rg.audit(shards)

    def full(path, content):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(checkpoint, "write_whole", full)
    with pytest.warns(UserWarning, match="checkpoint was not written, and the audit goes on") as warned:
        assert_same(rg.audit(shards, checkpoint=tmp_path / "kept"), expected, 1e-12)
    assert len(warned) == 1  # and not once for each piece
    assert not (tmp_path / "kept").exists()


HOLDER = """
import sys, time
from pathlib import Path
from repgeom.reading.locks import Lock
print(Lock(Path(sys.argv[1])).take(), flush=True)
time.sleep(60)
"""


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / "x.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    env = os.environ | {"PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as holder:
        try:
            assert holder.stdout.readline() == "True\n"
            assert not Lock(path).take()
        finally:
            holder.kill()
    assert path.exists()
    mine = Lock(path)
    assert mine.take()
    assert not Lock(path).take()
    mine.give_back()
    assert not path.exists()


def test_a_lock_that_was_removed_is_no_lock(tmp_path, monkeypatch):
    """The holder gives it back between the opening and the locking of another."""
    import fcntl

    path, whole, calls = tmp_path / "x.lock", fcntl.flock, []

    def flock(handle, how):
        if not calls:
            path.unlink()
        calls.append(handle)
        whole(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = Lock(path)
    assert lock.take()
    assert len(calls) == 2
    assert not Lock(path).take()
    lock.give_back()


def written(path, body):
    """A file with the right checksum of its content."""
    path.write_bytes(checkpoint._VERSION + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def state(path, **other):
    """What the audit kept, with something else in it."""
    _, _, body = path.read_bytes().partition(b"\n")
    return to_bytes(from_bytes(body) | other)


FOREIGN = {
    "nothing": lambda path: b"",
    "text": lambda path: b"hello",
    "other tensors": lambda path: __import__("safetensors.torch").torch.save({"x": torch.zeros(3)}),
    "another state": lambda path: to_bytes({"a": 1}),
    "a list": lambda path: to_bytes([1, 2]),
    "no tally": lambda path: state(path, tally={}),
    "rows as text": lambda path: state(path, rows="3"),
    "rows below 0": lambda path: state(path, rows=-3),
    "more rows than there are": lambda path: state(path, rows=10**9),
    "a checksum of letters": lambda path: state(path, checksum="abc"),
    "a tally of no kind": lambda path: state(path, tally={"features": {"kind": "os:system", "state": {}}}),
    "a tally that runs": lambda path: state(path, tally={"sums": {"kind": "repgeom.__main__:main", "state": {}}}),
    "nested without end": lambda path: state(path, tally=nested(400)),
}


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_content_with_a_right_checksum_is_refused(kind, shards, small_chunks, tmp_path):
    path = interrupted(shards, tmp_path / "kept")
    written(path, FOREIGN[kind](path))
    with pytest.raises(ValueError, match=rf"{path.name} does not hold what an audit keeps .*Delete"):
        rg.audit(shards, checkpoint=tmp_path / "kept")


def test_what_another_audit_kept_is_refused_under_this_name(shards, small_chunks, tmp_path):
    other = interrupted(shards, tmp_path / "other", normalize="l2")
    path = interrupted(shards, tmp_path / "kept")
    shutil.copy(other, path)
    with pytest.raises(ValueError, match=rf"{path.name} holds what was kept of another audit"):
        rg.audit(shards, checkpoint=tmp_path / "kept")


def test_a_checkpoint_that_is_no_file_is_refused_at_once(shards, small_chunks, tmp_path):
    path = interrupted(shards, tmp_path / "kept")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is a named pipe"):
        rg.audit(shards, checkpoint=tmp_path / "kept")
