"""Which layers there are, which of them are meant, and which are refused."""

from __future__ import annotations

import warnings

import pytest
import torch
from tiny_models import Block, bert, made, network, rows, text_batches, texts
from torch import nn

from repgeom import models
from repgeom.models.paths import bare, matching

PATHS = ["encoder", "encoder.layer.0", "encoder.layer.0.norm", "encoder.layer.1", "encoder.layer.10", "norm", "output"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("encoder.layer.*", ["encoder.layer.0", "encoder.layer.1", "encoder.layer.10"]),
        ("encoder.layer.?", ["encoder.layer.0", "encoder.layer.1"]),
        ("encoder.**", ["encoder.layer.0", "encoder.layer.0.norm", "encoder.layer.1", "encoder.layer.10"]),
        ("**norm", ["encoder.layer.0.norm", "norm"]),
        ("*", ["encoder", "norm", "output"]),
        ("norm", ["norm"]),
        ("encoder.layer.1", ["encoder.layer.1"]),
    ],
)
def test_a_star_stops_at_a_dot_and_two_cross_it(pattern, expected):
    assert matching([pattern], PATHS) == expected


def test_a_pattern_that_fits_nothing_names_what_is_close():
    with pytest.raises(ValueError, match=r"no layer fits 'encoder\.layers\.\*'\. Close ones are .*encoder\.layer\.0"):
        matching(["encoder.layers.*"], PATHS)


def test_layers_are_listed_in_the_order_in_which_they_run():
    frame = models.layers(network(2), rows(5))
    assert frame.name.tolist()[0] == "0"
    assert frame.name.tolist()[-1] == "output"
    assert frame[frame.auto].name.tolist() == ["1.0", "1.1", "2", "output"]
    assert frame.loc[frame.name == "1.0", ["kind", "shape", "dtype", "fires"]].values.tolist() == [
        ["Block", (5, 12), "float32", 1]
    ]


def test_a_plain_sequential_is_taken_part_by_part():
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
    assert list(models.layer_profile(model, [rows()])) == ["0", "1", "2", "output"]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = self.a
        self.never = nn.Linear(8, 8)
        self.numbers = nn.Identity()

    def forward(self, x):
        self.numbers(torch.ones(len(x), dtype=torch.long))
        return self.b(self.a(x))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("a", r"'a' ran 2 times in one batch"),
        ("b", r"'b' ran 2 times in one batch"),
        ("never", r"'never' gave no features .* Layers that did are a, b, output"),
        ("numbers", r"'numbers' gave no features"),
        ("c", r"no layer fits 'c'"),
    ],
)
def test_layers_that_cannot_be_read_are_refused(layer, message):
    for call in (models.layer_profile, lambda m, b, layers: models.extract_features(m, b, layer=layers)):
        with pytest.raises(ValueError, match=message):
            call(Tied(), [rows()], layers=layer)
    assert list(models.layer_profile(Tied(), [rows()])) == ["output"]


def test_wrapped_models_are_looked_into():
    model = network()
    expected = models.layer_profile(model, [rows()]).to_frame()
    for wrapped in (torch.compile(model, backend="eager"), nn.DataParallel(model)):
        assert bare(wrapped) is model
        assert models.layer_profile(wrapped, [rows()]).to_frame().equals(expected)
    inner = network()
    inner[1] = torch.compile(inner[1], backend="eager")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the compiler
        inner(rows())  # compiled before it is watched
    assert models.layer_profile(inner, [rows()]).to_frame().equals(expected)


def test_what_has_no_modules_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(nn.Sequential(nn.Linear(8, 4)))
    exported = torch.export.export(nn.Sequential(nn.Linear(8, 4)), (rows(3),)).module()
    for model, message in ((scripted, "scripted"), (exported, "exported"), (lambda x: x, "is a function")):
        with pytest.raises(TypeError, match=message):
            models.layer_profile(model, [rows()])
        with pytest.raises(TypeError, match=message):
            models.layers(model, rows())


def test_position_embeddings_and_containers_are_not_taken_by_themselves():
    model = made(bert)
    frame = models.layers(model, next(text_batches(texts(6), 6)))
    assert "encoder.layer" not in frame.name.tolist()
    assert frame[frame.auto].name.tolist() == [
        "embeddings", "encoder.layer.0", "encoder.layer.1", "encoder.layer.2", "pooler", "output"
    ]  # fmt: skip
    assert isinstance(network()[1][0], Block)
