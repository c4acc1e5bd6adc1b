"""What is only printed: the p-value's display limit."""

import dataclasses

import numpy as np
import pytest

import repgeom as rg
from repgeom.presenting.report_text import table


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
