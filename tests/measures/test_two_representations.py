"""RBF and angular CKA, RSA, SVCCA, PWCCA: against n × n definitions, loops, rsatoolbox's numbers and planted features."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.cross_decomposition import CCA
from test_pairs import hsic, hsic_unbiased, slow_cka

import repgeom as rg
from repgeom.measures.dissimilarities import PairOrder, centred_ranks, correlation_without
from repgeom.measures.kernels import alignment_without, linear_kernel, rbf_kernel, row_products, without_diagonal
from repgeom.measures.measure import called_alone


def related(rng, n=40, d1=5, d2=7):
    x = rng.standard_normal((n, d1)) * 2.0 ** -np.arange(d1)
    return x + 3, x @ rng.standard_normal((d1, d2)) + 0.4 * rng.standard_normal((n, d2)) - 1


def slow_rbf(x, y, bandwidth=1.0, debiased=True):
    kernels = []
    for z in (x, y):
        distances = np.array([[np.linalg.norm(a - b) for b in z] for a in z])
        pairs = np.sort(distances[np.triu_indices(len(z), 1)])
        median = pairs[(len(pairs) - 1) // 2]  # torch's: the lower of two in the middle
        kernels.append(np.exp(-(distances**2) / (2 * (bandwidth * median) ** 2)))
    estimate = hsic_unbiased if debiased else hsic
    k, m = kernels
    return estimate(k, m) / np.sqrt(estimate(k, k) * estimate(m, m))


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("bandwidth", [0.3, 1.0, 3])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rbf_cka_agrees_with_its_definition(debiased, bandwidth, dtype, rng):
    x, y = (torch.tensor(z).to(getattr(torch, dtype)) for z in related(rng))
    found = rg.rbf_cka(x, y, bandwidth=bandwidth, debiased=debiased)
    expected = slow_rbf(x.double().numpy(), y.double().numpy(), bandwidth, debiased)
    assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-10)


def test_a_wide_kernel_reads_linear_cka(rng):
    x, y = related(rng)
    assert rg.rbf_cka(x, y, bandwidth=1e3) == pytest.approx(rg.linear_cka(x, y), abs=1e-5)


@pytest.mark.parametrize("debiased", [True, False])
def test_angular_cka_is_the_angle(debiased, rng):
    x, y = related(rng)
    expected = math.acos(slow_cka(x, y, hsic_unbiased if debiased else hsic))
    assert rg.angular_cka(x, y, debiased=debiased) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("debiased", [True, False])
def test_angles_obey_the_triangle_inequality(debiased):
    rng = np.random.default_rng(0)
    for _ in range(200):
        x, y, z = (rng.standard_normal((5, d)) for d in (1, 2, 3))
        one, two, three = (rg.angular_cka(*pair, debiased=debiased) for pair in ((x, y), (y, z), (x, z)))
        assert three <= one + two + 1e-9


def slow_rsa(x, y, distance):
    def distances(z):
        of = {
            "euclidean": lambda a, b: np.linalg.norm(a - b),
            "cosine": lambda a, b: 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b),
            "correlation": lambda a, b: 1 - pearsonr(a, b).statistic,
        }[distance]
        return [of(z[i], z[j]) for i in range(len(z)) for j in range(i + 1, len(z))]

    return spearmanr(distances(x), distances(y)).statistic


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "correlation"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rsa_agrees_with_its_definition(distance, dtype, rng):
    x, y = (z.astype(dtype) for z in related(rng, 20))
    expected = slow_rsa(x.astype(float), y.astype(float), distance)
    assert rg.rsa(x, y, distance=distance) == pytest.approx(expected, rel=1e-9)


def test_distances_that_tie_share_their_rank():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [3, 1.0]])
    y = np.arange(10.0).reshape(5, 2) ** 2
    turned = scipy.linalg.expm(np.array([[0, 0.7], [-0.7, 0]]))
    assert rg.rsa(x, y, distance="euclidean") == pytest.approx(slow_rsa(x, y, "euclidean"), rel=1e-12)
    assert rg.rsa(x @ turned, y, distance="euclidean") == pytest.approx(slow_rsa(x, y, "euclidean"), rel=1e-12)


# rsatoolbox 0.3.2: `compare(..., "spearman")` and `boot_noise_ceiling(..., "spearman")` of these three.
JUDGED = {
    "correlation": (0.54360357, 0.6603715472444575, 0.8484848504115075),
    "euclidean": (0.71003525, 0.7314036516730412, 0.880362239497689),
}


@pytest.mark.parametrize("distance", JUDGED)
def test_rsa_and_its_ceiling_are_those_of_rsatoolbox(distance):
    g = np.random.default_rng(0)
    x = g.standard_normal((15, 6))
    repeats = [x, *(x @ g.standard_normal((6, 9)) + g.standard_normal((15, 9)) for _ in range(2))]
    value, lower, upper = JUDGED[distance]
    assert rg.rsa(repeats[0], repeats[1], distance=distance) == pytest.approx(value, abs=1e-8)
    assert rg.rsa_noise_ceiling(repeats, distance=distance) == pytest.approx((lower, upper), abs=3e-9)


def kept(x, variance):
    x = x - x.mean(0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    share = np.cumsum(s**2) / (s**2).sum()
    k = next(i for i, one in enumerate(share) if one >= variance - 1e-12) + 1
    return u[:, :k] * s[:k]


@pytest.mark.parametrize("variance", [0.8, 0.99, 1.0])
def test_svcca_agrees_with_angles_between_subspaces(variance, rng):
    x, y = related(rng, 200)
    a, b = (kept(z, variance) for z in (x, y))
    expected = np.cos(scipy.linalg.subspace_angles(a, b)).mean()
    assert rg.svcca(x, y, variance=variance) == pytest.approx(expected, rel=1e-9)


def test_pwcca_agrees_with_canonical_variates(rng):
    x, y = related(rng, 300, 3, 4)
    cca = CCA(3, scale=False, tol=1e-12, max_iter=10_000).fit(x, y)
    h, g = cca.transform(x, y)
    h = h / np.linalg.norm(h, axis=0)
    correlations = [abs(pearsonr(h[:, i], g[:, i]).statistic) for i in range(3)]
    weights = np.abs(h.T @ (x - x.mean(0))).sum(1)
    assert rg.pwcca(x, y) == pytest.approx(weights @ correlations / weights.sum(), rel=1e-6)
    assert rg.pwcca(x, y) != pytest.approx(rg.pwcca(y, x), rel=1e-3)


def slow_cca(x, y):
    """SVCCA of all directions and PWCCA, from bases of both by a decomposition of all rows at once."""
    x, y = (z - z.mean(0) for z in (x, y))
    bases = [np.linalg.svd(z, full_matrices=False)[0][:, : np.linalg.matrix_rank(z)] for z in (x, y)]
    left, correlations, _ = np.linalg.svd(bases[0].T @ bases[1], full_matrices=False)
    weights = np.abs((bases[0] @ left).T @ x).sum(1)
    return correlations.mean(), weights @ correlations / weights.sum()


@pytest.mark.filterwarnings("ignore:(SVCCA|PWCCA) of")
@pytest.mark.parametrize("smallest", [-6, -9])
@pytest.mark.parametrize(("n", "d", "e"), [(300, 5, 7), (300, 7, 5), (60, 80, 5), (60, 5, 80)])
def test_canonical_correlations_of_rows_in_pieces_see_small_directions(n, d, e, smallest, monkeypatch):
    """Spreads from 1 to a tiny one, a mean far off, and a column that repeats another."""
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 20 * 80)
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n, 4))
    x, y = (shared @ rng.standard_normal((4, k)) + rng.standard_normal((n, k)) for k in (d, e))
    x, y = x * np.logspace(0, smallest, d) + 10, np.c_[y, y[:, :1]]
    expected = slow_cca(x, y)
    assert (rg.svcca(x, y, variance=1), rg.pwcca(x, y)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("measure", [rg.svcca, rg.pwcca])
def test_canonical_correlations_warn_where_they_fit_noise(measure):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 200, 50))
    with pytest.warns(
        UserWarning, match=r"of 200 rows between \d+ and \d+ dimensions fits noise: it needs 10 rows per dim"
    ):
        assert measure(x, y) > 0.3
    x, y = rng.standard_normal((2, 2000, 5))
    assert measure(x, y) < 0.1


MEASURES = {
    "rbf_cka": rg.rbf_cka,
    "angular_cka": rg.angular_cka,
    "rsa": lambda x, y: rg.rsa(x, y, distance="euclidean"),
    "svcca": rg.svcca,
    "pwcca": rg.pwcca,
}


@pytest.mark.parametrize("name", MEASURES)
def test_what_moves_each(name):
    rng = np.random.default_rng(0)
    x, y = related(rng, 200)
    rotation = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    order = rng.permutation(200)
    changed = {
        "rotation": (x @ rotation, y),
        "translation": (x + 100, y - 3),
        "scale": (1e-5 * x, 1e5 * y),
        "order": (x[order], y[order]),
    }
    value = MEASURES[name](x, y)
    (record,) = [m for m in called_alone() if m.name == name]
    invariances = set(record.invariances) | ({"rotation", "translation"} if name == "rsa" else set())
    for how, pair in changed.items():
        assert (MEASURES[name](*pair) == pytest.approx(value, rel=1e-7)) == (how in invariances), how
    assert MEASURES[name](x, y[order]) != pytest.approx(value, rel=1e-2)


@pytest.mark.parametrize("kernel", [linear_kernel, lambda x: rbf_kernel(x, 1.0)])
def test_an_alignment_without_a_row_is_that_of_the_others(kernel, rng):
    x, y = (torch.tensor(z) for z in related(rng, 12))
    k, m = kernel(x), kernel(y)
    a, b = without_diagonal(k), without_diagonal(m)
    whole, without = alignment_without(row_products(a, b), row_products(a, a), row_products(b, b))

    def slow(k, m):
        return hsic_unbiased(k, m) / np.sqrt(hsic_unbiased(k, k) * hsic_unbiased(m, m))

    assert float(whole) == pytest.approx(slow(k.numpy(), m.numpy()), rel=1e-9)
    for i in range(12):
        keep = np.arange(12) != i
        assert float(without[i]) == pytest.approx(slow(k.numpy()[keep][:, keep], m.numpy()[keep][:, keep]), rel=1e-9)


@pytest.mark.parametrize("digits", [12, 0])
def test_a_correlation_without_a_row_is_that_of_the_ranks_of_the_other_pairs(rng, digits):
    """Whole distances tie. What is left out of the ranks' products is about 1 / n of what leaving out a row changes."""
    n = 120
    x, y = (np.round(3 * z, digits) for z in related(rng, n))
    pairs = [PairOrder.of(centred_ranks(torch.tensor(z), "euclidean", "x")) for z in (x, y)]
    whole, without = correlation_without(*pairs, tuple(p.products_without(p) for p in pairs))
    assert float(whole) == pytest.approx(rg.rsa(x, y, distance="euclidean"))
    rows = range(0, n, 8)
    exact = np.array([rg.rsa(np.delete(x, i, 0), np.delete(y, i, 0), distance="euclidean") for i in rows])
    assert without.numpy()[rows] - float(whole) == pytest.approx(exact - float(whole), rel=0.1, abs=2e-5)


def test_ranks_fall_by_the_pairs_of_the_row_that_lie_lower(rng):
    x, y = (torch.tensor(z) for z in related(rng, 9))
    a, b = (centred_ranks(z, "euclidean", "x") for z in (x, torch.round(2 * y)))
    upper = np.triu_indices(9, 1)
    for order, other in ((a, b), (b, a), (b, b)):
        of_pairs, weights = order.numpy()[upper], other.numpy()[upper]
        for i in range(9):
            own = np.delete(order.numpy()[i], i)
            fall = (own < of_pairs[:, None]).sum(1) + (own == of_pairs[:, None]).sum(1) / 2
            assert float(PairOrder.of(order).moved_up(other)[i]) == pytest.approx(fall @ weights)


def test_gradients_are_those_of_differences(rng):
    x, y = (torch.tensor(z, requires_grad=True) for z in related(rng, 8, 2, 2))
    for measure in (rg.rbf_cka, rg.angular_cka):
        measure(x, y).backward()
        gradient, x.grad = x.grad.clone(), None
        step = 1e-6 * torch.tensor(rng.standard_normal(x.shape))
        ends = [float(measure(x.detach() + sign * step, y.detach())) for sign in (1, -1)]
        # The median distance is a constant in the gradient of RBF CKA; scale does not move it, so little is lost.
        expected = (ends[0] - ends[1]) / 2
        assert float((gradient * step).sum()) == pytest.approx(expected, rel=1e-4 if measure is rg.angular_cka else 0.5)


X = np.random.default_rng(0).standard_normal((30, 4))
REFUSED = {
    "bandwidth": (lambda: rg.rbf_cka(X, X, bandwidth=0), r"`bandwidth` must be a positive number"),
    "rows of two": (lambda: rg.rbf_cka(X, X[:20]), r"`features` has 30 rows and `reference` 20"),
    "three rows": (lambda: rg.rbf_cka(X[:3], X[:3]), r"at least 4 rows, got 3"),
    "one point": (lambda: rg.rbf_cka(X, np.ones((30, 2))), r"`reference` has zero variance"),
    "many rows": (lambda: rg.rbf_cka(np.ones((16_385, 1)), np.ones((16_385, 1))), r"kernels would take 2 GB each"),
    "rsa of many": (lambda: rg.rsa(np.ones((16_385, 1)), np.ones((16_385, 1))), r"all pairs are ordered"),
    "a distance": (lambda: rg.rsa(X, X, distance="manhattan"), r"`distance` must be one of correlation, cosine, euclidean"),
    "constant row": (lambda: rg.rsa(np.vstack([X, np.ones(4)]), np.vstack([X, X[:1]])), r"row 30 of `features` is constant"),
    "zero row": (lambda: rg.rsa(X * (np.arange(30) != 7)[:, None], X, distance="cosine"), r"row 7 of `features` is zero"),
    "corners": (lambda: rg.rsa(np.eye(30), X, distance="euclidean"), r"all rows of `features` lie equally far apart"),
    "one repeat": (lambda: rg.rsa_noise_ceiling([X]), r"`repeats` holds 1 of one measurement"),
    "other repeats": (lambda: rg.rsa_noise_ceiling([X, X[:9]]), r"`repeats\[0\]` has 30 rows and `repeats\[1\]` 9"),
    "share": (lambda: rg.svcca(X, X, variance=99), r"`variance` must be a share above 0 and up to 1"),
    "a stack": (lambda: rg.svcca(X[None], X[None]), r"`features` must be \(n_samples, n_features\)"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("measure", [rg.rbf_cka, rg.angular_cka])
def test_rows_that_all_lie_equally_far_apart_have_no_alignment(measure):
    with pytest.warns(UserWarning, match="all rows of"):
        assert math.isnan(measure(np.eye(6), X[:6]))
