"""Our own questions on planted results: what the expansion recovers, an untrained teacher, the cone, longer training."""

import dataclasses

import numpy as np
import pytest

from repgeom_examples.distillation.claims import ledger
from repgeom_examples.distillation.claims.verdicts import CONTRADICTED, DOES_NOT_APPLY, NOT_RUN, SUPPORTED

from ..planted_results import (
    CENTERED,
    CLIP,
    CONTROL,
    GRID,
    IN_A_CONE,
    SEEDS,
    WHOLE,
    by_hand,
    entry,
    planted,
    rank,
    student,
)


def asked(number, setting, change=lambda cell: {}, config=WHOLE, **more):
    return entry(number, planted(config, change, **more), config, setting)


def test_an_expansion_that_recovers_little_only_widens():
    found = asked(9, GRID)
    assert found.verdict == SUPPORTED
    assert found.ours
    # Beside it what was recovered: predictable rank, explained variance, CKA, which falls, and neighbours.
    assert [row.verdict for row in found.rows] == [SUPPORTED] * 4 + [CONTRADICTED, SUPPORTED]
    assert [row.test.beside for row in found.rows] == [False] * 2 + [True] * 4


def test_an_expansion_that_recovers_as_much_does_not():
    found = asked(9, GRID, lambda cell: {"predictable_rank": 28.0} if "infonce" in cell.objective else {})
    assert found.verdict == CONTRADICTED
    assert asked(9, GRID, rank(22.0, objective="cosine+infonce")).verdict == DOES_NOT_APPLY


def test_growth_is_the_definitions():
    cells = planted(WHOLE, scatter=0.05, spread=0.5)

    def of(key, objective):
        """Mean of widths: logarithms and what images add to them."""
        found = [[cells[student(CLIP, w, objective, seed)] for w in (1, 2, 4)] for seed in SEEDS]
        values = [
            [c.record[key] if key in c.record else c.record["predictable"]["explained"] for c in row] for row in found
        ]
        parts = [[c.arrays[f"log_{key}"].double().numpy() for c in row] for row in found]
        return np.log(values).mean(1), np.array(parts).mean(1)

    def growth(key):
        (a, rows_a), (b, rows_b) = of(key, "cosine+infonce"), of(key, "cosine")
        return a - b, rows_a - rows_b

    summary = entry(9, cells, WHOLE, GRID).rows[1].summary
    (wider, rows), (recovered, other_rows) = growth("effective_rank"), growth("explained")
    expected = np.exp(by_hand(wider - recovered, rows - other_rows))
    assert (summary.value, summary.low, summary.high) == pytest.approx(expected)


def test_an_untrained_teacher_is_compared_with_the_trained_one_on_its_images():
    found = asked(10, CONTROL)
    assert found.verdict == SUPPORTED
    assert [row.test.text for row in found.rows if row.test.beside] == ["the same over that of clip-cifar10"] * 2
    # A share of 15 of 97 over one of 20 of 100, and 38 / 15 over 2.4.
    assert [row.summary.value for row in found.rows][1::2] == pytest.approx([0.773, 1.056], rel=0.01)
    assert asked(10, CONTROL, rank(80.0, setting=CONTROL.name, objective="cosine")).verdict == CONTRADICTED
    assert asked(10, CONTROL, rank(90.0, setting=CLIP.name, objective="cosine")).verdict == DOES_NOT_APPLY


def test_without_a_trained_teacher_beside_it_the_control_asks_nothing():
    config = dataclasses.replace(WHOLE, settings=(CONTROL, dataclasses.replace(GRID, data="cifar100")))
    (found,) = [e for e in ledger.ledger(config, planted(config)) if e.claim.number == 10]
    assert found.verdict == NOT_RUN
    assert found.rows[0].reason == "this run has no untrained teacher beside a trained one"


def test_a_centred_teacher_shows_whether_its_cone_was_the_cause():
    """Students of the centred teacher keep a fifth of its rank, as before; at .8 of it the cone would have been the cause."""
    assert asked(11, CENTERED).verdict == CONTRADICTED
    assert asked(11, CENTERED, rank(80.0, setting=CENTERED.name, objective="cosine")).verdict == SUPPORTED
    assert {e.setting for e in ledger.ledger(WHOLE, {}) if e.claim.number == 11} == {CENTERED}


@pytest.mark.parametrize(("setting", "moved"), [(CENTERED, 30.0), (IN_A_CONE, 13.0)], ids=["center", "cone"])
def test_a_cone_deepens_the_collapse_where_a_change_of_it_changes_what_is_kept(setting, moved):
    assert asked(12, setting).verdict == CONTRADICTED
    assert asked(12, setting, rank(moved, setting=setting.name, objective="cosine")).verdict == SUPPORTED
    same_cone = asked(12, setting, lambda cell: {"mean_cosine": 0.7})
    assert same_cone.preconditions[-1].summary.value == pytest.approx(0, abs=0.01)
    assert same_cone.verdict != CONTRADICTED


def test_a_transformed_teacher_is_compared_with_the_teacher_as_it_is():
    """Another transform of it, which stands first in the run, is not what it is compared with."""
    config = dataclasses.replace(WHOLE, settings=(IN_A_CONE, GRID, CENTERED))
    assert entry(12, {}, config, CENTERED).rows[0].test.text.endswith(f"over that of {GRID.name}, width 1")


def test_longer_training_that_lifts_the_rank_shows_students_were_trained_too_little():
    assert asked(13, GRID).verdict == SUPPORTED
    found = asked(13, GRID, rank(60.0, objective="cosine@epochs=20"))
    assert found.verdict == CONTRADICTED
    assert found.rows[1].summary.value == pytest.approx(3, rel=0.01)  # over the 20 after 5 epochs
    assert found.rows[2].summary.value == pytest.approx(1, rel=0.01)  # what can be predicted from them is the same
    assert asked(13, GRID, rank(60.0, objective="cosine")).verdict == DOES_NOT_APPLY
