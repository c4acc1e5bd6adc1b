"""What each row adds, as a tally: in pieces, in any order, through bytes, and by slow definitions."""

import numpy as np
import pytest
import torch
from conftest import added_up
from estimate_reference import normal

from repgeom.data.sources import source_of
from repgeom.inference.influence import InSampleTally, ScoreTally, in_sample, score
from repgeom.measures.measure import functional
from repgeom.reading.tally import from_bytes, to_bytes
from repgeom.spectral.directions import directions_of

MEASURES = ("effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank")


def rows_and_directions(n=60, d=8, center=True, exponent=0.5, dtype=torch.float64):
    heavy = np.random.default_rng(3).uniform(0.7, 1.4, (n, 1))
    rows = torch.as_tensor(normal(n, d) * heavy * np.arange(1, d + 1.0) ** -exponent + 0.3).to(dtype)
    source = source_of(rows, "x")
    return rows, source, directions_of(source, center=center, normalize=None, tail=True)


def assert_same_scores(found, wanted):
    for name in ("squares", "one_row", "fingerprints"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-12, err_msg=name)
    assert found.leverage == pytest.approx(wanted.leverage, rel=1e-12)
    for name in MEASURES:
        np.testing.assert_allclose(found.influence[name], wanted.influence[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("with_copies", [False, True])
def test_scores_add_up_over_pieces_and_through_bytes(with_copies):
    rows, source, directions = rows_and_directions()
    copies = None
    if with_copies:
        copies = 1 + np.arange(60.0) % 3 / 2
    wanted = score(directions, source, MEASURES, copies)
    first = added_up(ScoreTally(directions, MEASURES, copies), rows[:25], 7)
    second = added_up(ScoreTally(directions, MEASURES, copies), rows[25:], 4, 25)
    second = ScoreTally.from_state(from_bytes(to_bytes(second.state())))
    first = added_up(ScoreTally.from_state(from_bytes(to_bytes(first.state()))), rows[:0], 1)
    first.merge(second)
    assert_same_scores(first.scores(), wanted)
    later = added_up(ScoreTally(directions, MEASURES, copies), rows[25:], 35, 25)
    later.merge(added_up(ScoreTally(directions, MEASURES, copies), rows[:25], 25))
    for name in ("leverage", "one_row"):
        assert getattr(later.scores(), name) == pytest.approx(getattr(wanted, name), rel=1e-12)
    assert np.roll(later.scores().squares, 25) == pytest.approx(wanted.squares, rel=1e-12)


def test_scores_say_how_far_rows_lie_and_what_one_row_holds():
    rows, source, directions = rows_and_directions(n=60, d=14)
    found = score(directions, source, ("effective_rank",))
    x = rows.numpy() - rows.numpy().mean(0)
    lengths = (x**2).sum(1)
    assert found.squares == pytest.approx(lengths / lengths.mean(), rel=1e-9)
    along = (x @ np.linalg.svd(x, full_matrices=False)[2].T[:, :10]) ** 2
    assert found.one_row == pytest.approx(along.max(0) / along.sum(0), rel=1e-9)
    assert found.leverage == 0.0
    assert len(set(found.fingerprints)) == 60
    again = rows.clone()
    again[41] = again[2]
    prints = score(directions, source_of(again, "x"), ("effective_rank",)).fingerprints
    assert len(set(prints)) == 59
    assert prints[41] == prints[2]


def test_leverage_is_the_hat_matrix_times_the_copies():
    rows, source, directions = rows_and_directions()
    x = rows.numpy() - rows.numpy().mean(0)
    hat = np.einsum("ij,ij->i", x @ np.linalg.inv(x.T @ x), x)
    copies = 1 + np.arange(60.0)[::-1] / 10
    found = score(directions, source, ("effective_rank",), copies)
    assert found.leverage == pytest.approx((copies * hat).max(), rel=1e-9)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("measure", MEASURES[:3])
@pytest.mark.parametrize("copies", [1.0, 2.5])
def test_a_row_is_left_out_with_its_copies(measure, copies, center):
    """The covariance without the row so many times, decomposed anew; a mean that was subtracted moves with it."""
    n, d = 300, 4
    rows, source, directions = rows_and_directions(n, d, center)
    found = score(directions, source, (measure,), np.full(n, copies)).influence[measure]
    x = directions.centred(rows).numpy()
    grow, freedom = 1.0, n
    if center:
        grow, freedom = n / (n - 1), n - 1
    f, variances = functional(measure), directions.variances
    brute = []
    for row in x:
        values, vectors = np.linalg.eigh((x.T @ x - grow * copies * np.outer(row, row)) / freedom)
        brute.append((grow * row @ vectors) ** 2 @ f.slope(variances, np.ones(d), values))
    squares = (x**2).sum(1)
    wanted = np.array(brute) - squares * np.mean(brute) / squares.mean()
    np.testing.assert_allclose(found, wanted, atol=3e-2 * np.abs(wanted).max())


def test_directions_without_variance_add_nothing():
    rows = np.c_[normal(60, 4), np.zeros((60, 3))]
    wide, narrow = (source_of(torch.as_tensor(x), "x") for x in (rows, rows[:, :4]))
    both = [score(directions_of(s, center=True, normalize=None, tail=True), s, MEASURES) for s in (wide, narrow)]
    for measure in MEASURES:
        np.testing.assert_allclose(both[0].influence[measure], both[1].influence[measure], atol=1e-6)
    plain = [
        in_sample(directions_of(s, center=True, normalize=None, tail=True), s, "effective_rank") for s in (wide, narrow)
    ]
    np.testing.assert_allclose(*plain, atol=1e-9)


def test_float32_rows_score_nearly_as_float64():
    single, double = (rows_and_directions(dtype=dtype) for dtype in (torch.float32, torch.float64))
    found, wanted = (score(directions, source, MEASURES) for _, source, directions in (single, double))
    for measure in MEASURES:
        np.testing.assert_allclose(found.influence[measure], wanted.influence[measure], atol=1e-4)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_plain_influence_adds_up_and_is_its_formula(measure):
    rows, source, directions = rows_and_directions()
    first = added_up(InSampleTally(directions, measure), rows[:25], 7)
    second = added_up(InSampleTally(directions, measure), rows[25:], 9, 25)
    first.merge(InSampleTally.from_state(from_bytes(to_bytes(second.state()))))
    x = rows.numpy() - rows.numpy().mean(0)
    _, sigma, vectors = np.linalg.svd(x, full_matrices=False)
    variances = (sigma / sigma[0]) ** 2
    slope = functional(measure).slope(variances, np.ones(8), variances)
    wanted = (x @ vectors.T / sigma[0] * 59**0.5) ** 2 @ slope
    assert torch.cat(first.parts).numpy() == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert in_sample(directions, source, measure) == pytest.approx(wanted - wanted.mean(), rel=1e-9, abs=1e-12)
