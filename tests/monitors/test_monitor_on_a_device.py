"""A monitor of a model on a GPU reads what one on the CPU reads, and leaves training as it was."""

import numpy as np
import pytest
import torch
from training import batches, encoder, hooks_on, train

from repgeom.monitors import Monitor

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def exact_products():
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def test_readings_are_those_of_the_cpu(device):
    histories = []
    for place in (device, "cpu"):
        model = encoder().double().to(place).eval()
        monitor = Monitor(model, layers=["blocks.*", "output"], every=2, interval=True)
        data = [batch.double().to(place) for batch in batches(5, size=200)]
        train(model, monitor, data)
        histories.append(monitor.history)
    there, here = histories
    assert there["layer"].tolist() == here["layer"].tolist()
    for column in ("value", "low", "high"):
        np.testing.assert_allclose(there[column], here[column], rtol=1e-6)


def test_training_is_the_same_to_the_last_bit(device):
    data, trained = [batch.to(device) for batch in batches(9)], []
    for watched in (False, True):
        model = encoder().to(device)
        torch.manual_seed(5)
        monitor = Monitor(model, layers=["blocks.*", "norm", "output"], every=2) if watched else None
        train(model, monitor, data)
        assert hooks_on(model) == 0
        trained.append((model.state_dict(), torch.rand(3, device=device)))
    for name, value in trained[0][0].items():
        assert torch.equal(value, trained[1][0][name]), name
    assert torch.equal(trained[0][1], trained[1][1])


def test_autocast_and_a_probe(device):
    model = encoder().to(device)
    monitor = Monitor(model, layers=["blocks.*", "output"], every=2, probe=batches(1, size=300)[0].to(device))
    torch.manual_seed(5)
    state = torch.cuda.get_rng_state() if device == "cuda" else torch.get_rng_state()
    with torch.autocast(device, torch.bfloat16), monitor.step():
        after = torch.cuda.get_rng_state() if device == "cuda" else torch.get_rng_state()
    assert torch.equal(state, after)
    assert monitor.history["value"].gt(0).all()
