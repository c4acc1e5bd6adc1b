"""A group is joined where torchrun or --distributed says so, nobody is waited for without end, and who is lost is said."""

import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from repgeom.cli.ending import described
from repgeom.cli.joining import Place, is_first_process, joined_processes, place_in_group
from repgeom.cli.main import main

GROUP = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
TORCHRUN = {**GROUP, "TORCHELASTIC_RUN_ID": "none"}
SCHEDULER = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "OMPI_COMM_WORLD_RANK": "1", "PMI_RANK": "1", "LOCAL_RANK": "1"}

AMBIENT = [
    {},
    {"RANK": "1"},
    {"RANK": "junk"},
    {"WORLD_SIZE": "2"},
    {"WORLD_SIZE": ""},
    {"WORLD_SIZE": "many", "RANK": "-1"},
    {"RANK": "1", "WORLD_SIZE": "2"},
    GROUP,
    SCHEDULER,
    {**SCHEDULER, **GROUP},
    {"TORCHELASTIC_RUN_ID": "none", "RANK": "1"},
    {**TORCHRUN, "MASTER_PORT": ""},
    {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"},
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (*TORCHRUN, *SCHEDULER):
        monkeypatch.delenv(name, raising=False)
    np.save("x.npy", np.random.default_rng(0).standard_normal((60, 5)))
    return tmp_path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


@pytest.mark.parametrize("ambient", AMBIENT, ids=lambda a: " ".join(f"{k}={v}" for k, v in a.items()) or "none")
def test_ambient_variables_make_no_group(here, monkeypatch, capsys, ambient):
    for name, value in ambient.items():
        monkeypatch.setenv(name, value)
    assert main(["audit", "x.npy", "--json", "r.json"]) == 0
    out, err = capsys.readouterr()
    assert "60 samples × 5 features" in out
    assert err == ""
    assert json.loads((here / "r.json").read_text())["n_samples"] == 60
    assert main(["audit", "nowhere.npy"]) == 2
    assert "nowhere.npy" in capsys.readouterr().err


def test_under_torchrun_or_asked_for_the_place_is_that_of_the_environment():
    place = Place(1, 2, "127.0.0.1:29511")
    assert place_in_group(TORCHRUN, asked=False) == place
    assert place_in_group(TORCHRUN, asked=True) == place
    assert place_in_group(GROUP, asked=True) == place
    assert place_in_group(GROUP, asked=False) == Place()


@pytest.mark.parametrize(
    "missing", [("RANK",), ("WORLD_SIZE",), ("MASTER_ADDR",), ("MASTER_PORT",), ("RANK", "MASTER_PORT")]
)
def test_what_distributed_misses_is_named(here, monkeypatch, capsys, missing):
    for name, value in GROUP.items():
        if name not in missing:
            monkeypatch.setenv(name, value)
    assert main(["audit", "x.npy", "--distributed"]) == 2
    err = capsys.readouterr().err
    assert f"{' and '.join(missing)} not set" in err
    assert "torchrun" in err


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RANK", "2", "RANK=2 and WORLD_SIZE=2"),
        ("RANK", "-1", "RANK='-1' is no whole number"),
        ("WORLD_SIZE", "0", "WORLD_SIZE=0"),
        ("WORLD_SIZE", "two", "WORLD_SIZE='two' is no whole number"),
        ("MASTER_PORT", "port", "MASTER_PORT='port' is no whole number"),
    ],
)
def test_what_makes_no_group_is_named(here, monkeypatch, capsys, name, value, words):
    for variable, text in {**GROUP, name: value}.items():
        monkeypatch.setenv(variable, text)
    assert main(["audit", "x.npy", "--distributed"]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("asked", [True, False], ids=["--distributed", "torchrun"])
def test_processes_that_do_not_come_are_waited_for_as_long_as_was_said(here, monkeypatch, capsys, asked):
    for name, value in {**(GROUP if asked else TORCHRUN), "MASTER_PORT": free_port()}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TimeoutError) as raised, joined_processes(asked, wait_seconds=1.5):
        pytest.fail("there is nobody to join")
    assert "gave up after 1.5 seconds of waiting for 2 processes at 127.0.0.1:" in str(raised.value)
    assert "TORCHELASTIC_RUN_ID unset" in str(raised.value)
    assert "waiting for 2 processes at 127.0.0.1:" in capsys.readouterr().err
    assert "\n" not in described(raised.value)
    assert is_first_process()  # it has joined nobody, so its errors are its own to print


# Two processes: each joins, exchanges once, and then the second one is lost.
LOST = """
import os, signal, sys
from repgeom.cli.ending import described
from repgeom.cli.joining import is_first_process, joined_processes
from repgeom.data.processes import Processes

try:
    with joined_processes(True, wait_seconds=60, lost_seconds=2):
        processes = Processes(True)
        assert processes.everyone(processes.rank) == [0, 1]
        assert is_first_process() == (processes.rank == 0)
        if processes.rank == 1:
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        processes.agreed(lambda: 1)
except RuntimeError as error:
    print(described(error), flush=True)
    os._exit(2)
"""


@pytest.mark.parametrize("number", ["SIGKILL", "SIGSTOP"])
def test_a_process_that_is_lost_ends_the_others(number):
    env = os.environ | GROUP | {"MASTER_PORT": free_port(), "TORCH_CPP_LOG_LEVEL": "FATAL"}
    command = [sys.executable, "-c", LOST, number]
    second = subprocess.Popen(command, env=env | {"RANK": "1"})
    try:
        first = subprocess.run(command, env=env | {"RANK": "0"}, capture_output=True, text=True, timeout=280)
    finally:
        second.send_signal(signal.SIGKILL)
        second.wait()
    assert first.returncode == 2, first.stderr
    assert first.stdout.count("\n") == 1
    assert "Another process of the group was lost" in first.stdout
    assert "while " in first.stdout
    assert "Traceback" not in first.stderr
