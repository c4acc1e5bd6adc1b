"""docs/monitors.md: its Python runs and prints what stands below it, and its numbers are those of the study."""

import contextlib
import io
import re
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

import repgeom as rg

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "monitors.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, re.DOTALL)


class Logger:
    """Stands for a writer of TensorBoard, a run of wandb and the module mlflow: the calls that they take."""

    def __init__(self):
        self.got = []

    def add_scalar(self, tag, scalar_value, global_step=None):
        self.got.append((global_step, tag, scalar_value))

    def log(self, data, step=None):
        self.got += [(step, name, value) for name, value in data.items()]

    def log_metrics(self, metrics, step=None):
        self.log(metrics, step)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_python_prints_what_stands_below_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightning.pytorch import Trainer
    added = []
    logger = Logger()
    names = {
        "writer": logger, "run": logger, "mlflow": logger, "Trainer": Trainer,
        "options": {"logger": False, "accelerator": "cpu", "enable_checkpointing": False},
        "trainer": SimpleNamespace(add_callback=added.append),
    }  # fmt: skip
    for code, expected in BLOCKS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, names)
        assert out.getvalue() == expected
    assert len(BLOCKS) == 5
    assert (tmp_path / "geometry.csv").read_text().count("\n") == 1 + 3 * 2 * 3
    assert len(added) == 1
    for name in ("tensorboard", "wandb", "to_mlflow"):
        names[name](300, {"geometry/encoder/effective_rank": 9.5})
    assert logger.got == [(300, "geometry/encoder/effective_rank", 9.5)] * 3


def test_numbers_are_those_of_the_study():
    study = (ROOT / "studies" / "monitors.md").read_text()
    errors = {}
    for way, largest, mean in re.findall(r"^\| [^|]+ \| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|$", study, re.MULTILINE):
        errors.setdefault(way, []).append((float(largest), float(mean)))
    worst = {way: max(largest for largest, _ in found) for way, found in errors.items()}
    assert worst["monitor"] <= 10
    assert max(mean for _, mean in errors["monitor"]) <= 5
    assert f"up to {worst['queue']:.0f} % too much" in PAGE.replace("\n  ", " ")
    assert f"a moving average {worst['moving average']:.0f} %" in PAGE
    assert f"at most {worst['monitor']:.0f} %" in PAGE
    assert f"up to {worst['queue']:.0f} % too much" in " ".join(rg.monitors.Monitor.__doc__.split())
    cost = re.search(r"adds \*\*([\d.]+) %\*\*", study).group(1)
    assert float(cost) < 2
    assert f"added {cost} %" in PAGE
