"""The parent's side of the worker: a row is asked for, its numbers come one by one, and a worker that is lost is replaced."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any

from benchmarks.gpu.checkout import ROOT
from benchmarks.gpu.rows import Row

START = 120.0  # seconds in which a worker must have loaded torch and found its device


class Worker:
    """A process that measures rows one after the other.

    Attributes:
        about: the card and the versions, as the process told them.
    """

    def __init__(self, device: str, tiny: bool, variables: dict[str, str]) -> None:
        self._command = [sys.executable, "-u", "-m", "benchmarks.gpu.worker", device, "tiny" if tiny else "full"]
        self._variables = variables
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.about: dict[str, Any] = {}

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def measure(self, row: Row, seconds: float) -> dict[str, Any]:
        """The row's numbers and bars, how it ended, and why if not well."""
        found: dict[str, Any] = {"ended": "stopped", "numbers": {}, "bars": []}
        try:
            if self._process is None:
                self._start()
            assert self._process is not None
            assert self._process.stdin is not None
            asked = {"row": row.name, "function": row.function, "seconds": seconds}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            self._collect(found, time.monotonic() + seconds)
        except TimeoutError:
            found["why"] = f"after {seconds:.0f} s"
            self.stop()
        except (OSError, EOFError) as error:
            found |= {"ended": "failed", "why": f"its process ended: {error!r}"}
            self.stop()
        return found

    def _collect(self, found: dict[str, Any], ends: float) -> None:
        while True:
            line = self._next(ends)
            if "ended" in line:
                found |= line
                return
            found["numbers"][line["name"]] = line["value"]
            for side in ("least", "most"):
                if line[side] is not None:
                    found["bars"].append({"what": line["name"], "value": line["value"], side: line[side]})

    def _next(self, ends: float) -> dict[str, Any]:
        """The next line. Raises TimeoutError, and EOFError where the process has ended."""
        try:
            line = self._lines.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        if line is None:
            raise EOFError(f"status {self._process and self._process.poll()}")
        return json.loads(line)

    def _start(self) -> None:
        # In a session of its own, so that what it starts is stopped with it.
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._variables, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
        self._lines = queue.Queue()
        threading.Thread(target=_forward, args=(self._process, self._lines), daemon=True).start()
        self.about = self._next(time.monotonic() + START)["about"]

    def stop(self) -> None:
        """End the process and all that it started."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        # A process that hangs inside a driver may not end at once; nobody waits for it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        # What was not sent yet cannot be sent any more.
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process = None


def _forward(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)
