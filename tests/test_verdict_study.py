"""The battery of sets that judges the verdict: what it holds, that it is the same at every run, and how it is counted."""

from functools import partial

import numpy as np
import pytest

from studies import verdicts
from studies.verdict_sets import Case, Drawn, MissingPackage
from studies.verdict_stability import UNDECIDED, agreement

BATTERY = verdicts.battery()


def test_the_battery_is_large_and_every_set_has_its_own_name_and_a_reason():
    healthy = sum(case.health == "healthy" for case in BATTERY)
    assert healthy >= 110
    assert len(BATTERY) - healthy >= 110
    assert len({case.title for case in BATTERY}) == len(BATTERY)
    assert {case.health for case in BATTERY} == set(verdicts.HEALTH)
    assert {case.purpose for case in BATTERY} == {"transfer", "classify", "retrieve", "generate"}
    assert all(case.why.endswith((".", "?")) for case in BATTERY)


@pytest.mark.parametrize("case", BATTERY[::23], ids=lambda case: case.title)
def test_a_set_is_the_same_for_the_same_seed(case):
    try:
        one, two = case.draw(0), case.draw(0)
    except MissingPackage:
        pytest.skip("needs a package that is not installed")
    assert np.isfinite(one.features).all()
    assert np.array_equal(one.features, two.features)


def constant(random):
    return Drawn(np.ones((20, 4), np.float32))


def missing(random):
    raise MissingPackage("needs nothing that exists")


def test_what_audit_refuses_has_failed_and_what_cannot_be_drawn_is_skipped():
    case = partial(Case, "kind", "name", why="For a test.")
    refused = verdicts.judge(case(health="severe", make=constant))
    skipped = verdicts.judge(case(health="healthy", make=missing))
    assert (refused.level, refused.right) == ("fail", True)
    assert refused.reason.startswith("refused: ")
    assert (skipped.level, skipped.right) == ("skipped", True)
    assert "1 sets are skipped: needs nothing that exists" in verdicts.skipped([refused, skipped])
    assert "| severe | 1 | 0 (0 %) | 0 (0 %) | 1 (100 %) |" in verdicts.confusion([refused, skipped])
    assert "| healthy | 0 |" in verdicts.confusion([refused, skipped])


@pytest.mark.parametrize(
    ("health", "level", "right"),
    [("healthy", "ok", 1), ("healthy", "warn", 0), ("mild", "ok", 0), ("mild", "fail", 1), ("severe", "warn", 0)],
)
def test_a_set_that_is_judged_otherwise_is_listed(health, level, right):
    judged = verdicts.Judged(Case("kind", "name", health, constant, "For a test."), level, "a | b", 0.0)
    assert judged.right == bool(right)
    assert ("| kind: name | " in verdicts.misjudged([judged])) == (not right)


def test_few_rows_agree_with_many_where_they_say_the_same_or_leave_it_open():
    assert agreement(["fail", "ok", UNDECIDED, "fail"], ["fail", "fail", "ok"]) == 0.75
