"""Gives damaged files of every kind to the readers and counts how reading ends.

    python -m tests.fuzz [--minutes 10 | --cases 100000] [--seed 0] [--first 0] [--case 4711]

Each case is fixed by seed and number, so that it can be run again alone. Good ends are a report and a refusal (ValueError,
TypeError, OSError, ImportError). Bad ones are a traceback of another kind, a signal, more than 10 seconds, and more memory
than 1 GB or 4 times the file. Exit status 1 where one was bad; each is printed with its number.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
KINDS = "fuzz_kinds"
MOST_SECONDS = 10.0  # of one case, of the processor; where the machine is busy, it may take longer by the clock
WAITED = 6  # times as long by the clock
START_SECONDS = 120.0  # until a process has its imports, on a busy machine
BATCH = 20_000  # cases of one process, after which it is begun anew
GOOD = ("audited", "refused")
ENDS = (*GOOD, "traceback", "signal", "hang", "memory")


@dataclasses.dataclass
class Record:
    """How the cases ended: counts by kind and end, and the bad ones as (number, kind, end, why)."""

    counts: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    bad: list[tuple[int, str, str, str]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def n_cases(self) -> int:
        return sum(self.counts.values())

    def add(self, case: int, kind: str, end: str, why: str) -> None:
        """Count a case."""
        self.counts[kind, end] += 1
        if end not in GOOD:
            self.bad.append((case, kind, end, why))
            print(f"case {case} ({kind}): {end}. {why}", flush=True)


def joined(records: Sequence[Record]) -> Record:
    """One record of runs that were made at the same time."""
    one = Record(seconds=max(record.seconds for record in records))
    for record in records:
        one.counts += record.counts
        one.bad += record.bad
    return one


def run(
    *, cases: int | None = None, minutes: float | None = None, seed: int = 0, first: int = 0, kinds: str = KINDS
) -> Record:
    """Run cases from the number `first` on, so many or for so long, one process after another."""
    record, begun = Record(), time.monotonic()
    deadline = begun + 60 * minutes if minutes is not None else float("inf")
    last = first + cases if cases is not None else sys.maxsize
    at = first
    while at < last and time.monotonic() < deadline:
        at = _one_process(record, kinds, seed, at, min(at + BATCH, last), deadline)
    record.seconds = time.monotonic() - begun
    return record


def _one_process(record: Record, kinds: str, seed: int, first: int, stop: int, deadline: float) -> int:
    """Run cases in one process as long as it lives; gives the number of the next case."""
    paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "fuzz_worker.py"), kinds, str(seed), str(first), str(stop)]
    at, kind, patience, pending, used, waited = first, "", START_SECONDS, b"", 0.0, 1
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        while True:
            ready, _, _ = select.select([process.stdout], [], [], patience)
            if not ready and kind and waited < WAITED and _processor_seconds(process.pid) - used < MOST_SECONDS:
                waited += 1
                continue
            new = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
            if not ready or (not new and process.wait() != 0):
                process.kill()
                if not kind:
                    raise RuntimeError(f"the fuzzer's process did not start at case {at} (status {process.wait()})")
                status = process.wait()
                end, why = ("hang", f"over {MOST_SECONDS:g} s") if not ready else ("signal", _signal_name(status))
                record.add(at, kind, end, why)
                return at + 1
            if not new:
                return at
            *lines, pending = (pending + new).split(b"\n")
            for line in lines:
                what, number, *fields = line.decode("utf-8", "replace").split("\t", 3)
                if what == "begin":
                    at, kind, patience = int(number), fields[0], MOST_SECONDS
                    used, waited = _processor_seconds(process.pid), 1
                else:
                    record.add(int(number), kind, fields[0], fields[1])
                    at = int(number) + 1
            if time.monotonic() > deadline and not pending:
                process.kill()
                return at


def _processor_seconds(process: int) -> float:
    """Seconds that a process has used of the processor; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _signal_name(status: int) -> str:
    if status < 0:
        return signal.Signals(-status).name
    return f"the process ended with status {status}"


def table(record: Record) -> list[list[str]]:
    """How cases ended, one line a kind and one for all."""
    kinds = list(dict.fromkeys(kind for kind, _ in record.counts))
    lines = [[kind, *(f"{record.counts[kind, end]:,}" for end in ENDS)] for kind in kinds]
    sums = [f"{sum(record.counts[kind, end] for kind in kinds):,}" for end in ENDS]
    return [*lines, ["all", *sums]]


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, help="how long (default 10, where --cases is not given)")
    parser.add_argument("--cases", type=int, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="run this case alone")
    given = parser.parse_args()
    if given.case is not None:
        given.first, given.cases = given.case, 1
    minutes = given.minutes
    if minutes is None and given.cases is None:
        minutes = 10.0
    record = run(cases=given.cases, minutes=minutes, seed=given.seed, first=given.first)
    for cells in [["kind", *ENDS], *table(record)]:
        print("  ".join(f"{cell:>10}" for cell in cells))
    print(f"{record.n_cases:,} cases in {record.seconds:.0f} s, {len(record.bad)} of them ended badly.")
    return int(bool(record.bad))


if __name__ == "__main__":
    sys.exit(main())
