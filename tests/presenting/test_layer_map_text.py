"""Maps of layers in words: names without what they share, lines that fit, every number, and models that are told apart."""

import functools
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.models.profile import layer_profile
from repgeom.presenting.cells import cells, told_apart, without_shared
from repgeom.presenting.layer_map_text import layer_map_text
from repgeom.presenting.screen import Screen


@functools.cache
def layers(name, n=24):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 6))
    return {name.format(i): x + i * rng.standard_normal((60, 6)) for i in range(n)}


LONG = "encoder.layer.{}.attention.output.dense"
MIXED = "module{0}.stage-with-a-long-name-{0}"


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", [LONG, MIXED, "{}", "h/{}"])
def test_a_map_fits_the_screen_with_every_number(name, width):
    found = rg.cka_map(layers(name))
    text = layer_map_text(found, Screen(width=width, wraps=True))
    assert max(map(cells, text.splitlines())) <= width
    words = text.split()
    for value in found.values.ravel():
        assert f"{value:.3f}".replace("-0.000", "0.000") in words


def test_printing_it_fits_too(capsys):
    print(rg.cka_map(layers(LONG)))
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 120


def test_columns_of_another_model_are_numbered_and_named():
    rows = layers("{}", 3)
    long = {f"layer-{word * 12}x{word}": x for word, x in zip("abc", rows.values(), strict=True)}
    text = layer_map_text(rg.cka_map(rows, long))
    assert f"Columns: 1 {'a' * 12}xa, 2 {'b' * 12}xb, 3 {'c' * 12}xc." in text
    assert "Columns: layer-*" in text


def ticks(found):
    ax = found.plot()
    return [[t.get_text() for t in axis.get_ticklabels()] for axis in (ax.xaxis, ax.yaxis)]


@pytest.mark.parametrize("name", [LONG, MIXED, "a/very/long/path/to/a/layer/{}/of/a/very/long/model/output"])
def test_ticks_say_what_differs(name):
    for names in ticks(rg.cka_map(layers(name, 12))):
        assert len(set(names)) == 12
    ax = rg.cka_map(layers(LONG, 12)).plot()
    assert [t.get_text() for t in ax.get_xticklabels()] == [str(i) for i in range(12)]
    assert "encoder.layer.*.attention.output.dense" in ax.get_xlabel()


def test_so_do_those_of_a_profile_and_of_classes():
    model = torch.nn.Sequential(*(torch.nn.Sequential(torch.nn.Linear(4, 4)) for _ in range(3)))
    named = torch.nn.ModuleDict({"a_long_name_of_a_wrapper_around_the_model": model})
    wrapped = torch.nn.Sequential(*named.values())
    profile = layer_profile(wrapped, torch.randn(60, 4).split(20))
    assert len({t.get_text() for t in profile.plot().get_xticklabels()}) == len(profile)
    labels = np.array([f"a-class-of-things-with-number-{i}-and-more-words" for i in range(3)])[np.arange(90) % 3]
    ax = rg.plot_class_ranks(np.random.default_rng(0).standard_normal((90, 4)), labels=labels)
    assert len({t.get_text() for t in ax.get_xticklabels()}) == 3


@pytest.mark.parametrize(
    ("names", "short", "frame"),
    [
        (["a.0.x", "a.1.x"], ["0", "1"], "a.*.x"),
        (["conv1", "conv2"], ["conv1", "conv2"], ""),
        (["a", "a"], ["a", "a"], ""),
        (["a.b", "a.b.b"], ["b", "b.b"], "a.*"),
        (["one"], ["one"], ""),
        ([], [], ""),
    ],
)
def test_what_names_share_goes_in_whole_parts(names, short, frame):
    assert without_shared(names) == (short, frame)


def test_two_models_of_one_name_are_told_apart_and_one_mapping_is_called_layers():
    def model(seed):
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.ReLU())

    x = torch.randn(60, 6).split(20)
    one, other = (layer_profile(model(seed), x) for seed in (0, 1))
    both, alone = one.compare(other), rg.cka_map(layers("{}", 2))
    assert (both.row_name, both.column_name) == ("Sequential (a)", "Sequential (b)")
    assert (alone.row_name, alone.column_name) == ("layers", "layers")
    named = rg.cka_map(one, other, names=("x", "x"))
    assert (named.row_name, named.column_name) == ("x", "x")


def test_a_notebook_shows_all_of_a_small_map_and_the_nearest_of_a_large_one():
    small = ElementTree.fromstring(rg.cka_map(layers(LONG, 3))._repr_html_())
    assert len(small.findall(".//tbody/tr")) == 3
    assert len(small.findall(".//tbody/tr/td")) == 9
    found = rg.cka_map(layers(LONG))
    rows = ElementTree.fromstring(found._repr_html_()).findall(".//tbody/tr")
    assert len(rows) == 24
    assert found.columns[1] in "".join(rows[0].itertext())
    np.testing.assert_array_equal(np.diag(found.values).round(6), np.ones(24))  # showing a map changes nothing in it


def test_a_distance_is_nearest_where_it_is_smallest():
    found = rg.cka_map(layers("{}", 14), measure="angular_cka")
    first = ElementTree.fromstring(found._repr_html_()).find(".//tbody/tr")
    nearest = found.columns[1 + int(np.argmin(found.values[0, 1:]))]
    assert "".join(first.find("td").itertext()) == nearest


def test_told_apart_still_holds_after_what_is_shared_went():
    names, _ = without_shared([f"x.{'y' * 40}{i}{'z' * 40}.w" for i in range(5)])
    assert len(set(told_apart(names, 24))) == 5
