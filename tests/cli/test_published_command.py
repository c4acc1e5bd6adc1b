"""`repgeom published`: what is printed and written, the exit status, and errors."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from repgeom.cli.main import main
from repgeom.corruptions import corrupt
from repgeom.robustness import compare_published, published

sys.path.insert(0, str(Path(__file__).parent.parent / "robustness"))
from published_files import channels_last, cifar_folder, crops

CLEAN = crops(24, 32)
NAMES = ["contrast", "brightness", "gaussian_noise", "frost"]
START = ["published", "CIFAR-10-C", "set", "--clean", "clean.npy", "--n-images", "24"]


def made(images, name, severity):
    """Contrast is equal, brightness one level off, noise far too strong from severity 4 on."""
    if name == "gaussian_noise" and severity > 3:
        return (images / 255 + torch.randn(images.shape) * 0.3).clamp(0, 1).mul(255).to(torch.uint8)
    corrupted = corrupt(images, name, severity, seed=5)
    return corrupted - (corrupted > 0).to(torch.uint8) if name == "brightness" else corrupted


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    cifar_folder(tmp_path / "set", CLEAN, NAMES, change=made)
    np.save("clean.npy", channels_last(CLEAN))
    return tmp_path


def run(*args):
    return main([*START, "--corruptions", *NAMES, *args])


def test_the_table_is_printed_with_its_meaning(here, capsys):
    assert run() == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "CIFAR-10-C: 24 of 24 images, theirs against ours"
    rows = {tuple(line.split()[:2]): line for line in lines[3:23]}
    assert len(rows) == 20
    assert rows["contrast", "3"].split() == ["contrast", "3", "equal"]
    assert "within 1 level" in rows["brightness", "3"]
    assert float(rows["brightness", "3"].split()[-1].rstrip("%")) < 50
    assert "differs" in rows["gaussian_noise", "5"]
    assert lines[2].split()[:3] == ["corruption", "severity", "conclusion"]
    assert {"equal", "mean", "variance"} <= set(lines[2].split())
    assert "[" in rows["gaussian_noise", "1"]
    assert "not compared" in rows["frost", "1"]
    assert "  5 equal: every value of every image" in lines
    assert "  5 not compared: frost needs the script's photographs (--frost-images)" in lines


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_lines_fit_the_terminal(width, here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    assert run() == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[lines.index("") + 1 :]
    table = table[: table.index("")]
    assert len(table) == 21
    assert max(map(len, table)) <= width
    assert all("equal" in line for line in table[1:6])  # the conclusion never goes
    assert ("at cycles" in table[0]) == (width == 200)
    assert ("mean" in table[0]) == (width > 40)


def test_files_hold_the_table(here, capsys):
    assert run("--json", "a.json", "--csv", "a.csv", "--seed", "9", "--severities", "4", "2") == 0
    opened = published("CIFAR-10-C", "set", clean="clean.npy", corruptions=NAMES, n_images=24)
    expected = compare_published(opened, severities=[2, 4], seed=9)
    pd.testing.assert_frame_equal(pd.read_csv("a.csv"), expected, check_dtype=False)
    found = json.loads(Path("a.json").read_text())
    assert [row["conclusion"] for row in found] == expected.conclusion.tolist()
    for row, variance in zip(found, expected.variance, strict=True):
        assert (row["variance"] is None) == math.isnan(variance)
        assert row["variance"] is None or row["variance"] == pytest.approx(variance)
    capsys.readouterr()
    assert run("--json", "-", "--severities", "2") == 0
    assert [row["severity"] for row in json.loads(capsys.readouterr().out)] == [2, 2, 2, 2]


def test_a_difference_fails_where_it_is_asked(here, capsys):
    assert run("--severities", "5", "--fail-on-difference") == 1
    assert capsys.readouterr().out.splitlines()[-1] == "Exit status 1 by --fail-on-difference: 1 of 4 differ."
    assert run("--severities", "5", "--fail-on-difference", "--json", "-") == 1
    out, err = capsys.readouterr()
    assert (len(json.loads(out)), err) == (4, "Exit status 1 by --fail-on-difference: 1 of 4 differ.\n")
    assert run("--severities", "1") == 0
    assert main([*START, "--corruptions", "contrast", "--fail-on-difference"]) == 0


@pytest.mark.parametrize(("most", "rows"), [("3", [0, 12, 23]), ("24", range(24)), ("1000", range(24))])
def test_a_part_is_spread_over_the_set(most, rows, here, capsys):
    assert run("--most", most, "--json", "a.json") == 0
    part = published("CIFAR-10-C", "set", clean="clean.npy", corruptions=NAMES, n_images=24, rows=list(rows))
    expected = compare_published(part)
    found = json.loads(Path("a.json").read_text())
    assert [row["n"] for row in found] == [len(rows)] * 20
    assert [row["mean"] or 0 for row in found] == pytest.approx(expected["mean"].fillna(0).tolist(), abs=1e-9)


def test_frost_is_compared_with_photographs(here, capsys):
    from PIL import Image

    photographs = crops(2, 200)
    (here / "frost").mkdir()
    for i, photograph in enumerate(photographs):
        Image.fromarray(photograph.permute(1, 2, 0).numpy()).save(here / "frost" / f"frost{i}.png")
    assert main([*START, "--corruptions", "frost", "--frost-images", "frost", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    opened = published("CIFAR-10-C", "set", clean=CLEAN, corruptions="frost", n_images=24)
    expected = compare_published(opened, frost_images=list(photographs))
    assert [row["mean"] for row in found] == pytest.approx(expected["mean"].tolist(), abs=1e-9)


ERRORS = {
    "set": (["CIFAR-C", "set"], "no published set is called 'CIFAR-C'; there are CIFAR-10-C"),
    "folder": (["CIFAR-10-C", "nowhere"], "nowhere is not a folder"),
    "corruption": (["CIFAR-10-C", "set", "--corruptions", "fog", "--n-images", "24"], "set lacks fog.npy of CIFAR-10-C"),
    "clean": (["CIFAR-10-C", "set", "--clean", "no.npy", "--corruptions", "contrast", "--n-images", "24"], "`clean` (no.npy) is no file"),
    "number": (["CIFAR-10-C", "set", "--corruptions", "contrast"], "For a set of your own in this layout give `n_images`"),
    "most": (["CIFAR-10-C", "set", "--most", "1"], "--most must be at least 2, got 1"),
    "severity": (["CIFAR-10-C", "set", "--corruptions", "contrast", "--n-images", "24", "--severities", "6"], "from 0 (unchanged) to 5"),
    "over the clean images": (["CIFAR-10-C", "set", "--csv", "clean.npy"], "clean.npy would be written over"),
    "no folder for a file": (["CIFAR-10-C", "set", "--json", "no/a.json"], "no/a.json"),
}  # fmt: skip


@pytest.mark.parametrize(("args", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_are_one_line(args, message, here, capsys):
    before = (here / "clean.npy").read_bytes()
    given = args if "--clean" in args else [*args, "--clean", "clean.npy"]
    assert main(["published", *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("repgeom: error: ")
    assert message in err
    assert (here / "clean.npy").read_bytes() == before
