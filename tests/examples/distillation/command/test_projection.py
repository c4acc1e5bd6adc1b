"""What a run will take, before it is begun."""

import re

import pytest

from repgeom_examples.distillation import cli
from repgeom_examples.distillation.command import projection
from repgeom_examples.distillation.running import costs
from repgeom_examples.distillation.settings import grid, presets


def test_the_papers_runs_are_projected_without_images_and_teachers(capsys):
    assert cli.main(["status", "--preset", "paper", "--gflops", "1000"]) == 0
    shown = capsys.readouterr().out
    config = presets.PRESETS["paper"]
    assert shown.startswith(f"paper: {len(grid.cells_of(config))} cells, of which nothing is begun here\n")
    rows = re.findall(r"(\S+): ([\d.]+) PFLOP of students, ([\d.]+) PFLOP of the teacher", shown)
    assert [name for name, _, _ in rows] == [s.name for s in config.settings]
    (total,) = re.findall(r"together ([\d.]+) PFLOP", shown)
    assert float(total) == pytest.approx(sum(float(a) + float(b) for _, a, b in rows), rel=0.01)
    (hours,) = re.findall(r"about ([\d.]+) hours of one process at 1 TFLOP a second, as stated", shown)
    assert float(hours) == pytest.approx(float(total) * 1e15 / 1e12 / 3600, rel=0.01)


def test_the_paper_cifar10_students_one_by_one():
    """Two objectives and three seeds of 4.6 PFLOP, the widest once more on crops, three architectures of the narrowest.

    Beside them four temperatures and weights of the narrowest, and three seeds more of what is compared under noise.
    """
    config = presets.PRESETS["paper-cifar10-clip"]
    narrow, middle, wide = (0.2456, 0.9019, 3.4482)
    others = (0.2456, 0.2456, 1.4793)
    shown = projection.text(config, 1000.0)
    (students,) = re.findall(r"([\d.]+) PFLOP of students", shown)
    published = 6 * (narrow + middle + wide) + 3 * wide + 6 * sum(others)
    assert float(students) == pytest.approx(published + 12 * narrow + 3 * (narrow + 2 * wide), rel=0.01)


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf"])
def test_a_rate_that_is_none_is_refused(rate, capsys):
    assert cli.main(["status", "--preset", "paper", "--gflops", rate]) == 2
    assert "--gflops needs a number above 0" in capsys.readouterr().err


def test_what_is_not_known_is_said():
    own = cli.configured(cli.parser().parse_args(["status", "--teacher", "a.b:c", "--data", "folder"]))
    assert "say how many images there are: --n-train and --n-test" in projection.text(own, 1.0)
    few = ["status", "--teacher", "a.b:c", "--data", "folder", "--n-train", "640", "--n-test", "64"]
    shown = projection.text(cli.configured(cli.parser().parse_args(few)), 1.0)
    assert "0 MFLOP of the teacher, whose work is not known" in shown


def test_a_rate_is_that_of_the_largest_student(monkeypatch):
    asked = []
    monkeypatch.setattr(projection, "measured_rate", lambda *what: asked.append(what) or 2e9)
    config = presets.PRESETS["embedded"]
    shown = projection.text(config)
    assert asked == [("cnn", 4, 512, 32)]
    assert "at 2 GFLOP a second, measured here now: " in shown


def test_a_measured_rate_counts_three_passes(monkeypatch):
    clock = iter([0.0, 0.4, 0.8, 1.2, 2.0])
    monkeypatch.setattr(projection.time, "perf_counter", lambda: next(clock))
    found = projection.measured_rate("cnn", 1, 8, 32)
    assert found == 2 * 64 * 3 * costs.student_flops("cnn", 1, 8, 32) / 2.0
