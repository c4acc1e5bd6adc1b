"""A model comes out as it went in, and what goes wrong in it is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import bert, made, network, rows, text_batches, texts
from torch import nn

import repgeom as rg
from repgeom import models


def hooks_of(model):
    return sum(len(module._forward_hooks) for module in model.modules())


class Fails(nn.Module):
    def __init__(self, at):
        super().__init__()
        self.first, self.at, self.calls = nn.Linear(8, 8), at, 0

    def forward(self, x):
        self.calls += 1
        y = self.first(x)
        if self.calls >= self.at:
            raise RuntimeError("the model broke")
        return y


@pytest.mark.parametrize("at", [1, 2, 3])
def test_hooks_modes_and_switches_are_put_back_after_an_error(at):
    model = nn.Sequential(Fails(at), nn.Dropout(0.5))
    model[1].eval()
    with pytest.raises(RuntimeError, match="the model broke"):
        models.layer_profile(model, [rows(), rows(), rows()])
    assert hooks_of(model) == 0
    assert [m.training for m in model.modules()] == [True, True, True, False]
    assert torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled()


def test_dropout_and_batch_norm_do_not_run_in_training_mode():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    x = models.extract_features(model, [rows()])
    # Products of other shapes round differently on some machines; dropout would set half of the values to zero.
    np.testing.assert_allclose(x, models.extract_features(model, rows().split(7)), atol=1e-6)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training
    assert model[2].training


def test_what_comes_after_a_layer_may_overwrite_what_it_gave():
    linear = nn.Linear(8, 8)
    model = nn.Sequential(linear, nn.ReLU(inplace=True))
    with torch.no_grad():
        expected = linear(rows())
    assert torch.equal(models.extract_features(model, [rows()], layer="0"), expected)
    report = models.layer_profile(model, [rows()])["0"]
    assert report["effective_rank"].in_these_rows == pytest.approx(rg.effective_rank(expected.numpy()), rel=1e-6)


def test_padding_in_the_fast_path_of_pytorch_is_no_nested_tensor():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=True)
    x, lengths = torch.randn(6, 5, 16), torch.tensor([5, 3, 4, 2, 5, 1])
    mask = torch.arange(5)[None] < lengths[:, None]

    def forward(model, batch):
        return model(batch[0], src_key_padding_mask=~batch[1])

    found = models.extract_features(
        encoder, [(x, mask)] * 4, layer="layers.0", pool="mean", forward=forward, mask=lambda batch: batch[1]
    )
    with torch.no_grad():
        encoder.eval()
        alone = [encoder.layers[0](x[i : i + 1, : lengths[i]]).mean(1)[0] for i in range(6)]
    np.testing.assert_allclose(found[:6], torch.stack(alone), atol=1e-5)


def test_samples_in_the_second_dimension_are_seen():
    torch.manual_seed(0)
    lstm = nn.LSTM(8, 6)
    model = nn.Sequential(lstm)
    x = torch.randn(5, 30, 8)  # positions first

    def forward(model, batch):
        return model(batch.transpose(0, 1))

    found = models.extract_features(model, [x.transpose(0, 1)] * 2, layer="0", forward=forward)
    with torch.no_grad():
        expected = lstm(x)[0].mean(0)
    np.testing.assert_allclose(found[:30], expected, atol=1e-6)
    with pytest.raises(
        ValueError, match=r"layer '0' gave shape .* for a batch of 15 samples: no dimension counts them"
    ):
        models.extract_features(
            model, [torch.randn(15, 5, 8)], layer="0", forward=lambda m, b: m(b[:7].transpose(0, 1))
        )


def test_overflow_in_half_precision_names_layer_and_type():
    model = network().half()
    with torch.no_grad():
        model[1][0].linear.weight.fill_(1e4)
        model[1][0].norm.weight.fill_(6e4)
    with pytest.raises(ValueError, match=r"layer '1\.0.*not finite \(its type is float16\).*bfloat16"):
        models.layer_profile(model, [rows().half() * 100])


def test_half_precision_is_pooled_in_float32():
    torch.manual_seed(0)
    x = (5 + 0.1 * torch.randn(100, 128, 16)).bfloat16()
    model = nn.Sequential(nn.Identity())
    found = models.extract_features(model, [x], layer="0", pool="mean")
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, x.double().mean(1), rtol=1e-5)


def test_text_without_a_mask_is_refused_where_it_matters():
    model, batch = made(bert), next(text_batches(texts(30), 30))
    ids = batch["input_ids"]
    for content in ({"input_ids": ids}, ids, (ids,)):
        with pytest.raises(ValueError, match=r"no `attention_mask`: padding would count"):
            models.extract_features(model, [content], layer="encoder.layer.0")
    masked = models.extract_features(model, [batch], layer="encoder.layer.0")
    given = models.extract_features(model, [batch], layer="encoder.layer.0", mask=lambda b: b["attention_mask"])
    assert torch.equal(masked, given)


@pytest.mark.parametrize(
    ("batches", "kind", "message"),
    [
        ([], ValueError, "`batches` is empty"),
        ([torch.ones(0, 8)], ValueError, "a batch holds no samples"),
        (["some text"], TypeError, r"a batch is a str; give tensors"),
        ([("some text", 3)], TypeError, r"a batch is a tuple of str; give tensors"),
        ([{"labels": torch.ones(3)}], TypeError, "a dict without tensors"),
        (3, TypeError, "`batches` is a int"),
        ("rows.npy", TypeError, "`batches` is a str"),
    ],
)
def test_batches_of_another_kind(batches, kind, message):
    with pytest.raises(kind, match=message):
        models.layer_profile(network(), batches)


class Alternating(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.calls = nn.Linear(8, 8), nn.Linear(8, 8), 0

    def forward(self, x):
        self.calls += 1
        return self.a(x) if self.calls < 4 else self.b(x)


def test_a_layer_that_stops_running_is_an_error():
    with pytest.raises(ValueError, match="layer 'a' did not run in a batch, and did in the first"):
        models.layer_profile(Alternating(), [rows()] * 5, layers=["a"])


def test_the_model_runs_in_the_settings_of_the_caller():
    seen = []

    class Looks(nn.Module):
        def forward(self, x):
            seen.append(torch.is_autocast_enabled("cpu"))
            return x

    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = models.extract_features(nn.Sequential(Looks()), [rows()])
    assert all(seen)
    assert torch.equal(x, rows())
    seen.clear()
    models.extract_features(nn.Sequential(Looks()), [rows()], autocast=torch.bfloat16)
    assert all(seen)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"max_samples": 0}, ValueError, "`max_samples` must be at least 1, got 0"),
        ({"max_samples": -3}, ValueError, "`max_samples` must be at least 1, got -3"),
        ({"pool": "max"}, ValueError, "`pool` must be one of auto, mean"),
        ({"autocast": "bfloat16"}, TypeError, r"`autocast` must be a type such as torch\.bfloat16"),
    ],
)
def test_options_are_checked_before_the_model_runs(options, kind, message):
    model = Fails(1)
    for call in (models.layer_profile, models.extract_features):
        with pytest.raises(kind, match=message):
            call(model, [rows()], **options)
    assert model.calls == 0
    with pytest.raises(ValueError, match="`rows_kept` must be at least 2"):
        models.layer_profile(model, [rows()], rows_kept=0)
    with pytest.raises(TypeError, match="`layers` takes module paths and patterns"):
        models.layer_profile(network(), [rows()], layers=[0])
    with pytest.raises(TypeError, match=r"one tensor \(200, 8\), whose rows would be taken for batches"):
        models.layer_profile(network(), rows())


class Gives(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.form, self.linear = form, nn.Linear(8, 4)

    def forward(self, x):
        return self.form(self.linear(x))


@pytest.mark.parametrize(
    "form",
    [
        lambda h: {"loss": h.mean(), "features": h},
        lambda h: (h.mean(), h),
        lambda h: [torch.arange(len(h)), h],
        lambda h: {"hidden": None, "ids": h.argmax(1), "x": h},
    ],
)
def test_a_loss_or_numbers_beside_features_are_not_taken_for_them(form):
    model = Gives(form)
    with torch.no_grad():
        assert torch.equal(models.extract_features(model, rows().split(50)), model.linear(rows()))


def test_a_model_without_features_is_refused():
    for form in (lambda h: h.sum(1), lambda h: h.argmax(1)):
        model = nn.Module()
        model.forward = form
        with pytest.raises(ValueError, match="no layer of this Module gave floats with a row for each sample"):
            models.layer_profile(model, [rows()])


@pytest.mark.parametrize("wrong", [torch.tensor([[0.0, -1e9]]), torch.tensor([[1, -1]]), torch.tensor([[1.0, 0.5]])])
def test_a_mask_of_other_values_than_0_and_1_is_refused(wrong):
    encoder = nn.Sequential(nn.Linear(4, 3))
    x, mask = torch.randn(8, 2, 4), wrong.expand(8, 2)
    with pytest.raises(ValueError, match=r"`mask` holds .*; it must be bools"):
        models.extract_features(
            encoder, [(x, mask)], layer="0", pool="mean", forward=lambda m, b: m(b[0]), mask=lambda b: b[1]
        )
