"""`SpectralMetric` does what a `torchmetrics.Metric` must, and is exact."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
import torchmetrics
from two_processes import Done

import repgeom as rg
from repgeom.integrations.torchmetrics import SpectralMetric

MEASURES = ("effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank", "n_components_90")


def rows(n=300, width=12, seed=0, mean=0.0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, width, generator=random, dtype=torch.float64) * torch.arange(1.0, width + 1) ** -0.5
    return (x + mean).to(dtype)


def fed(x, sizes, **options):
    metric = SpectralMetric(**options)
    for part in x.split(sizes):
        metric.update(part)
    return metric


@pytest.mark.parametrize("sizes", [300, 7, [1, 299], [299, 1]])
@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_any_split_is_exact_far_from_zero(sizes, mean):
    x = 0.3 * rows() + mean
    about_zero = x.double() - x.double().mean(0)
    found = fed(x, sizes).compute()
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(float(rg.effective_rank(about_zero)), rel=1e-9)


@pytest.mark.parametrize("options", [{"center": False}, {"normalize": "l2"}, {"measure": rg.participation_ratio}])
def test_options_are_those_of_the_spectrum(options):
    x = rows(mean=0.2)
    how = {key: value for key, value in options.items() if key != "measure"}
    measure = options.get("measure", rg.effective_rank)
    assert fed(x, 50, **options).compute().item() == pytest.approx(float(measure(x, **how)), rel=1e-9)


def test_a_collection_shares_one_state_and_reads_all_measures():
    x = rows()
    collection = torchmetrics.MetricCollection({name: SpectralMetric(name) for name in MEASURES})
    for part in x.split(40):
        collection.update(part)
    assert len(collection.compute_groups) == 1
    found = collection.compute()
    spectrum = rg.spectrum(x)
    assert found["effective_rank"].item() == pytest.approx(float(rg.effective_rank(spectrum)))
    assert found["participation_ratio"].item() == pytest.approx(float(rg.participation_ratio(spectrum)))
    assert found["stable_rank"].item() == pytest.approx(float(rg.stable_rank(spectrum)))
    assert found["n_components_90"].item() == int(rg.n_components(spectrum))
    collection.reset()
    values = [collection(part) for part in x.split(100)]
    assert values[1]["effective_rank"].item() == pytest.approx(float(rg.effective_rank(x[100:200])))
    assert collection.compute()["effective_rank"].item() == pytest.approx(float(rg.effective_rank(x)))


def test_forward_gives_the_batch_and_adds_to_the_whole_without_growing():
    x, metric = rows(), SpectralMetric()
    for part in x.split(60):
        assert metric(part).item() == pytest.approx(float(rg.effective_rank(part)))
        assert len(metric.sums) == 1
    assert metric.compute().item() == pytest.approx(float(rg.effective_rank(x)))
    metric.reset()
    assert metric.sums == []
    metric.update(x[:50])
    assert metric.compute().item() == pytest.approx(float(rg.effective_rank(x[:50])))


@pytest.mark.parametrize("as_state", [False, True])
def test_merge_state_adds_rows_and_leaves_the_other_as_it_was(as_state):
    x = rows()
    one, other, empty = fed(x[:100], 30), fed(x[100:], 60), SpectralMetric()
    before = other.compute().clone()
    one.compute()
    one.merge_state(other.metric_state if as_state else other)
    one.merge_state(empty)
    empty.merge_state(one)
    for metric in (one, empty):
        assert metric.compute().item() == pytest.approx(float(rg.effective_rank(x)))
    other.update(x[:5])
    other.reset()
    other.merge_state(one)
    assert one.compute().item() == pytest.approx(float(rg.effective_rank(x)))
    assert before.item() == pytest.approx(float(rg.effective_rank(x[100:])))


def test_merge_state_refuses_what_cannot_be_added():
    with pytest.raises(ValueError, match="a SumMetric cannot be merged"):
        SpectralMetric().merge_state(torchmetrics.SumMetric())
    with pytest.raises(ValueError, match="normalize='l2' and this one None"):
        SpectralMetric().merge_state(SpectralMetric(normalize="l2"))


@pytest.mark.parametrize(
    "change", [lambda m: m.set_dtype(torch.float16), lambda m: m.half(), lambda m: m.to(torch.bfloat16)]
)
def test_sums_stay_in_float64(change):
    x = rows()
    metric = fed(x, 100)
    change(metric)
    metric.update(x.half())
    assert metric.sums[0].dtype == torch.float64
    assert metric.compute().item() == pytest.approx(float(rg.effective_rank(x)), rel=1e-3)


def test_copies_and_pickles_go_on_by_themselves():
    x = rows()
    metric = fed(x[:100], 100)
    for other in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), metric.clone()):
        other.update(x[100:])
        assert other.compute().item() == pytest.approx(float(rg.effective_rank(x)))
    assert metric.compute().item() == pytest.approx(float(rg.effective_rank(x[:100])))


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric SpectralMetric was called before:UserWarning")
def test_rows_that_are_few_or_all_equal():
    assert torch.isnan(SpectralMetric().compute())
    assert torch.isnan(SpectralMetric()(rows()[:1]))
    assert fed(torch.full((20, 3), 5.0), 7).compute().item() == 1.0
    metric = fed(rows(), 300)
    metric.update(torch.empty(0, 12))
    assert metric.compute().item() == pytest.approx(float(rg.effective_rank(rows())))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.ones(3), r"must be a tensor \(n_samples, n_features\), got \(3,\)"),
        ([[1.0]], "got list"),
        (torch.tensor([[1.0, float("nan")]]), "not finite"),
        (torch.ones(3, 5), "different widths: 5, 12"),
    ],
)
def test_rows_that_cannot_be_added_change_nothing(features, message):
    metric = fed(rows(), 300)
    with pytest.raises(ValueError, match=message):
        metric.update(features)
    assert metric.compute().item() == pytest.approx(float(rg.effective_rank(rows())))


SPLITS = ([100, 200], [299, 1], [300, 0])


def two(rank, folder):
    """What the metrics of one of two processes say of each split of the rows."""
    warnings.filterwarnings("ignore", "The ``compute`` method", UserWarning)  # of a process without rows
    x = 0.3 * rows() + 1e6
    for i, split in enumerate(SPLITS):
        part = x.split(split)[rank]
        metric = SpectralMetric()
        for batch in part.split(40):
            if len(batch):
                metric.update(batch)
        values = [metric.compute().item()]
        if 0 not in split:
            metric.update(x[:0])  # what was gathered is no longer in the state
            values.append(metric.compute().item())
            on_step = SpectralMetric(dist_sync_on_step=True)
            values.append(on_step(part).item())
            values.append(on_step(part.flip(0)).item())
        np.save(folder / f"{i}-{rank}.npy", values)


def test_two_processes_are_one(tmp_path):
    found = Done(tmp_path, two)(two)
    x = 0.3 * rows() + 1e6
    whole = float(rg.effective_rank(x - x.mean(0)))
    for i, split in enumerate(SPLITS):
        for rank in (0, 1):
            values = np.load(found / f"{i}-{rank}.npy")
            np.testing.assert_allclose(values, whole, rtol=1e-9, err_msg=f"{split}, process {rank}")


HOSTS = """
import importlib, sys, repgeom
repgeom.monitors
for host, adapter in (("torchmetrics", "torchmetrics"), ("lightning", "lightning"), ("transformers", "huggingface")):
    assert host not in sys.modules
    sys.modules[host] = None  # as where it is not installed
    try:
        importlib.import_module(f"repgeom.integrations.{adapter}")
    except ImportError as error:
        print(adapter, error)
"""


def test_hosts_are_loaded_by_their_adapter_alone():
    done = subprocess.run([sys.executable, "-c", HOSTS], capture_output=True, text=True, check=True)
    adapters = ("torchmetrics", "lightning", "huggingface")
    for adapter, line in zip(adapters, done.stdout.splitlines(), strict=True):
        assert line.startswith(f"{adapter} ")
        assert f"`pip install 'repgeom[{adapter}]'`" in line
