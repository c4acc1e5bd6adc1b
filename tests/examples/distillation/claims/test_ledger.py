"""How tests become verdicts, on planted results: seeds left out, one seed, preconditions, how many seeds would decide."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
import torch

from repgeom_examples.distillation import cli, stored
from repgeom_examples.distillation.claims import ledger, verdicts
from repgeom_examples.distillation.claims.reader import Missing
from repgeom_examples.distillation.claims.uncertainty import Measured, Spread
from repgeom_examples.distillation.claims.verdicts import CONTRADICTED, DOES_NOT_APPLY, NOT_RUN, SUPPORTED, UNDECIDED
from repgeom_examples.distillation.settings.configs import Config, Setting
from repgeom_examples.distillation.settings.grid import Cell

from ..planted_results import (
    CLIP,
    CONFIG,
    WHOLE,
    by_hand,
    entry,
    failed,
    planted,
    rank,
    student,
)

NUMBERS = range(1, 14)


@pytest.mark.parametrize("number", NUMBERS)
def test_nothing_there_is_not_run(number):
    for found in (e for e in ledger.ledger(WHOLE, {}) if e.claim.number == number):
        assert found.verdict == NOT_RUN
        assert all(row.summary is None and row.reason and row.outlook == "" for row in found.rows)


def test_failed_cells_are_not_run_and_say_why():
    found = entry(3, failed(planted(), lambda cell: cell.objective == "cosine+infonce"))
    assert found.verdict == NOT_RUN
    assert "failed: the loss became nan in epoch 2 of 5" in found.rows[0].reason
    assert "clip-cifar10--cnn-w1-cosine+infonce-s42" in found.rows[0].reason


def test_a_failed_seed_is_left_out_and_named():
    config = CONFIG
    cells = failed(planted(), lambda cell: cell.seed == 123 and cell.width == 4 and cell.objective == "cosine")
    row = entry(1, cells).rows[2]
    assert row.test.text == "effective rank at width 4 over the teacher's"
    assert row.summary.n_seeds == 2
    assert row.reason.startswith("1 of 3 seeds left out: clip-cifar10--cnn-w4-cosine-s123 failed")
    kept = [cells[student(CLIP, 4, seed=s)] for s in (42, 456)]
    teacher = cells[Cell(CLIP.name, "teacher")]
    values = [math.log(c.record["effective_rank"] / teacher.record["effective_rank"]) for c in kept]
    rows = [(c.arrays["log_effective_rank"] - teacher.arrays["log_effective_rank"]).double().numpy() for c in kept]
    expected = np.exp(by_hand(values, rows))
    assert (row.summary.value, row.summary.low, row.summary.high) == pytest.approx(expected, rel=1e-6)
    assert entry(1, cells, config).rows[0].summary.n_seeds == 3


def test_one_seed_decides_nothing():
    config = dataclasses.replace(WHOLE, seeds=(42,), more_seeds=())
    for found in ledger.ledger(config, planted(config)):
        rows = [row for row in found.rows if row.verdict != NOT_RUN]
        assert {row.verdict for row in rows} <= {UNDECIDED}
        assert all("one seed gives no interval" in row.reason for row in rows if not row.test.given)
        assert all(row.summary.low is None and row.seeds_needed is None for row in rows)


def test_two_seeds_can_decide():
    config = dataclasses.replace(CONFIG, seeds=(42, 123))
    assert entry(1, planted(config), config).verdict == SUPPORTED
    assert entry(1, planted(config, rank(60.0, width=4)), config).verdict == CONTRADICTED


@pytest.mark.parametrize("asked", [["--widths", "2", "2"], ["--seeds", "42", "42"]], ids=["widths", "seeds"])
def test_the_same_twice_is_not_two(asked):
    """Two equal seeds would have no scatter, and the largest of two equal widths would be its smallest."""
    with pytest.raises(ValueError, match=asked[1]):
        cli.configured(cli.parser().parse_args(["run", *asked]))


def spread_of(low, high, n_seeds=4, n_images=50):
    """A spread over seeds alone whose 95 % interval has these ends."""
    half = (high - low) / 2
    seed_variance = n_seeds * (half / scipy.stats.t.ppf(0.975, n_seeds - 1)) ** 2
    return Spread((low + high) / 2, n_seeds, seed_variance, 0.0, n_images)


@pytest.mark.parametrize(("low", "high", "verdict"), [(0.1, 0.4, SUPPORTED), (0.6, 0.9, CONTRADICTED), (0.4, 0.6, UNDECIDED)])  # fmt: skip
def test_the_rule(low, high, verdict):
    assert verdicts.decided(spread_of(low, high), 0, 0.5) == verdict
    assert verdicts.decided(spread_of(-high, -low), -0.5, 0) == verdict


def test_a_claim_of_many_tests_is_contradicted_by_a_wider_interval():
    """Outside at 95 %; at the level 1 − .05/6 that six tests ask for, the interval reaches into the range."""
    just_outside = spread_of(0.55, 0.95)
    wider = scipy.stats.t.ppf(1 - 0.025 / 6, 3) / scipy.stats.t.ppf(0.975, 3) * 0.2
    assert 0.75 - wider < 0.5
    assert verdicts.decided(just_outside, 0, 0.5, 1) == CONTRADICTED
    assert verdicts.decided(just_outside, 0, 0.5, 6) == UNDECIDED
    far_outside = spread_of(0.55 + wider, 0.95 + wider)
    assert verdicts.decided(far_outside, 0, 0.5, 6) == CONTRADICTED
    # All tests must hold for a claim to be supported, so that needs no wider interval.
    assert verdicts.decided(spread_of(0.01, 0.49), 0, 0.5, 6) == SUPPORTED


@pytest.mark.parametrize(
    ("of_tests", "verdict"),
    [
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([SUPPORTED, CONTRADICTED, NOT_RUN], CONTRADICTED),
        ([SUPPORTED, UNDECIDED], UNDECIDED),
        # A run of one width cannot say whether width matters, however many seeds it has.
        ([SUPPORTED, NOT_RUN], NOT_RUN),
        ([SUPPORTED, UNDECIDED, NOT_RUN], UNDECIDED),
        ([DOES_NOT_APPLY, NOT_RUN], NOT_RUN),
        ([NOT_RUN, NOT_RUN], NOT_RUN),
        ([DOES_NOT_APPLY, DOES_NOT_APPLY], DOES_NOT_APPLY),
        ([DOES_NOT_APPLY, SUPPORTED], SUPPORTED),
        ([DOES_NOT_APPLY, CONTRADICTED, SUPPORTED], CONTRADICTED),
    ],
)
def test_a_claim_is_as_good_as_its_tests(of_tests, verdict):
    assert verdicts.verdict_of(of_tests) == verdict


def row_with(values, contributions, low, high, n_seeds=2, n_tests=1):
    """The row of one of a claim's tests whose statistic has these values over seeds."""
    test = verdicts.Test("a number", lambda m: None, low, high, n_seeds=n_seeds)
    found = [Measured.of(value, "images", torch.tensor(contributions)) for value in values]
    return ledger._row(ledger.Reading(test, found, []), n_tests)


def test_how_many_seeds_would_decide_is_told(rng):
    """The half width at so many seeds, by hand, is below the distance to the nearest limit, and at one fewer it is not."""
    values, contributions = (0.1, 0.5, 0.9), 0.1 * rng.standard_normal(400)
    row = row_with(values, contributions, 0.3, 5.0)
    assert row.verdict == UNDECIDED

    def half(k):
        from_seeds = scipy.stats.t.ppf(0.975, k - 1) ** 2 * np.var(values, ddof=1) / k
        return math.sqrt(from_seeds + scipy.stats.t.ppf(0.975, 399) ** 2 * np.var(contributions, ddof=1) / 400)

    assert row.reason == ""
    assert half(row.seeds_needed) < 0.5 - 0.3 <= half(row.seeds_needed - 1)
    assert row.outlook == f"about {row.seeds_needed} seeds would decide"
    # A value outside must leave the range behind by the same distance.
    assert row_with(values, contributions, 0.7, 5.0).seeds_needed == row.seeds_needed
    assert row_with(values, contributions, 0.3, 5.0, n_seeds=50).seeds_needed == 50


def test_where_images_limit_a_test_more_seeds_do_not_help(rng):
    contributions = 10 * rng.standard_normal(400)
    row = row_with((0.49, 0.5, 0.51), contributions, 0.3, 5.0)
    assert row.seeds_needed is None
    assert row.outlook.startswith("more seeds cannot decide: images can, more than ")
    n_images = int(row.outlook.split("more than ")[1].split(" of")[0].replace(",", ""))
    expected = np.var(contributions, ddof=1) * (scipy.stats.t.ppf(0.975, 399) / 0.2) ** 2
    assert n_images == pytest.approx(expected, rel=1e-3)


def test_a_value_at_its_limit_is_never_decided():
    row = row_with((0.2, 0.3, 0.4), np.zeros(400), 0.3, 5.0)
    assert row.verdict == UNDECIDED
    assert (row.seeds_needed, row.outlook) == (None, "no number of seeds up to 1,000 would decide")


def test_what_is_outside_at_95_percent_alone_says_so():
    row = row_with((0.5, 0.6, 0.7), np.zeros(400), 0, 0.34, n_tests=5)
    assert row.summary.low > 0.34
    assert (row.verdict, row.reason) == (UNDECIDED, "outside, but not by the interval at 99.00% that 5 tests ask for")
    assert row.seeds_needed > 3
    assert row_with((0.5, 0.6, 0.7), np.zeros(400), 0, 0.34).verdict == CONTRADICTED
    # One reason is enough: here that there are too few seeds.
    few = row_with((0.5, 0.6, 0.7), np.zeros(400), 0, 0.34, n_seeds=50, n_tests=5)
    assert few.verdict == UNDECIDED
    assert "outside" not in few.reason


@pytest.mark.parametrize(("n_seeds", "n_read"), [(2, 3), (3, 3), (4, 5)])
def test_further_seeds_are_read_for_tests_that_need_more_than_there_are(n_seeds, n_read):
    config = dataclasses.replace(CONFIG, more_seeds=(11, 22))
    test = verdicts.Test("a number", lambda m: Measured.of(0.5, "images", torch.zeros(9)), 0, 1, n_seeds=n_seeds)
    assert ledger._reading(test, None, config, CLIP).n_asked == n_read


@pytest.mark.parametrize(("n_found", "verdict"), [(1, CONTRADICTED), (2, UNDECIDED)])
def test_a_test_of_one_seed_cannot_err_and_is_not_allowed_for(n_found, verdict):
    """A test whose 95 % interval decides, beside four of so many seeds: if they can err, its interval must be wider."""
    numbers = dict(zip(CONFIG.seeds, (0.5, 0.6, 0.7), strict=True))

    def statistic_of(seeds):
        def statistic(models):
            if models.seed not in seeds:
                raise Missing("not trained")
            return Measured.of(numbers[models.seed], "images", torch.zeros(400))

        return statistic

    tests = [verdicts.Test("a number", statistic_of(CONFIG.seeds[:n]), 0, 0.34) for n in (3, *[n_found] * 4)]
    assert ledger._rows(tests, None, CONFIG, CLIP)[0].verdict == verdict


def test_tests_that_decide_nothing_are_not_allowed_for():
    """One test and four beside it: its 95 % interval decides, which with five tests would have to be wider."""
    numbers = dict(zip(CONFIG.seeds, (0.5, 0.6, 0.7), strict=True))

    def statistic(models):
        return Measured.of(numbers[models.seed], "images", torch.zeros(400))

    tests = [verdicts.Test("a number", statistic, 0, 0.34, beside=beside) for beside in (False, *[True] * 4)]
    assert ledger._rows(tests, None, CONFIG, CLIP)[0].verdict == CONTRADICTED
    all_decide = [dataclasses.replace(test, beside=False) for test in tests]
    assert ledger._rows(all_decide, None, CONFIG, CLIP)[0].verdict == UNDECIDED


def test_every_claim_is_in_the_ledger_of_any_run():
    """What was not asked for is not run; a claim does not vanish."""
    config = Config("own", (Setting("clip", "folder"),), evaluation=CONFIG.evaluation)
    found = ledger.ledger(config, planted(config))
    assert {e.claim.number for e in found} == set(NUMBERS)
    assert {e.claim.number for e in found if e.verdict == NOT_RUN} == {2, 4, 8, 10, 11, 12, 13}
    assert [e.claim.number for e in found if e.ours] == [9, 10, 11, 12, 13]
    assert all(e.claim.short for e in found)
    nothing = [row.test for e in found if e.verdict == NOT_RUN for row in e.rows if row.test.text == e.claim.needs]
    assert {(test.low, test.high) for test in nothing} == {(-math.inf, math.inf)}


def test_a_test_beside_the_others_decides_nothing():
    """Claim 6 by the published definition, per batch, goes the other way and is shown as contradicted."""
    found = entry(6, planted(change=lambda cell: {"published/infonce": 3.3 + 0.02 * cell.width}))
    assert [row.verdict for row in found.rows if row.test.beside] == [CONTRADICTED, SUPPORTED]
    assert found.verdict == SUPPORTED


def test_records_without_a_number_leave_its_test_out():
    """An older record, or one of too few images, has no predictable rank."""
    cells = planted()
    for cell, found in cells.items():
        empty = {"value": None, "explained": None}
        arrays = {key: value for key, value in found.arrays.items() if key != "log_explained"}
        cells[cell] = stored.Stored({**found.record, "predictable": empty}, arrays)
    reasons = [row.reason for row in entry(9, cells).rows[:2]]
    assert "log_predictable_rank has no value in clip-cifar10--cnn-w1-cosine" in reasons[0]
    assert "log_explained was not measured" in reasons[1]
