"""What is measured of a model, against slow definitions."""

import math

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.corruptions import add_noise
from repgeom_examples.distillation import (
    evaluation,
    preparing,
    running,
    stored,
)
from repgeom_examples.distillation.configs import Config, Evaluation, Setting
from repgeom_examples.distillation.data.images import Dataset, Images
from repgeom_examples.distillation.teachers.teacher import Preprocessing, Teacher
from repgeom_examples.distillation.training import Diverged

from .planted_results import EPS32, log_rank, student


def embedded(rng, n=150, d=12):
    """Student and teacher rows that share much."""
    scale = np.exp(-np.arange(d) / 4)
    teacher = 0.3 + rng.standard_normal((n, d)) * scale
    return torch.tensor(0.2 + teacher + 0.3 * rng.standard_normal((n, d))), torch.tensor(teacher)


def unit(x):
    x = np.asarray(x, dtype=float)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def weighted_spread(u, weights):
    """σ of the rows about their mean, each row counted with its weight."""
    share = weights / weights.sum()
    rows = u - share @ u
    return np.sqrt(np.linalg.eigvalsh((rows * share[:, None]).T @ rows).clip(0))


def log_uniformity(u, weights):
    near = np.exp(-2 * np.square(u[:, None] - u).sum(2))
    return np.log(weights @ near @ weights / weights.sum() ** 2)


def captured_share(u, directions, weights):
    share = weights / weights.sum()
    rows = u - share @ u
    return (share @ np.square(rows @ directions).sum(1)) / (share @ np.square(rows).sum(1))


def leading(teacher, k):
    rows = unit(teacher)
    return np.linalg.svd(rows - rows.mean(0))[2][:k].T


def test_geometry_is_the_slow_definitions(rng):
    x, t = embedded(rng)
    record, arrays = evaluation.geometry(x, t, Evaluation(leading=4))
    u, v, ones = unit(x), unit(t), np.ones(len(x))
    sigma = np.linalg.svd(u - u.mean(0), compute_uv=False)
    assert record["effective_rank"] == pytest.approx(np.exp(log_rank(sigma**2)))
    assert record["effective_rank_sigma"] == pytest.approx(np.exp(log_rank(sigma)))
    assert record["variance_ratio"] == pytest.approx(sigma**2 / (sigma**2).sum())
    assert record["n_components_90"] == 1 + np.searchsorted(np.cumsum(sigma**2) / (sigma**2).sum(), 0.9)
    assert record["captured"] == pytest.approx(captured_share(u, leading(t, 4), ones))
    assert record["captured_curve"][3] == pytest.approx(record["captured"])
    assert len(record["captured_curve"]) == 12
    assert record["captured_student_not_centred"] == pytest.approx(np.square(u @ leading(t, 4)).sum() / len(u))
    for k in (1, 4, 12):
        share = np.square(u @ leading(t, k)).sum() / len(u)
        assert record["captured_curve_student_not_centred"][k - 1] == pytest.approx(share)
    assert record["captured_student_not_centred"] != pytest.approx(record["captured"], abs=0.01)
    assert record["cosine"] == pytest.approx((u * v).sum(1).mean())
    assert arrays["cosine"].numpy() == pytest.approx((u * v).sum(1), abs=4 * EPS32)
    pairs = [np.exp(-2 * np.square(a - b).sum()) for a in u for b in u]
    assert record["uniformity"] == pytest.approx(np.log(np.mean(pairs)))


def test_infonce_is_cross_entropy_in_batches_of_64(rng):
    x, t = embedded(rng)
    record, arrays = evaluation.geometry(x, t, Evaluation())
    u, v, losses = unit(x), unit(t), []
    for start in (0, 64, 128):
        logits = u[start : start + 64] @ v[start : start + 64].T / 0.1
        losses += [np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(logits)]
    assert record["infonce"] == pytest.approx(np.mean(losses))
    assert arrays["infonce"].numpy() == pytest.approx(np.array(losses), abs=1e-5)


@pytest.mark.parametrize("n", [150, 9], ids=["tall", "wide"])
def test_contributions_are_what_a_heavier_image_would_change(n, rng):
    x, t = embedded(rng, n)
    _, arrays = evaluation.geometry(x, t, Evaluation(leading=4))
    u, directions, step = unit(x), leading(t, 4), 1e-4
    slow = {
        "log_effective_rank": lambda w: log_rank(largest(weighted_spread(u, w), n - 1) ** 2),
        "log_effective_rank_sigma": lambda w: log_rank(largest(weighted_spread(u, w), n - 1)),
        "captured": lambda w: captured_share(u, directions, w),
        "uniformity": lambda w: log_uniformity(u, w),
    }
    for key, measure in slow.items():
        for i in range(0, n, max(1, n // 9)):
            heavier, lighter = np.ones(n), np.ones(n)
            heavier[i], lighter[i] = 1 + step, 1 - step
            slope = n * (measure(heavier) - measure(lighter)) / (2 * step)
            assert float(arrays[key][i]) == pytest.approx(slope, rel=1e-3, abs=1e-4), (key, i)
        assert float(arrays[key].mean()) == pytest.approx(0, abs=1e-5), key


def largest(values, k):
    """The k largest: what a weighted covariance of n rows has beyond n − 1 is rounding."""
    return np.sort(values)[::-1][:k]


def test_scale_of_embeddings_is_nothing(rng):
    x, t = embedded(rng)
    scaled = evaluation.geometry(x * torch.rand(len(x), 1) * 100, t / 7, Evaluation(leading=4))
    plain = evaluation.geometry(x, t, Evaluation(leading=4))
    assert scaled[0]["effective_rank"] == pytest.approx(plain[0]["effective_rank"])
    assert scaled[0]["captured"] == pytest.approx(plain[0]["captured"])


def test_the_rank_of_all_images_is_more_than_that_of_a_few(rng):
    """64 dimensions of equal variance: 160 rows read about 50, the estimate is within a tenth of 64, the interval holds it."""
    rows = torch.tensor(rng.standard_normal((160, 64)))
    record, _ = evaluation.geometry(rows, rows, Evaluation())
    assert record["effective_rank"] < 55
    assert record["population_rank"]["value"] == pytest.approx(64, rel=0.1)
    assert record["population_rank"]["low"] < 64 <= record["population_rank"]["high"] * (1 + 1e-9)
    assert record["population_rank"]["warnings"] == []


def test_a_rank_that_cannot_be_estimated_says_why(rng):
    rows = torch.tensor(rng.standard_normal((3, 5)))
    found = evaluation.geometry(rows, rows, Evaluation(leading=2))[0]["population_rank"]
    assert (found["value"], found["low"], found["high"]) == (None, None, None)
    assert "4" in found["warnings"][0]


def test_the_teacher_against_itself(rng):
    _, t = embedded(rng)
    record, _ = evaluation.geometry(t, t, Evaluation(leading=4))
    assert record["cosine"] == pytest.approx(1)
    assert record["captured"] == pytest.approx(sum(record["variance_ratio"][:4]))


def test_equal_embeddings_have_no_geometry(rng):
    _, t = embedded(rng)
    with pytest.raises(Diverged, match=r"embeddings .*are equal"):
        evaluation.geometry(torch.ones(150, 12), t, Evaluation())


def test_fewer_images_than_leading_directions(rng):
    x, t = embedded(rng, n=9)
    record, _ = evaluation.geometry(x, t, Evaluation(leading=20))
    u, rows = unit(x), unit(t) - unit(t).mean(0)
    directions = np.linalg.svd(rows)[2][:8].T  # what nine rows span about their mean
    assert record["captured"] == pytest.approx(captured_share(u, directions, np.ones(9)))
    assert record["captured_student_not_centred"] == pytest.approx(np.square(u @ directions).sum() / 9)


PREPROCESSING = Preprocessing(16, 16, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def pictures(rng, n):
    """Images of three colours with noise, and their labels."""
    labels = np.arange(n) % 3
    pixels = rng.integers(0, 120, (n, 3, 20, 20)) + 90 * np.eye(3)[labels][:, :, None, None]
    return Images(torch.tensor(pixels.astype(np.uint8)), torch.tensor(labels))


def tiny_encoder(seed=0, d=10):
    weight = torch.randn(d, 3 * 16 * 16, generator=torch.Generator().manual_seed(seed)) / 16
    return lambda x: torch.tanh(x.flatten(1) @ weight.T)


def tiny_model(seed=0):
    return evaluation.Model(tiny_encoder(seed), PREPROCESSING.sized, PREPROCESSING)


@pytest.mark.parametrize("space", ["normalized", "pixel"])
def test_noise_is_the_same_for_every_batch_and_added_by_hand(space, monkeypatch, rng):
    images, model, seen = pictures(rng, 20).pixels, tiny_model(), []
    whole = model.features(images, seen.append, (0.1, space), seed=3)
    monkeypatch.setattr(evaluation, "BATCH", 7)
    assert torch.allclose(model.features(images, seen.append, (0.1, space), seed=3), whole, atol=1e-5)
    assert seen == [20, 7, 7, 6]
    sized = PREPROCESSING.sized(images)
    noisy = add_noise(
        sized,
        0.1,
        space=space,
        std=PREPROCESSING.std if space == "normalized" else None,
        seed=3,
        indices=torch.arange(20),
    )
    by_hand = (noisy - torch.tensor(PREPROCESSING.mean)[:, None, None]) / torch.tensor(PREPROCESSING.std)[:, None, None]
    assert torch.allclose(whole, tiny_encoder()(by_hand), atol=1e-5)
    assert not torch.allclose(whole, model.features(images, seen.append, (0.1, space), seed=4), atol=1e-2)


def test_normalized_noise_has_sigma_after_normalisation_and_is_each_images_own(rng):
    caught, image = [], pictures(rng, 1).pixels.expand(30, -1, -1, -1)
    model = evaluation.Model(lambda x: caught.append(x) or x.flatten(1), PREPROCESSING.sized, PREPROCESSING)
    for noise in (None, (0.5, "normalized")):
        model.features(image, lambda n: None, noise)
    added = caught[1] - caught[0]
    assert added.std((0, 2, 3)).tolist() == pytest.approx([0.5] * 3, rel=0.04)  # 7,680 draws each
    assert (added[0] - added[1]).std() > 0.5


def test_accuracies_are_those_of_one_probe_fitted_on_clean_images(rng):
    train, test, asked = pictures(rng, 60), pictures(rng, 45), Evaluation(sigmas=(0.5, 2.0), noise_seed=5)
    model, seen = tiny_model(), []
    features = model.features(test.pixels, seen.append)
    record, arrays = evaluation.measurements(model, train, test, features, asked, seen.append)
    fitted = model.features(train.pixels, seen.append)
    probe = rg.probes.fit_linear_probe(fitted, train.labels, C=1.0, normalize="l2", tol=1e-6)
    assert record["accuracy"] == probe.accuracy(features, test.labels)
    for space in ("normalized", "pixel"):
        for sigma in asked.sigmas:
            noisy = model.features(test.pixels, seen.append, (sigma, space), seed=5)
            key = f"accuracy/{space}/{sigma:g}"
            assert record[key] == probe.accuracy(noisy, test.labels)
            assert arrays[key].tolist() == probe.correct(noisy, test.labels).int().tolist()
    assert record["accuracy/pixel/2"] < record["accuracy"]
    assert sum(seen[1:]) >= 60 + 5 * 45
    assert record["cosine"] == pytest.approx(1)  # a model against its own features: the teacher by the same list


def test_teacher_and_student_are_measured_by_one_list(rng):
    train, test = pictures(rng, 60), pictures(rng, 45)
    targets = tiny_model().features(test.pixels, lambda n: None)
    found = [evaluation.measurements(tiny_model(s), train, test, targets, Evaluation(), lambda n: None) for s in (0, 1)]
    assert found[0][0].keys() == found[1][0].keys()
    assert found[0][1].keys() == found[1][1].keys()
    for record, arrays in found:
        assert {key.removeprefix("log_") for key in arrays} <= record.keys()
        assert all(len(value) == 45 for value in arrays.values())


@pytest.mark.parametrize("worth", [0.0, math.nan], ids=["constant", "nan"])
def test_a_student_that_cannot_be_measured_fails_its_cell_and_not_the_run(worth, tmp_path, monkeypatch, rng):
    train, test = pictures(rng, 64), pictures(rng, 45)
    targets = tiny_model().features(test.pixels, lambda n: None)
    teacher = Teacher("tiny", tiny_encoder(), 10, PREPROCESSING, False, {})
    dataset = Dataset("pictures", train, test, ("a", "b", "c"), real=False)
    prepared = preparing.Prepared(Setting("tiny", "pictures"), dataset, teacher, [], [], targets)
    broken = torch.nn.Module()
    broken.forward = lambda x: torch.full((len(x), 10), 1.0 + worth)
    monkeypatch.setattr(running, "_trained", lambda *args: (broken, [1.0]))
    cell, place = student(prepared.setting, 1), preparing.Place(tmp_path, tmp_path, torch.device("cpu"), bar=False)
    running._run_cell(cell, prepared, Config("planted", (prepared.setting,)), place, lambda n: None)
    record = stored.load(place.result(cell)).record
    assert record["status"] == "failed"
    assert record["reason"]
