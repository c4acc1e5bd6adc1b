"""What is taken for a collapse, and what is then done."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from repgeom.demo import digit_halves, info_nce, pull_together
from repgeom.monitors import EmbeddingCollapse, Monitor


def rows(rank, n=300, width=16, seed=0):
    """Rows with `rank` directions alike; 0 is one point."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=random) * torch.tensor([1.0] * rank + [0.0] * (width - rank)) + 1


def watch(ranks, **options):
    """The steps of a monitor at which something was done."""
    seen = []
    monitor = Monitor(nn.Identity(), every=1, on_collapse=lambda collapse: seen.append(collapse.step), **options)
    for i, rank in enumerate(ranks):
        with monitor.step():
            monitor._model(rows(rank, seed=i))
    return seen


@pytest.mark.parametrize(
    ("ranks", "options", "steps"),
    [
        ([8, 1, 1, 1, 1], {}, [2]),
        ([8, 1, 8, 1, 8], {}, []),
        ([8, 0, 0, 8, 1, 1], {}, [2, 5]),
        ([8, 2, 2, 2], {}, []),
        ([8, 1, 1], {"patience": 1}, [1]),
        ([8, 8, 8], {"below": 12}, [1]),
        ([8, 8, 8], {"below": 9}, []),  # within the margin of a value without an interval
        ([8, 8, 8], {"below": 9, "interval": True}, [1]),
        ([8, 8, 8], {"below": 0.7}, [1]),  # 11.2 of 16
        ([8, 8, 8], {"below": 0.5}, []),
        ([8, 0, 0], {"below": 0.01}, [2]),  # less than any rank, but for a point
        ([8, 1, 1], {"measures": ["mean_cosine"]}, [2]),
    ],
)
def test_when_it_is_called(ranks, options, steps):
    assert watch(ranks, **options) == steps


def test_a_function_gets_all_that_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    monitor = Monitor(nn.Identity(), every=10, on_collapse=seen.append, patience=1)
    x = rows(1)
    with monitor.step(40):
        monitor._model(x)
    (collapse,) = seen
    assert (collapse.step, collapse.layer, collapse.n, collapse.width, collapse.below) == (40, "output", 300, 16, 2.0)
    assert collapse.value == pytest.approx(1.0)
    np.testing.assert_allclose(collapse.variances[:1], [x.double().var(0).max()], rtol=1e-5)
    assert collapse.path is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("action", ["warn", "raise"])
def test_a_warning_and_an_error_name_the_file_of_the_spectrum(tmp_path, action):
    monitor = Monitor(nn.ModuleDict({"a": nn.Identity()}), layers="a", every=1, on_collapse=action, folder=tmp_path)
    x = rows(1)

    def steps(n):
        for _ in range(n):
            with monitor.step():
                monitor._model["a"](x)

    steps(1)
    catch = pytest.warns if action == "warn" else pytest.raises
    with catch(EmbeddingCollapse, match="layer 'a' has collapsed at step 1: its 300 rows of width 16") as caught:
        steps(1)
    collapse = caught[0].message if action == "warn" else caught.value
    assert str(collapse).endswith(f"The spectrum is in {collapse.path}.")
    with np.load(collapse.path) as kept:
        assert {"variances", "effective_rank", "layer", "step", "n", "width", "below", "low", "high"} <= set(kept)
        np.testing.assert_allclose(kept["singular_values"][:1], np.linalg.svd(x - x.mean(0))[1][:1], rtol=1e-5)
        assert str(kept["layer"]) == "a"
    assert len(monitor.history) == 6  # the reading that is the reason is in it
    steps(2)  # said once
    for other in (pickle.loads(pickle.dumps(collapse)), copy.copy(collapse)):
        assert (str(other), other.path) == (str(collapse), collapse.path)


def test_a_warning_points_to_the_training(tmp_path):
    monitor = Monitor(nn.Identity(), every=1, on_collapse="warn", folder=tmp_path, patience=1)
    with pytest.warns(EmbeddingCollapse) as caught, monitor.step():
        monitor._model(rows(0))
    assert caught[0].filename == __file__


def test_a_file_that_cannot_be_written_does_not_hide_the_collapse(tmp_path):
    monitor = Monitor(nn.Identity(), every=1, on_collapse="raise", folder=tmp_path / "none", patience=1)
    with pytest.raises(EmbeddingCollapse, match=r"The spectrum could not be saved: .*none"), monitor.step():
        monitor._model(rows(1))


@pytest.mark.parametrize(("loss", "collapses"), [(info_nce, False), (pull_together, True)])
def test_a_training_that_is_healthy_and_one_that_is_not(tmp_path, loss, collapses):
    images = digit_halves()[0].flatten(1)
    random = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    seen = []
    monitor = Monitor(model, layers=["0", "output"], every=10, on_collapse=seen.append)
    for _ in range(201):
        batch = images[torch.randint(len(images), (128,), generator=random)]
        a, b = (batch + 0.1 * torch.randn(batch.shape, generator=random) for _ in range(2))
        with monitor.step():
            value = loss(model(a), model(b))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    assert {one.layer for one in seen} == ({"output"} if collapses else set())
