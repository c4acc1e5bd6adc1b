"""Plants small faults in a module, one at a time, and says which of them its tests do not see.

    python -m tests.mutate repgeom/measures/rank.py [--tests tests/measures] [--most 60] [--seed 0]

Works on a copy in a temporary folder. One run of the tests without a fault notes which test runs which line; each fault is
then given to the tests that run its line, quick ones first, in a process forked from one that has loaded torch. Tests
that run the code in processes of their own are not noted and so not given. Faults that change nothing stand in
`equivalent_faults.txt`, each with its reason. Exit status 1 where fewer than `--least` % were seen.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

if __package__:
    from tests.faults import Fault, faults_of
else:  # collected by pytest, which puts this folder on the path
    from faults import Fault, faults_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
COPIED = (
    "repgeom",
    "tests",
    "examples",
    "docs",
    "studies",
    "benchmarks",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
)
INSTALLED_EXAMPLES = "repgeom_examples"
PATIENCE = 30.0  # seconds that a faulty run may take beyond three times the time of a sound one

LOADED_EARLY = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # plugins of pytest, by the process that forks


class Watching:
    """A pytest plugin that notes the lines of one file that each test runs, and for how long each runs."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.lines: dict[str, set[int]] = defaultdict(set)
        self.seconds: dict[str, float] = defaultdict(float)

    def _tracer(self, seen: set[int]) -> Callable[..., Any]:
        def each_line(frame: FrameType, event: str, argument: object) -> Any:
            seen.add(frame.f_lineno)
            return each_line

        def each_call(frame: FrameType, event: str, argument: object) -> Any:
            if frame.f_code.co_filename != self.path:
                return None
            seen.add(frame.f_lineno)
            return each_line

        return each_call

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        sys.settrace(self._tracer(self.lines[item.nodeid.split("::")[0]]))  # a fixture serves the whole file
        yield
        sys.settrace(None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        sys.settrace(self._tracer(self.lines[item.nodeid]))
        yield
        sys.settrace(None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration


class Choosing:
    """A pytest plugin that keeps the chosen tests, in the order given."""

    def __init__(self, names: list[str]) -> None:
        self.place = {name: i for i, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.place), key=lambda i: self.place[i.nodeid])


class Copy:
    """A copy of the project in a temporary folder, in which one module can be made faulty and tested."""

    def __init__(self, folder: Path, module: str, tests: list[str]) -> None:
        self.folder, self.module, self.tests = folder, folder / module, list(tests)
        if module.startswith("repgeom/"):
            self.tests.append(module)  # its own doctests too
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif (ROOT / name).exists():
                shutil.copy(ROOT / name, folder / name)
        (folder / INSTALLED_EXAMPLES).symlink_to("examples")  # which is what they are imported as
        self.imported = self.module
        if module.startswith("examples/"):
            self.imported = folder / INSTALLED_EXAMPLES / Path(module).relative_to("examples")
        self.source = self.module.read_bytes()

    def run(self, files: list[str], plugin: object, limit: float, after: Callable[[], None] | None = None) -> str:
        """Runs pytest in a fork of this process: "passed", "failed", or "timed out"."""
        child = os.fork()
        if child == 0:
            self._run_here(files, plugin, after)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return "passed" if os.waitstatus_to_exitcode(status) == 0 else "failed"
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "timed out"

    def _run_here(self, files: list[str], plugin: object, after: Callable[[], None] | None) -> None:
        """What the child does; never returns."""
        status = 70
        try:
            os.setsid()
            output = os.open(self.folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(self.folder)
            sys.path.insert(0, str(self.folder))
            status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *LOADED_EARLY, *files], plugins=[plugin]))
            if after is not None:
                after()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def watched(self) -> tuple[dict[str, set[int]], dict[str, float]]:
        """The lines that each test runs and its seconds; loads here what the tests load, but for the project itself."""
        watching, notes = Watching(self.imported), self.folder / "notes.json"

        def write() -> None:
            lines = {name: sorted(seen) for name, seen in watching.lines.items()}
            ours = str(self.folder)
            loaded = [n for n, m in sys.modules.items() if not str(getattr(m, "__file__", "")).startswith(ours)]
            foreign = [
                n
                for n in loaded
                if not n.startswith(("repgeom", "tests")) and n.count("pytest") == n.startswith("_pytest.")
            ]
            notes.write_text(json.dumps([lines, watching.seconds, foreign]))

        if self.run(self.tests, watching, 3600, write) != "passed":
            sys.exit("the tests fail without a fault:\n" + (self.folder / "output.txt").read_text()[-3000:])
        lines, seconds, foreign = json.loads(notes.read_text())
        for name in foreign:  # numpy, torch and the like are loaded once, here, and shared by all forks
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        gc.freeze()  # pytest collects garbage five times a run, and need not look at what was there before
        for compiled in self.module.parent.glob(f"__pycache__/{self.module.stem}.*"):
            compiled.unlink()  # Python would take it for the faulty source of the same second
        return {name: set(seen) for name, seen in lines.items()}, seconds

    def check(self, names: list[str]) -> None:
        """Stops where these tests fail in a fork although the module is sound: every fault would look seen."""
        files = list(dict.fromkeys(name.split("::")[0] for name in names))
        if self.run(files, Choosing(names), 600) != "passed":
            sys.exit("the tests fail without a fault:\n" + (self.folder / "output.txt").read_text()[-3000:])

    def is_seen(self, fault: Fault, names: list[str], seconds: float) -> bool:
        """Whether one of these tests fails with the fault in place."""
        if not names:
            return False
        self.module.write_bytes(fault.planted(self.source))
        try:
            files = list(dict.fromkeys(name.split("::")[0] for name in names))
            return self.run(files, Choosing(names), 3 * seconds + PATIENCE) != "passed"
        finally:
            self.module.write_bytes(self.source)


def concerned(fault: Fault, lines: dict[str, set[int]], seconds: dict[str, float]) -> list[str]:
    """Tests that run the fault's lines, quick ones first; all of them where it stands outside functions."""
    files = {name for name, seen in lines.items() if "::" not in name and seen.intersection(fault.lines)}
    found = []
    for name in seconds:
        runs_it = name.split("::")[0] in files or bool(lines.get(name, set()).intersection(fault.lines))
        if runs_it or not fault.lines:
            found.append(name)
    return sorted(found, key=seconds.__getitem__)


def without_effect() -> dict[tuple[str, str], str]:
    """(module, changed line) → why nothing follows from the change."""
    found = {}
    for line in (HERE / "equivalent_faults.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            module, changed, reason = line.split(" || ")
            found[module, changed] = reason
    return found


def tests_of(module: Path) -> Path:
    """The folder of tests that has the name of the module's room.

    >>> str(tests_of(Path("repgeom/measures/rank.py"))), str(tests_of(Path("examples/distillation/cli.py")))
    ('tests/measures', 'tests/examples/distillation')
    """
    if module.parts[0] == "examples":
        return Path("tests", module.parent)
    return Path("tests", *module.parts[1:-1])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("module", help="path of a module: repgeom/measures/rank.py, examples/distillation/cli.py")
    parser.add_argument(
        "--tests", nargs="+", help="test files or folders; by default the folder of the same name in tests/"
    )
    parser.add_argument("--most", type=int, help="how many faults to plant, drawn at random; by default all")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--least", type=float, default=90.0, help="share in %% that must be seen")
    given = parser.parse_args(arguments)
    tests = given.tests or [str(tests_of(Path(given.module)))]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder).resolve(), given.module, tests)
        sys.dont_write_bytecode = False  # so that the rest of the project is compiled once
        lines, seconds = copy.watched()
        sys.dont_write_bytecode = True
        quick_first = sorted(seconds, key=seconds.__getitem__)
        copy.check(quick_first[: max(10, len(seconds) // 2)])
        equivalent = without_effect()
        faults = [f for f in faults_of(copy.source) if (given.module, f.shown(copy.source)) not in equivalent]
        if given.most is not None and given.most < len(faults):
            faults = sorted(random.Random(given.seed).sample(faults, given.most), key=lambda f: f.start)
        seen = 0
        for fault in faults:
            names = concerned(fault, lines, seconds)
            if copy.is_seen(fault, names, sum(seconds[name] for name in names)):
                seen += 1
                continue
            why = "" if names else "  (no test runs it)"
            print(f"{given.module}:{fault.line}: {fault.shown(copy.source)}{why}", flush=True)
    score = 100 * seen / max(1, len(faults))
    print(f"{given.module}: {seen} of {len(faults)} faults seen ({score:.0f} %)")
    return int(score < given.least)


if __name__ == "__main__":
    sys.exit(main())
