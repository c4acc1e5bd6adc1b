"""What the distillation experiments measure, decide and show: slow definitions, planted results, hand computation."""

import base64
import dataclasses
import html
import math
import re
import zlib

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from repgeom_examples.distillation import claims, cli, evaluation, figures, report, running, stored, tables
from repgeom_examples.distillation.claims import CONTRADICTED, NOT_RUN, SUPPORTED, UNDECIDED
from repgeom_examples.distillation.configs import Config, Evaluation, Setting
from repgeom_examples.distillation.data.images import Dataset, Images
from repgeom_examples.distillation.grid import Cell, cells_of
from repgeom_examples.distillation.measured import Measured, Summary, combined, over_seeds
from repgeom_examples.distillation.teachers.teacher import Preprocessing, Teacher
from repgeom_examples.distillation.training import Diverged

import repgeom as rg
from repgeom.corruptions import add_noise

EPS32 = torch.finfo(torch.float32).eps
SEEDS = (42, 123, 456)
CLIP = Setting("clip", "cifar10", architectures=("residual",), augmented=True)
DINO = Setting("dinov2", "cifar100")
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
CONFIG = Config("planted", (CLIP, DINO), evaluation=Evaluation(sigmas=(0.05, 0.2)))
N_IMAGES = 400
RANKS = {("clip", "teacher"): 100, ("clip", "cosine"): 20, ("clip", "cosine+infonce"): 48}
RANKS |= {("dinov2", "teacher"): 130, ("dinov2", "cosine"): 54, ("dinov2", "cosine+infonce"): 82}


# --- planted results ---------------------------------------------------------------------------------------------


def numbers(cell):
    """What every claim of the paper says."""
    w, teacher = cell.width, cell.setting.partition("-")[0]
    return {
        "effective_rank": float(RANKS.get((teacher, cell.objective or "teacher"), 30)),
        "effective_rank_sigma": 2.0 * RANKS.get((teacher, cell.objective or "teacher"), 30),
        "captured": 0.95,
        "cosine": 0.7,
        "infonce": 3.3 - 0.02 * w,
        "uniformity": -0.4 - 0.01 * w,
        "accuracy": 0.7 + 0.01 * w,
        "accuracy/normalized/0.05": 0.6 - 0.01 * w,
        "accuracy/normalized/0.2": 0.3 - 0.05 * w,
        "accuracy/pixel/0.05": 0.5,
        "accuracy/pixel/0.2": 0.2,
    }


def planted(config=CONFIG, change=lambda cell: {}, *, spread=0.01, scatter=0.001, n=N_IMAGES):
    """Done cells: each value moved by `scatter` from seed to seed, with contributions of standard deviation `spread`."""
    return {cell: cell_of(cell, config, change, spread, scatter, n) for cell in cells_of(config)}


def cell_of(cell, config, change, spread, scatter, n):
    rng = np.random.default_rng(zlib.crc32(cell.name.encode()))
    record, arrays = {**numbers(cell), **change(cell)}, {}
    for key, value in list(record.items()):
        moved = scatter * rng.standard_normal() * bool(cell.seed)
        logarithm = key.startswith("effective_rank")
        record[key] = value * math.exp(moved) if logarithm else value + moved
        arrays["log_" * logarithm + key] = torch.tensor(spread * rng.standard_normal(n), dtype=torch.float32)
    shares = np.exp(-np.arange(8) / 2 - 0.01 * (cell.seed % 7))
    setting = next(s for s in config.settings if s.name == cell.setting)
    about = {"name": setting.name, "pretrained": not setting.teacher.startswith("tiny"), "width": 512, "std": CLIP_STD}
    about |= {"data": setting.data, "real_images": not setting.data.startswith("shapes"), "n_train": 5000, "n_test": n}
    record |= {"n_components_90": 19 + cell.width, "variance_ratio": (shares / shares.sum()).tolist()}
    record |= {"captured_student_not_centred": 0.97, "seconds": 60.0, "status": "done"}
    parameters = (
        {} if cell.kind == "teacher" else {"n_parameters": {1: 811_264, 2: 1_405_440, 4: 2_732_032}[cell.width]}
    )
    return stored.Stored({**record, **parameters, "setting": {**about, "n_classes": 10}}, arrays)


def failed(cells, which, reason="the loss became nan in epoch 2 of 5"):
    """The same cells, those that `which` picks failed."""
    return {
        cell: stored.Stored({"status": "failed", "reason": reason, "seconds": 1.0, "setting": found.record["setting"]}, {})
        if which(cell)
        else found
        for cell, found in cells.items()
    }  # fmt: skip


def entry(number, cells, config=CONFIG, setting=None):
    """A claim's one entry in a setting (claim 4's is DINOv2's)."""
    name = setting or (DINO if number == 4 else config.settings[0]).name
    (found,) = [e for e in claims.ledger(config, cells) if e.claim.number == number and e.setting.name == name]
    return found


def by_hand(values, contributions):
    """Mean, and its 95 % interval from the seeds' scatter and the images', each by its own t quantile."""
    values, rows = np.array(values), np.mean(contributions, 0)
    k, n = len(values), len(rows)
    a, b = values.var(ddof=1) / k, rows.var(ddof=1) / n
    half = math.sqrt(scipy.stats.t.ppf(0.975, k - 1) ** 2 * a + scipy.stats.t.ppf(0.975, n - 1) ** 2 * b)
    return values.mean(), values.mean() - half, values.mean() + half


def student(setting, width, objective="cosine", seed=42, **more):
    return Cell(setting.name, "student", width=width, objective=objective, seed=seed, **more)


# --- numbers that know how sure they are -------------------------------------------------------------------------


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
    assert claims.decided(found, -math.inf, math.inf) == UNDECIDED


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


# --- what is measured --------------------------------------------------------------------------------------------


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


def log_rank(p):
    p = p[p > 0] / p.sum()
    return -(p * np.log(p)).sum()


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
    prepared = running.Prepared(Setting("tiny", "pictures"), dataset, teacher, [], [], targets)
    broken = torch.nn.Module()
    broken.forward = lambda x: torch.full((len(x), 10), 1.0 + worth)
    monkeypatch.setattr(running, "_trained", lambda *args: (broken, [1.0]))
    cell, place = student(prepared.setting, 1), running.Place(tmp_path, tmp_path, torch.device("cpu"), bar=False)
    running._run_cell(cell, prepared, Config("planted", (prepared.setting,)), place, lambda n: None)
    record = stored.load(place.result(cell)).record
    assert record["status"] == "failed"
    assert record["reason"]


# --- the ledger --------------------------------------------------------------------------------------------------


def test_published_pattern_supports_all_eight_claims():
    cells = planted()
    assert [entry(number, cells).verdict for number in range(1, 9)] == [SUPPORTED] * 8


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("cause", ["images", "seeds"])
def test_much_scatter_leaves_a_claim_undecided(number, cause):
    cells = planted(spread=60.0) if cause == "images" else planted(scatter=3.0)
    assert entry(number, cells).verdict == UNDECIDED


def rank(value, **which):
    """The effective rank of the cells with these attributes."""
    return lambda cell: {"effective_rank": value} if all(getattr(cell, k) == v for k, v in which.items()) else {}


AGAINST = {
    "1: a large student keeps most": (1, rank(60.0, width=4, objective="cosine")),
    "1: larger students keep more": (1, rank(40.0, width=4, objective="cosine")),
    "1: larger students keep less": (1, rank(12.0, width=4, objective="cosine")),
    "2: another architecture keeps most": (2, rank(90.0, architecture="residual")),
    "2: another architecture does as much as InfoNCE": (2, rank(45.0, architecture="residual")),
    "3: InfoNCE does nothing": (3, rank(20.0, objective="cosine+infonce")),
    "3: InfoNCE does less than published": (3, rank(30.0, objective="cosine+infonce")),
    "3: InfoNCE does more than published": (3, rank(90.0, objective="cosine+infonce")),
    "4: no more than CLIP's": (4, rank(20.0, objective="cosine")),
    "4: InfoNCE adds nothing": (4, rank(54.0, setting="dinov2-cifar100", objective="cosine+infonce")),
    "5: elsewhere": (5, lambda cell: {"captured": 0.7}),
    "5: largest elsewhere": (5, lambda cell: {"captured": 0.99 if cell.width == 1 else 0.92}),
    "6: InfoNCE grows": (6, lambda cell: {"infonce": 3.3 + 0.02 * cell.width}),
    "6: uniformity grows": (6, lambda cell: {"uniformity": -0.4 + 0.02 * cell.width}),
    "7: the smallest is the most accurate": (7, lambda cell: {"accuracy": 0.7 - 0.01 * cell.width}),
    "7: the largest is the most robust": (7, lambda cell: {"accuracy/normalized/0.2": 0.2 + 0.1 * cell.width}),
    "8: restored": (8, lambda cell: {"accuracy/normalized/0.2": 0.4} if cell.augmented else {}),
}


@pytest.mark.parametrize("case", AGAINST)
def test_one_planted_exception_contradicts_the_claim(case):
    number, change = AGAINST[case]
    found = entry(number, planted(change=change))
    assert found.verdict == CONTRADICTED
    assert any(row.verdict == CONTRADICTED for row in found.rows)
    assert all(row.summary.low <= row.summary.value <= row.summary.high for row in found.rows)


@pytest.mark.parametrize("number", range(1, 9))
def test_nothing_there_is_not_run(number):
    found = entry(number, {})
    assert found.verdict == NOT_RUN
    assert all(row.summary is None and "is not there" in row.reason for row in found.rows)


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
    config = dataclasses.replace(CONFIG, seeds=(42,))
    cells = planted(config)
    for number in range(1, 9):
        found = entry(number, cells, config)
        assert found.verdict == UNDECIDED
        assert {row.reason for row in found.rows} == {"one seed gives no interval"}
        assert all(row.summary.low is None for row in found.rows)


def test_two_seeds_can_decide():
    config = dataclasses.replace(CONFIG, seeds=(42, 123))
    assert entry(1, planted(config), config).verdict == SUPPORTED
    assert entry(1, planted(config, rank(60.0, width=4)), config).verdict == CONTRADICTED


def test_one_width_has_no_largest():
    config = dataclasses.replace(CONFIG, widths=(2,))
    cells = planted(config)
    assert entry(1, cells, config).rows[-1].verdict == NOT_RUN
    assert entry(1, cells, config).verdict == UNDECIDED
    assert {entry(number, cells, config).verdict for number in (6, 7, 8)} == {NOT_RUN}
    assert "two widths at least" in entry(6, cells, config).rows[0].reason


@pytest.mark.parametrize("asked", [["--widths", "2", "2"], ["--seeds", "42", "42"]], ids=["widths", "seeds"])
def test_the_same_twice_is_not_two(asked):
    """Two equal seeds would have no scatter, and the largest of two equal widths would be its smallest."""
    with pytest.raises(ValueError, match=asked[1]):
        cli.configured(cli.parser().parse_args(["run", *asked]))


def test_without_infonce_its_claims_are_not_run():
    config = dataclasses.replace(CONFIG, objectives=("cosine",))
    found = entry(3, planted(config), config)
    assert found.verdict == NOT_RUN
    assert found.rows[0].reason == "cosine+infonce is not among the objectives"
    assert entry(2, planted(config), config).verdict == UNDECIDED


def test_without_noise_brittleness_is_half_run():
    config = dataclasses.replace(CONFIG, evaluation=Evaluation(sigmas=()))
    cells = planted(config)
    assert entry(7, cells, config).rows[1].verdict == NOT_RUN
    assert entry(8, cells, config).verdict == NOT_RUN


def test_intervals_of_the_ledger_are_those_of_the_definition():
    cells = planted(scatter=0.05, spread=0.5)

    def of(key, width, objective="cosine", **more):
        found = [cells[student(CLIP, width, objective, s, **more)] for s in SEEDS]
        values = [c.record[key.removeprefix("log_")] for c in found]
        values = np.log(values) if key.startswith("log_") else np.array(values)
        return values, np.array([c.arrays[key].double().numpy() for c in found])

    def expected(a, b):
        return by_hand(b[0] - a[0], b[1] - a[1])

    def found(number, i):
        s = entry(number, cells).rows[i].summary
        return s.value, s.low, s.high

    ranks = [of("log_effective_rank", w) for w in (1, 2, 4)]
    wide = [of("log_effective_rank", w, "cosine+infonce") for w in (1, 2, 4)]
    assert found(1, 4) == pytest.approx(np.exp(expected(ranks[0], ranks[2])))
    mean = [tuple(sum(r[i] for r in group) / 3 for i in (0, 1)) for group in (ranks, wide)]
    assert found(3, 0) == pytest.approx(np.exp(expected(*mean)))
    assert found(5, 0) == pytest.approx(by_hand(*of("captured", 1)))
    assert found(5, 4) == pytest.approx(expected(of("captured", 1), of("captured", 4)))
    assert found(6, 0) == pytest.approx(expected(of("infonce", 1), of("infonce", 4)))
    assert found(6, 1) == pytest.approx(expected(of("uniformity", 1), of("uniformity", 4)))
    assert found(7, 0) == pytest.approx(expected(of("accuracy", 1), of("accuracy", 4)))
    noisy = "accuracy/normalized/0.2"
    assert found(7, 1) == pytest.approx(expected(of(noisy, 1), of(noisy, 4)))
    assert found(8, 0) == pytest.approx(expected(of(noisy, 4), of(noisy, 4, augmented=True)))
    assert found(2, 1) == pytest.approx(np.exp(expected(of("log_effective_rank", 1, architecture="residual"), wide[0])))


@pytest.mark.parametrize(("low", "high", "verdict"), [(0.1, 0.4, SUPPORTED), (0.6, 0.9, CONTRADICTED), (0.4, 0.6, UNDECIDED)])  # fmt: skip
def test_the_rule(low, high, verdict):
    assert claims.decided(Summary((low + high) / 2, low, high, 3, 0.0), 0, 0.5) == verdict
    assert claims.decided(Summary(-(low + high) / 2, -high, -low, 3, 0.0), -0.5, 0) == verdict


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([SUPPORTED, CONTRADICTED, NOT_RUN], CONTRADICTED),
        ([SUPPORTED, UNDECIDED], UNDECIDED),
        ([SUPPORTED, NOT_RUN], UNDECIDED),
        ([NOT_RUN, NOT_RUN], NOT_RUN),
    ],
)
def test_a_claim_is_as_good_as_its_tests(verdicts, verdict):
    assert claims.verdict_of(verdicts) == verdict


def test_a_share_of_one_is_within_above_nine_tenths():
    """A share cannot pass 1, though its interval can: 0.999 of the variance bears "above 0.9" out."""
    found = entry(5, planted(change=lambda cell: {"captured": 0.999}, spread=0.05))
    assert found.rows[0].summary.high > 1
    assert found.verdict == SUPPORTED


@pytest.mark.parametrize("number", [6, 7])
def test_no_difference_at_all_bears_no_order_out(number):
    """Students that answer every image alike: "values above 0" and "values below 0" both leave 0 out."""
    same = {"infonce": 3.3, "uniformity": -0.4, "accuracy": 0.7, "accuracy/normalized/0.2": 0.1}
    cells = planted(change=lambda cell: same, spread=0, scatter=0)
    row = entry(number, cells).rows[1]
    assert (row.summary.low, row.summary.high) == (0, 0)
    assert row.verdict != SUPPORTED


def test_every_claim_is_in_the_ledger_of_any_run():
    """What was not asked for is not run; a claim does not vanish."""
    config = Config("own", (Setting("clip", "folder"),), evaluation=CONFIG.evaluation)
    found = claims.ledger(config, planted(config))
    assert {e.claim.number for e in found} == set(range(1, 9))
    assert {e.claim.number for e in found if e.verdict == NOT_RUN} == {2, 4, 8}


def test_the_middle_width_too_must_be_alike():
    """ "Every student at the same rank": one of 20, 44 and 20 is not."""
    assert entry(1, planted(change=rank(44.0, width=2, objective="cosine"))).verdict != SUPPORTED


def test_half_of_a_claim_does_not_support_it():
    """Without CLIP beside it nothing shows that DINOv2 prevents the collapse, only that InfoNCE helps."""
    config = dataclasses.replace(CONFIG, settings=(DINO,))
    assert entry(4, planted(config), config, DINO.name).verdict == UNDECIDED


@pytest.mark.parametrize("same_images", [True, False])
def test_two_teachers_are_compared_on_the_same_images_pairwise(same_images):
    settings = (Setting("tiny-clip", "shapes10"), Setting("tiny-dino", "shapes10" if same_images else "shapes100"))
    config = Config("two", settings)
    shared = torch.tensor(np.random.default_rng(1).standard_normal(N_IMAGES), dtype=torch.float32)
    cells = {
        cell: stored.Stored(
            {**f.record, "effective_rank": 54.0 if "dino" in cell.setting else 20.0}, {"log_effective_rank": shared}
        )
        for cell, f in planted(config, scatter=0).items()
    }
    row = entry(4, cells, config, settings[1].name).rows[0]
    assert row.summary.value == pytest.approx(2.7)
    half = 0 if same_images else scipy.stats.t.ppf(0.975, N_IMAGES - 1) * math.sqrt(2 * float(shared.var()) / N_IMAGES)
    assert math.log(row.summary.high) == pytest.approx(math.log(2.7) + half, abs=1e-6)
    assert math.log(row.summary.low) == pytest.approx(math.log(2.7) - half, abs=1e-6)


def test_as_large_as_published_is_asked_of_the_published_setting_only():
    def n_tests(*settings):
        config = Config("x", settings)
        return [len(e.rows) for e in claims.ledger(config, {}) if e.claim.number == 3]

    assert n_tests(CLIP, Setting("clip", "cifar100"), Setting("tiny-clip", "shapes10"), DINO) == [2, 1, 1, 1]


def test_any_teacher_and_data_have_a_ledger():
    config = Config("own", (dataclasses.replace(CLIP, teacher="mine.models:encoder", data="folder"),), widths=(1, 4))
    config = dataclasses.replace(config, evaluation=CONFIG.evaluation)
    cells = planted(config, rank(12.0, objective="cosine"))  # of the teacher's 30
    found = {e.claim.number: e.verdict for e in claims.ledger(config, cells)}
    assert {found[n] for n in (1, 2, 3, 5, 6, 7, 8)} == {SUPPORTED}


@pytest.mark.parametrize("number", [7, 8])
def test_the_published_figure_is_of_the_same_noise(number):
    """0.1 is not 0.2: the paper has 43.76 − 54.84 % there, and augmentation wins 5.7 points."""
    config = dataclasses.replace(CONFIG, evaluation=Evaluation(sigmas=(0.05, 0.1)))
    row = next(r for r in entry(number, {}, config).rows if "σ = 0.1" in r.test.text)
    assert "14.05" not in row.test.published


# --- tables ------------------------------------------------------------------------------------------------------


def row_of(table, setting, model):
    (found,) = table[(table["setting"] == setting) & (table["model"] == model)].to_dict("records")
    return found


def test_tables_are_means_and_intervals_by_hand():
    cells = planted(scatter=0.05, spread=0.5)
    table, noise = tables.geometry_table(CONFIG, cells), tables.noise_table(CONFIG, cells)
    found = [cells[student(CLIP, 2, seed=s)] for s in SEEDS]
    for name, key, shown in [("captured", "captured", table), ("uniformity", "uniformity", table), ("clean", "accuracy", noise), ("normalized 0.2", "accuracy/normalized/0.2", noise), ("pixel 0.05", "accuracy/pixel/0.05", noise)]:  # fmt: skip
        row = row_of(shown, CLIP.name, "cnn-w2-cosine")
        expected = by_hand([c.record[key] for c in found], [c.arrays[key].double().numpy() for c in found])
        assert (row[name], row[f"{name} low"], row[f"{name} high"]) == pytest.approx(expected)
    row = row_of(table, CLIP.name, "cnn-w2-cosine")
    ranks = [c.record["effective_rank"] for c in found]
    logs = [c.arrays["log_effective_rank"].double().numpy() for c in found]
    expected = by_hand(ranks, [r * c for r, c in zip(ranks, logs, strict=True)])
    assert (row["effective rank"], row["effective rank low"], row["effective rank high"]) == pytest.approx(expected)
    assert row["parameters"] == 1_405_440
    assert row["seeds"] == 3
    assert row["dimensions for 90 %"] == 21


def test_both_tables_have_one_mean_effective_rank():
    """Per seed, then averaged: 10, 40 and 40 are 30 on average, in either table."""
    cells = planted(change=lambda cell: {"effective_rank": 10.0 if cell.seed == 42 else 40.0}, scatter=0)
    table, record = tables.geometry_table(CONFIG, cells), tables.record_table(CONFIG, cells)
    assert row_of(record, CLIP.name, "cnn-w1-cosine")["rank from σ²"] == pytest.approx(30)
    assert row_of(table, CLIP.name, "cnn-w1-cosine")["effective rank"] == pytest.approx(30)


def test_a_teachers_interval_is_over_images():
    cells = planted(spread=0.5)
    row = row_of(tables.noise_table(CONFIG, cells), CLIP.name, "teacher")
    found = cells[Cell(CLIP.name, "teacher")]
    half = 1.96 * float(found.arrays["accuracy"].double().std()) / math.sqrt(N_IMAGES)
    assert row["clean high"] - row["clean"] == pytest.approx(half, rel=1e-6)


def test_failed_and_missing_cells_are_rows_with_nothing_in_them():
    cells = failed(planted(), lambda cell: cell.width == 4 and cell.objective == "cosine" and not cell.augmented)
    cells = {cell: found for cell, found in cells.items() if cell.architecture != "residual" or cell.seed == 42}
    for make in (tables.geometry_table, tables.noise_table, tables.record_table):
        table = make(CONFIG, cells)
        row = row_of(table, CLIP.name, "cnn-w4-cosine")
        assert row["seeds"] == 0
        assert row["note"].count("the loss became nan in epoch 2 of 5") == 3
        assert all(pd.isna(v) for k, v in row.items() if k not in ("setting", "model", "seeds", "note"))
        shown = next(r for r in report._shown(table) if r[:2] == [CLIP.name, "cnn-w4-cosine"])
        assert set(shown[3:-1]) == {"–"}
        half = row_of(table, CLIP.name, "residual-w1-cosine")
        assert (half["seeds"], half["note"]) == (1, "2 not run")
    assert pd.isna(row_of(tables.geometry_table(CONFIG, cells), CLIP.name, "residual-w1-cosine")["effective rank low"])


def test_a_failed_seed_does_not_count_as_zero():
    cells = failed(planted(change=lambda cell: {"accuracy": 0.6}, scatter=0), lambda cell: cell.seed == 42)
    row = row_of(tables.noise_table(CONFIG, cells), CLIP.name, "cnn-w1-cosine")
    assert row["clean"] == pytest.approx(0.6)
    assert row["note"] == "seed 42: the loss became nan in epoch 2 of 5"


def test_a_teacher_has_no_seed_to_blame():
    cells = failed(planted(), lambda cell: cell.kind == "teacher", "out of memory")
    assert row_of(tables.noise_table(CONFIG, cells), CLIP.name, "teacher")["note"] == "out of memory"


def test_record_table_has_both_ways():
    cells = planted(scatter=0.05)
    row = row_of(tables.record_table(CONFIG, cells), CLIP.name, "cnn-w1-cosine")
    found = [cells[student(CLIP, 1, seed=s)].record for s in SEEDS]
    noisy = [r["accuracy/normalized/0.2"] for r in found]
    assert row["rank of the mean spectrum"] == pytest.approx(
        math.exp(log_rank(np.mean([r["variance_ratio"] for r in found], 0)))
    )
    assert row["rank from σ"] == pytest.approx(np.mean([r["effective_rank_sigma"] for r in found]))
    assert row["± over seeds, ddof 0"] == pytest.approx(np.std(noisy))
    assert row["± over seeds, ddof 1"] == pytest.approx(np.std(noisy, ddof=1))
    assert row["captured, student not centred"] == pytest.approx(0.97)


def test_the_mean_spectrum_of_unequal_lengths():
    mean = np.array([0.55, 0.35, 0.1])
    assert tables._rank_of_mean([[0.6, 0.4], [0.5, 0.3, 0.2]]) == pytest.approx(math.exp(log_rank(mean)))


def test_ledger_table_is_the_ledger():
    entries = claims.ledger(CONFIG, failed(planted(), lambda cell: cell.augmented))
    table = tables.ledger_table(entries)
    assert len(table) == sum(len(e.rows) for e in entries)
    last = table[table["claim"] == 8].to_dict("records")[0]
    assert (last["seeds"], last["verdict"]) == (0, NOT_RUN)
    assert pd.isna(last["value"])
    assert "failed" in last["reason"]
    first = table.to_dict("records")[0]
    assert (first["value"], first["low"]) == (entries[0].rows[0].summary.value, entries[0].rows[0].summary.low)


# --- figures -----------------------------------------------------------------------------------------------------


def axes():
    return Figure().subplots()


def test_figure_1_is_the_mean_spectrum():
    cells = planted()
    ax = figures.plot_spectra(CONFIG, cells, CLIP.name, axes())
    lines = {line.get_label(): line for line in ax.lines}
    assert set(lines) == {"teacher", *(f"cnn-w{w}-{o}" for w in (1, 2, 4) for o in CONFIG.objectives)}
    expected = np.mean([cells[student(CLIP, 1, seed=s)].record["variance_ratio"] for s in SEEDS], 0)
    assert lines["cnn-w1-cosine"].get_ydata() == pytest.approx(expected)
    assert lines["cnn-w1-cosine"].get_xdata().tolist() == list(range(1, 9))
    assert ax.get_yscale() == "log"


def test_figure_2_is_table_1():
    cells = planted(spread=0.5)
    ax = figures.plot_ranks(CONFIG, cells, CLIP.name, axes())
    names = [label.get_text() for label in ax.get_xticklabels()]
    table = tables.geometry_table(CONFIG, cells)
    for name, bar in zip(names, ax.patches, strict=True):
        assert bar.get_height() == pytest.approx(row_of(table, CLIP.name, name)["effective rank"])
    ends = [bars.lines[2][0].get_segments()[0][:, 1] for bars in ax.containers if not hasattr(bars, "patches")]
    for name, (low, high) in zip(names, ends, strict=True):
        row = row_of(table, CLIP.name, name)
        assert (low, high) == pytest.approx((row["effective rank low"], row["effective rank high"]))


def test_figure_3_is_table_2():
    cells = planted(scatter=0.02)
    ax = figures.plot_noise(CONFIG, cells, CLIP.name, axes())
    lines = {line.get_label(): line for line in ax.lines}
    row = row_of(tables.noise_table(CONFIG, cells), CLIP.name, "cnn-w4-cosine")
    assert lines["cnn-w4-cosine"].get_xdata().tolist() == [0, 0.05, 0.2]
    assert lines["cnn-w4-cosine"].get_ydata() == pytest.approx(
        [row["clean"], row["normalized 0.05"], row["normalized 0.2"]]
    )
    assert len(ax.collections) == len(lines)
    assert "cnn-w4-cosine-augmented" not in lines


def test_failed_models_are_absent_and_no_bar_of_zero():
    cells = failed(planted(), lambda cell: cell.width == 4)
    ax = figures.plot_ranks(CONFIG, cells, CLIP.name, axes())
    assert not [label.get_text() for label in ax.get_xticklabels() if "w4" in label.get_text()]
    assert all(bar.get_height() > 0 for bar in ax.patches)
    assert len(ax.patches) == 1 + 4 + 1


@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures_of_one_seed_have_no_intervals(name):
    config = dataclasses.replace(CONFIG, seeds=(42,), settings=(CLIP,))
    (ax,) = figures.figure(name, config, planted(config)).axes
    if name == "figure3":
        assert len(ax.collections) == 1  # the teacher's, over images
    assert ax.lines or ax.patches


@pytest.mark.parametrize("name", figures.FIGURES)
def test_a_setting_with_nothing_finished_has_an_empty_panel(name):
    cells = {cell: found for cell, found in planted().items() if cell.setting == CLIP.name}
    left, right = figures.figure(name, CONFIG, cells).axes
    assert left.lines or left.patches
    assert not right.lines
    assert not right.patches


@pytest.mark.parametrize("name", ["figure1", "figure3"])
def test_every_curve_can_be_told_from_the_others(name):
    config = dataclasses.replace(CONFIG, objectives=("cosine", "cosine+infonce", "mse"), settings=(CLIP,))
    (ax,) = figures.figure(name, config, planted(config)).axes
    looks = [(to_hex(line.get_color()), line.get_linestyle(), line.get_marker()) for line in ax.lines]
    assert len(set(looks)) == len(looks) == 10


# --- the report --------------------------------------------------------------------------------------------------

MACHINE = {"date": "2026-01-02 03:04", "device": "cpu: a processor", "cores": 2, "threads": 1, "torch": "2", "repgeom": "0"}  # fmt: skip


def kept(folder, config, cells):
    """A run's folder with these results."""
    stored.save(folder / "run", {"config": stored.plain(config.to_dict()), "machine": MACHINE})
    for cell, found in cells.items():
        stored.save(folder / "cells" / cell.name, {**found.record, "config": config.fingerprint}, found.arrays)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The report of a run in which one model failed in one seed."""
    cells = failed(planted(n=40), lambda cell: cell == student(CLIP, 2, seed=123), "the loss became nan")
    folder = kept(tmp_path_factory.mktemp("run"), CONFIG, cells)
    found = report.read(folder)
    return found, report.write(found, folder / "report"), folder / "report"


def read(file):
    """Its text as a browser shows it."""
    return html.unescape(file.read_text(encoding="utf-8"))


def test_report_writes_every_file(written):
    _, paths, folder = written
    names = {"report.html", "report.md", "table1.csv", "table2.csv", "record.csv", "ledger.csv"}
    assert {path.name for path in paths} == names | {f"figure{i}.png" for i in (1, 2, 3)}
    assert all((folder / f"figure{i}.png").read_bytes().startswith(b"\x89PNG") for i in (1, 2, 3))


def test_csv_files_are_the_tables(written):
    found, _, folder = written
    for name, table in found.tables.items():
        back = pd.read_csv(folder / f"{name}.csv")
        assert list(back.columns) == list(table.columns)
        numeric = table.select_dtypes("number").columns
        assert np.allclose(back[numeric], table[numeric].astype(float), equal_nan=True)
    assert len(pd.read_csv(folder / "ledger.csv")) == sum(len(e.rows) for e in found.entries)


def test_page_has_nothing_to_load(written):
    page = (written[2] / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|iframe|object)\b|@import|url\(|https?://", page)
    sources = re.findall(r'\bsrc="([^"]*)"', page)
    assert len(sources) == 3
    for source in sources:
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


@pytest.mark.parametrize("form", ["html", "md", "text"])
def test_report_says_what_was_run(form, written):
    found, _, folder = written
    text = report.text(found) if form == "text" else read(folder / f"report.{form}")
    assert "checkpoint " in text
    assert "EMBEDDED" not in text
    assert "3 seeds (42, 123, 456)" in text
    assert f"{len(cells_of(CONFIG)) - 1} of {len(cells_of(CONFIG))} cells" in text  # one has failed
    assert "cnn-w2-cosine, seed 123: the loss became nan" in text
    for e in found.entries:
        assert e.claim.text in text
        assert all(report._value(row) in text and row.test.published in text for row in e.rows)


@pytest.mark.parametrize("form", ["html", "md"])
def test_report_says_where_the_papers_record_disagrees_with_itself(form, written):
    text = read(written[2] / f"report.{form}")
    for n, published in (("811,264", "0.5 M"), ("1,405,440", "2 M"), ("2,732,032", "8 M")):
        assert f"{n} parameters; the paper says {published}" in text
    for words in (
        "rank of the mean spectrum",
        "rank from σ²",
        "rank from σ",
        "captured, student not centred",
        "ddof 0",
    ):
        assert words in text
    assert "the paper's figure centres the teacher only" in text
    assert "σ = 0.1 after normalisation is 0.027 in pixels" in text
    assert "draws it afresh" in text


def test_parameters_are_told_whatever_the_objective(tmp_path):
    config = dataclasses.replace(CONFIG, objectives=("infonce",), settings=(CLIP,))
    assert "811,264 parameters" in report.markdown(report.read(kept(tmp_path, config, planted(config, n=40))))


def test_embedded_is_said_plainly(tmp_path):
    config = Config("small", (Setting("tiny-clip", "shapes10"),), widths=(1,), seeds=(42,))
    lines = report.heading(report.read(kept(tmp_path, config, planted(config, n=40))))
    assert "EMBEDDED teacher, trained here" in lines[0]
    assert "EMBEDDED procedural images" in lines[0]
    assert "checkpoint" not in lines[0]
    assert "do not settle what it says of CLIP on CIFAR-10" in lines[1]
    assert "1 seed (42)" in lines[2]


def test_report_of_a_run_that_has_just_begun(tmp_path):
    found = report.read(kept(tmp_path, CONFIG, {}))
    assert len(report.write(found, tmp_path / "report")) == 9
    assert "nothing is finished yet" in report.text(found)
    assert {e.verdict for e in found.entries} == {NOT_RUN}


def test_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run; `repgeom-distill run --out"):
        report.read(tmp_path)


def test_a_damaged_cell_is_named_and_missing(tmp_path, capsys):
    folder, cell = kept(tmp_path, CONFIG, planted(n=40)), student(CLIP, 1)
    file = folder / "cells" / f"{cell.name}.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"accuracy"', '"accurate"'), encoding="utf-8")
    found = report.read(folder)
    assert cell not in found.cells
    assert f"{cell.name}.json is damaged" in capsys.readouterr().err
    assert row_of(found.tables["table1"], CLIP.name, "cnn-w1-cosine")["note"] == "1 not run"


NASTY = "<b>loss</b> & |x|\nnan"


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A run whose name and reasons would break a page or a table."""
    config = dataclasses.replace(CONFIG, name="<script>alert(1)</script>", settings=(CLIP,), widths=(1, 2))
    cells = failed(planted(config, n=40), lambda cell: cell.objective == "cosine+infonce", NASTY)
    return report.read(kept(tmp_path_factory.mktemp("nasty"), config, cells))


def test_names_and_reasons_are_escaped_in_the_page(nasty):
    page = report.html(nasty, {})
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;loss&lt;/b&gt; &amp; |x|" in page


def test_a_reason_keeps_a_markdown_table_whole(nasty):
    text = report.markdown(nasty)
    for block in re.split(r"\n\n", text):
        rows = block.split("\n")
        if rows[0].startswith("|"):
            columns = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
            assert len(set(columns)) == 1, rows[columns.index(max(columns))]


def test_intervals_are_shown_beside_their_values():
    table = pd.DataFrame({"setting": ["s"], "model": ["m"], "seeds": [3], "x": [0.5], "x low": [0.4], "x high": [0.6], "note": [""]})  # fmt: skip
    assert report._shown(table) == [["setting", "model", "seeds", "x"], ["s", "m", "3", "0.500 ±0.100"]]
    assert report._shown(table.assign(**{"x low": np.nan, "x high": np.nan}))[1][-1] == "0.500"
    assert report._shown(table.assign(x=np.nan))[1][-1] == "–"


def test_a_shown_interval_is_the_interval():
    """A rank's interval comes from logarithms: 20 with 10 to 40 is not 20 ± 15."""
    cells = planted(change=lambda cell: {"effective_rank": {42: 14.0, 123: 20.0, 456: 28.0}.get(cell.seed, 100.0)})
    table = tables.geometry_table(CONFIG, cells)
    row = row_of(table, CLIP.name, "cnn-w1-cosine")
    names, *rows = report._shown(table)
    shown = next(r for r in rows if r[:2] == [CLIP.name, "cnn-w1-cosine"])[names.index("effective rank")]
    ends = [float(x) for x in re.findall(r"[\d.]+", shown)]
    low, high = (ends[0] - ends[1], ends[0] + ends[1]) if "±" in shown else ends[-2:]
    assert (low, high) == pytest.approx((row["effective rank low"], row["effective rank high"]), abs=0.1)
