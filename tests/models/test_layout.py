"""Which dimension holds samples and which features, in whatever order a module gives them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import rows
from torch import nn

from repgeom import models

SEQUENCES = torch.randn(24, 6, 5, generator=torch.Generator().manual_seed(0))


class Turned(nn.Module):
    """A part that takes sequences first, in a model that takes samples first."""

    def __init__(self, part):
        super().__init__()
        self.part, self.head = part, nn.Linear(4, 3)

    def forward(self, x):
        y = self.part(x.transpose(0, 1))
        y = y[0] if isinstance(y, tuple) else y
        return self.head(y.transpose(0, 1))


@pytest.mark.parametrize("part", [nn.LSTM(5, 4), nn.GRU(5, 4), nn.Linear(5, 4)], ids=["lstm", "gru", "linear"])
@pytest.mark.parametrize("size", [6, 5, 4, 8, 1])
def test_samples_are_found_also_where_a_batch_is_as_large_as_a_sequence_is_long(part, size):
    model = Turned(part)
    with torch.no_grad():
        given = part(SEQUENCES.transpose(0, 1))
        expected = (given[0] if isinstance(given, tuple) else given).mean(0)
    # A batch of one sample says nothing of its own; what was seen of a larger one holds for it.
    batches = [SEQUENCES[:6], *SEQUENCES[6:].split(size)]
    found = models.extract_features(model, batches, layer="part", pool="mean")
    np.testing.assert_allclose(found, expected, atol=1e-6)


class Positioned(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.blocks = nn.Embedding(6, 5), nn.Sequential(*(nn.Sequential(nn.Linear(5, 5)) for _ in range(2)))

    def forward(self, x):
        return self.blocks(x + self.table(torch.arange(x.shape[1])))


@pytest.mark.parametrize("size", [6, 8, 2])
def test_position_embeddings_have_no_samples_however_many_there_are(size):
    frame = models.layers(Positioned(), SEQUENCES[:size])
    assert frame[frame.auto].name.tolist() == ["blocks.0", "blocks.1", "output"]
    assert list(models.layer_profile(Positioned(), SEQUENCES.split(size))) == ["blocks.0", "blocks.1", "output"]
    with pytest.raises(ValueError, match=r"layer 'table' gave shape .*: no dimension counts them"):
        models.extract_features(Positioned(), SEQUENCES.split(size), layer="table")


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv1d(7, 7, 3, padding=1), nn.GELU()

    def forward(self, x):
        return x + self.act(self.conv(x))


def test_channels_of_convolutions_over_time_are_features():
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv1d(5, 7, 3, padding=1), nn.BatchNorm1d(7), nn.ReLU(inplace=True))
    model = nn.Sequential(first, Residual(), Residual(), nn.AdaptiveAvgPool1d(1)).eval()
    x = SEQUENCES.transpose(1, 2)
    for layer in ("0", "0.0", "0.2", "1.act", "1", "2", "3", "output"):
        module = model if layer == "output" else model.get_submodule(layer)
        kept = []
        handle = module.register_forward_hook(lambda _m, _i, output, kept=kept: kept.append(output.clone()))
        with torch.no_grad():
            model(x)
        handle.remove()
        found = models.extract_features(model, x.split(8), layer=layer)
        np.testing.assert_allclose(found, kept[0].mean(2), atol=1e-6)
    assert models.extract_features(model, x.split(8), layer="1", pool="tokens").shape == (24 * 6, 7)


class Maps(nn.Module):
    """Features in the last dimension of a map, as in Swin."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(4), nn.Linear(4, 9)

    def forward(self, x):
        return self.linear(self.norm(x.permute(0, 2, 3, 1)))


def test_maps_of_any_number_of_dimensions_and_order_are_pooled_over_places():
    torch.manual_seed(0)
    x = torch.randn(20, 3, 6, 6, 6)
    conv = nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU())
    with torch.no_grad():
        expected = conv(x).mean((2, 3, 4))
    np.testing.assert_allclose(models.extract_features(conv, x.split(7)), expected, atol=1e-6)
    assert models.extract_features(conv, x.split(7), pool="tokens").shape == (20 * 64, 4)
    maps, flat = Maps(), torch.randn(20, 4, 6, 5)
    with torch.no_grad():
        expected = maps(flat).mean((1, 2))
    for layer in ("linear", "output"):
        np.testing.assert_allclose(models.extract_features(maps, flat.split(7), layer=layer), expected, atol=1e-6)


class Whole(nn.Module):
    """Takes its batches only whole, with what does not count samples beside them."""

    def __init__(self, n):
        super().__init__()
        self.n, self.linear = n, nn.Linear(8, 4)

    def forward(self, x, table):
        if len(x) != self.n:
            raise RuntimeError("only whole batches")
        return self.linear(x) + table.sum()


def test_a_model_that_takes_only_whole_batches_gets_them():
    batches = [{"x": part, "table": torch.ones(3)} for part in rows().split(50)]
    assert models.layer_profile(Whole(50), batches)["output"].n_samples == 200
    with pytest.raises(RuntimeError, match="only whole batches"):
        models.layer_profile(Whole(49), batches)


@pytest.mark.parametrize("pool", ["mean", "tokens"])
def test_numbers_do_not_depend_on_how_rows_are_gathered(pool):
    x = torch.randn(1200, 2, 4, generator=torch.Generator().manual_seed(0))
    beside = {"labels": torch.arange(1200) % 4, "reference": x[:, 0].numpy()}
    model = nn.Sequential(nn.Linear(4, 4))
    reports = [
        models.layer_profile(model, batches, layers="output", pool=pool, **beside)["output"]
        for batches in ([x], x.split(1), x.split(170))
    ]
    for given in reports[1:]:
        for value in reports[0].values:
            if value.value is None:
                continue
            assert given[value.name].value == pytest.approx(value.value, rel=1e-5), value.name
            if value.low is not None:
                assert given[value.name].low == pytest.approx(value.low, rel=1e-4), value.name
