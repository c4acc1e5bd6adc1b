"""Whatever is wrong with a command, the error is one line and status 2."""

import errno
import re
import subprocess
import sys
from collections import namedtuple

import pytest
import torch

from repgeom_examples.distillation import cli, stored
from repgeom_examples.distillation.running import run

from ..small_runs import N_CELLS, arguments, assert_same, contents, one_line

ERRORS = {
    "objective": ("--objectives cosine nonsense", "unknown objective 'nonsense'; there are cosine, mse, centered-cosine"),
    "half a sum": ("--objectives cosine+", "objective 'cosine+' lacks a term; there are cosine, mse"),
    "no epochs": ("--objectives cosine@epochs=0", "objective 'cosine@epochs=0': epochs must be at least 1, got 0"),
    "architecture": ("--architectures nonsense", "'nonsense'; there are"),
    "teacher": ("--teacher nonsense", "unknown teacher 'nonsense'; there are clip, dinov2"),
    "data": ("--data nonsense", "unknown data 'nonsense'; there are cifar10, cifar100"),
    "no module": ("--teacher nowhere.at.all:make", "teacher 'nowhere.at.all:make' cannot be found: No module named"),
    "no function": ("--teacher planted_teachers:nothing", "'planted_teachers:nothing' cannot be found"),
    "not a teacher": ("--teacher planted_teachers:other", "must return a Teacher, it returned Tensor"),
    "a teacher of another width": ("--teacher planted_teachers:narrow", "must give features of shape (64, 24), as its width says; it gave (64, 1)"),
    "a teacher of one number": ("--teacher planted_teachers:single", "have one direction, so there is nothing to copy. It gives 1 feature;"),
    "an infinite teacher": ("--teacher planted_teachers:infinite", "values that are not finite"),
    "no path for CIFAR": ("--data cifar10", "cifar10 needs --data-path"),
    "no CIFAR": ("--data cifar10 --data-path {here}/none", "no cifar10 at {here}/none: looked for"),
    "path for digits": ("--data-path {here}", "digits"),
    "path for a teacher trained here": ("--teacher tiny-clip --teacher-path {here}", "tiny-clip has no path"),
    "checkpoint without weights": ("--teacher clip --teacher-path {here}", "{here} is not a checkpoint: it has no config.json"),
    "no checkpoint": ("--teacher clip --teacher-path {here}/none", "{here}/none is no folder"),
    "batch": ("--batch-size 71", "70 images to train on, fewer than one batch of 71"),
    "rate": ("--learning-rate -1", "learning rate"),
    "temperature": ("--infonce-temperature 0", "temperature"),
    "device": ("--device nonsense", "nonsense"),
    "one image": ("--n-test 1", "measure on"),
    "not on the hub": ("--teacher clip --teacher-path nobody/nothing", "download it elsewhere"),
}  # fmt: skip


@pytest.mark.parametrize("which", ERRORS)
def test_an_error_is_one_line_and_status_2(which, planted, tmp_path, capsys):
    line, message = (text.replace("{here}", str(tmp_path)) for text in ERRORS[which])
    assert cli.main(arguments(tmp_path / "out" / "small", *line.split())) == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.glob("out/small/cells/*.json"))


def test_a_corrected_command_goes_on_in_the_same_folder(planted, tmp_path, capsys):
    out = tmp_path / "small"
    assert cli.main(arguments(out, "--data-path", "nowhere")) == 2
    assert (out / "run.json").exists()  # for `status`
    assert cli.main(["status", str(out)]) == 0
    assert f"0 of {N_CELLS} cells done" in capsys.readouterr().out
    assert cli.main(arguments(out)) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_there_is_named(device, planted, tmp_path, capsys):
    assert cli.main(arguments(tmp_path / "small", "--device", device)) == 2
    assert "GPU" in one_line(capsys)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--teacher clip", "preset packaged has several settings: give both --teacher and --data"),
        ("--data digits", "preset packaged has several settings: give both --teacher and --data"),
        ("--teacher-path x", "preset packaged has several settings: give both --teacher and --data"),
        ("--objectives cosin", "unknown objective 'cosin'"),
    ],
)
def test_half_a_setting_is_an_error(line, message, tmp_path, capsys):
    assert cli.main(["run", "--out", str(tmp_path / "x"), "--cache", str(tmp_path), *line.split()]) == 2
    assert message in one_line(capsys)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("line", ["--widths 0", "--epochs 0", "--preset none", "--seeds one", "--student-input big"])
def test_what_the_parser_refuses(line, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", *line.split()])
    assert caught.value.code == 2
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "status"])
def test_a_file_in_place_of_a_folder_is_named(command, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main([command, str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'} is a file; name the run's folder" in one_line(capsys)


@pytest.mark.parametrize("command", ["report", "status"])
def test_a_folder_without_a_run_is_named(command, tmp_path, capsys):
    assert cli.main([command, str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none'} holds no run" in one_line(capsys)
    assert not (tmp_path / "none").exists()


def test_a_teacher_that_needs_files_is_not_measured(tmp_path, capsys):
    assert cli.main(["teacher", "clip", "--cache", str(tmp_path)]) == 2
    assert "clip is none of the teachers that need no files; there are efficientnet-lite0, " in one_line(capsys)


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_runs(planted, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(run, "prepare", None)
    assert cli.main(arguments(tmp_path / "file" / "small")) == 2
    assert f"{tmp_path}/file/small cannot be written (Not a directory); name another folder" in one_line(capsys)

    def refused(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(stored.tempfile, "TemporaryFile", refused)
    assert cli.main(arguments(tmp_path / "small")) == 2
    assert "cannot be written (Read-only file system)" in one_line(capsys)


def test_a_report_that_cannot_be_written_is_one_line_with_its_option(whole, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["report", str(whole), "--to", str(tmp_path / "file" / "here")]) == 2
    assert f"{tmp_path}/file/here cannot be written (Not a directory); name another folder with --to." in one_line(
        capsys
    )


@pytest.mark.parametrize("command", ["report", "status"])
def test_damaged_settings_say_what_writes_them_again(command, copied, capsys):
    (copied / "run.json").write_text("{")
    assert cli.main([command, str(copied)]) == 2
    assert "run.json is damaged" in (said := one_line(capsys))
    assert "The command that began the run writes it again." in said


def test_a_full_disk_is_an_error_before_anything_runs(planted, tmp_path, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(stored.shutil, "disk_usage", lambda folder: usage(10**12, 10**12, 10**6))
    monkeypatch.setattr(run, "prepare", None)
    assert cli.main(arguments(tmp_path / "small")) == 2
    assert re.search(r"has 0\.00 GB free and this run may need \d+\.\d\d GB there", one_line(capsys))


def test_a_disk_that_fills_up_costs_one_cell(planted, whole, tmp_path, monkeypatch, capsys):
    out, write = tmp_path / "small", stored.write_whole

    def full(target, data):
        if "s2" in target.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        write(target, data)

    with monkeypatch.context() as patch:
        patch.setattr(stored, "write_whole", full)
        assert cli.main(arguments(out)) == 2
    assert "No space left on device" in one_line(capsys)
    assert len(contents(out)) == 9
    assert cli.main(arguments(out)) == 0
    assert_same(out, whole)


def test_a_reader_that_has_seen_enough_is_no_error():
    command = [sys.executable, "-m", "repgeom_examples.distillation.cli", "status", "--preset", "paper"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
