"""What is only printed: the p-value's display limit."""

import dataclasses
import re

import numpy as np
import pytest

import repgeom as rg
from repgeom.presenting.report_text import table
from repgeom.presenting.text import number


@pytest.mark.parametrize(
    ("p", "words"),
    [(0.0432, "p = 0.043"), (1.04e-4, "p = 0.0001"), (1e-4, "p = 0.0001"), (9.9e-5, "p < 0.0001"), (0.0, "p < 0.0001")],
)
def test_p_values_are_printed_down_to_a_ten_thousandth(p, words, monkeypatch):
    x = np.random.default_rng(0).standard_normal((200, 5))
    first, second = rg.audit(x, name="one"), rg.audit(x * [1, 1, 1, 1, 2], name="two")
    found = dataclasses.replace(second.compare(first), p_value=p)
    monkeypatch.setattr(type(second), "compare", lambda self, other: found)
    assert f", {words} (row i of both taken for one sample)" in table([first, second])


def _rows():
    return np.random.default_rng(0).standard_normal((120, 8))


CLASSES = np.arange(120) % 4
LAYERS = {"first.0.out": _rows(), "first.1.out": _rows()[:, :5]}
RESULTS = {
    "comparison": lambda: rg.compare(_rows(), _rows() * np.linspace(1, 2, 8), paired=True),
    "comparison without interval": lambda: rg.compare(_rows()[:20], _rows()[20:40]),
    "neural collapse": lambda: rg.neural_collapse(_rows(), CLASSES, weights=_rows()[:4]),
    "health": lambda: rg.health(_rows()),
    "norms": lambda: rg.norms(_rows()),
    "classes": lambda: rg.class_effective_rank(_rows(), CLASSES),
    "intrinsic dimension": lambda: rg.intrinsic_dimension(_rows()),
    "hubness": lambda: rg.hubness(_rows()),
    "predictable rank": lambda: rg.predictable_rank(_rows(), _rows() ** 2),
    "spectrum": lambda: rg.spectrum(_rows()),
    "tokens": lambda: rg.token_geometry(_rows(), np.arange(120) // 6),
    "repairs": lambda: rg.repair.compare_repairs(_rows(), CLASSES),
    "map": lambda: rg.cka_map(LAYERS),
    "difference": lambda: rg.cka_map(LAYERS).difference(("first.0.out",) * 2, ("first.0.out", "first.1.out")),
    "value": lambda: rg.audit(_rows())["effective_rank"],
}


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_no_result_prints_as_its_fields_with_every_digit(make):
    result = make()
    text = str(result)
    assert not re.search(r"\d\.\d{7}|\w+\(\w+=", text)
    assert max(map(len, text.splitlines())) <= 240
    assert "<div" in result._repr_html_()


def test_a_comparison_prints_difference_interval_and_p():
    found = RESULTS["comparison"]()
    assert number(found.difference) in str(found)
    assert f"[{number(found.low)}, {number(found.high)}]" in str(found)
    assert "p < 0.0001" in str(found)


def test_classes_print_their_ranks():
    found = RESULTS["classes"]()
    assert all(number(rank) in str(found) for rank in found.effective_rank)
