"""Sentences of a report say the reason in the line, and ask what a person at the screen would ask."""

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.rules import RULES
from repgeom.presenting.report_text import headline_text, table
from repgeom.presenting.screen import Screen


def rows(n, d, rank=None):
    rng = np.random.default_rng(0)
    if rank is None:
        return rng.standard_normal((n, d))
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d)) + 0.01 * rng.standard_normal((n, d))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_share_is_a_percentage_with_its_ends(dtype):
    finding = next(f for f in rg.audit(rows(400, 64, 3).astype(dtype)).findings if f.name == "rank_share")
    assert finding.reason.startswith(f"only {100 * finding.value:.2g} % of its dimensions are in use")
    assert "(0 %: a line; 100 %: all directions alike): effective rank " in finding.reason
    assert "(σ: " in finding.reason


def test_no_meaning_of_a_rule_needs_the_rule_before():
    assert not [
        rule.name for rule in RULES if "the same" in rule.meaning.split()[:2] or rule.meaning.startswith("the same")
    ]
    assert not [rule.name for rule in RULES if "all alike (1)" in rule.meaning]


@pytest.mark.parametrize("n", [20, 64, 99])
def test_few_rows_are_the_reason_in_the_line(n):
    text = headline_text([rg.audit(rows(n, 16), name="x")], Screen())
    assert f"only {n} rows" in text
    assert "see the notes" not in text


def test_other_reasons_stand_in_the_line_too():
    text = headline_text([rg.audit(rows(120, 100), name="x")], Screen())
    assert "1.2 independent rows per feature, and it holds from 2" in text


def test_the_margin_is_the_one_that_the_verdict_takes():
    assert "allows for 35% either way" in rg.audit(rows(20, 64)).summary


@pytest.mark.parametrize(("n", "d", "asked"), [(64, 1797, True), (20, 81, True), (20, 80, False), (300, 64, False)])
def test_a_file_with_far_fewer_rows_than_columns_may_be_transposed(n, d, asked, tmp_path):
    np.save(tmp_path / "x.npy", rows(n, d))
    for given in (rows(n, d), str(tmp_path / "x.npy")):
        report = rg.audit(given)
        assert any("transposed?" in note for note in report.notes) == asked
        assert ("transposed?" in table([report])) == asked


def test_batches_are_not_asked_whether_they_are_transposed():
    assert not any("transposed?" in note for note in rg.audit(iter([rows(10, 400), rows(10, 400)])).notes)


def test_drift_is_spelled_as_the_measures_are():
    x = rows(200, 16)
    report = rg.audit(x, corrupted=x + 0.1, labels=np.arange(200) % 3)
    text = table([report]).partition("Corrupted, row by row")[2]
    for label in ("linear CKA", "kNN overlap", "effective rank ratio (σ)", "relative L2 drift"):
        assert label in text
    for raw in ("linear cka", "knn ", "ratio sigma", " l2 "):
        assert raw not in text
