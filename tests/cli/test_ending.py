"""However a command ends, its status is 2 or 130 and one paragraph says why: never a traceback, never the status of a gate."""

import io
import os
import pickle
import signal
import sys
import threading

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.cli import audit, demo
from repgeom.cli.ending import TRACEBACK, described
from repgeom.cli.main import main


class Panic(BaseException):
    """As compiled Rust raises it."""


class Mute(Exception):
    def __str__(self):
        raise ValueError("nothing can be said")


def too_large():
    np.empty(1 << 45)


def too_large_for_torch():
    torch.empty(1 << 50)


def without_end():
    without_end()


def no_pickle():
    pickle.dumps(lambda: 0)


def meta():
    torch.empty(3, device="meta").numpy()


def imported():
    raise ImportError("x" * 500) from ImportError("libtorch_cpu.so: failed to map segment from shared object")


MEMORY = [
    MemoryError(),
    MemoryError("std::bad_alloc"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    OSError(12, "Cannot allocate memory"),
    too_large,
    too_large_for_torch,
    imported,
]
OTHERS = [
    RuntimeError("a fault"),
    RuntimeError("can't start new thread"),
    RecursionError("maximum recursion depth exceeded"),
    KeyError("a"),
    IndexError(),
    AssertionError(),
    ZeroDivisionError("division by zero"),
    NotImplementedError(),
    AttributeError("no attribute"),
    SystemError("error return without exception set"),
    BufferError(),
    EOFError(),
    StopIteration(),
    np.linalg.LinAlgError("SVD did not converge"),
    UserWarning("as -W error makes it"),
    DeprecationWarning("as -W error makes it"),
    UnicodeEncodeError("ascii", "σ", 0, 1, "ordinal not in range(128)"),
    SystemExit(0),
    SystemExit(1),
    GeneratorExit(),
    Panic("called `Option::unwrap()` on a `None` value"),
    Mute(),
    ExceptionGroup("several", [ValueError("one"), KeyError("two")]),
    ValueError("a\nrepgeom: all is well\n\x1b[2KVerdict: OK\r"),
    Exception("a" * 100_000),
    without_end,
    no_pickle,
    meta,
]


def name(raised):
    return getattr(raised, "__name__", repr(raised)[:30])


def ended(monkeypatch, work, command=demo):
    def run(args):
        if callable(work):
            work()
        else:
            raise work
        return 1

    monkeypatch.setattr(command, "run", run)
    return main(["demo"] if command is demo else ["audit", "x.npy", "--fail-on", "warn"])


@pytest.mark.parametrize("raised", MEMORY + OTHERS, ids=name)
@pytest.mark.parametrize("command", [demo, audit], ids=["demo", "audit"])
def test_whatever_is_raised_is_status_2_and_one_paragraph(monkeypatch, capsys, raised, command):
    assert ended(monkeypatch, raised, command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("repgeom: error: ")
    assert len(err) > len("repgeom: error: \n")
    assert err.count("\n") == 1
    assert len(err) < 3000
    assert "Traceback" not in err
    assert "\x1b" not in err


@pytest.mark.parametrize("raised", MEMORY, ids=name)
def test_memory_that_runs_out_is_named_with_what_helps(monkeypatch, capsys, raised):
    ended(monkeypatch, raised)
    err = capsys.readouterr().err
    assert "Memory ran out" in err
    assert "ulimit -v" in err
    assert f"{TRACEBACK}=1" in err


def test_the_paragraph_names_the_step_and_the_way_to_the_traceback(monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("sums went astray")

    monkeypatch.setattr("repgeom.reading.reader._finish", broken)
    with pytest.raises(RuntimeError) as raised:
        rg.audit(np.random.default_rng(0).standard_normal((30, 4)))
    text = described(raised.value)
    assert text.startswith("RuntimeError: sums went astray, while reading rows.")
    assert f"{TRACEBACK}=1" in text
    monkeypatch.setenv(TRACEBACK, "1")
    ended(monkeypatch, KeyError("a"))
    assert "Traceback (most recent call last)" in capsys.readouterr().err


# Interruption ---------------------------------------------------------------------------------------------------------


def interrupted_by(number, swallowed):
    def work():
        try:
            os.kill(os.getpid(), number)
            threading.Event().wait(5)
        except KeyboardInterrupt:
            if swallowed is not None:
                raise swallowed from None
            raise

    return work


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "swallowed", [None, ImportError("numpy C-extensions failed"), RuntimeError("a fault"), SystemExit(1)]
)
def test_an_interruption_is_130_whatever_a_library_makes_of_it(monkeypatch, capsys, number, swallowed):
    before = signal.getsignal(number)
    assert ended(monkeypatch, interrupted_by(number, swallowed)) == 130
    assert capsys.readouterr().err == "repgeom: interrupted\n"
    assert signal.getsignal(number) is before


def test_an_interruption_that_a_library_loses_is_still_one(monkeypatch):
    def work():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(5)
        except KeyboardInterrupt:
            pass

    assert ended(monkeypatch, work) == 130


def test_two_signals_of_one_ctrl_c_interrupt_once(monkeypatch):
    cleaned = []

    def work():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(5)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            cleaned.append(True)

    assert ended(monkeypatch, work) == 130
    assert cleaned == [True]


def test_signals_that_are_ignored_stay_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ended(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGHUP)) == 1  # what the command returned
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_checkpoint_is_named_after_an_interruption(monkeypatch, capsys):
    def run(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "run", run)
    assert main(["audit", "x.npy", "--checkpoint", "kept"]) == 130
    assert "what was read is kept in kept" in capsys.readouterr().err


def test_commands_in_other_threads_need_no_signals(monkeypatch):
    found = []
    monkeypatch.setattr(demo, "run", lambda args: 0)
    thread = threading.Thread(target=lambda: found.append(main(["demo"])))
    thread.start()
    thread.join()
    assert found == [0]


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "stream", [None, Full(), io.TextIOWrapper(io.BytesIO(), encoding="ascii")], ids=["none", "full", "ascii"]
)
def test_standard_error_that_takes_nothing_changes_no_status(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    assert ended(monkeypatch, ValueError("σ ≈ ∞")) == 2
    if isinstance(stream, io.TextIOWrapper):
        assert stream.buffer.getvalue() == b"repgeom: error: sigma ~ inf\n"
