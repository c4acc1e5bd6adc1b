"""The work of a command in a process of its own, so that no end of it is taken for a verdict.

Libraries of compiled code end a process where they find no memory or no thread: by `exit(1)`, which is the status of a
reached gate, or by a signal. Only another process can tell these from a status that the command itself returned.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Set

from repgeom.cli.ending import ERROR, INTERRUPTED, stopping_signals
from repgeom.cli.output import say

END_SECONDS = 10.0  # for a process to end after its work; one that hangs in a library's clean-up is killed then


def supervised(work: Callable[[], int]) -> int:
    """Do the work in a child of this process and return its status; 2 where it ended in any other way.

    Args:
        work: returns an exit status and raises nothing. It is called in the child, which also returns from here: the caller
            then ends both processes alike.
    """
    if not hasattr(os, "fork"):
        return work()
    _open_standard_streams()
    parent = os.getpid()
    results, result = os.pipe()
    # A signal that comes before both processes are ready for it waits until they are.
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, stopping_signals())
    try:
        child = os.fork()
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        say(
            f"repgeom: error: no process can be started ({error.strerror}). Raise the limit (ulimit -u) or stop others."
        )
        return ERROR
    if child == 0:
        os.close(results)
        _end_with(parent)
        for number in _heeded():
            signal.signal(number, signal.SIG_DFL)  # ends this process without a traceback; its parent then says why
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        status = work()
        os.write(result, bytes([status]))
        os.close(result)
        return status
    os.close(result)
    return _awaited(child, results, signals)


def _awaited(child: int, results: int, signals: Set[int]) -> int:
    """The status that the child's work returned, once the child has ended. `signals`: those to be blocked meanwhile."""
    asked_to_stop = []

    def forward(number: int, _: object) -> None:
        asked_to_stop.append(number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in _heeded():
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_SETMASK, signals)
    returned = _first_byte(results)
    if returned:
        _end(child)
        status = returned[0]
        if status == INTERRUPTED and not asked_to_stop:
            # OpenBLAS sends its own process the signal of Ctrl-C where it finds no thread.
            say("repgeom: error: nobody interrupted; a library did, most often because no further thread could be started "
                "(ulimit -u, ulimit -v). OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1 need fewer.")  # fmt: skip
            return ERROR
        return status
    _, ended = os.waitpid(child, 0)
    if asked_to_stop:
        say("repgeom: interrupted")
        return INTERRUPTED
    say(f"repgeom: error: {_how_it_ended(ended)}, without a verdict. Most often memory or threads ran out: raise the limits "
        "(ulimit -v, ulimit -u, the container's memory) or set OMP_NUM_THREADS=1.")  # fmt: skip
    return ERROR


def _heeded() -> list[signal.Signals]:
    """The signals that ask a command to stop, but for those that it was started to ignore."""
    return [number for number in stopping_signals() if signal.getsignal(number) != signal.SIG_IGN]


def _first_byte(results: int) -> bytes:
    """Wait for what the child writes; b"" where it ended without.

    A signal ends a wait only if it comes during the wait, and to this thread; else its handler would run after it. So signals
    write to a second pipe, and both pipes are waited for.
    """
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        while results not in select.select([results, woken], [], [])[0]:
            os.read(woken, 64)
        return os.read(results, 1)
    finally:
        signal.set_wakeup_fd(before)
        for end in (woken, wake, results):
            os.close(end)


def _end(child: int) -> None:
    """Wait until the child has ended, and kill it if it does not."""
    until = time.monotonic() + END_SECONDS
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _how_it_ended(ended: int) -> str:
    if os.WIFSIGNALED(ended):
        return f"the audit was ended by {signal.Signals(os.WTERMSIG(ended)).name}"
    return f"a library ended the audit with status {os.WEXITSTATUS(ended)}"


def _open_standard_streams() -> None:
    """Open what the caller closed (`>&-`): the next file would take its number, and get what is meant for the terminal."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _end_with(parent: int) -> None:
    """End this process when its parent ends in any way. Linux only; elsewhere it works to its end."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # it ended in between
            os._exit(ERROR)
