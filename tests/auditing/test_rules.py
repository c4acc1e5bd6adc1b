"""Findings on either side of every threshold of every rule, the purposes that rules speak for, and thresholds of one's own."""

import dataclasses
import html
import math
from types import SimpleNamespace

import pytest
from planted import PLANTED, everything, finding, normal

import repgeom as rg
from repgeom.auditing import judging
from repgeom.auditing.finding import LEVELS, NONE
from repgeom.auditing.purposes import PURPOSES
from repgeom.auditing.rules import RULES
from repgeom.presenting.text import threshold

NAMED = {rule.name: rule for rule in RULES}
SIDES = [(r.name, level) for r in RULES for level in ("warn", "fail") if getattr(r, level) is not None]
# Telling K classes apart needs K − 1 dimensions, so what lives on many dimensions is then nothing to worry about.
ONLY_TO_CLASSIFY = {"rank_per_class", "classes_told_apart"}
NOT_TO_CLASSIFY = {
    "rank_share", "live_directions", "leading_direction", "between_share", "agreement", "constant_features", "extreme_norms",
}  # fmt: skip


def judged(monkeypatch, rule, evidence, **options):
    """What one rule finds in this evidence."""
    monkeypatch.setattr(judging, "RULES", (rule,))
    return judging.judge(evidence, purpose=rule.purposes[0], **options)[0]


def reading(rule, value, interval=None):
    """The rule, which reads this value whatever it is given."""
    words = {"read": lambda e: value, "interval": lambda e: interval, "reason": lambda e, v: f"reads {v}"}
    return dataclasses.replace(rule, **words, rows=lambda e: NONE, columns=lambda e: NONE)


def found(monkeypatch, rule, value):
    """The rule's finding, and its level, where the features have this value for it."""
    given = PLANTED[rule.name][0](value)
    if isinstance(given, SimpleNamespace):
        return judged(monkeypatch, rule, given)
    return finding(rg.audit(**given, purpose=rule.purposes[0]), rule.name)


def better(rule, level):
    """The level on the good side of a threshold: a rule that never warns is ok below the one at which it fails."""
    return "warn" if level == "fail" and rule.warn is not None else "ok"


def worse_by(rule, step):
    return step if rule.worse == "above" else -step


# Thresholds -------------------------------------------------------------------------------------------------------


def test_every_rule_is_planted_and_its_stricter_threshold_is_the_one_that_fails():
    assert set(PLANTED) == set(NAMED)
    assert len(NAMED) == len(RULES)
    for rule in RULES:
        assert all((rule.causes, rule.advice, rule.source)), rule.name
        assert rule.worse in ("above", "below")
        if rule.fail is not None and rule.warn is not None:
            assert worse_by(rule, rule.fail - rule.warn) > 0, rule.name


@pytest.mark.parametrize(("name", "level"), SIDES)
def test_a_finding_turns_where_its_threshold_lies_and_shows_it(name, level, monkeypatch):
    rule, step = NAMED[name], PLANTED[name][1]
    limit, step = getattr(rule, level), worse_by(rule, step)
    bad = found(monkeypatch, rule, limit + step)
    assert bad.value == pytest.approx(limit + step, rel=1e-5, abs=1e-8)
    assert bad.level == level
    assert (bad.worse, bad.warn, bad.fail) == (rule.worse, rule.warn, rule.fail)
    assert threshold(bad) == f"{name} {rule.worse} {limit:g} ({rule.source})"
    assert (bad.causes, bad.advice) == (rule.causes, rule.advice)
    if limit - step >= 0:
        good = found(monkeypatch, rule, limit - step)
        assert good.value == pytest.approx(limit - step, rel=1e-5, abs=1e-8)
        assert good.level == better(rule, level)


@pytest.mark.parametrize(("name", "level"), SIDES)
def test_a_value_that_equals_a_threshold_does_not_cross_it(name, level, monkeypatch):
    rule, limit = NAMED[name], getattr(NAMED[name], level)
    beyond = math.nextafter(limit, worse_by(rule, math.inf))
    assert judged(monkeypatch, reading(rule, limit), None).level == better(rule, level)
    assert judged(monkeypatch, reading(rule, beyond), None).level == level


@pytest.mark.parametrize(("name", "level"), SIDES)
def test_the_kinder_end_of_an_interval_decides_and_doubt_is_said(name, level, monkeypatch):
    rule, limit = NAMED[name], getattr(NAMED[name], level)
    bad, worst = limit + worse_by(rule, 1e-3), limit + worse_by(rule, 2e-3)
    sure = judged(monkeypatch, reading(rule, bad, sorted((bad, worst))), None)
    assert (sure.level, sure.reason) == (level, f"reads {bad}")
    good = limit - worse_by(rule, 1e-3)
    unsure = judged(monkeypatch, reading(rule, bad, sorted((good, worst))), None)
    assert unsure.level == better(rule, level)
    assert unsure.reason == f"reads {bad}; not sure enough for {level}, as the interval reaches past its threshold"
    assert (unsure.low, unsure.high) == tuple(sorted((good, worst)))


def test_a_rule_that_finds_nothing_gives_its_number_and_accuses_nobody():
    for f in rg.audit(**everything()).findings:
        if f.level == "ok" and "not sure enough" not in f.reason:
            assert f.reason == f"{f.name.replace('_', ' ')} is {f.value:.3g}"


def test_text_and_page_show_the_threshold_that_was_crossed():
    x = normal(300, 10)
    x[:, 4:] = 0  # 0.6 of the features never change
    zeros = NAMED["zero_rows"]
    x[: math.ceil(300 * (zeros.warn + zeros.fail) / 2)] = 0
    report = rg.audit(x)
    assert finding(report, "constant_features").level == "fail"
    assert finding(report, "zero_rows").level == "warn"
    page = html.unescape(report.to_html())
    for rule, limit in ((NAMED["constant_features"], NAMED["constant_features"].fail), (zeros, zeros.warn)):
        line = f"{rule.name} {rule.worse} {limit:g} ({rule.source})"
        assert f"       threshold: {line}\n" in str(report)
        assert line in page


# Purposes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_rule_speaks_for_its_purposes_and_is_silent_for_others(purpose):
    report = rg.audit(**everything(), purpose=purpose)
    silent = NOT_TO_CLASSIFY if purpose == "classify" else ONLY_TO_CLASSIFY
    assert {f.name for f in report.findings} == set(NAMED) - silent
    assert report.purpose == purpose


@pytest.mark.parametrize(("name", "level"), SIDES)
def test_what_a_rule_is_silent_about_changes_no_level(name, level, monkeypatch):
    rule = NAMED[name]
    bad = reading(rule, getattr(rule, level) + worse_by(rule, 1e-3))
    monkeypatch.setattr(judging, "RULES", (bad,))
    for purpose in PURPOSES:
        levels = [f.level for f in judging.judge(None, purpose=purpose)]
        assert levels == ([level] if purpose in rule.purposes else [])


def test_features_are_to_transfer_unless_said_otherwise():
    x = normal(60, 5)
    assert rg.audit(x).purpose == "transfer"
    assert rg.audit(x).to_json() == rg.audit(x, purpose="transfer").to_json()
    accumulator = rg.AuditAccumulator().update(x)
    assert accumulator.report().purpose == "transfer"
    assert accumulator.report(purpose="retrieve").purpose == "retrieve"


def test_a_purpose_that_there_is_not_is_refused_with_those_that_there_are():
    accumulator = rg.AuditAccumulator().update(normal(60, 5))
    for refused in (lambda: rg.audit("no/such.npy", purpose="cluster"), lambda: accumulator.report(purpose="cluster")):
        with pytest.raises(ValueError, match=r"`purpose` must be one of .*; got 'cluster'") as error:
            refused()
        for purpose, meaning in PURPOSES.items():
            assert f"{purpose!r} ({meaning})" in str(error.value)


# Thresholds of one's own ------------------------------------------------------------------------------------------


def crossed_by(rule, before):
    """A threshold that the finding crosses, and one that only a far worse value would not."""
    ends = [v for v in (before.value, before.low, before.high) if v is not None]
    if rule.worse == "below":
        return max(ends) + 1, max(ends) + 2
    return min(ends) - 1, min(ends) - 2


@pytest.mark.parametrize("purpose", ["transfer", "classify"])  # one or the other hears every rule
def test_thresholds_of_ones_own_replace_those_of_the_rule(purpose):
    given = {**everything(), "purpose": purpose}
    before = {f.name: f for f in rg.audit(**given).findings}
    limits = {name: crossed_by(NAMED[name], f) for name, f in before.items()}
    for of_limits, level in (
        (lambda crossed, beyond: (crossed, None), "warn"),
        (lambda crossed, beyond: (beyond, crossed), "fail"),
        (lambda crossed, beyond: (None, crossed), "fail"),
        (lambda crossed, beyond: (None, None), "ok"),
    ):
        thresholds = {name: of_limits(*both) for name, both in limits.items()}
        report = rg.audit(**given, thresholds=thresholds)
        assert {f.name for f in report.findings} == set(before)
        for after in report.findings:
            name, sooner = after.name, before[after.name]
            assert (after.level, after.warn, after.fail) == (level, *thresholds[name])
            assert (after.value, after.low, after.high) == (sooner.value, sooner.low, sooner.high)
            assert after.source == "set by the caller"
            if level != "ok":
                limit = limits[name][0]
                assert threshold(after) == f"{name} {after.worse} {limit:g} (set by the caller)"


def test_other_rules_keep_their_thresholds():
    for f in rg.audit(normal(60, 5), thresholds={"rank_share": (0.9, 0.8)}).findings:
        if f.name != "rank_share":
            assert (f.warn, f.fail, f.source) == (NAMED[f.name].warn, NAMED[f.name].fail, NAMED[f.name].source)


@pytest.mark.parametrize("name", NAMED)
def test_a_threshold_may_equal_the_stricter_one_and_no_more(name):
    strict = -1.0 if NAMED[name].worse == "below" else 1.0
    x = normal(60, 5)
    rg.audit(x, thresholds={name: (2.0, 2.0)})
    for bad in ((2.0, 2.0 - 1e-9 * strict), (math.nan, 2.0), (2.0, math.nan)):
        with pytest.raises(ValueError, match=f"with fail the stricter one: this rule warns {NAMED[name].worse} its"):
            rg.audit(x, thresholds={name: bad})
    for bad in (3, (1,), (1, 2, 3), ("a", "b")):
        with pytest.raises(ValueError, match=r"must be two numbers \(warn, fail\), None for never; got"):
            rg.audit(x, thresholds={name: bad})


def test_thresholds_of_a_rule_that_there_is_not_are_refused():
    with pytest.raises(ValueError, match=r"`thresholds` names rank, which no rule has. The rules are: ") as error:
        rg.audit(normal(60, 5), thresholds={"rank": (1, 1)})
    assert all(name in str(error.value) for name in NAMED)


def test_the_worst_findings_come_first_and_the_level_is_theirs():
    x = normal(300, 10)
    x[:, 4:] = 0
    x[: math.ceil(300 * NAMED["zero_rows"].warn) + 1] = 0
    report = rg.audit(x)
    levels = [f.level for f in report.findings]
    assert levels == sorted(levels, key=LEVELS.index, reverse=True)
    assert set(levels) == set(LEVELS)
    assert report.level == levels[0]
    # Of one level, rules keep their order.
    places = [[rule.name for rule in RULES].index(f.name) for f in report.findings if f.level == "ok"]
    assert places == sorted(places)
