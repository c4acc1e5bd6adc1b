"""Does a library survive a file? Some crash or never return where a file is damaged: a forked process finds out."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable

MOST_SECONDS = 3  # of the processor; to list 10,000 arrays takes a tenth of one


def check_survival(work: Callable[[], object], library: str) -> None:
    """Do the work in a copy of this process first. Raises ValueError where the copy crashed or did not return.

    What the work raises is not looked at: it will be raised again here. Without `fork`, as on Windows, nothing is done.
    """
    if not hasattr(os, "fork"):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking beside threads, which the copy does not use
        child = os.fork()
    if child == 0:
        _work_and_leave(work)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise ValueError(f"{library} crashes on it or does not return (signal {os.WTERMSIG(status)})")


def _work_and_leave(work: Callable[[], object]) -> None:
    """In the copy: nothing of the process it was copied from may run afterwards, neither handlers nor buffers."""
    import faulthandler
    import resource

    try:
        faulthandler.disable()  # a crash is looked for here, and no news
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Also where it waits without working.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20 * MOST_SECONDS)
        work()
    finally:
        os._exit(0)
