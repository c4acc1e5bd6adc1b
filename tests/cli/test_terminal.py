"""Commands in a real terminal of any width: nothing is wider, no number is broken, the verdict stands first and last."""

import os
import re
import struct
import sys

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.rules import RULES
from repgeom.cli import audit
from repgeom.cli.main import main
from repgeom.measures.measure import measures
from repgeom.presenting.cells import cells
from repgeom.presenting.main_measures import MAIN, QUOTED
from repgeom.presenting.report_text import table
from repgeom.presenting.screen import Screen

fcntl = pytest.importorskip("fcntl", reason="this system has no terminals of this kind")
pty = pytest.importorskip("pty", reason="this system has no terminals of this kind")
termios = pytest.importorskip("termios", reason="this system has no terminals of this kind")

AUDITED, REPORTS = audit._audited, {}
WIDTHS = [40, 80, 100, 120, 200]
COLOUR = re.compile("\x1b\\[[0-9;]*m")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Twelve files, some with long or wide names, one of them narrow; labels of 1,000 classes; two reports."""
    folder = tmp_path_factory.mktemp("stored")
    x = np.random.default_rng(0).standard_normal((2000, 8)) * np.arange(1, 9) ** -0.5
    names = ["a.npy", "日本語のモデル.npy", "👩\u200d🔬.npy", "x" * 200 + ".npy", "good.npy", "bad.npy"]
    names += [f"runs-of-one-kind-seed-{i}-features.npy" for i in range(6)]
    for i, name in enumerate(names):
        np.save(folder / name, x * np.where(np.arange(8) < 8 - i % 6, 1, 1e-4))
    np.save(folder / "labels.npy", np.arange(2000) % 1000)
    for name in ("a", "bad"):
        rg.audit(x[:, : 8 if name == "a" else 4], name=name).to_json(folder / f"{name}.json", keep_scores=True)
    return folder, names


@pytest.fixture
def in_terminal(monkeypatch, stored):
    """Runs a command whose standard output is a terminal of this width, and returns what came there."""
    monkeypatch.chdir(stored[0])
    monkeypatch.setattr(audit, "_audited", audited_once)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def run(width, *arguments):
        outside, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        attributes = termios.tcgetattr(inside)
        attributes[1] &= ~termios.OPOST  # lines end as they are written
        termios.tcsetattr(inside, termios.TCSANOW, attributes)
        read = []
        with open(inside, "w", encoding="utf-8", buffering=1) as stream:
            monkeypatch.setattr(sys, "stdout", _Read(stream, outside, read))
            try:
                status = main([str(argument) for argument in arguments])
            except SystemExit as ended:
                status = ended.code
        os.close(outside)
        return status, b"".join(read).decode("utf-8")

    return run


def audited_once(args, thresholds):
    """The reports of a command, which are the same for a terminal of any width."""
    key = (*args.features, args.labels, args.corrupted, *thresholds)
    if key not in REPORTS:
        REPORTS[key] = AUDITED(args, thresholds)
    return REPORTS[key]


class _Read:
    """A terminal of which everything is read as soon as it is written: its buffer is small."""

    encoding, errors = "utf-8", "strict"

    def __init__(self, stream, outside, read):
        self._stream, self._outside, self._read = stream, outside, read

    def isatty(self):
        return self._stream.isatty()

    def fileno(self):
        return self._stream.fileno()

    def flush(self):
        self._stream.flush()

    def write(self, text):
        for start in range(0, len(text), 500):
            part = text[start : start + 500]
            self._stream.write(part)
            self._stream.flush()
            expected = len(part.encode("utf-8"))
            while expected:
                self._read.append(os.read(self._outside, expected))
                expected -= len(self._read[-1])


def plain(text):
    return COLOUR.sub("", text)


def assert_fits(text, width):
    for line in plain(text).splitlines():
        assert cells(line) <= width, line
        assert line.isprintable() or "\u200d" in line


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_an_audit_fits(in_terminal, stored, width, n):
    names = stored[1][:n]
    status, text = in_terminal(width, "audit", *names, "--labels", "labels.npy")
    assert status == 0
    assert_fits(text, width)
    lines = plain(text).splitlines()
    assert lines[0].split()[0] in ("OK", "WARN", "FAIL")
    last = next(line for line in reversed(lines) if not line.startswith("  "))
    assert last.startswith("Verdict")
    # Every report has its effective rank, in whichever block.
    ranks = [
        line for line in lines if line.strip().startswith("effective rank") and "(σ)" not in line and ":" not in line
    ]
    numbers = re.findall(r"\d\.\d+(?![\d,]*\])", " ".join(re.sub(r"\[.*?\]", "", line) for line in ranks))
    assert len(numbers) >= n


@pytest.mark.parametrize("width", WIDTHS)
def test_other_commands_fit(in_terminal, width):
    for arguments in (
        ["compare", "a.json", "bad.json", "--fail-on-drop", "effective_rank=5%"],
        ["compare", "a.json", "bad.json", "--measures", "all"],
        ["audit", "a.npy", "--baseline", "a.json", "--fail-on", "fail"],
        ["audit", "a.npy", "--quiet"],
        ["audit", "a.npy", "good.npy", "--measures", "all", "--corrupted", "bad.npy"],
        ["audit", "--list-rules"],
    ):
        status, text = in_terminal(width, *arguments)
        assert status in (0, 1)
        assert_fits(text, width)


def test_colour_only_where_it_is_wanted(in_terminal, monkeypatch, capsys):
    assert "\x1b[1;31mFAIL\x1b[0m" in in_terminal(80, "audit", "bad.npy", "--threshold", "rank_share=2,2")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in in_terminal(80, "audit", "bad.npy")[1]
    monkeypatch.undo()


def test_piped_output_has_no_colour_and_whole_sentences(stored, monkeypatch, capsys):
    monkeypatch.chdir(stored[0])
    assert main(["audit", "a.npy", "bad.npy", "--threshold", "rank_share=2,2"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    rule = next(rule for rule in RULES if rule.name == "rank_share")
    assert f"       try: {rule.advice}\n" in out
    table = out[out.index("Dimensions in use") : out.index("--measures all")]
    assert all(cells(line) <= 120 for line in table.splitlines())


def test_measures_are_the_main_ones_or_all(stored, monkeypatch, capsys):
    monkeypatch.chdir(stored[0])
    assert {*QUOTED, *MAIN} <= {m.name for m in measures()}
    shown = {}
    for which in ("main", "all"):
        assert main(["audit", "a.npy", "--labels", "labels.npy", "--measures", which, "--json", f"{which}.out"]) == 0
        shown[which] = capsys.readouterr().out
    report = rg.Report.from_json("main.out")
    assert len(report.values) == len(rg.Report.from_json("all.out").values)
    for value in report.values:
        line = f"\n  {value.label}  "
        assert line in shown["all"]
        assert (line in shown["main"]) == (value.name in MAIN)
    n_main = sum(value.name in MAIN for value in report.values)
    assert f"{n_main} of {len(report.values)} measures. --measures all" in shown["main"]
    assert "--measures all" not in shown["all"]


def test_what_is_not_asked_for_leaves_an_audit_with_labels_on_one_screen():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 450)
    x = rng.standard_normal((450, 300)) + 0.5 * rng.standard_normal((5, 300))[labels]
    # Too few rows for an interval: the longest summary.
    report = rg.audit(x.astype(np.float32), labels=labels)
    shown = table([report], Screen(80), every=False)
    assert len(shown.splitlines()) <= 24
    for label in ("hubness", "intrinsic dimension", "(NC1)", "(NC2)"):
        assert label not in shown
        assert label in table([report], Screen(80))
    # The summary has said why there is no interval; a note would say it again.
    assert report.summary.count("independent rows per feature") == 1
    assert not any("Population: no interval" in note for note in report.notes)


def test_the_rules_are_listed_without_a_file(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--list-rules"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for rule in RULES:
        assert f"\n{rule.name}: " in out
        assert f"\n    {rule.meaning}\n" in out + "\n"
        for limit in (rule.warn, rule.fail):
            assert limit is None or f"{rule.worse} {limit:g}" in out
