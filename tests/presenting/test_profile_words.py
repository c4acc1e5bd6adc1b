"""A profile of layers says in the terminal why layers fail or warn, once for all of them."""

import numpy as np
import pytest

import repgeom as rg
from repgeom.models.profile import LayerProfile
from repgeom.presenting.cells import cells
from repgeom.presenting.profile_text import profile_headline, profile_text
from repgeom.presenting.screen import Screen


def report(rank, name):
    rng = np.random.default_rng(rank)
    x = rng.standard_normal((400, rank)) @ rng.standard_normal((rank, 64))
    return rg.audit(x + 0.2 * rng.standard_normal((400, 64)), name=name)


def profile(*ranks):
    made = {f"layer.{i}": report(rank, f"layer.{i}") for i, rank in enumerate(ranks)}
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
