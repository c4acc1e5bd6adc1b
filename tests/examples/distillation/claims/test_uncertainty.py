"""Intervals over seeds and images, by the definition and by simulation."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from repgeom_examples.distillation.claims import verdicts
from repgeom_examples.distillation.claims.uncertainty import Measured, Summary, combined, over_seeds
from repgeom_examples.distillation.claims.verdicts import UNDECIDED

from ..planted_results import by_hand


def test_differences_and_means_add_image_by_image(rng):
    a, b = torch.tensor(rng.standard_normal((2, 50)))
    x, y = Measured.of(3, "images", a + 7), Measured.of(5, "images", b)
    assert (y - x).value == 2
    assert torch.allclose((y - x).parts["images"], (b - b.mean()) - (a - a.mean()))
    assert (x - x).value == (x - x).image_variance() == 0
    assert (y - x).image_variance() == pytest.approx(np.var(b.numpy() - a.numpy(), ddof=1) / 50)
    mean = combined([x, y, y], [1 / 3] * 3)
    assert mean.value == pytest.approx(13 / 3)
    assert mean.image_variance() == pytest.approx(np.var((a + 2 * b).numpy() / 3, ddof=1) / 50)


def test_other_images_are_independent(rng):
    a, b = torch.tensor(rng.standard_normal(50)), torch.tensor(rng.standard_normal(80))
    gap = Measured.of(3, "few", a) - Measured.of(5, "many", b)
    assert gap.image_variance() == pytest.approx(a.numpy().var(ddof=1) / 50 + b.numpy().var(ddof=1) / 80)


def test_logarithms_have_the_slope_of_the_logarithm(rng):
    x = Measured.of(4, "images", torch.tensor(rng.standard_normal(50)))
    assert x.log().value == math.log(4)
    assert torch.allclose(x.log().parts["images"], x.parts["images"] / 4)
    assert x.log().exp().value == pytest.approx(4)
    assert torch.allclose(x.log().exp().parts["images"], x.parts["images"])


def test_interval_is_the_definitions(rng):
    values, rows = [1.0, 1.3, 0.8], rng.standard_normal((3, 40))
    found = over_seeds([Measured.of(v, "images", torch.tensor(c)) for v, c in zip(values, rows, strict=True)])
    assert (found.value, found.low, found.high) == pytest.approx(by_hand(values, rows))
    assert found.n_seeds == 3
    assert found.scatter == pytest.approx(np.std(values))
    mapped = over_seeds(
        [Measured.of(v, "images", torch.tensor(c)) for v, c in zip(values, rows, strict=True)], math.exp
    )
    assert (mapped.value, mapped.low, mapped.high) == pytest.approx(np.exp(by_hand(values, rows)))


def test_limits_of_the_interval(rng):
    still, moving = torch.zeros(40), torch.tensor(rng.standard_normal(40))
    only_seeds = over_seeds([Measured.of(v, "images", still) for v in (1.0, 2.0, 3.0)])
    assert only_seeds.high - 2 == pytest.approx(scipy.stats.t.ppf(0.975, 2) / math.sqrt(3))
    only_images = over_seeds([Measured.of(2, "images", moving)] * 3)
    assert only_images.high - 2 == pytest.approx(scipy.stats.t.ppf(0.975, 39) * float(moving.std()) / math.sqrt(40))
    nothing = over_seeds([Measured.of(2, "images", still)] * 3)
    assert (nothing.low, nothing.value, nothing.high) == (2, 2, 2)


def test_one_seed_has_no_interval():
    found = over_seeds([Measured.of(0.5, "images", torch.arange(10.0))], math.exp)
    assert found == Summary(math.exp(0.5), None, None, 1, 0.0)
    assert verdicts.decided(found, -math.inf, math.inf) == UNDECIDED


@pytest.mark.parametrize("n_seeds", [2, 3])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 2, 5, 50], ids=lambda r: f"seeds scatter {r} times as much")
def test_interval_covers_in_95_of_100(ratio, n_seeds, rng):
    n_times, n, inside = 1500, 60, 0
    for _ in range(n_times):
        rows = np.sqrt(n) * rng.standard_normal(n) + 0.1 * rng.standard_normal((n_seeds, n))
        values = rows.mean(1) + np.sqrt(n_seeds) * ratio * rng.standard_normal(n_seeds)
        found = over_seeds([Measured.of(v, "i", torch.tensor(c)) for v, c in zip(values, rows, strict=True)])
        inside += found.low <= 0 <= found.high
    assert inside / n_times >= 0.93
