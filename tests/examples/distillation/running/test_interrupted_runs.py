"""Runs that are killed, damaged or shared end as one that was not."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

from repgeom_examples.distillation import cli, stored
from repgeom_examples.distillation.running import sharing
from repgeom_examples.distillation.students import objectives, terms

from ..small_runs import N_CELLS, arguments, assert_same, contents, elsewhere, flip, one_line


@contextlib.contextmanager
def started(planted, *args):
    """The command line in another process on one thread; killed at the end."""
    env = elsewhere(planted)
    command = [sys.executable, "-m", "repgeom_examples.distillation.cli", *args]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_cells(process, out, more_than):
    """Until there are that many cells and the process is stopped."""
    end = time.monotonic() + 250
    while len(list((out / "cells").glob("*.json"))) <= more_than:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGSTOP)
    assert len(list((out / "cells").glob("*.json"))) < N_CELLS


def test_killed_again_and_again_a_run_ends_as_one_that_was_not(planted, whole, tmp_path, capsys):
    out, n_done = tmp_path / "killed" / "small", 0
    for _ in range(2):
        with started(planted, *arguments(out)) as process:
            wait_for_cells(process, out, n_done)
            if n_done == 0:  # while it holds the folder, another run is refused
                assert cli.main(arguments(out)) == 2
                assert f"{out} is in use by process {process.pid} on " in one_line(capsys)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        n_done = len(list((out / "cells").glob("*.json")))
    assert 2 <= n_done < N_CELLS
    assert cli.main(["status", str(out)]) == 0
    assert f"{n_done} of {N_CELLS} cells done, 0 failed, {N_CELLS - n_done} remain" in capsys.readouterr().out
    assert cli.main(arguments(out)) == 0
    assert_same(out, whole)


def test_what_a_kill_leaves_half_written_is_not_taken_for_a_result(copied, whole):
    cells = copied / "cells"
    names = sorted(p.name.removesuffix(".json") for p in cells.glob("*.json"))
    (cells / f"{names[0]}.json").unlink()  # arrays without a record
    (cells / f"{names[1]}.json").unlink()
    (cells / f"{names[1]}.safetensors").write_bytes(b"half")
    (cells / f".{names[2]}.json.a1b2").write_text("half")  # a temporary file
    assert cli.main(arguments(copied)) == 0
    assert_same(copied, whole)


def test_an_interrupted_run_says_that_it_goes_on(planted, whole, tmp_path, monkeypatch, capsys):
    out, count = tmp_path / "small", []

    def interrupt(batch):
        count.append(1)
        if len(count) == 6:
            raise KeyboardInterrupt
        return terms.cosine(batch)

    with monkeypatch.context() as patch:
        patch.setitem(objectives.TERMS, "cosine", interrupt)
        assert cli.main(arguments(out)) == 130
    assert "interrupted; the same command goes on from here" in capsys.readouterr().err
    assert 1 < len(contents(out)) < N_CELLS
    assert cli.main(arguments(out)) == 0
    assert_same(out, whole)


def test_damaged_results_are_named_and_made_again(copied, whole, capsys):
    cells = copied / "cells"
    names = sorted(p.name.removesuffix(".json") for p in cells.glob("*.json"))
    flip(cells / f"{names[0]}.json")
    flip(cells / f"{names[1]}.safetensors", 0.9)
    (cells / f"{names[2]}.safetensors").unlink()
    (cells / f"{names[3]}.json").write_bytes((cells / f"{names[3]}.json").read_bytes()[:-200])
    (cells / f"{names[4]}.json").write_bytes(b"")
    (cells / f"{names[5]}.json").write_bytes(b"\xff\xfe" * 50)
    flip(cells / f"{names[6]}.safetensors", 0.01)
    bad = [f"{names[i]}.{'safetensors' if i in (1, 2, 6) else 'json'}" for i in range(7)]
    assert cli.main(["status", str(copied)]) == 0
    out, err = capsys.readouterr()
    assert f"{N_CELLS - 7} of {N_CELLS} cells done, 0 failed, 7 remain" in out
    assert [name for name in bad if f"/{name} is " not in err] == []
    assert err.count("It is left out here; the command that began the run makes it again.") == 7
    assert cli.main(arguments(copied)) == 0
    err = capsys.readouterr().err
    # Each once.
    named = [len(re.findall(f"/{re.escape(name)} is (?:damaged|missing).* It is made again", err)) for name in bad]
    assert named == 7 * [1]
    assert_same(copied, whole)
    assert cli.main(arguments(copied)) == 0
    assert capsys.readouterr().err == ""


def test_damaged_features_are_named_and_made_again(copied, whole, capsys):
    (copied / "cells" / "make-digits--cnn-w1-cosine-s1.json").unlink()
    files = sorted((copied.parent / "cache" / "features").glob("*.safetensors"))
    assert len(files) == 4  # test, train, and train cropped for each of two epochs
    for file in files:
        flip(file, 0.7)
    assert cli.main(arguments(copied)) == 0
    err = capsys.readouterr().err
    assert all(f"{file} is damaged" in err for file in files)
    assert err.count("It is made again.") == 4
    assert_same(copied, whole)


def test_damaged_settings_do_not_let_two_runs_mix(copied, whole, capsys):
    flip(copied / "run.json")
    assert cli.main(arguments(copied)) == 0
    assert "run.json is damaged" in capsys.readouterr().err
    assert_same(copied, whole)
    flip(copied / "run.json")
    code = cli.main(arguments(copied, "--learning-rate", 0.01))
    if code == 0:  # then nothing of the other settings may be left
        record = contents(copied)["make-digits--cnn-w1-cosine-s1"][0]
        assert record["losses"] != contents(whole)["make-digits--cnn-w1-cosine-s1"][0]["losses"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (["--epochs", 3], "training.epochs: 2 there, 3 now"),
        (["--seeds", 1, 4], "seeds[1]: 2 there, 4 now"),
        (["--seeds", 1], "seeds: [1, 2] there, [1] now"),
        (["--more-seeds"], "more_seeds: [3] there, [] now"),
        (["--variants"], "settings[0].variants: ['cosine+infonce@temperature=0.05'] there, [] now"),
        (["--n-train", 64], "settings[0].n_train: 70 there, 64 now"),
        (["--no-augmented"], "settings[0].augmented: True there, False now"),
        (["--student-input", "native"], "settings[0].student_input: 'teacher' there, 'native' now"),
    ],
    ids=str,
)
def test_a_folder_with_other_settings_is_refused(whole, other, said, capsys):
    assert cli.main(arguments(whole, *other)) == 2
    assert f"{whole} holds a run with other settings ({said}); name another folder" in one_line(capsys)


def test_results_of_another_version_are_neither_read_nor_written_over(copied, capsys):
    file = copied / "cells" / "make-digits--teacher.json"
    old = '{"sha256": "0"}\n' + file.read_text()
    file.write_text(old)
    for command in (arguments(copied), ["status", str(copied)], ["report", str(copied)]):
        assert cli.main(command) == 2
        assert f"{file} was written by another version of repgeom (format 1, this one reads 2)" in one_line(capsys)
    assert file.read_text() == old


def test_a_run_whose_folder_got_another_name_goes_on(copied, whole):
    moved = copied.rename(copied.with_name("renamed"))
    (moved / "cells" / "make-digits--cnn-w1-cosine-s1.json").unlink()
    assert cli.main(arguments(moved)) == 0
    assert_same(moved, whole)


def test_threads_are_those_of_the_beginning(copied, whole):
    before = torch.get_num_threads()
    (copied / "cells" / "make-digits--cnn-w2-cosine+infonce-s1.json").unlink()
    try:
        torch.set_num_threads(2)
        assert cli.main(arguments(copied)) == 0
        assert torch.get_num_threads() == stored.load(whole / "run").record["machine"]["threads"] == before
    finally:
        torch.set_num_threads(before)
    assert_same(copied, whole)


def test_two_processes_under_torchrun_share_the_cells(planted, whole, tmp_path):
    out, meeting = tmp_path / "shared" / "small", tmp_path / "meeting"
    meeting.mkdir()
    env = {**elsewhere(planted), "MEETING": str(meeting)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["repgeom_examples.distillation.cli", *arguments(out, teacher="together")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Claims of arXiv 2603.06698") == 1
    written = {p.name: p.read_text().split() for p in meeting.glob("saves-*")}
    cells = [name for names in written.values() for name in names if "--" in name]
    assert len(cells) == len(set(cells)) == N_CELLS
    assert len(written) == 2
    assert all(written.values())
    for name, (record, arrays) in contents(whole).items():
        there, others = stored.load(out / "cells" / name.replace("make", "together"))
        for which in (there, record):
            which.pop("seconds", None), which.pop("cell"), which.pop("config"), which["setting"].pop("name")
        assert there == record
        assert all(torch.equal(others[key], value) for key, value in arrays.items())


def test_a_process_of_another_group_is_refused(copied, monkeypatch, capsys):
    monkeypatch.setattr(sharing, "PATIENCE", 0.2)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_PORT", "12345")
    with stored.locked(copied / "run", owner="(group other)"):
        assert cli.main(arguments(copied)) == 2
    assert f"in use by process {os.getpid()} on " in one_line(capsys)


def test_a_process_that_joins_survives_damaged_settings(copied, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    flip(copied / "run.json")
    with stored.locked(copied / "run", owner=sharing._group()[0]):
        assert cli.main(arguments(copied)) == 0, capsys.readouterr().err
