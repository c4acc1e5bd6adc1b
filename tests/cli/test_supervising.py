"""What ends the process that does the work is told apart from what the work returned."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE = 120  # seconds; what takes one on an idle machine takes many on a busy one

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
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=PATIENCE, **kwargs)


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
            while True:
                time.sleep(0.1)  # a signal just before a sleep does not end it
    except KeyboardInterrupt:
        time.sleep(0.1)
        return 130
    return 0

"""
SUPERVISED = WAITING + "sys.exit(supervised(work))"


@contextlib.contextmanager
def running(*args, **options):
    """A process of Python, with pipes for what it writes. It does not outlive the test."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, *args], **pipes, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process):
    """What it wrote, once it has ended; a busy machine may take long."""
    return process.communicate(timeout=PATIENCE)


def gone(pid):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
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
    with running("-c", SUPERVISED) as process:
        worker = int(process.stdout.readline())
        process.send_signal(number)
        _, err = ended(process)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert gone(worker)


AS_IT_STARTS = """
from repgeom.cli import supervising
fork = os.fork
def forked():
    child = fork()
    if child:
        os.kill(os.getpid(), int(sys.argv[1]))
    return child
os.fork = forked
supervising._end_with = lambda parent: time.sleep(0.5)  # so that the signal is there before the work
"""
TO_ANOTHER_THREAD = """
import threading
fork = os.fork
def interrupt():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [int(sys.argv[1])])
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), int(sys.argv[1]))
def forked():
    child = fork()
    if child:
        threading.Thread(target=interrupt, daemon=True).start()
    return child
os.fork = forked
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("comes", [AS_IT_STARTS, TO_ANOTHER_THREAD], ids=["as it starts", "to another thread"])
def test_a_signal_is_not_lost_whenever_it_comes(number, comes):
    with running("-c", WAITING + comes + "sys.exit(supervised(work))", str(int(number))) as process:
        _, err = ended(process)
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no such signal")
def test_the_work_does_not_outlive_a_command_that_is_killed():
    with running("-c", SUPERVISED) as process:
        worker = int(process.stdout.readline())
        process.kill()
        ended(process)
    assert gone(worker)


# The command itself, while its packages load ---------------------------------------------------------------------------


def loading(folder, text):
    """An environment in which `import numpy`, the first heavy one, does as `text` says."""
    (folder / "numpy").mkdir()
    (folder / "numpy" / "__init__.py").write_text(text)
    roots = [str(folder), *(path for path in sys.path if path)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(roots)}


def command(env, *args):
    return running("-m", "repgeom", *args, env=env)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("entry", ["audit", "demo"])
def test_an_interruption_while_packages_load_leaves_no_traceback(tmp_path, number, entry):
    env = loading(tmp_path, "import time\nprint('loading', flush=True)\nwhile True: time.sleep(0.1)\n")
    args = ["audit", "x.npy"] if entry == "audit" else ["demo", "--out", str(tmp_path / "out")]
    with command(env, *args) as process:
        assert "loading\n" in iter(process.stdout.readline, "")
        process.send_signal(number)
        _, err = ended(process)
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
    with command(loading(tmp_path, text), "audit", "x.npy", "--fail-on", "fail") as process:
        out, err = ended(process)
    assert (process.returncode, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_help_and_version_need_none_of_them(tmp_path):
    env = loading(tmp_path, "raise MemoryError")
    for option in ("--help", "--version"):
        with command(env, option) as process:
            out, err = ended(process)
        assert (process.returncode, err) == (0, "")
        assert "repgeom" in out
    closed = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-m', 'repgeom', '--version'], stdout=subprocess.PIPE);"
    done = python("-c", closed + "p.stdout.close(); sys.exit(p.wait())", env=env)
    assert (done.returncode, done.stderr) == (0, "")
