"""How a command ends when it does not end well: what failed, in which step, what helps, and the exit status."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from types import FrameType

ERROR = 2  # the status that argparse uses too
INTERRUPTED = 130  # what a shell reports of a process that Ctrl-C ended: 128 + SIGINT

TRACEBACK = "REPGEOM_TRACEBACK"  # the environment variable that adds the traceback

# Errors whose text is made for the user.
_EXPECTED = (ValueError, TypeError, OSError, ImportError)

_MEMORY_WORDS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "unable to allocate",
    "bad_alloc",
    "failed to map segment",
)
_MEMORY_HELP = (
    "Memory ran out. Raise its limit (ulimit -v, or that of the container), audit fewer files at once, or keep the rows as "
    ".npy shards, which are read piece by piece."
)
_THREAD_HELP = "No further thread could be started. Raise the limit (ulimit -u), or set OMP_NUM_THREADS=1."
_LOST_HELP = "Another process of the group was lost, or has said nothing for too long. Start all of them again."
_WARNING_HELP = "A warning was made an error by Python's option -W or PYTHONWARNINGS; without it the command goes on."

# What each room of the package does, in words of someone who waits for an audit.
_STEPS = {
    "cli": "starting",
    "data": "opening files",
    "reading": "reading rows",
    "spectral": "adding up and decomposing the spectrum",
    "measures": "computing measures",
    "inference": "computing intervals",
    "probes": "comparing neighbours and labels",
    "robustness": "measuring drift",
    "auditing": "judging",
    "presenting": "making the report",
    "demo": "training the demo's encoders",
}


def described(error: BaseException) -> str:
    """One paragraph on an error, without line breaks.

    >>> described(ValueError("x.npy has 1 row.\\nIt needs 2."))
    'x.npy has 1 row. It needs 2.'
    """
    with_help = _help(error)
    text = _text(error)
    if isinstance(error, _EXPECTED) and not with_help:
        return text or type(error).__name__
    name = type(error).__name__
    if with_help == _LOST_HELP:
        text = text.split(". ")[0]  # what follows speaks to those who know gloo
    text = text.rstrip(".")
    what = f"{name}: {text}" if text else name
    helps = with_help or "This should not happen: please report it."
    return f"{what}, while {step_of(error)}. {helps} {TRACEBACK}=1 in the environment shows the traceback."


def _text(error: BaseException) -> str:
    """What an error says, on one line."""
    # The long errors of compiled libraries end in their own call stack.
    text = " ".join(str(error).split("Exception raised from")[0].split())
    first = _chain(error)[-1]
    if isinstance(error, ImportError) and first is not error and len(text) > 400:
        # A page of advice on installing stands above what happened.
        return _text(first)
    if len(text) > 2000:
        text = text[:2000] + " ..."
    return text


def step_of(error: BaseException) -> str:
    """What the package was doing when an error was raised."""
    step = "starting"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        room = _room(frame)
        if room and frame.f_code.co_name == "<module>":
            return "loading its packages"
        if room in _STEPS:
            step = _STEPS[room]
    return step


def traceback_of(error: BaseException) -> str:
    """The traceback, if the environment asks for it; else ""."""
    if not os.environ.get(TRACEBACK):
        return ""
    return "".join(traceback.format_exception(error))


def _room(frame: FrameType) -> str:
    parts = str(frame.f_globals.get("__name__", "")).split(".")
    # What is exchanged between processes belongs to the step that exchanges it.
    if parts[0] != "repgeom" or len(parts) < 2 or parts[1:] == ["data", "processes"]:
        return ""
    return parts[1]


def _help(error: BaseException) -> str:
    """What helps against kinds of errors that have a remedy; "" for others."""
    chain = _chain(error)
    words = " ".join(str(one).lower() for one in chain)
    numbers = {one.errno for one in chain if isinstance(one, OSError)}
    if any(isinstance(one, MemoryError) for one in chain) or errno.ENOMEM in numbers:
        return _MEMORY_HELP
    if any(word in words for word in _MEMORY_WORDS):
        return _MEMORY_HELP
    if "start new thread" in words or "thread creation failed" in words:
        return _THREAD_HELP
    if isinstance(error, Warning):
        return _WARNING_HELP
    if isinstance(error, RuntimeError) and _raised_in(error).startswith("torch.distributed"):
        return _LOST_HELP
    return ""


def _chain(error: BaseException) -> list[BaseException]:
    """The error and those that led to it."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found and len(found) < 20:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


def _raised_in(error: BaseException) -> str:
    name = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name = str(frame.f_globals.get("__name__", ""))
    return name


# Interruption -------------------------------------------------------------------------------------------------------


class Interruption:
    """Whether someone asked the command to stop. Libraries turn KeyboardInterrupt into errors of their own."""

    came = False
    _last = -1e9

    def stop(self, *_: object) -> None:
        """Raise KeyboardInterrupt; for signals. A terminal and whoever forwards its signals send two for one Ctrl-C."""
        twice = time.monotonic() - self._last < 0.5
        self.came, self._last = True, time.monotonic()
        if not twice:
            raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let Ctrl-C, SIGTERM and a terminal that closes end the command in the same way: nothing half written stays."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield interruption
        return
    before = {}
    for number in stopping_signals():
        before[number] = signal.getsignal(number)
        if before[number] != signal.SIG_IGN:  # as `nohup` asks
            signal.signal(number, interruption.stop)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopping_signals() -> list[signal.Signals]:
    """The signals that ask a command to stop, as far as the system has them."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]
