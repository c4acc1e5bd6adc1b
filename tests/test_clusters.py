"""The recipes of docs/clusters.md run as they stand and give the audit of one process."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import repgeom as rg

PAGE = (Path(__file__).parent.parent / "docs" / "clusters.md").read_text()
RECIPES = dict(re.findall(r"## (\w+)\n.*?```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def features(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30_000, 12)) * np.arange(1, 13.0) ** -0.5
    np.save("features.npy", x)
    np.save("labels.npy", rng.integers(0, 4, len(x)))
    return x


@pytest.fixture
def ray():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", object_store_memory=100 * 2**20)
    yield ray
    ray.shutdown()


@pytest.fixture
def spark(monkeypatch):
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)  # what its workers run
    session = pytest.importorskip("pyspark.sql").SparkSession
    built = (
        session.builder.master("local[2]")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    yield built
    built.stop()


def run(recipe, features, capsys, **names):
    exec(compile(RECIPES[recipe], f"{recipe} recipe", "exec"), {"__name__": "__main__", **names})
    printed = capsys.readouterr().out
    expected = rg.audit(features, labels=np.load("labels.npy"))
    assert f"{len(features):,} samples × 12 features" in printed
    assert expected.summary[1:] in printed


def test_recipes_are_short():
    assert set(RECIPES) == {"Dask", "Ray", "Spark"}
    for recipe in RECIPES.values():
        assert sum(bool(line.strip()) for line in recipe.splitlines()) <= 15


def test_dask(features, capsys):
    pytest.importorskip("dask.array")
    run("Dask", features, capsys)


def test_ray(features, capsys, ray):
    run("Ray", features, capsys)


def test_spark(features, capsys, spark):
    run("Spark", features, capsys, spark=spark)
