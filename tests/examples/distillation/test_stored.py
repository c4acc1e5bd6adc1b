"""Records on disk: checksums, locks, and what an interruption leaves."""

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import types

import pytest
import torch

from repgeom_examples.distillation import stored
from repgeom_examples.distillation.stored import fingerprint


def test_what_is_saved_is_loaded(tmp_path, rng):
    record = {"é": "σ", "n": [1, 2.5, None], "deep": {"a": True}}
    arrays = {
        "x": torch.tensor(rng.standard_normal((5, 3))),
        "y": torch.arange(4).reshape(2, 2).mT,
        "z": torch.zeros(0),
    }
    stored.save(tmp_path / "a" / "b.c", record, arrays)
    found = stored.load(tmp_path / "a" / "b.c")
    assert found.record == record
    assert set(found.arrays) == {"x", "y", "z"}
    assert all(torch.equal(found.arrays[k], v) and found.arrays[k].dtype == v.dtype for k, v in arrays.items())
    stored.save(tmp_path / "plain", {"k": 1})
    assert stored.load(tmp_path / "plain") == ({"k": 1}, {})
    assert stored.load(tmp_path / "never") is None
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["b.c.json", "b.c.safetensors", "plain.json"]


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_every_flipped_bit_is_noticed(ending, tmp_path, rng):
    path = tmp_path / "r"
    stored.save(path, {"value": 0.123}, {"x": torch.tensor(rng.standard_normal(4))})
    file = path.with_name(f"r{ending}")
    whole = file.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            file.write_bytes(damaged)
            with pytest.raises(stored.Damaged, match=re.escape(str(file))):
                stored.load(path)
    for n in (0, 1, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:n])
        with pytest.raises(stored.Damaged, match=str(file)):
            stored.load(path)


def test_a_record_is_one_json_value_whose_checksum_anybody_can_check(tmp_path):
    record = {"sha256": "", "text": 'a "sha256": "" within', "value": 1e-9}
    stored.save(tmp_path / "r", record, {"x": torch.ones(2)})
    data = (tmp_path / "r.json").read_bytes()
    whole = json.loads(data)
    assert list(whole) == ["format", "sha256", "arrays_sha256", "record"]
    assert (whole["format"], whole["record"]) == (2, record)
    assert hashlib.sha256(data.replace(whole["sha256"].encode(), b"", 1)).hexdigest() == whole["sha256"]
    assert hashlib.sha256((tmp_path / "r.safetensors").read_bytes()).hexdigest() == whole["arrays_sha256"]
    assert stored.load(tmp_path / "r").record == record


def test_a_record_of_another_version_is_not_called_damaged(tmp_path, monkeypatch, capsys):
    text = json.dumps({"record": {"v": 1}, "arrays_sha256": None}, indent=1)
    first = json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest()})
    (tmp_path / "old.json").write_text(f"{first}\n{text}\n")
    with pytest.raises(stored.OtherFormat, match=r"old.json was .* \(format 1, this one reads 2\).* with --out"):
        stored.load(tmp_path / "old")
    with monkeypatch.context() as patch:
        patch.setattr(stored, "FORMAT", 3)
        stored.save(tmp_path / "new", {"v": 1})
    with pytest.raises(stored.OtherFormat, match=r"\(format 3, this one reads 2\)"):
        stored.load(tmp_path / "new")
    # What is kept beside runs can be had again.
    found = stored.made_once(tmp_path / "old", {}, lambda: stored.Stored({"v": 2}, {}))
    assert found.record["v"] == stored.load(tmp_path / "old").record["v"] == 2
    assert "old.json was kept by another version. It is made again." in capsys.readouterr().err


def test_a_record_without_its_arrays_is_damaged(tmp_path):
    stored.save(tmp_path / "r", {}, {"x": torch.ones(2)})
    (tmp_path / "r.safetensors").unlink()
    with pytest.raises(stored.Damaged, match=r"r.safetensors is missing"):
        stored.load(tmp_path / "r")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_record_that_is_refused_leaves_what_was_there(bad, tmp_path):
    stored.save(tmp_path / "r", {"v": 1}, {"x": torch.ones(2)})
    with pytest.raises(ValueError, match="JSON compliant"):
        stored.save(tmp_path / "r", {"v": bad}, {"x": torch.zeros(2)})
    found = stored.load(tmp_path / "r")
    assert found.record == {"v": 1}
    assert found.arrays["x"].tolist() == [1, 1]


def test_arrays_are_as_readable_as_their_record(tmp_path):
    """A cache may be shared: a record that others may read and arrays that they may not is no use to them."""
    stored.save(tmp_path / "r", {}, {"x": torch.ones(2)})
    modes = {(tmp_path / f"r.{ending}").stat().st_mode & 0o777 for ending in ("json", "safetensors")}
    umask = os.umask(0)
    os.umask(umask)
    assert modes == {0o666 & ~umask}


def test_killed_between_arrays_and_record_nothing_is_there(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    write = stored.write_whole
    with monkeypatch.context() as patch:
        patch.setattr(
            stored, "write_whole", lambda path, data: killed() if isinstance(data, str) else write(path, data)
        )
        with pytest.raises(KeyboardInterrupt):
            stored.save(tmp_path / "r", {}, {"x": torch.ones(2)})
    assert stored.load(tmp_path / "r") is None
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            stored.save(tmp_path / "s", {}, {"x": torch.ones(2)})
    assert [p.name for p in tmp_path.iterdir()] == ["r.safetensors"]  # and no half file is left


def test_made_once_and_again_where_damaged_or_of_another_recipe(tmp_path, capsys):
    calls = []

    def make():
        calls.append(1)
        return stored.Stored({"n": len(calls)}, {"x": torch.full((3,), float(len(calls)))})

    def made(recipe):
        return stored.made_once(tmp_path / "deep" / "r", recipe, make)

    first = made({"a": (1, 2)})
    assert first.arrays["x"].tolist() == [1, 1, 1]
    again = made({"a": (1, 2)})  # the tuple is a list on disk
    assert (again.record, again.arrays["x"].tolist()) == ({"recipe": {"a": [1, 2]}, "n": 1}, [1, 1, 1])
    assert capsys.readouterr().err == ""
    (tmp_path / "deep" / "r.safetensors").write_bytes(b"x")
    assert made({"a": (1, 2)}).arrays["x"].tolist() == [2, 2, 2]
    message = capsys.readouterr().err
    assert str(tmp_path / "deep" / "r.safetensors") in message
    assert "made again" in message
    assert made({"a": (1, 3)}).record["n"] == 3
    assert made({"a": (1, 3)}).arrays["x"].tolist() == [3, 3, 3]
    assert len(calls) == 3


def test_what_fails_to_be_made_is_not_kept(tmp_path):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stored.made_once(tmp_path / "r", {}, fail)
    assert stored.made_once(tmp_path / "r", {}, lambda: stored.Stored({"n": 1}, {})).record["n"] == 1


def test_many_who_want_the_same_make_it_once(tmp_path):
    calls, found = [], []

    def make():
        calls.append(threading.get_ident())
        return stored.Stored({"by": len(calls)}, {})

    threads = [
        threading.Thread(target=lambda: found.append(stored.made_once(tmp_path / "r", {}, make))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert [f.record["by"] for f in found] == [1] * 8


def test_fingerprint_changes_with_anything():
    recipes = [{}, {"a": 1}, {"a": 2}, {"a": "1"}, {"b": 1}, {"a": {"b": 1}}, {"a": [1]}, {"a": 1.5}, {"a": None}]
    assert len({fingerprint(r) for r in recipes}) == len(recipes)
    assert fingerprint({"a": 1, "b": (2,)}) == fingerprint({"b": [2], "a": 1})
    assert {len(fingerprint(r)) for r in recipes} == {12}


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path):
    file = stored.lock_file(tmp_path / "run")
    with stored.locked(tmp_path / "run", owner="of group 7"):
        with (
            pytest.raises(stored.Busy, match=f"^process {os.getpid()} on .* of group 7$"),
            stored.locked(tmp_path / "run", wait=False),
        ):
            pass
        with stored.locked(tmp_path / "other", wait=False):
            pass
    with stored.locked(tmp_path / "run", wait=False):
        assert file.read_text().startswith(f"process {os.getpid()} on ")
        assert "group" not in file.read_text()
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); f.write('somebody'); f.flush(); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(stored.Busy, match=r"^somebody$"), stored.locked(tmp_path / "run", wait=False):
            pass
        other.kill()
    with stored.locked(tmp_path / "run", wait=False):
        pass


def test_an_error_within_a_lock_passes_and_frees_it(tmp_path):
    with pytest.raises(BlockingIOError), stored.locked(tmp_path / "run"):
        raise BlockingIOError
    with stored.locked(tmp_path / "run", wait=False):
        pass


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def read_only(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(
        OSError, match=r"cannot be written \(Read-only file system\); name another folder with --out"
    ) as caught:
        stored.check_room(tmp_path / "out", 0)
    assert str(tmp_path / "out") in str(caught.value)


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "out").write_text("")
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(OSError, match="cannot be written"):
            stored.check_room(folder, 0)


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(stored.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=1_500_000_000))
    stored.check_room(tmp_path / "new", 1_500_000_000)
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(OSError, match=r"has 1.50 GB free and this run may need 1.60 GB"):
        stored.check_room(tmp_path / "new", 1_600_000_000)
