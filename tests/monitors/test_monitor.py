"""A monitor in a loop of training: which rows it reads, and that it leaves no trace."""

import contextlib

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from training import WIDTH, batches, encoder, hooks_on, train

import repgeom as rg
from repgeom.monitors import Monitor
from repgeom.monitors.collecting import Collector


def read(monitor, measure="effective_rank", layer="output"):
    h = monitor.history
    return h[(h["measure"] == measure) & (h["layer"] == layer)]


def test_it_reads_the_rows_of_the_step_alone():
    """Each batch uses one direction more than the one before, so stale rows would show."""
    model = nn.Identity()
    monitor = Monitor(model, every=2)
    expected = []
    for i, batch in enumerate(batches(6, size=400)):
        rows = batch * torch.tensor([1.0] * (i + 1) + [0.0] * (WIDTH - i - 1))
        with monitor.step():
            model(rows)
        if i % 2 == 0:
            expected.append(rg.estimate(rows).value)
    found = read(monitor)
    assert found["step"].tolist() == [0, 2, 4]
    assert found["n"].tolist() == [400] * 3
    np.testing.assert_allclose(found["value"], expected, rtol=0.005)


def test_hooks_are_there_in_measured_steps_alone():
    model = encoder()
    monitor = Monitor(model, layers=["blocks.*", "output"], every=3)
    there = []
    for batch in batches(7):
        with monitor.step():
            there.append(hooks_on(model) > 0)
            model(batch)
        assert hooks_on(model) == 0
    assert there == [True, False, False, True, False, False, True]


def test_training_is_the_same_to_the_last_bit():
    data, trained = batches(9), []
    for watched in (False, True):
        model = encoder()
        torch.manual_seed(5)
        train(
            model,
            Monitor(model, layers=["blocks.*", "norm", "output"], every=2, interval=True) if watched else None,
            data,
        )
        trained.append((model.state_dict(), torch.rand(3)))
    for name, value in trained[0][0].items():
        assert torch.equal(value, trained[1][0][name]), name
    assert torch.equal(trained[0][1], trained[1][1])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_step_takes_hooks_and_rows_away(error):
    model = encoder()
    monitor = Monitor(model, every=1)
    batch = batches(1)[0]
    with pytest.raises(error, match="mine"), monitor.step():  # noqa: PT012, both belong to the step
        model(batch)
        raise error("mine")
    assert hooks_on(model) == 0
    assert monitor.history.empty
    with monitor.step():
        model(batch[:50])
    assert read(monitor)[["step", "n"]].values.tolist() == [[1, 50]]


def test_an_error_inside_the_model_that_the_step_survives():
    """The next call of a part is no part of the call that failed."""

    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = nn.Linear(WIDTH, WIDTH)

        def forward(self, x):
            self.part(x)
            raise RuntimeError("out of memory")

    model = Fails()
    monitor = Monitor(model, layers="part", every=1)
    with monitor.step():
        with contextlib.suppress(RuntimeError):
            model(torch.randn(64, WIDTH))
        model.part(torch.randn(20, WIDTH))
    assert monitor.history["n"].tolist() == [84] * 3


@pytest.mark.parametrize("way", ["break", "continue", "return"])
def test_a_step_that_ends_early_is_read(way):
    model = encoder()
    monitor = Monitor(model, every=1)

    def loop():
        for batch in batches(1):
            with monitor.step():
                model(batch)
                if way == "break":
                    break
                if way == "continue":
                    continue
                return

    loop()
    assert len(read(monitor)) == 1


def test_a_step_inside_a_step_is_refused():
    model = encoder()
    monitor = Monitor(model, every=1)
    with monitor.step():
        model(batches(1)[0])
        with pytest.raises(RuntimeError, match="inside another one"), monitor.step():
            pass
    assert len(read(monitor)) == 1


def test_steps_are_numbered_by_the_caller_where_he_likes():
    model = encoder()
    monitor = Monitor(model, every=10)
    for number in (95, None, 100, None):
        with monitor.step(number):
            model(batches(1)[0])
    assert read(monitor)["step"].tolist() == [100]


def test_views_are_read_together_and_known_to_be_of_the_same_samples():
    model = nn.Identity()
    x = batches(1, size=300)[0]
    for views in ([x, x + 0.01 * torch.randn(x.shape)], list(x.split(150))):
        monitor = Monitor(model, every=1, interval=True)
        with monitor.step():
            for view in views:
                model(view)
        found = read(monitor).iloc[0]
        n = len(views[0])
        expected = rg.estimate(torch.cat(views), groups=np.tile(np.arange(n), 2))
        assert found["n"] == 2 * n
        assert (found["value"], found["low"], found["high"]) == (expected.value, expected.low, expected.high)


def test_no_more_rows_than_asked_for_are_kept():
    model = encoder()
    monitor = Monitor(model, every=1, rows=100)
    with monitor.step():
        for batch in batches(3):
            model(batch)
    assert read(monitor)["n"].tolist() == [100]


def test_what_follows_in_place_does_not_change_the_rows():
    model = encoder()
    batch = batches(1, size=200)[0]
    monitor = Monitor(model, layers="blocks.0.0", every=1)
    with monitor.step():
        model(batch)
    linear = model.blocks[0][0](batch).detach()
    assert read(monitor, layer="blocks.0.0")["value"].item() == pytest.approx(rg.estimate(linear).value, rel=0.01)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_layers_count_once(reentrant):
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU())

        def forward(self, x):
            return checkpoint(self.inner, x, use_reentrant=reentrant)

    model = Checkpointed()
    monitor = Monitor(model, layers=["inner.0", "inner", "output"], every=1)
    with monitor.step():
        model(batches(1)[0].requires_grad_()).sum().backward()
    assert monitor.history["n"].tolist() == [64] * 9


def test_compiled_models_are_not_compiled_anew():
    compiled = []

    def backend(graph, _inputs):
        compiled.append(1)
        return graph.forward

    plain = encoder()
    model = torch.compile(plain, backend=backend)
    monitor = Monitor(model, layers=["blocks.*", "output"], every=3)
    data = batches(8)
    model(data[0]).sum().backward()
    before = len(compiled)
    train(model, monitor, data)
    assert len(compiled) == before
    assert monitor.history["layer"].unique().tolist() == ["blocks.0", "blocks.1", "output"]


def test_parts_that_are_called_by_themselves():
    model = nn.ModuleDict({"student": encoder(), "teacher": encoder(1)})
    monitor = Monitor(model, layers=["student", "teacher"], every=1)
    with monitor.step():
        model["student"](batches(1)[0])
        with torch.no_grad():
            model["teacher"](batches(1, size=30)[0])
    assert monitor.history.groupby("layer")["n"].first().to_dict() == {"student": 64, "teacher": 30}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("blocks", "layer 'blocks' gave no rows in step 0: it is a container"),
        (["output", "blocks"], "layer 'blocks' gave no rows"),
        ("nothing", "no layer fits 'nothing'"),
        ([], "`layers` is empty"),
        ("auto", '`layers="auto"` needs a `probe`'),
    ],
)
def test_layers_that_cannot_be_read(layers, message):
    model = encoder()
    with pytest.raises(ValueError, match=message):  # noqa: PT012, either may raise
        monitor = Monitor(model, layers=layers, every=1)
        with monitor.step():
            model(batches(1)[0])
    assert hooks_on(model) == 0


def test_a_pattern_passes_over_containers():
    model = encoder()
    monitor = Monitor(model, layers="**", every=1)
    with monitor.step():
        model(batches(1)[0])
    assert "blocks" not in set(monitor.history["layer"])
    assert {"blocks.0", "blocks.1.1", "head"} <= set(monitor.history["layer"])


def test_another_copy_of_the_model_is_an_error_and_not_an_empty_history():
    monitor = Monitor(encoder(), every=1)
    with pytest.raises(ValueError, match="another copy of the model"), monitor.step():
        encoder()(batches(1)[0])


def test_few_rows_are_an_error_at_first_and_a_warning_later():
    model = encoder()
    monitor = Monitor(model, every=1)
    batch = batches(1)[0]
    with pytest.raises(ValueError, match="gave 3 rows in step 0, and a reading needs at least 4"), monitor.step():
        model(batch[:3])
    with monitor.step():
        model(batch)
    with pytest.warns(UserWarning, match="gave 3 rows in step 2: no reading"), monitor.step():
        model(batch[:3])
    with pytest.warns(UserWarning, match="gave 0 rows in step 3"), monitor.step():
        pass
    assert read(monitor)["step"].tolist() == [1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"every": 0}, ValueError, "`every` must be a whole number of at least 1, got 0"),
        ({"every": 2.5}, ValueError, "`every` must be a whole number of at least 1, got 2.5"),
        ({"rows": True}, ValueError, "`rows` must be a whole number of at least 1, got True"),
        ({"measures": []}, ValueError, "`measures` is empty"),
        ({"measures": ["rank"]}, ValueError, "rank.*A monitor also reads"),
        ({"pool": "max"}, ValueError, "`pool` must be one of"),
        ({"log": "file.csv"}, TypeError, "`log` is a str; it takes a function"),
        ({"on_collapse": "stop"}, ValueError, "`on_collapse` must be None"),
        ({"below": 0}, ValueError, "`below` must be an effective rank or a share"),
        ({"patience": 0}, ValueError, "`patience` must be"),
        ({"probe": 3}, TypeError, "`probe` is a int"),
        ({"probe": []}, ValueError, "`probe` holds no batches"),
    ],
)
def test_arguments_out_of_range(arguments, error, message):
    with pytest.raises(error, match=message):
        Monitor(encoder(), **arguments)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_models_are_refused():
    with pytest.raises(TypeError, match="scripted"):
        Monitor(torch.jit.script(nn.Linear(3, 3)))


def test_hooks_do_not_stay_where_one_cannot_be_put_on(monkeypatch):
    model = encoder()
    monkeypatch.setattr(model.head, "register_forward_hook", None)
    collector = Collector(model, ["blocks.0", "head"], "auto", None)
    with pytest.raises(TypeError), collector.hooked(10, views=True):
        pass
    assert hooks_on(model) == 0


def test_history_is_a_frame_of_plain_numbers():
    model = encoder()
    monitor = Monitor(model, layers=["head", "output"], every=2)
    assert monitor.history.columns.tolist() == ["step", "layer", "measure", "value", "low", "high", "n"]
    assert str(monitor) == "no reading yet"
    train(model, monitor, batches(3))
    assert isinstance(monitor.history, pd.DataFrame)
    assert len(monitor.history) == 2 * 2 * 3
    assert monitor.history[["value", "low", "high"]].dtypes.tolist() == [np.float64] * 3
    assert "  output mean_cosine ≈ " in str(monitor)
