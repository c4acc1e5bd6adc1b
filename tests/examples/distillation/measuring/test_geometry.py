"""How rows spread and lie to a teacher's, and what each row adds, against slow definitions."""

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom_examples.distillation.measuring import evaluation, geometry
from repgeom_examples.distillation.settings.configs import Evaluation

from ..planted_results import EPS32, log_rank


def embedded(rng, n=150, d=12):
    """Student and teacher rows that share much; the teacher's directions stand well apart."""
    scale = np.exp(-np.arange(d) / 2)
    teacher = 0.3 + rng.standard_normal((n, d)) * scale
    return torch.tensor(0.2 + teacher + 0.3 * rng.standard_normal((n, d))), torch.tensor(teacher)


def unit(x):
    x = np.asarray(x, dtype=float)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def covariance(x, y, weights, centred=True):
    """Of rows that are each counted with their weight."""
    share = weights / weights.sum()
    if centred:
        x, y = x - share @ x, y - share @ y
    return (x * share[:, None]).T @ y


def weighted_spread(u, weights):
    """σ of the rows about their mean."""
    return np.sqrt(np.linalg.eigvalsh(covariance(u, u, weights)).clip(0))


def log_uniformity(u, weights):
    near = np.exp(-2 * np.square(u[:, None] - u).sum(2))
    return np.log(weights @ near @ weights / weights.sum() ** 2)


def captured_share(u, v, k, weights, centred=True):
    """The directions too are those of the weighted rows."""
    directions = np.linalg.eigh(covariance(v, v, weights))[1][:, ::-1][:, :k]
    spread = covariance(u, u, weights, centred)
    return np.trace(directions.T @ spread @ directions) / np.trace(spread)


def cka(u, v, weights):
    squares = [np.square(covariance(a, b, weights)).sum() for a, b in ((u, v), (u, u), (v, v))]
    return squares[0] / np.sqrt(squares[1] * squares[2])


def cosines(u, weights):
    share = weights / weights.sum()
    return np.square(share @ u).sum()


def leading(teacher, k):
    rows = unit(teacher)
    return np.linalg.svd(rows - rows.mean(0))[2][:k].T


def test_geometry_is_the_slow_definitions(rng):
    x, t = embedded(rng)
    record, arrays = geometry.geometry(x, t, Evaluation(leading=4, leading_figure=6))
    u, v, ones = unit(x), unit(t), np.ones(len(x))
    sigma = np.linalg.svd(u - u.mean(0), compute_uv=False)
    assert record["singular_values"] == pytest.approx(sigma)
    assert record["effective_rank"] == pytest.approx(np.exp(log_rank(sigma**2)))
    assert record["effective_rank_sigma"] == pytest.approx(np.exp(log_rank(sigma)))
    assert record["variance_ratio"] == pytest.approx(sigma**2 / (sigma**2).sum())
    assert record["n_components_90"] == 1 + np.searchsorted(np.cumsum(sigma**2) / (sigma**2).sum(), 0.9)
    assert record["captured"] == pytest.approx(captured_share(u, v, 4, ones))
    assert record["captured_figure"] == pytest.approx(captured_share(u, v, 6, ones))
    assert record["captured_curve"] == pytest.approx(rg.captured_variance(u, v))
    assert len(record["captured_curve"]) == 12
    not_centred = record["captured_student_not_centred"]
    assert not_centred == pytest.approx(np.square(u @ leading(t, 4)).sum() / len(u))
    assert not_centred != pytest.approx(record["captured"], abs=0.01)
    assert record["captured_figure_student_not_centred"] == pytest.approx(np.square(u @ leading(t, 6)).sum() / len(u))
    assert record["captured_curve_student_not_centred"][3] == pytest.approx(not_centred)
    assert record["cosine"] == pytest.approx((u * v).sum(1).mean())
    assert arrays["cosine"].numpy() == pytest.approx((u * v).sum(1), abs=4 * EPS32)
    pairs = [np.exp(-2 * np.square(a - b).sum()) for a in u for b in u]
    assert record["uniformity"] == pytest.approx(np.log(np.mean(pairs)))


@pytest.mark.parametrize("d", [12, 200], ids=["tall", "wide"])
def test_what_is_shared_with_the_teacher_is_the_library(d, rng):
    """The measures are taken of the rows' places along their directions; a rotation changes none of them."""
    x, t = embedded(rng, d=d)
    record, arrays = geometry.geometry(x, t, Evaluation(neighbours=7))
    assert record["linear_cka"] == pytest.approx(rg.linear_cka(unit(x), unit(t)))
    assert record["mutual_knn"] == pytest.approx(rg.mutual_knn(x, t, k=7))
    assert record["mean_cosine"] == pytest.approx(rg.mean_cosine(x))
    assert float(arrays["mutual_knn"].mean()) == pytest.approx(record["mutual_knn"])


def test_infonce_is_cross_entropy_in_batches_of_64(rng):
    x, t = embedded(rng)
    record, arrays = geometry.geometry(x, t, Evaluation())
    u, v, losses = unit(x), unit(t), []
    for start in (0, 64, 128):
        logits = u[start : start + 64] @ v[start : start + 64].T / 0.1
        losses += [np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(logits)]
    assert record["infonce"] == pytest.approx(np.mean(losses))
    assert arrays["infonce"].numpy() == pytest.approx(np.array(losses), abs=1e-5)
    of_batches = [np.mean(losses[start : start + 64]) for start in (0, 64, 128)]
    assert record["published"]["infonce"] == pytest.approx(np.mean(of_batches))
    assert record["published"]["infonce"] != pytest.approx(record["infonce"], abs=1e-3)  # the last batch has 22 images


def test_uniformity_as_published_is_a_mean_over_batches(rng):
    x, t = embedded(rng)
    record, arrays = geometry.geometry(x, t, Evaluation())
    batches = [unit(x)[start : start + 64] for start in (0, 64, 128)]
    each = [log_uniformity(batch, np.ones(len(batch))) for batch in batches]
    assert record["published"]["uniformity"] == pytest.approx(np.mean(each))
    assert record["published"]["uniformity"] > record["uniformity"] + 1e-3  # the diagonal is 1/64 of the pairs
    added = arrays["published/uniformity"].numpy()
    assert added.mean() == pytest.approx(np.mean(each), abs=1e-6)
    # Of an image of the last batch, which holds 22 of 150: a third of the mean rests on it.
    i, step, ones = 140, 1e-4, np.ones(22)
    moved = [log_uniformity(batches[2], ones + step * sign * np.eye(22)[i - 128]) for sign in (1, -1)]
    slope = (moved[0] - moved[1]) / (2 * step) / 3 * 150
    assert added[i] - added[128:].mean() == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("n", [150, 9], ids=["tall", "wide"])
def test_contributions_are_what_a_heavier_image_would_change(n, rng):
    x, t = embedded(rng, n)
    _, arrays = geometry.geometry(x, t, Evaluation(leading=3, leading_figure=5))
    u, step = unit(x), 1e-4
    slow = {
        "log_effective_rank": lambda w: log_rank(largest(weighted_spread(u, w), n - 1) ** 2),
        "log_effective_rank_sigma": lambda w: log_rank(largest(weighted_spread(u, w), n - 1)),
        "uniformity": lambda w: log_uniformity(u, w),
        "mean_cosine": lambda w: cosines(u, w),
    }
    for key, measure in slow.items():
        assert_slopes(arrays[key], measure, step, 1e-3)
        assert float(arrays[key].mean()) == pytest.approx(0, abs=1e-5), key


def test_contributions_to_what_is_shared_are_slopes_too(rng):
    """Captured variance turns the teacher's directions as well; its slope is damped by less than 1 % where they stand apart."""
    x, t = embedded(rng, 1500)
    record, arrays = geometry.geometry(x, t, Evaluation(leading=3, leading_figure=5))
    u, v = unit(x), unit(t)
    ways = {"captured": (3, True), "captured_figure": (5, True), "captured_student_not_centred": (3, False)}
    for key, (k, centred) in ways.items():
        assert_slopes(arrays[key], lambda w, k=k, c=centred: captured_share(u, v, k, w, c), 1e-2, 0.01)
        assert float(arrays[key].mean()) == pytest.approx(0, abs=1e-4)
    # The slope is the biased form's, which differs by less than 1/n.
    assert_slopes(arrays["linear_cka"], lambda w: cka(u, v, w), 1e-2, 0.01)
    assert record["linear_cka"] == pytest.approx(cka(u, v, np.ones(1500)), abs=0.01)


def assert_slopes(parts, measure, step, tolerance):
    """n times the slope of a measure by the weight of a row, for every ninth or so of the rows."""
    n = len(parts)
    scale = float(parts.abs().mean())
    for i in range(0, n, max(1, n // 9)):
        up, down = np.ones(n), np.ones(n)
        up[i], down[i] = 1 + step, 1 - step
        slope = n * (measure(up) - measure(down)) / (2 * step)
        assert float(parts[i]) == pytest.approx(slope, rel=tolerance, abs=tolerance * scale), i


def test_the_turn_of_the_directions_is_part_of_the_contributions(rng):
    """A student that is the teacher's map has little spread of its own; most of what is unsure are the directions."""
    _, t = embedded(rng, 600)
    u, v = unit(t @ torch.tensor(rng.standard_normal((12, 12)))), unit(t)
    _, arrays = geometry.geometry(torch.tensor(u), torch.tensor(v), Evaluation(leading=3))
    directions, rows = leading(t, 3), u - u.mean(0)
    inside, total = np.square(rows @ directions).sum(1), np.square(rows).sum(1)
    given = (inside - inside.sum() / total.sum() * total) / total.mean()
    assert np.abs(arrays["captured"].numpy() - given).max() > 0.1 * np.abs(given).max()


def test_directions_of_nearly_one_variance_turn_by_less_than_their_slope(rng):
    """Pair by pair as the docstring has it: v_iᵀ S v_j a_i a_j times gap / (gap² + λ_i λ_j / n)."""
    x, y = torch.tensor(rng.standard_normal((2, 60, 5)))
    rows, target, k = geometry.Rows.of(x), geometry.Rows.of(y), 2
    along, total = rows.centred @ target.directions, rows.centred.square().sum(1)
    share, parts = geometry.captured(along, total, target, k)
    a, variances = target.scores.numpy(), target.sigma.numpy() ** 2 / 60
    spread = along.numpy().T @ along.numpy() / 60
    turned = np.zeros(60)
    for i in range(k):
        for j in range(k, 5):
            gap = variances[i] - variances[j]
            turned += 2 * spread[i, j] * a[:, i] * a[:, j] * gap / (gap**2 + variances[i] * variances[j] / 60)
    inside = along[:, :k].square().sum(1).numpy()
    expected = (inside - share * total.numpy() + turned) / float(total.mean())
    assert parts.numpy() == pytest.approx(expected)


def largest(values, k):
    """The k largest: what a weighted covariance of n rows has beyond n − 1 is rounding."""
    return np.sort(values)[::-1][:k]


def test_directions_of_equal_variance_or_none_give_no_infinity(rng):
    """A teacher of three dimensions has no 20 leading ones; the rest is rounding."""
    t = torch.tensor(rng.standard_normal((150, 3)) @ rng.standard_normal((3, 12)))
    record, arrays = geometry.geometry(embedded(rng)[0], t, Evaluation(leading=5))
    assert all(bool(torch.isfinite(parts).all()) for parts in arrays.values())
    assert 0 < record["captured"] < 1


def test_scale_of_embeddings_is_nothing(rng):
    x, t = embedded(rng)
    scaled = geometry.geometry(x * torch.rand(len(x), 1) * 100, t / 7, Evaluation(leading=4))
    plain = geometry.geometry(x, t, Evaluation(leading=4))
    assert scaled[0]["effective_rank"] == pytest.approx(plain[0]["effective_rank"])
    assert scaled[0]["captured"] == pytest.approx(plain[0]["captured"])


def test_the_teacher_against_itself(rng):
    _, t = embedded(rng)
    record, _ = geometry.geometry(t, t, Evaluation(leading=4))
    assert record["cosine"] == pytest.approx(1)
    assert record["captured"] == pytest.approx(sum(record["variance_ratio"][:4]))
    assert record["mutual_knn"] == record["linear_cka"] == pytest.approx(1)


@pytest.mark.parametrize("seed", range(6))
def test_all_directions_capture_all_and_no_more(seed):
    _, t = embedded(np.random.default_rng(seed))
    record, _ = geometry.geometry(t, t, Evaluation(leading=4))
    for curve in (record["captured_curve"], record["captured_curve_student_not_centred"]):
        assert max(curve) <= 1
    assert record["captured_curve"][-1] == pytest.approx(1)


def test_equal_embeddings_have_no_geometry(rng):
    _, t = embedded(rng)
    with pytest.raises(ValueError, match="all rows are equal"):
        geometry.geometry(torch.ones(150, 12), t, Evaluation())


def test_fewer_images_than_leading_directions(rng):
    x, t = embedded(rng, n=9)
    record, _ = geometry.geometry(x, t, Evaluation(leading=20))
    u, v = unit(x), unit(t)
    # What nine rows span about their mean is eight directions.
    assert record["captured"] == pytest.approx(captured_share(u, v, 8, np.ones(9)))
    assert record["captured_student_not_centred"] == pytest.approx(np.square(u @ leading(t, 8)).sum() / 9)


def test_the_rank_of_all_images_is_more_than_that_of_a_few(rng):
    """64 dimensions of equal variance: 160 rows read about 50, the estimate is within a tenth of 64, the interval holds it."""
    rows = torch.tensor(rng.standard_normal((160, 64)))
    assert geometry.geometry(rows, rows, Evaluation())[0]["effective_rank"] < 55
    found = evaluation.population_rank(rows)
    assert found["value"] == pytest.approx(64, rel=0.1)
    assert found["low"] < 64 <= found["high"] * (1 + 1e-9)
    assert found["warnings"] == []


def test_a_rank_that_cannot_be_estimated_says_why(rng):
    found = evaluation.population_rank(torch.tensor(rng.standard_normal((3, 5))))
    assert (found["value"], found["low"], found["high"]) == (None, None, None)
    assert "4" in found["warnings"][0]
