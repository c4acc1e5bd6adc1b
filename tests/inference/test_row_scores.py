"""What each row adds, as a tally: in pieces, in any order, through bytes, and by slow definitions."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from conftest import added_up
from estimate_reference import normal, slow_influence

from repgeom.data.sources import source_of
from repgeom.inference import influence
from repgeom.inference.influence import InSampleTally, ScoreTally, _factors, _fitted, _reader, in_sample, score
from repgeom.inference.population import population
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
    for name in ("squares", "one_row", "leverages", "marks"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-9, atol=1e-12, err_msg=name)
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
    assert later.scores().one_row == pytest.approx(wanted.one_row, rel=1e-12)
    for name in ("squares", "leverages", "marks"):
        found = np.roll(getattr(later.scores(), name), 25, axis=0)
        np.testing.assert_allclose(found, getattr(wanted, name), rtol=1e-9, atol=1e-12, err_msg=name)


def test_scores_say_how_far_rows_lie_and_what_one_row_holds():
    rows, source, directions = rows_and_directions(n=60, d=14)
    found = score(directions, source, ("effective_rank",))
    x = rows.numpy() - rows.numpy().mean(0)
    lengths = (x**2).sum(1)
    assert found.squares == pytest.approx(lengths / lengths.mean(), rel=1e-9)
    along = (x @ np.linalg.svd(x, full_matrices=False)[2].T[:, :10]) ** 2
    assert found.one_row == pytest.approx(along.max(0) / along.sum(0), rel=1e-9)


def test_marks_are_the_same_eight_projections_of_every_row():
    rows, source, directions = rows_and_directions(n=40, d=6)
    centred = directions.centred(rows).numpy()
    found = score(directions, source, ("effective_rank",)).marks
    assert found.shape == (40, 8)
    projection, residuals, rank, _ = np.linalg.lstsq(centred, found, rcond=None)
    assert rank == 6
    assert residuals == pytest.approx(np.zeros(8), abs=1e-20)
    # Without preferred directions, and each unlike the others.
    assert np.linalg.matrix_rank(projection) == 6
    again = rows.clone()
    again[31] = again[2]
    marks = score(directions, source_of(again, "x"), ("effective_rank",)).marks
    assert marks[31] == pytest.approx(marks[2], rel=1e-12)
    assert len(np.unique(marks.round(9), axis=0)) == 39


def test_leverage_is_the_hat_matrix_times_the_copies():
    rows, source, directions = rows_and_directions()
    x = rows.numpy() - rows.numpy().mean(0)
    hat = np.einsum("ij,ij->i", x @ np.linalg.inv(x.T @ x), x)
    copies = 1 + np.arange(60.0)[::-1] / 10
    found = score(directions, source, ("effective_rank",), copies)
    assert found.leverages == pytest.approx(copies * hat, rel=1e-9)
    assert score(directions, source, ("effective_rank",)).leverages == pytest.approx(hat, rel=1e-9)


def test_leverages_of_rows_add_up_to_the_directions_that_vary():
    """One each in a direction that no other row has; directions of rounding count for nothing."""
    rows = np.zeros((30, 9))
    rows[:, :4] = normal(30, 4)
    rows[11, 5] = 3.0
    source = source_of(torch.as_tensor(rows), "x")
    directions = directions_of(source, center=True, normalize=None, tail=True)
    found = score(directions, source, ("effective_rank",)).leverages
    assert found.sum() == pytest.approx(5, rel=1e-9)
    assert found[11] + 1 / 30 == pytest.approx(1, rel=1e-9)
    assert np.delete(found, 11).max() < 0.9


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("measure", MEASURES[:3])
@pytest.mark.parametrize("copies", [1.0, 2.5])
def test_a_row_is_taken_out_and_added_with_its_copies(measure, copies, center, monkeypatch):
    """Covariances with parts of the row, decomposed anew; a mean that was subtracted moves with it."""
    f = dataclasses.replace(functional(measure), at_sample=True)
    monkeypatch.setattr("repgeom.inference.influence.functional", lambda name: f)
    n, d = 200, 24  # so many variances that a sum over nodes follows the slope between them
    rows, source, directions = rows_and_directions(n, d, center)
    scores = score(directions, source, (measure,), np.full(n, copies))
    grow, freedom = 1.0, n
    if center:
        grow, freedom = n / (n - 1), n - 1
    x = directions.centred(rows).numpy()
    wanted = slow_influence(x, f, directions.variances, grow, np.full(n, copies), freedom)
    # Beyond four fifths of a direction a row is taken out no further.
    compared = scores.leverages < 0.7
    assert compared.sum() > 170
    found = scores.influence[measure]
    np.testing.assert_allclose(found[compared], wanted[compared], atol=2e-2 * np.abs(wanted).max())


@pytest.mark.parametrize("measure", MEASURES[:3])
def test_of_a_row_that_makes_its_own_directions_four_fifths_are_taken_out(measure):
    """Half of 1 / (1 − h) and half of −ln(1 − h) / h, which is 1 for no copy, at h = 0.8 for ever so many."""
    rows, _, directions = rows_and_directions()
    reader, none = _reader(directions, measure), torch.zeros(60, dtype=torch.float64)
    y = (directions.centred(rows) @ directions.vectors).square()
    without, with_all = reader(y, none, 0.0), reader(y, none, 1e12)
    assert (with_all / without).numpy() == pytest.approx(np.full(60, (5 + math.log(5) / 0.8) / 2), rel=1e-9)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("measure", MEASURES[:3])
def test_what_a_row_adds_node_by_node(measure, center, monkeypatch):
    """h = xᵀ(A + ns)⁻¹x, at most 0.8; half of the slope without the row, half of the mean slope while it is added."""
    nodes = []
    monkeypatch.setattr(influence, "_factors", lambda *given: nodes.append(given[2]) or _factors(*given))
    rows, _, directions = rows_and_directions(30, 6, center)
    reader = _reader(directions, measure)
    (nodes,) = nodes
    constant, factors = _factors(directions, functional(measure), nodes)
    grow, freedom = (30 / 29, 29) if center else (1.0, 30)
    y = ((directions.centred(rows) @ directions.vectors) ** 2).numpy()
    lengths, times = normal(30, 1)[:, 0], np.linspace(0.01, 8, 30)
    wanted, held = constant * lengths, []
    for i, (row, copies) in enumerate(zip(y, times, strict=True)):
        for s, factor in zip(nodes, factors, strict=True):
            part = sum(square * s / (variance + s) for square, variance in zip(row, directions.variances, strict=True))
            held.append(min(0.8, grow * copies * part / s / freedom))
            wanted[i] += factor * part * (1 / (1 - held[-1]) - math.log(1 - held[-1]) / held[-1]) / 2
    assert min(held) < 1e-4
    assert 0.1 < np.mean(np.equal(held, 0.8)) < 0.9
    found = reader(torch.as_tensor(y), torch.as_tensor(lengths), torch.as_tensor(times)[:, None])
    assert found.numpy() == pytest.approx(grow**2 * wanted, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("measure", MEASURES[:3])
def test_the_slope_is_fitted_where_the_population_has_its_variances(measure, monkeypatch):
    """As rows vary along each direction: an error there counts by √(share of the variance)."""
    given = []
    monkeypatch.setattr(influence, "_fitted", lambda *a: given.extend(a) or np.arange(4.0))
    _, _, directions = rows_and_directions(40, 12)
    f, nodes, sample = functional(measure), np.array([0.1, 1.0, 10.0]), directions.variances
    constant, factors = _factors(directions, f, nodes)
    assert (constant, factors.tolist()) == (0.0, [1.0, 2.0, 3.0])
    t, counts, k = sample, np.ones(12), nodes
    if measure != "participation_ratio":
        behind = population(sample, 12, 39)
        t, counts = behind.variances, behind.counts
        k = [s / (1 - sum(v / (v + s) for v in sample) / 39) for s in nodes]
    basis, wanted, weights = given
    assert basis == pytest.approx(np.array([[one / (v + one) for one in k] for v in t]), rel=1e-12)
    assert wanted == pytest.approx(f.slope(t, counts, t), rel=1e-12)
    assert weights == pytest.approx(
        [math.sqrt(c * v / (counts @ t)) for c, v in zip(counts, t, strict=True)], rel=1e-12
    )


def test_factors_are_those_of_a_small_ridge():
    basis, wanted = np.random.default_rng(0).random((9, 3)), normal(9, 1)[:, 0]
    weights = 1e-7 * np.linspace(1, 2, 9)  # so small that the ridge shows
    columns = np.c_[np.ones(9), basis]
    left = sum(w**2 * np.outer(row, row) for w, row in zip(weights, columns, strict=True)) + 1e-14 * np.eye(4)
    right = sum(w**2 * y * row for w, y, row in zip(weights, wanted, columns, strict=True))
    assert _fitted(basis, wanted, weights) == pytest.approx(np.linalg.solve(left, right), rel=1e-6)
    assert _fitted(basis, np.zeros(9), np.ones(9)).tolist() == [0.0] * 4
    assert _fitted(basis, 3 - 2 * basis[:, 1], np.ones(9)) == pytest.approx([3, 0, -2, 0], abs=1e-6)


def test_of_directions_that_do_not_vary_one_row_holds_nothing():
    rows = np.outer(normal(40, 1), [3.0, 0.0, 0.0])
    source = source_of(torch.as_tensor(rows), "x")
    directions = directions_of(source, center=True, normalize=None, tail=True)
    found = score(directions, source, ("effective_rank",)).one_row
    assert np.isfinite(found).all()
    assert found[1:].tolist() == [0.0] * (len(found) - 1)


@pytest.mark.parametrize("measure", MEASURES[:2])
def test_the_slope_is_that_of_the_population_behind_blurred_directions(measure):
    """Averaged over the rows' true directions, the resolvents of the sample add up to the slope that the population has."""
    n, variances = 600, np.repeat([4.0, 1.0], [60, 180])
    x = normal(n, 240) * variances**0.5
    source = source_of(torch.as_tensor(x), "x")
    directions = directions_of(source, center=True, normalize=None, tail=True)
    f, sample = functional(measure), directions.variances
    nodes = np.geomspace(0.05 * sample[directions.moving - 1], 20, 24)
    constant, factors = _factors(directions, f, nodes)
    along = constant + (nodes / (sample[:, None] + nodes)) @ factors
    vectors = directions.vectors.numpy()
    of_features = (vectors**2) @ along
    wanted = f.slope(variances / directions.unit**2, np.ones(240), variances / directions.unit**2)
    scale = np.abs(wanted).max()
    assert of_features[:60].mean() == pytest.approx(wanted[0], abs=0.05 * scale)
    assert of_features[60:].mean() == pytest.approx(wanted[-1], abs=0.05 * scale)
    # The sample's own variances would say something else of the same features.
    own = (vectors**2) @ f.slope(sample, np.ones(240), sample)
    assert abs(own[60:].mean() - wanted[-1]) > 0.1 * scale


def test_directions_without_variance_add_nothing():
    rows = np.c_[normal(60, 4), np.zeros((60, 3))]
    wide, narrow = (source_of(torch.as_tensor(x), "x") for x in (rows, rows[:, :4]))
    both = [score(directions_of(s, center=True, normalize=None, tail=True), s, MEASURES) for s in (wide, narrow)]
    for measure in MEASURES:
        np.testing.assert_allclose(both[0].influence[measure], both[1].influence[measure], atol=1e-4)
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
