"""Lanczos quadrature of the effective rank: the bracket against f(A) itself, the interval by its coverage over seeds."""

import itertools
import re

import numpy as np
import pytest
import torch
from conftest import oracle

import repgeom as rg
from repgeom import lanczos
from repgeom.lanczos import lanczos_effective_rank


def variances(kind, d):
    i = np.arange(1, d + 1.0)
    return {
        "flat": np.ones(d),
        "i^-0.5": i**-0.5,
        "i^-1": 1 / i,
        "i^-2": i**-2,
        "rank 3": (i <= 3) / i,
        "rank 100": (i <= 100) / i,
    }[kind]


SPECTRA = ["flat", "i^-0.5", "i^-1", "i^-2", "rank 3", "rank 100"]


def rows(kind, n, d, seed=0):
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return rng.standard_normal((n, d)) * np.sqrt(variances(kind, d)) @ rotation


@pytest.fixture(params=["product", "matrix-free"])
def method(request, monkeypatch):
    """Both ways to multiply, whatever the size."""
    monkeypatch.setattr(lanczos, "_USUAL_STEPS", 1 if request.param == "matrix-free" else 10**6)
    return request.param


def covered(x, n_seeds, center=True, normalize=None, **options):
    truth = float(rg.effective_rank(x, center=center, normalize=normalize))
    options |= {"center": center, "normalize": normalize}
    found = [lanczos_effective_rank(x, seed=seed, **options) for seed in range(n_seeds)]
    return sum(one.low <= truth <= one.high for one in found), truth, found


# The quadrature -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("n_steps", [1, 2, 5, 12])
def test_the_rules_bound_each_quadratic_form(kind, n_steps):
    d = 120
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((d, d)))[0]
    p = variances(kind, d) / variances(kind, d).sum()
    matrix = torch.tensor((basis * p) @ basis.T)
    starts = torch.tensor(np.random.default_rng(2).standard_normal((d, 7)))
    alpha, beta = next(itertools.islice(lanczos._lanczos(lambda v: matrix @ v, starts), n_steps - 1, None))
    rules = lanczos._Rules(alpha, beta, starts.square().sum(0))
    f = torch.special.entr(torch.tensor(p))
    exact = ((torch.tensor(basis).mT @ starts).square() * f[:, None]).sum(0)
    rounding = 1e-11 * exact  # of f near 0, where its slope is endless: eps there is 37 eps in f
    assert (rules.below <= exact + rounding).all()
    assert (exact <= rules.above + rounding).all()
    moments = torch.stack([(starts * (torch.linalg.matrix_power(matrix, q) @ starts)).sum(0) for q in range(3)], 1)
    torch.testing.assert_close(rules.moments, moments, rtol=1e-10, atol=1e-14)


def test_the_bracket_closes_with_steps():
    x = rows("i^-1", 600, 200)
    widths = [lanczos_effective_rank(x, n_steps=k).quadrature for k in (2, 4, 8, 16, 32)]
    assert all(after < before / 2 for before, after in itertools.pairwise(widths))


@pytest.mark.parametrize("kind", ["flat", "i^-1", "rank 3"])
def test_few_features_are_taken_whole(kind):
    x = rows(kind, 100, 24)
    found = lanczos_effective_rank(x)
    truth = oracle(x)["effective_rank"]
    assert found.n_vectors == 0
    assert found.low <= truth <= found.high
    assert found.value == pytest.approx(truth, rel=2e-5)
    assert lanczos_effective_rank(x, n_steps=24).value == pytest.approx(truth, rel=1e-10)


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_a_bracket_of_few_steps_still_holds_the_value(n_steps):
    x = rows("i^-1", 100, 24)
    found = lanczos_effective_rank(x, n_steps=n_steps)
    assert found.n_steps == n_steps
    assert found.low <= oracle(x)["effective_rank"] <= found.high
    assert found.high - found.low > 0.01


# The interval ---------------------------------------------------------------------------------------------------------


def test_the_interval_covers(method):
    # 240 intervals at 95 %: 228 expected, standard deviation 3.4. Longer runs: 92 to 98 % for each spectrum.
    counts = [covered(torch.tensor(rows(kind, 700, 256)).float(), 40)[0] for kind in SPECTRA]
    assert sum(counts) >= 218
    assert min(counts) >= 33


@pytest.mark.parametrize("confidence", [0.5, 0.8])
def test_the_interval_covers_as_often_as_asked(confidence):
    count, _, _ = covered(rows("i^-1", 700, 256), 150, confidence=confidence)
    assert abs(count / 150 - confidence) < 4 * np.sqrt(confidence * (1 - confidence) / 150)


@pytest.mark.parametrize(("n", "d"), [(2000, 1024), (300, 1024)])
def test_wide_features_and_few_rows(n, d):
    count, truth, found = covered(torch.tensor(rows("i^-1", n, d)).float(), 12)
    assert count >= 10
    assert np.mean([one.high - one.low for one in found]) < 0.03 * truth


def test_the_mean_error_is_that_of_chance(method):
    _, truth, found = covered(torch.tensor(rows("i^-0.5", 700, 256)).float(), 100)
    errors = np.array([one.value for one in found]) - truth
    assert abs(errors.mean()) < 3.5 * errors.std() / 10 + np.mean([one.quadrature for one in found])


def test_known_traces_and_leading_directions_narrow_the_interval():
    x = torch.tensor(rows("i^-1", 1000, 256)).float()
    _, truth, found = covered(x, 10)
    half = np.mean([one.high - one.low for one in found]) / 2 / truth
    # Without either, the standard deviation of ln erank over 16 vectors alone is 0.16.
    assert half < 0.012


def test_more_vectors_narrow_the_interval():
    x = rows("i^-1", 700, 256)
    widths = [np.mean([o.high - o.low for o in covered(x, 8, n_vectors=n)[2]]) for n in (6, 16, 48)]
    assert widths[2] < widths[1] / 1.7 < widths[0] / 3


# What may come in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(400, 150), (150, 400)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("options", [{}, {"normalize": "l2"}, {"center": False}])
def test_options_shapes_and_a_large_mean(method, shape, offset, options):
    x = rows("i^-0.5", *shape) + offset * np.random.default_rng(5).standard_normal(shape[1])
    count, _, found = covered(torch.tensor(x), 8, **options)
    assert count >= 6
    assert found[0].method == f"{method} float64"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_types_are_multiplied_in_float32(method, dtype):
    x = torch.tensor(rows("i^-1", 500, 128)).to(dtype)
    found = lanczos_effective_rank(x, seed=3)
    assert found.method == f"{method} float32"
    same = lanczos_effective_rank(x.double(), seed=3)
    assert found.value == pytest.approx(same.value, rel=2e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_does_not_matter(method, scale):
    x = torch.tensor(rows("i^-1", 300, 80)).float()
    assert lanczos_effective_rank(x * scale).value == pytest.approx(lanczos_effective_rank(x).value, rel=1e-5)


def test_the_interval_holds_rounding_where_it_is_all_there_is(method):
    for kind, rank in (("rank 3", 3), ("flat", 40)):
        x = torch.tensor(rows(kind, 900, 400)).float()
        if kind == "flat":
            x = torch.linalg.qr(x[:, :rank]).Q @ torch.linalg.qr(x[:400, :rank]).Q.mT
        found = lanczos_effective_rank(x, n_vectors=48)
        assert found.low <= oracle(x)["effective_rank"] <= found.high
        assert found.high - found.low < 1e-3 * rank


def test_rank_one_and_flat(method):
    one = torch.outer(torch.arange(60.0), torch.linspace(-1, 1, 50))
    assert lanczos_effective_rank(one).value == pytest.approx(1, abs=1e-5)
    flat = torch.cat([torch.eye(50), -torch.eye(50)])
    found = lanczos_effective_rank(flat)
    assert found.value == pytest.approx(50, rel=1e-5)
    assert found.high <= 50


@pytest.mark.parametrize("qr", ["float64", "qr"])
@pytest.mark.parametrize("center", [True, False])
def test_an_accumulator_is_read_as_its_rows(qr, center):
    x = rows("i^-1", 500, 128) + 2
    acc = rg.SpectrumAccumulator(method=qr).update(x[:200]).update(x[200:])
    found, same = (lanczos_effective_rank(one, center=center, seed=1) for one in (acc, x))
    assert found.value == pytest.approx(same.value, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((same.low, same.high), rel=1e-9)
    assert found.method == "scatter float64"


def test_nothing_but_the_seed_decides():
    x = torch.tensor(rows("i^-1", 300, 100)).float().requires_grad_()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first = lanczos_effective_rank(x, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert lanczos_effective_rank(x.detach().numpy(), seed=4) == first
    assert lanczos_effective_rank(x, seed=5).value != first.value
    assert all(type(value) is float for value in (first.value, first.low, first.high, first.quadrature))


def test_its_text_says_what_the_interval_is_of():
    text = str(lanczos_effective_rank(rows("i^-1", 300, 100), confidence=0.9))
    assert re.fullmatch(r"[\d.]+ \(90 % interval [\d.]+ to [\d.]+ of the method; 16 random vectors, \d+ steps\)", text)


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_rows_that_are_all_equal(value, dtype):
    x = torch.full((70, 40), min(value, 6e4), dtype=dtype)
    with pytest.raises(ValueError, match="zero variance: all 70 rows are equal"):
        lanczos_effective_rank(x)
    with pytest.raises(ValueError, match="zero variance: all 70 rows are equal"):
        lanczos_effective_rank(rg.SpectrumAccumulator().update(torch.full((70, 40), 0.5)))


def test_rows_that_are_nearly_equal_are_not_refused():
    x = torch.full((70, 40), 1.0)
    x[:35, 0] = 1 + torch.finfo(torch.float32).eps
    assert lanczos_effective_rank(x).value == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite(bad):
    x = torch.ones(6, 4)
    x[2, 3] = bad
    with pytest.raises(ValueError, match="non-finite") as theirs:
        rg.spectrum(x)
    with pytest.raises(ValueError, match=re.escape(str(theirs.value))):
        lanczos_effective_rank(x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_vectors": 3}, "`n_vectors` must be at least 4"),
        ({"n_steps": 0}, "`n_steps` must be at least 1"),
        ({"confidence": 1.0}, "`confidence` must lie between 0 and 1"),
        ({"normalize": "l1"}, "`normalize` must be None"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        lanczos_effective_rank(rows("flat", 20, 10), **options)


def test_what_has_another_shape_or_another_history():
    with pytest.raises(ValueError, match=r"got shape \(2, 20, 10\)"):
        lanczos_effective_rank(np.zeros((2, 20, 10)))
    with pytest.raises(ValueError, match="batch of shape"):
        lanczos_effective_rank(rg.SpectrumAccumulator().update(np.zeros((2, 20, 10))))
    with pytest.raises(ValueError, match="has seen 0"):
        lanczos_effective_rank(rg.SpectrumAccumulator())
    with pytest.raises(ValueError, match="made with normalize=None"):
        lanczos_effective_rank(rg.SpectrumAccumulator().update(np.eye(4)), normalize="l2")
    with pytest.raises(ValueError, match="too large to be squared"):
        lanczos_effective_rank(rg.SpectrumAccumulator().update(np.eye(4) * 1e200))
