"""The sentences that a report begins with: each number in them is one of the overview's."""

import dataclasses
import re

import pandas as pd
import pytest

from repgeom_examples.distillation.reporting import charts, matrix, overview
from repgeom_examples.distillation.reporting.in_short import NO_CONTROL, OPEN, in_short
from repgeom_examples.distillation.settings.configs import Setting

from ..planted_details import detailed
from ..planted_results import CENTERED, CLIP, CONFIG, CONTROL, failed, planted

DIGITS = Setting("efficientnet-lite0", "digits")
CONTROLLED = dataclasses.replace(CONFIG, settings=(CLIP, CONTROL, CENTERED))


def said(config, cells=None):
    table = overview.overview_table(config, detailed(planted(config, scatter=0)) if cells is None else cells)
    return table, in_short(table, config)


def test_the_headline_is_the_collapse_and_its_control():
    _, short = said(CONTROLLED)
    assert short.headline == (
        "By cosine a student uses 20.0 dimensions where its teacher uses 100.0, with InfoNCE 48.0 (clip-cifar10). "
        "Of a teacher that was never trained: 15.0 of 97.0, and 38.0."
    )


def test_each_question_has_its_answer_in_order():
    table, short = said(CONTROLLED)
    answers = dict(short.lines)
    assert list(answers) == ["Rank kept", "Why", "Control", "InfoNCE", "Common mean"]
    assert "A 20.0 of 100.0 (20 %)." in answers["Rank kept"]
    assert "B 15.0 of 97.0 (15 %); with InfoNCE B 38.0." in answers["Control"]
    assert "predicts A 9.0, B 9.0 dimensions" in answers["Why"]
    assert "A 2.4, B 2.5" in answers["InfoNCE"]
    assert "A 50 to 50 %" in answers["InfoNCE"]
    assert answers["Common mean"].endswith("with center.")
    marks = matrix.letters(CONTROLLED.settings)
    for row in table.to_dict("records"):
        kept = f"{marks[row['setting']]} {row['cosine']:.1f} of {row['teacher']:.1f}"
        assert sum(kept in words for words in answers.values()) == 1


def test_without_a_control_or_the_published_setting_that_is_said():
    _, short = said(dataclasses.replace(CONFIG, settings=(dataclasses.replace(CLIP, n_train=500),)))
    assert dict(short.lines)["Control"] == NO_CONTROL
    assert dict(short.lines)["Open"] == OPEN
    assert "never trained" not in short.headline
    assert "Open" not in dict(said(CONFIG)[1].lines)


def test_what_is_not_finished_is_not_spoken_of():
    assert said(CONFIG, {})[1].lines == []
    cells = failed(planted(CONTROLLED), lambda cell: cell.objective == "cosine+infonce" or cell.setting == CONTROL.name)
    words = " ".join(f"{about}: {text}" for about, text in said(CONTROLLED, cells)[1].lines)
    assert "B " not in words
    assert "nan" not in words.lower()
    assert not re.search("None|InfoNCE", words)


@pytest.mark.parametrize("column", ["teacher", "cosine", "with InfoNCE"])
def test_the_first_chart_is_the_overview_above_what_is_published(column):
    table, _ = said(CONTROLLED)
    (chart,) = charts.drawn("overview", CONTROLLED, detailed(planted(CONTROLLED, scatter=0))).charts
    series = {s.name.removeprefix("student, "): s for s in chart.series}[column]
    published = {"teacher": 88.68, "cosine": 15.91, "with InfoNCE": 38}[column]
    assert chart.names == [*table["setting"], "published: CLIP on CIFAR-10"]
    assert series.values.tolist() == pytest.approx([*table[column], published])
    assert pd.isna(series.low[-1])
