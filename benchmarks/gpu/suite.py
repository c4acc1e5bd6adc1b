"""The tests that need a GPU: `pytest -m gpu`, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.gpu.checkout import ROOT
from benchmarks.gpu.measuring import Number, Setting

PROCESSES = 8
MARGIN = 5.0  # seconds that are kept for reading what pytest said


def tests(setting: Setting) -> Iterator[Number]:
    """How many passed, were skipped and failed, with what the failed ones said."""
    files = marked_files()
    parallel = ["-n", str(PROCESSES)]
    if setting.tiny:
        files, parallel = [path for path in files if path.startswith("tests/monitors")], []
    # Cores are few for so many processes, each of which would start a thread for every core.
    variables = os.environ | {"OMP_NUM_THREADS": "1", "REPGEOM_TEST_DEVICE": setting.device}
    with tempfile.TemporaryDirectory() as folder:
        report, output = Path(folder) / "tests.xml", Path(folder) / "output"
        # A warning of a library of another version must not hide what a test is about.
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-vv",
            "-m",
            "gpu",
            *parallel,
            "-p",
            "no:cacheprovider",
            "-W",
            "default",
        ]
        command += [f"--junitxml={report}", "--timeout=60", *files]
        with output.open("w") as said:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, env=variables, start_new_session=True
            )
            try:
                process.wait(timeout=max(1.0, setting.left - MARGIN))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        text = output.read_text()
        yield Number("output", text[-3000:])
        if not report.exists():
            yield Number("not finished: passed by then", text.count("PASSED"))
            yield Number("not finished: failed by then", [row for row in text.splitlines() if "FAILED" in row])
            raise RuntimeError(f"pytest was stopped, or ended with status {process.poll()}")
        cases = list(ElementTree.parse(report).iter("testcase"))
    bad = {f"{case.get('classname')}::{case.get('name')}": _why(case) for case in cases if _why(case)}
    skipped = sum(case.find("skipped") is not None for case in cases)
    yield Number("passed", len(cases) - len(bad) - skipped, least=1)
    yield Number("skipped", skipped)
    yield Number("failed", len(bad), most=0)
    yield Number("failures", bad)
    slowest = sorted(cases, key=lambda case: -float(case.get("time", 0)))[:10]
    yield Number("slowest", {f"{case.get('name')}": float(case.get("time", 0)) for case in slowest})


def marked_files() -> list[str]:
    """Files of tests that have a test for a GPU: to collect all others takes longer than to run these."""
    mark = "mark." + "gpu"
    found = [path for path in (ROOT / "tests").rglob("test_*.py") if mark in path.read_text()]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def _why(case: ElementTree.Element) -> str:
    """What a test that failed or broke said; empty for any other."""
    for kind in ("failure", "error"):
        found = case.find(kind)
        if found is not None:
            return f"{found.get('message', '')[:500]} … {(found.text or '')[-1500:]}"
    return ""
