"""A probe goes through the model in evaluation mode and leaves it, and all random numbers, as they were."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from training import WIDTH, batches, encoder, hooks_on, train

import repgeom as rg
from repgeom.monitors import Monitor


def state_of(model):
    return [
        [m.training for m in model.modules()],
        {name: value.clone() for name, value in model.state_dict().items()},
        [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        (torch.get_rng_state(), list(np.random.get_state()), random.getstate()),  # noqa: NPY002
        torch.backends.mha.get_fastpath_enabled(),
        hooks_on(model),
    ]


def assert_same(before, after):
    if isinstance(before, torch.Tensor):
        assert torch.equal(before, after)
    elif isinstance(before, np.ndarray):
        assert (before == after).all()
    elif isinstance(before, dict):
        assert_same(list(before.items()), list(after.items()))
    elif isinstance(before, (list, tuple)):
        assert len(before) == len(after)
        for pair in zip(before, after, strict=True):
            assert_same(*pair)
    else:
        assert before == after


class Careless(nn.Module):
    """Draws numbers and counts calls, in whichever mode; frozen in part; fails where told."""

    def __init__(self):
        super().__init__()
        self.inner = encoder()
        self.inner.norm.eval()
        self.register_buffer("calls", torch.zeros(()))
        self.fails = False

    def forward(self, x):
        self.calls += 1
        x = x + 0 * (torch.rand(1) + random.random() + np.random.rand())  # noqa: NPY002
        x = self.inner(x)
        if self.fails:
            raise RuntimeError("no memory")
        return x


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(fails):
    model = Careless().train()
    model.inner.norm.eval()
    model(batches(1)[0]).sum().backward()
    monitor = Monitor(model, layers=["inner", "output"], every=1, probe=batches(2))
    model.fails = fails
    before = state_of(model)
    if fails:
        with pytest.raises(RuntimeError, match="no memory"), monitor.step():
            pass
        assert monitor.history.empty
    else:
        with monitor.step():
            assert hooks_on(model) == 0  # only the probe is watched
    assert_same(before, state_of(model))


def test_training_is_the_same_to_the_last_bit():
    data, trained = batches(9), []
    for probe in (None, batches(2, seed=7)):
        model = encoder()
        torch.manual_seed(5)
        train(model, Monitor(model, every=2, probe=probe) if probe else None, data)
        trained.append(list(model.state_dict().values()))
    assert_same(*trained)


@pytest.mark.parametrize("kind", ["tensor", "tuple", "dict", "list", "generator", "loader", "forward"])
def test_what_a_probe_may_be(kind):
    model = encoder()
    x = torch.cat(batches(3))
    given, options = x, {}
    if kind == "tuple":
        given = (x, torch.zeros(len(x)))
    if kind == "dict":
        given = {"x": x}
    if kind == "list":
        given = list(x.split(50))
    if kind == "generator":
        given = (part for part in x.split(50))
    if kind == "loader":
        given = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=50)
    if kind == "forward":
        given, options = {"images": x}, {"forward": lambda model, batch: model(batch["images"])}
    monitor = Monitor(model, every=1, probe=given, interval=True, **options)
    for _ in range(2):
        with monitor.step():
            pass
    expected = rg.estimate(model.eval()(x).detach())
    found = monitor.history[monitor.history["measure"] == "effective_rank"]
    assert found["n"].tolist() == [len(x)] * 2
    np.testing.assert_allclose(found["value"], expected.value, rtol=1e-6)
    np.testing.assert_allclose(found["low"], expected.low, rtol=1e-6)


def test_rows_of_the_step_itself_are_not_read_and_the_weights_are_those_before_it():
    model = encoder()
    probe, other = batches(2, size=200)
    monitor = Monitor(model, every=1, probe=probe)
    before = rg.estimate(model.eval()(probe).detach()).value
    model.train()
    with monitor.step():
        model(other)
        with torch.no_grad():
            model.head.weight[:4] = 0
    assert monitor.history["value"][0] == pytest.approx(before, rel=0.01)
    assert monitor.history["n"][0] == 200


def test_automatic_layers_and_no_more_rows_than_asked_for():
    model = encoder()
    monitor = Monitor(model, layers="auto", every=1, probe=batches(5, size=40), rows=100)
    with monitor.step():
        pass
    assert monitor.history.groupby("layer")["n"].first().to_dict() == {
        "blocks.0": 100, "blocks.1": 100, "norm": 100, "head": 100, "output": 100,
    }  # fmt: skip


def test_layers_that_do_not_run_are_known_at_once():
    with pytest.raises(ValueError, match="'blocks' gave no features"):
        Monitor(encoder(), layers="blocks", probe=torch.ones(8, WIDTH))
