"""Two representations of the same samples: against n × n kernels, scipy and scikit-learn, and planted angles."""

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import torch
from conftest import added_up, oracle
from sklearn.neighbors import NearestNeighbors

import repgeom as rg
from repgeom.measures.pair_sums import PairSums
from repgeom.measures.pair_tally import PairTally
from repgeom.reading.tally import from_bytes, to_bytes

EPS = np.finfo(float).eps
ABS = 512 * EPS  # a few hundred roundings of numbers near 1


def hsic(k, m):
    h = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ h @ m @ h)


def hsic_unbiased(k, m):
    """HSIC₁ of Song et al. (2012), equation 5: kernels without their diagonals."""
    n, one = len(k), np.ones(len(k))
    k, m = k * (1 - np.eye(n)), m * (1 - np.eye(n))
    means = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + means - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def slow_cka(x, y, estimate=hsic_unbiased):
    k, m = ((z - z.mean(0)) @ (z - z.mean(0)).T for z in (x, y))
    return estimate(k, m) / np.sqrt(estimate(k, k) * estimate(m, m))


def slow_procrustes(x, y):
    wide = max(x.shape[1], y.shape[1])
    x, y = (np.pad(z - z.mean(0), ((0, 0), (0, wide - z.shape[1]))) for z in (x, y))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    return np.linalg.norm(y @ scipy.linalg.orthogonal_procrustes(y, x)[0] - x) ** 2


def neighbours(x, k):
    return NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(x).kneighbors(return_distance=False)


def slow_knn(x, y, k=3):
    return np.mean([len({*a} & {*b}) / k for a, b in zip(neighbours(x, k), neighbours(y, k), strict=True)])


def slow_cosine(x, y):
    return np.mean([a @ b / np.sqrt(a @ a) / np.sqrt(b @ b) for a, b in zip(x, y, strict=True)])


def directions(x, k):
    return scipy.linalg.eigh(np.cov(x.T))[1][:, ::-1][:, :k]


def slow_captured(x, y, k=2):
    leading, within = directions(y, k), np.cov(x.T)
    return np.trace(leading.T @ within @ leading) / np.trace(within)


def slow_angles(x, y, k=2):
    return scipy.linalg.subspace_angles(directions(x, k), directions(y, k))[::-1]


def slow_reference_effective_rank(x, y):
    return oracle(y)["effective_rank"]


def slow_rank_retained(x, y):
    return oracle(x)["effective_rank"] / oracle(y)["effective_rank"]


def slow_captured_variance(x, y):
    """None for other widths: directions of two spaces cannot be compared."""
    return slow_captured(x, y, 20) if x.shape[1] == y.shape[1] else None


def slow_mean_principal_angle(x, y):
    enough = min(len(x) - 1, x.shape[1]) > 10
    return slow_angles(x, y, 10).mean() if x.shape[1] == y.shape[1] and enough else None


def slow_linear_cka(x, y):
    return slow_cka(x, y)


def slow_procrustes_distance(x, y):
    return slow_procrustes(x, y)


def slow_mutual_knn(x, y):
    return slow_knn(x, y, min(10, len(x) - 1))


def slow_cosine_alignment(x, y):
    return slow_cosine(x, y) if x.shape[1] == y.shape[1] else None


ANY_WIDTH = {
    "debiased CKA": (rg.linear_cka, slow_cka),
    "biased CKA": (lambda x, y: rg.linear_cka(x, y, debiased=False), lambda x, y: slow_cka(x, y, hsic)),
    "Procrustes": (rg.procrustes_distance, slow_procrustes),
    "mutual kNN": (lambda x, y: rg.mutual_knn(x, y, k=3), slow_knn),
}
ONE_WIDTH = {
    "cosine": (rg.cosine_alignment, slow_cosine),
    "captured": (lambda x, y: rg.captured_variance(x, y, k=2), slow_captured),
    "angles": (lambda x, y: rg.principal_angles(x, y, k=2), slow_angles),
}
MEASURES = ANY_WIDTH | ONE_WIDTH


def related(rng, n=40, d1=6, d2=6, offset=0.0):
    """Two clouds that share a part, with spread spectra, off the origin."""
    x = rng.standard_normal((n, d1)) * 2.0 ** -np.arange(d1).clip(max=8)
    y = x @ rng.standard_normal((d1, d2)) * 3.0 ** -np.arange(d2).clip(max=4) + 0.3 * rng.standard_normal((n, d2))
    return x + offset, y - offset


@pytest.mark.parametrize(
    ("name", "shape"),
    [(m, s) for m in ANY_WIDTH for s in [(5, 2, 2), (5, 20, 30), (40, 6, 9), (20, 45, 7), (12, 12, 11)]]
    + [(m, s) for m in ONE_WIDTH for s in [(40, 6, 6), (12, 30, 30), (12, 12, 12)]]
    + [(m, s) for m in ("biased CKA", "Procrustes") for s in [(2, 3, 5), (5, 1, 1)]],
)
@pytest.mark.parametrize(("dtype", "offset"), [("float16", 4), ("bfloat16", 0), ("float32", 1000), ("float64", 1000)])
def test_agrees_with_its_definition(name, shape, offset, dtype, rng):
    x, y = (torch.tensor(z).to(getattr(torch, dtype)) for z in related(rng, *shape, offset=offset))
    expected = MEASURES[name][1](x.double().numpy(), y.double().numpy())
    assert MEASURES[name][0](x, y).tolist() == pytest.approx(expected, abs=ABS * max(1, offset))


def test_sums_over_a_stream_need_only_the_means_and_scatters(rng):
    x, y = (torch.tensor(z - z.mean(0)) for z in related(rng, d2=4))
    sums = PairSums(torch.zeros(()), x.T @ x, y.T @ y)
    for a, b in zip(x.split(7), y.split(7), strict=True):
        sums.update(a, b, own=False)
    assert sums.linear_cka() == pytest.approx(rg.linear_cka(x, y), abs=ABS)
    assert sums.procrustes_distance() == pytest.approx(rg.procrustes_distance(x, y), abs=ABS)


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("ordered", [False, True])
def test_pairs_add_up_without_knowing_the_means(offset, ordered, rng):
    """In any split, with any origins, and where the first rows lie far from the mean of all."""
    x, y = (torch.tensor(z + offset) for z in related(rng, n=400, d2=4))
    if ordered:
        order = x[:, 0].argsort()
        x, y = x[order], y[order]
    scatters = [(z - z.mean(0)).mT @ (z - z.mean(0)) for z in (x, y)]
    whole = added_up(PairTally(), x, 90, reference=y)
    assert whole.pair_sums(*scatters).linear_cka() == pytest.approx(float(rg.linear_cka(x, y)), abs=1e-9)
    assert whole.pair_sums(*scatters).procrustes_distance() == pytest.approx(
        float(rg.procrustes_distance(x, y)), abs=1e-9
    )
    parts = []
    for part in (slice(0, 37), slice(37, 250), slice(250, 400)):
        tally = added_up(PairTally(), x[part], 20, part.start, reference=y[part])
        if parts:
            tally.move(parts[0], *((z[part] - z[part].mean(0)).mT @ (z[part] - z[part].mean(0)) for z in (x, y)))
            parts[0].merge(tally)
        parts.append(tally)
    merged = PairTally.from_state(from_bytes(to_bytes(parts[0].state())))
    assert merged.pair_sums(*scatters).linear_cka() == pytest.approx(float(rg.linear_cka(x, y)), abs=1e-9)
    assert merged.pair_sums(*scatters).procrustes_distance() == pytest.approx(
        float(rg.procrustes_distance(x, y)), abs=1e-9
    )


# --- closed forms and planted answers ----------------------------------------------------------------------------


def test_only_the_debiased_cka_of_unrelated_features_is_zero(rng):
    x, y = rng.standard_normal((2, 128, 768))
    assert rg.linear_cka(x, y, debiased=False) == pytest.approx(0.857, abs=5e-3)
    assert rg.linear_cka(x, y) == pytest.approx(0, abs=4 / 128)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_a_subset_of_k_of_d_isotropic_columns(k, rng):
    d = 8
    x = rg.testing.features_with_spectrum(np.ones(d), 50)
    assert rg.linear_cka(x, x[:, :k], debiased=False) == pytest.approx((k / d) ** 0.5, abs=ABS)
    assert rg.procrustes_distance(x, x[:, :k]) == pytest.approx(2 - 2 * (k / d) ** 0.5, abs=ABS)
    assert rg.captured_variance(x, rng.standard_normal((30, d)), k=k) == pytest.approx(k / d, abs=ABS)


def test_unrelated_neighbours_agree_by_chance(rng):
    x, y = rng.standard_normal((2, 1000, 20))
    assert rg.mutual_knn(x, y, k=10) == pytest.approx(10 / 999, abs=4 * (0.01 / 10_000) ** 0.5)
    assert rg.mutual_knn(x[:50], y[:50], k=49) == 1


def test_captured_curve_rises_to_one_and_stays_below_a_matched_reference(rng):
    x, y = related(rng)
    curve, own = rg.captured_variance(x, y), rg.captured_variance(x, x)
    assert ((np.diff(curve) >= 0).all(), (curve <= own + ABS).all()) == (True, True)
    assert curve == pytest.approx([slow_captured(x, y, k) for k in range(1, 6)] + [1], abs=ABS)
    assert rg.captured_variance(x[:7], y, k=3) == pytest.approx(slow_captured(x[:7], y, 3), abs=ABS)  # other rows


@pytest.mark.parametrize("angle", [0, 1e-9, 1e-3, 0.7, np.pi / 2 - 1e-9, np.pi / 2])
def test_planted_angles_are_read_to_their_last_digits(angle, rng):
    left = rg.testing.features_with_spectrum(np.ones(3), 30) * [5, 4, 0.1]
    turned = (q := np.linalg.qr(rng.standard_normal((6, 6)))[0])[:, :3].copy()
    turned[:, 1] = np.cos(angle) * q[:, 1] + np.sin(angle) * q[:, 4]
    assert rg.principal_angles(left @ q[:, :3].T, left @ turned.T, k=2) == pytest.approx([0, angle], abs=ABS)


# --- invariances, each beside a change that must be seen ---------------------------------------------------------


@pytest.mark.parametrize("name", MEASURES)
def test_invariances(name, rng):
    x, y = related(rng)
    measure, order = MEASURES[name][0], rng.permutation(40)
    q, r = (np.linalg.qr(rng.standard_normal((6, 6)))[0] for _ in range(2))
    before = measure(x, y)
    same = {"rotation of both": (x @ q, y @ q), "scale": (x * 1e-7, y * 1e5), "order": (x[order], y[order])}
    if name in ANY_WIDTH:
        same["rotation of each"] = (x @ q, y @ r)
        same["added zero columns"] = (np.pad(x, ((0, 0), (0, 50))), y)
    if name not in ("mutual kNN", "cosine"):
        same["translation"] = (x + 3, y - 5)
    for how, (a, b) in same.items():
        assert measure(a, b) == pytest.approx(before, abs=ABS), how
    assert np.abs(measure(x * 2.0 ** np.arange(0, 12, 2), y) - before).max() > 1e-2


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("scale", [1e-200, 1e-35, 1e35, 1e200])
def test_scale_does_not_matter_even_where_squares_leave_the_range(name, scale, rng):
    x, y = related(rng)
    assert MEASURES[name][0](x * scale, y * scale) == pytest.approx(MEASURES[name][0](x, y), abs=ABS)


@pytest.mark.parametrize("n", [3, 6, 9])
def test_captured_curve_is_one_answer_where_the_reference_has_few_rows(n, rng):
    x, y = related(rng, d1=12, d2=12)
    q = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    assert rg.captured_variance(x @ q, y[:n] @ q) == pytest.approx(rg.captured_variance(x, y[:n]), abs=ABS)


# --- batches, array kinds, gradients -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MEASURES)
def test_leading_dimensions_in_small_blocks_equal_a_loop(name, rng, monkeypatch):
    measure, (x, y) = (
        MEASURES[name][0],
        (np.stack(z) for z in zip(*[related(rng, n=20) for _ in range(3)], strict=True)),
    )
    alone = [np.array([measure(a, b) for a, b in zip(x, z, strict=True)]) for z in (y, y[[0, 0, 0]])]
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 90)
    assert measure(x[0], y[0]) == pytest.approx(alone[0][0], abs=ABS)
    assert measure(x, y) == pytest.approx(alone[0], abs=ABS)
    assert measure(x, y[0]) == pytest.approx(alone[1], abs=ABS)


@pytest.mark.parametrize("name", MEASURES)
def test_array_kinds_and_what_comes_back(name, rng):
    x, y = (z.astype(np.float32) for z in related(rng))
    assert isinstance(value := MEASURES[name][0](x, y), np.ndarray if name == "angles" else float)
    for a, b in [(x.tolist(), y), (pd.DataFrame(x), y.astype(np.float64)), (x, torch.tensor(y))]:
        assert MEASURES[name][0](a, b) == pytest.approx(value, abs=ABS)
    tensor = MEASURES[name][0](torch.tensor(x), y)
    assert (tensor.dtype, tensor.numpy()) == (torch.float64, pytest.approx(value, abs=ABS))


@pytest.mark.parametrize("name", [m for m in MEASURES if m not in ("mutual kNN", "angles")])
@pytest.mark.parametrize("shape", [(7, 3), (5, 8), (2, 6, 3)], ids=str)
def test_gradients(name, shape, rng):
    x, y = (torch.tensor(rng.standard_normal(shape), requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(MEASURES[name][0], (x, y))


# --- errors ------------------------------------------------------------------------------------------------------

BAD = {
    "rows": (rg.linear_cka, (9, 3), (8, 3), r"`features` has 9 rows and `reference` 8 \(shapes \(9, 3\) and \(8, 3\)"),
    "width": (rg.cosine_alignment, (9, 3), (9, 4), r"`features` has 3 columns and `reference` 4 \(shapes"),
    "captured width": (rg.captured_variance, (9, 3), (5, 4), r"`features` has 3 columns and `reference` 4"),
    "few rows": (rg.linear_cka, (3, 3), (3, 3), "needs at least 4 rows, got 3; `debiased=False` needs 2"),
    "k of kNN": (rg.mutual_knn, (9, 3), (9, 3), "`k` must be a whole number from 1 to 8 here, got 10"),
    "k of angles": (rg.principal_angles, (9, 12), (6, 12), "`k` must be a whole number from 1 to 5 here, got 10"),
    "k over width": (rg.principal_angles, (90, 7), (90, 7), "`k` must be a whole number from 1 to 7 here, got 10"),
    "k zero": (
        lambda x, y: rg.captured_variance(x, y, k=0),
        (9, 3),
        (9, 3),
        "`k` must be a whole number from 1 to 3 here, got 0",
    ),
}


@pytest.mark.parametrize(("measure", "x", "y", "message"), BAD.values(), ids=BAD)
def test_wrong_sizes_are_named(measure, x, y, message, rng):
    with pytest.raises(ValueError, match=message):
        measure(rng.standard_normal(x), rng.standard_normal(y))


@pytest.mark.parametrize("measure", [rg.linear_cka, rg.procrustes_distance, MEASURES["captured"][0]])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e5 + 0.1])
def test_constant_features_have_nothing_to_compare(measure, value, rng):
    for n in range(4, 14):
        with pytest.raises(ValueError, match=r"`features` has zero variance: all rows are equal"):
            measure(np.full((n, 3), value), rng.standard_normal((n, 3)))
        with pytest.raises(ValueError, match="`reference` has zero variance"):
            measure(rng.standard_normal((n, 3)), np.full((n, 3), value))


@pytest.mark.parametrize("name", MEASURES)
def test_values_that_are_not_finite_are_named(name, rng):
    x, y = related(rng)
    y[7, 2] = -np.inf
    for argument, (a, b) in {"reference": (x, y), "features": (y, x)}.items():
        with pytest.raises(
            ValueError, match=f"`{argument}` has 1 non-finite value; the first is -inf at row 7, column 2"
        ):
            MEASURES[name][0](a, b)


@pytest.mark.parametrize("offset", [0, 1e6])
@pytest.mark.parametrize(
    "measure", [rg.linear_cka, rg.procrustes_distance, rg.angular_cka, lambda x, y: rg.mean_cosine(x, center=True)]
)
def test_rows_in_pieces_are_compared_as_at_once(measure, offset, monkeypatch):
    """A stack of two, of which float32 is brought to float64 piece by piece, and the gradient through all pieces."""
    x = torch.randn(2, 90, 6, generator=torch.Generator().manual_seed(0))
    x, y = x.double() + offset, (x.square() @ torch.randn(6, 4, generator=torch.Generator().manual_seed(1))).float()

    def read():
        leaf = x.clone().requires_grad_()
        value = measure(leaf, y)
        value.sum().backward()
        return value.detach(), leaf.grad

    (at_once, slope), _ = read(), monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 2 * 7 * 6)
    value, in_pieces = read()
    torch.testing.assert_close(value, at_once, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(in_pieces, slope, rtol=1e-6, atol=1e-8)
