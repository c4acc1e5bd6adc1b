"""A profile of layers says in the terminal why layers fail or warn, once for all of them."""

import numpy as np
import pytest

import repgeom as rg
from repgeom.models.profile import LayerProfile
from repgeom.presenting.cells import cells
from repgeom.presenting.profile_text import profile_headline, profile_text
from repgeom.presenting.screen import Screen
from repgeom.presenting.text import number, quoted, without_interval


def report(rank, name, labels=None):
    rng = np.random.default_rng(rank)
    x = rng.standard_normal((400, rank)) @ rng.standard_normal((rank, 64))
    return rg.audit(x + 0.2 * rng.standard_normal((400, 64)), labels=labels, name=name)


def profile(*ranks, labels=None):
    made = {f"layer.{i}": report(rank, f"layer.{i}", labels) for i, rank in enumerate(ranks)}
    return LayerProfile(made, dict.fromkeys(made, "Linear"))


@pytest.mark.parametrize("ranks", [(64, 64, 2), (2, 2, 64), (64, 6, 2)])
@pytest.mark.parametrize("width", [60, 120])
def test_the_worst_layers_reason_and_its_cause_are_printed(ranks, width):
    found = profile(*ranks)
    screen = Screen(width, wraps=True)
    text = profile_text(found, screen)
    assert all(cells(line) <= width for line in text.splitlines())
    flat = " ".join(text.split())
    first = found[found.worst].findings[0]
    assert " ".join(first.reason.split()) in flat
    assert flat.count(first.causes) == 1
    assert flat.count(f"try: {first.advice}") == 1


def test_the_verdict_counts_layers_and_names_them():
    for text in (profile_text(profile(64, 64, 2)), profile_headline(profile(64, 64, 2), Screen())):
        assert "1 of 3 layers fails: layer.2." in text
    assert "2 of 3 layers fail: " in profile_text(profile(2, 2, 64))
    assert "all layers." in profile_text(profile(64, 64))


def test_layers_that_share_a_reason_share_a_line():
    found = profile(2, 2, 64)
    assert "2 of 3 layers (layer.0, layer.1); in " in profile_text(found)


@pytest.mark.parametrize("width", [50, 80, 140])
def test_all_measures_of_every_layer_are_printed_where_all_are_asked_for(width):
    found = profile(64, 6, labels=np.arange(400) % 4)
    text = profile_text(found, Screen(width, wraps=True), every=True)
    assert all(cells(line) <= width for line in text.splitlines())
    words = " ".join(text.split())
    for layer in found.values():
        for v in layer.values:
            if v.name not in (
                "mean_cosine",
                "knn_accuracy",
            ):  # of the first table, where a narrow line leaves columns out
                assert f" {v.label.strip()} " in words
                assert without_interval(v) in words, v.name
            if width >= 80 and v.name not in ("effective_rank", "mean_cosine", "knn_accuracy"):
                assert quoted(v) in words, v.name  # with its interval


def test_accuracies_stand_in_the_table_and_the_page_where_there_are_labels():
    found, without = profile(64, 6, labels=np.arange(400) % 4), profile(64, 6)
    accuracy = found["layer.0"]["knn_accuracy"]
    assert "kNN accuracy" in profile_text(found, Screen(120))
    assert number(accuracy.value) in profile_text(found, Screen(120))
    assert "kNN accuracy, 95 %</th>" in found.to_html()
    assert f"<small>[{number(accuracy.low)}, {number(accuracy.high)}]</small>" in found.to_html()
    for words in (profile_text(without, Screen(120)), without.to_html()):
        assert "kNN accuracy" not in words


def test_the_frame_has_every_measure_of_the_reports():
    frame = profile(64, 6, labels=np.arange(400) % 4).to_frame()
    layer = profile(64, 6, labels=np.arange(400) % 4)["layer.1"]
    for v in layer.values:
        assert frame.loc["layer.1", v.name] == pytest.approx(np.nan if v.value is None else v.value, nan_ok=True)
    assert list(frame.columns[:5]) == ["kind", "pool", "width", "n_samples", "effective_rank"]
    assert frame.columns[-1] == "verdict"
    assert "knn_accuracy" not in profile(64).to_frame()
