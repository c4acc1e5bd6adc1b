"""The population behind a sample's variances: limits, closed forms and uneven rows."""

import math

import numpy as np
import pytest
from estimate_reference import SMOOTH, power

import repgeom as rg
from repgeom.inference.population import EVEN, RowWeights, binned, population, standing_alone
from repgeom.measures.measure import functional


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("measure", SMOOTH)
def test_with_endless_rows_the_population_is_the_sample(measure, exponent):
    variances, f = power(96, exponent), functional(measure)
    found = population(variances, 96, 10**12)
    assert f.log(found.variances, found.counts) == pytest.approx(f.log(variances, np.ones(96)), abs=1e-3)


@pytest.mark.parametrize(("n", "d"), [(801, 100), (401, 200), (201, 200), (101, 200), (201, 100)])
def test_isotropic_samples_come_from_an_isotropic_population(n, d):
    seen = np.asarray(rg.isotropic_baseline(np.zeros((n, d))).variances)
    seen = seen[seen > 0]
    found = population(seen, d, n - 1)
    f = functional("effective_rank")
    assert math.exp(f.log(seen, np.ones(len(seen)))) < 0.95 * d or n > 4 * d
    assert math.exp(f.log(found.variances, found.counts)) == pytest.approx(d, rel=0.01)
    assert found.counts.sum() == pytest.approx(d, rel=0.01)


def test_an_eigenvalue_that_stands_alone_is_one_direction():
    variances = np.r_[1000.0, np.ones(63)]
    alone = standing_alone(variances, 10_000, EVEN, np.zeros(10))
    assert alone == pytest.approx([1000.0], rel=0.01)
    found = population(variances, 64, 10_000, EVEN, alone)
    assert (found.variances[-1], found.counts[-1], found.alone) == (alone[0], 1.0, 1)
    assert standing_alone(variances, 10_000, EVEN, np.full(10, 0.5)).size == 0


def test_uneven_rows_weigh_as_fewer():
    weights = RowWeights(np.array([0.5, 1.5]), np.array([0.5, 0.5]))
    assert weights.mean_square == 1.25
    many = binned(np.random.default_rng(0).chisquare(3, 10_000) / 3)
    assert many.shares @ many.values == pytest.approx(1, rel=0.02)
    assert many.mean_square == pytest.approx(1 + 2 / 3, rel=0.05)
    assert binned(np.ones(50)) is EVEN
