"""What ends the process that does the work is told apart from what the work returned."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Each case in a child of its own; light, so that all of them take less time than loading torch once.
CASES = """
import os, signal, sys
from repgeom.cli.supervising import supervised

def by_signal(number):
    os.kill(os.getpid(), number)
    signal.pause()

def crash():
    import ctypes
    ctypes.string_at(0)

def shut():
    os.close(3)

cases = {
    "0": lambda: 0, "1": lambda: 1, "2": lambda: 2, "130": lambda: 130,
    "exit 0": lambda: os._exit(0), "exit 1": lambda: os._exit(1), "exit 77": lambda: os._exit(77),
    "killed": lambda: by_signal(signal.SIGKILL), "abort": os.abort, "crash": crash,
    "fpe": lambda: by_signal(signal.SIGFPE), "bus": lambda: by_signal(signal.SIGBUS),
}
me = os.getpid()
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for name, work in cases.items():
    status = supervised(work)
    if os.getpid() != me:
        os._exit(9)  # whatever a library does after the work
    print(name, status, flush=True)
"""


def python(*args, **kwargs):
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=60, **kwargs)


def test_only_a_status_that_the_work_returned_is_one():
    done = python("-c", CASES)
    found = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert found.pop("0") == "0"
    assert found.pop("1") == "1"
    # The last: a library that finds no thread interrupts its own process, and nobody asked for it.
    assert set(found) >= {"2", "130", "exit 0", "exit 1", "exit 77", "killed", "abort", "crash", "fpe", "bus"}
    assert set(found.values()) == {"2"}, done.stderr
    for words in ("with status 1,", "with status 0,", "by SIGKILL", "by SIGABRT", "by SIGSEGV", "nobody interrupted"):
        assert words in done.stderr


WAITING = """
import os, signal, sys, time
from repgeom.cli.ending import interruptible
from repgeom.cli.supervising import supervised

def work():
    try:
        with interruptible():
            print(os.getpid(), flush=True)
            time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(0.1)
        return 130
    return 0

sys.exit(supervised(work))
"""


def started():
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return process, int(process.stdout.readline())


def gone(pid):
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_command_reaches_the_work(number):
    process, worker = started()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert gone(worker)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no such signal")
def test_the_work_does_not_outlive_a_command_that_is_killed():
    process, worker = started()
    process.kill()
    process.communicate(timeout=20)
    assert gone(worker)


# The command itself, while its packages load ---------------------------------------------------------------------------


def loading(folder, text):
    """An environment in which `import numpy`, the first heavy one, does as `text` says."""
    (folder / "numpy").mkdir()
    (folder / "numpy" / "__init__.py").write_text(text)
    roots = [str(folder), *(path for path in sys.path if path)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(roots)}


def command(env, *args):
    return subprocess.Popen(
        [sys.executable, "-m", "repgeom", *args],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("entry", ["audit", "demo"])
def test_an_interruption_while_packages_load_leaves_no_traceback(tmp_path, number, entry):
    env = loading(tmp_path, "import time\nprint('loading', flush=True)\ntime.sleep(30)\n")
    args = ["audit", "x.npy"] if entry == "audit" else ["demo", "--out", str(tmp_path / "out")]
    process = command(env, *args)
    while process.stdout.readline().strip() != "loading":
        pass
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "repgeom: interrupted\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise ImportError('libopenblas.so: failed to map segment')", "Memory ran out"),
        ("raise MemoryError", "while loading its packages"),
        ("raise RuntimeError('module compiled against ABI version')", "while loading its packages"),
        ("raise SystemExit(1)", "SystemExit"),
        ("import warnings\nwarnings.simplefilter('error')\nwarnings.warn('old', DeprecationWarning)", "option -W"),
        ("import os\nos._exit(1)", "with status 1"),
        ("import os\nos.abort()", "SIGABRT"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(1)", "nobody interrupted"),
        ("this is no Python", "SyntaxError"),
    ],
)
def test_packages_that_do_not_load_are_an_error_and_no_verdict(tmp_path, text, words):
    process = command(loading(tmp_path, text), "audit", "x.npy", "--fail-on", "fail")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_help_and_version_need_none_of_them(tmp_path):
    env = loading(tmp_path, "raise MemoryError")
    for option in ("--help", "--version"):
        process = command(env, option)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert "repgeom" in out
    closed = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-m', 'repgeom', '--version'], stdout=subprocess.PIPE);"
    done = python("-c", closed + "p.stdout.close(); sys.exit(p.wait())", env=env)
    assert (done.returncode, done.stderr) == (0, "")
