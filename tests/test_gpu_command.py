"""The command for a GPU, tried on the CPU to its last line; and what it does with rows that fail, hang or take their process with them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import distilling, page
from benchmarks.gpu.checkout import environment
from benchmarks.gpu.rows import ROWS, Row
from benchmarks.gpu.working import Worker
from repgeom_examples.distillation.running import costs
from repgeom_examples.distillation.settings.grid import cells_of
from repgeom_examples.distillation.settings.presets import PRESETS

ROOT = Path(__file__).parent.parent
PATIENCE = 200  # seconds; a worker loads torch, and on a busy machine that takes long
BREAKING = """
import os, time
from benchmarks.gpu.measuring import Number
def fails(setting):
    yield Number("before", 1.5, least=1.0)
    raise ValueError("no good")
def hangs(setting):
    yield Number("before", 2, most=1)
    time.sleep(60)
def dies(setting):
    os._exit(3)
    yield
def prints(setting, what):
    print("not a line of JSON")
    yield Number(what, {"device": setting.device, "tiny": setting.tiny})
"""


# A bare checkout has no such package: only the command's children are told where the examples are.
BARE = "import sys; sys.modules['repgeom_examples'] = None; from benchmarks.gpu.__main__ import main; sys.exit(main())"


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """Everything, at small sizes on the CPU."""
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    run = [sys.executable, "-c", BARE, "--device", "cpu", "--tiny", "--out", str(out)]
    environ = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(out.read_text())


def test_every_row_is_measured_and_printed(tried):
    printed, results = tried
    assert {name: row.get("why") for name, row in results["rows"].items() if row["ended"] != "measured"} == {}
    assert list(results["rows"]) == [row.name for row in ROWS]
    for name, row in results["rows"].items():
        assert f"== {name}: measured" in printed
        assert row["numbers"]
        assert all(bar["what"] in printed for bar in row["bars"])
    assert results["rows"]["tests"]["numbers"]["failures"] == {}
    assert results["rows"]["tests"]["numbers"]["passed"] > 1


def test_answers_are_right_before_they_are_quick(tried):
    rows = tried[1]["rows"]
    wrong = [bar for row in rows.values() for bar in row["bars"] if "error" in bar["what"] and not page.holds(bar)]
    assert wrong == []
    profile = rows["rank-50k-float32"]["numbers"]["profile of rg.effective_rank"]
    assert profile["cpu"]
    assert profile["python"]


def test_the_page_shows_every_bar_and_number(tried):
    shown = page.page(tried[1])
    for name, row in tried[1]["rows"].items():
        assert f"## {name}\n" in shown
        assert all(f"| {name} | {bar['what']} | " in shown for bar in row["bars"])


def test_the_page_is_made_of_the_results():
    if command.RESULTS.exists():
        assert command.PAGE.read_text() == page.page(json.loads(command.RESULTS.read_text()))


def test_hours_of_the_grid_are_its_operations_over_the_rates():
    """At one rate for all widths: the operations that `status` counts, over that rate."""
    config = PRESETS["paper"]
    numbers = {
        distilling.rate_name(width, "float32", "cosine+infonce"): 1e12
        / (3 * costs.student_flops("cnn", width, 512, 224))
        for width in (1, 4)
    }
    sizes = {setting.name: costs.expected(setting) for setting in config.settings}
    students = [cell for cell in cells_of(config) if cell.kind == "student"]
    flops = sum(costs.work(cell, config, sizes[cell.setting]) for cell in students)
    assert distilling.hours(config, numbers, "float32") == pytest.approx(flops / 1e12 / 3600)
    # Twice the rate at width 4, √2 times that of width 2: of nothing else.
    numbers[distilling.rate_name(4, "float32", "cosine+infonce")] *= 2
    of_width = {w: sum(costs.work(c, config, sizes[c.setting]) for c in students if c.width == w) for w in (1, 2, 4)}
    expected = of_width[1] + of_width[2] / 2**0.5 + of_width[4] / 2
    assert distilling.hours(config, numbers, "float32") == pytest.approx(expected / 1e12 / 3600)


def test_the_grid_is_not_told_without_its_rates():
    assert page.grid({}) == ""
    assert page.grid({"distillation": {"numbers": {}}}) == ""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    with environment() as variables:
        (tmp_path / "site").mkdir()
        # `benchmarks.gpu` is a package: a module of ours is found beside its own.
        (tmp_path / "site" / "sitecustomize.py").write_text(
            f"import benchmarks.gpu\nbenchmarks.gpu.__path__.append({str(tmp_path)!r})\n"
        )
        (tmp_path / "breaking.py").write_text(BREAKING)
        variables["PYTHONPATH"] = f"{tmp_path / 'site'}{os.pathsep}{variables['PYTHONPATH']}"
        with Worker("cpu", True, variables) as made:
            yield made


def test_a_row_that_ends_badly_keeps_its_numbers_and_does_not_end_the_others(worker):
    failed = worker.measure(Row("a", "breaking.fails"), PATIENCE)
    assert (failed["ended"], failed["numbers"]) == ("failed", {"before": 1.5})
    assert failed["bars"] == [{"what": "before", "value": 1.5, "least": 1.0}]
    assert "ValueError: no good" in failed["why"]
    hung = worker.measure(Row("b", "breaking.hangs"), 6)
    assert (hung["ended"], hung["numbers"], hung["why"]) == ("stopped", {"before": 2}, "after 6 s")
    died = worker.measure(Row("c", "breaking.dies"), PATIENCE)
    assert died["ended"] == "failed"
    assert "its process ended" in died["why"]
    fine = worker.measure(Row("d", "breaking.prints:what"), PATIENCE)
    assert fine["numbers"] == {"what": {"device": "cpu", "tiny": True}}


class OfTheDead:
    """A worker that must not be asked."""

    def __init__(self, *arguments):
        self.about = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def measure(self, row, seconds):
        raise AssertionError(f"{row.name} was begun")


def test_what_no_longer_fits_is_left_out_and_what_was_measured_before_stays(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "Worker", OfTheDead)
    out = tmp_path / "gpu.json"
    before = {"ended": "measured", "numbers": {"seconds": 1.0}, "bars": []}
    out.write_text(json.dumps({"rows": {"audit": before}}))
    arguments = command.parser().parse_args(["--budget", "3", "--only", "audit, probe", "--out", str(out)])
    command.measured(command.chosen(arguments.only), arguments)
    rows = json.loads(out.read_text())["rows"]
    assert rows["audit"] == before
    assert rows["probe"] == {"ended": "left out", "why": "3 s of the budget were left"}
    assert "== probe: left out" in capsys.readouterr().out


def test_a_row_that_is_not_there_is_refused():
    with pytest.raises(SystemExit, match="there is no row speed; there are tests, rank-50k-float32"):
        command.chosen("audit,speed")


def test_the_whole_fits_what_it_says():
    assert sum(row.usual for row in ROWS) < 420
    assert len({row.name for row in ROWS}) == len(ROWS)
