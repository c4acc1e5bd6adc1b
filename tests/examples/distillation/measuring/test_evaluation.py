"""What is measured of a model: its accuracies on the same noise as every other, and one list of numbers."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

import repgeom as rg
from repgeom.corruptions import add_noise
from repgeom_examples.distillation import stored
from repgeom_examples.distillation.data.images import Dataset, Images
from repgeom_examples.distillation.measuring import evaluation
from repgeom_examples.distillation.running import preparing, run
from repgeom_examples.distillation.settings.configs import Config, Evaluation, Setting
from repgeom_examples.distillation.teachers.teacher import Preprocessing, Teacher

from ..planted_results import student

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


def noisy_features(images, tick, seed, *levels):
    """Of a tiny model, level after level for each batch; one level gives one row for each image."""
    return torch.cat([features for *_, features in tiny_model().seen(images, list(levels), tick, seed)])


@pytest.mark.parametrize("space", ["normalized", "pixel"])
def test_noise_is_the_same_for_every_batch_and_added_by_hand(space, monkeypatch, rng):
    images, seen = pictures(rng, 20).pixels, []
    whole = noisy_features(images, seen.append, 3, (0.1, space))
    monkeypatch.setattr(evaluation, "BATCH", 7)
    assert torch.allclose(noisy_features(images, seen.append, 3, (0.1, space)), whole, atol=1e-5)
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
    assert not torch.allclose(whole, noisy_features(images, seen.append, 4, (0.1, space)), atol=1e-2)


def test_normalized_noise_has_sigma_after_normalisation_and_is_each_images_own(rng):
    caught, image = [], pictures(rng, 1).pixels.expand(30, -1, -1, -1)
    model = evaluation.Model(lambda x: caught.append(x) or x.flatten(1), PREPROCESSING.sized, PREPROCESSING)
    list(model.seen(image, [None, (0.5, "normalized")], lambda n: None))
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
            noisy = noisy_features(test.pixels, seen.append, 5, (sigma, space))
            key = f"accuracy/{space}/{sigma:g}"
            assert record[key] == probe.accuracy(noisy, test.labels)
            assert arrays[key].tolist() == probe.correct(noisy, test.labels).int().tolist()
    assert record["accuracy/pixel/2"] < record["accuracy"]
    assert sum(seen[1:]) >= 60 + 5 * 45
    assert record["cosine"] == pytest.approx(1)  # a model against its own features: the teacher by the same list


def test_what_is_predictable_is_read_off_the_students_rows_and_for_the_teacher_off_pixels(rng):
    train, test = pictures(rng, 60), pictures(rng, 320)
    known = tuple(tiny_model().features(images.pixels, lambda n: None) for images in (train, test))
    asked = Evaluation(sigmas=())
    of_student, arrays = evaluation.measurements(tiny_model(1), train, test, known[1], asked, lambda n: None)
    of_teacher, _ = evaluation.measurements(tiny_model(), train, test, known[1], asked, lambda n: None, known)
    units = torch.nn.functional.normalize(tiny_model(1).features(test.pixels, lambda n: None))
    expected = rg.predictable_rank(units, known[1])
    assert of_student["predictable"]["value"] == pytest.approx(expected.value)
    assert of_student["predictable"]["r_squared"] == pytest.approx(expected.r_squared)
    assert arrays["log_predictable_rank"].numpy() == pytest.approx(expected.influence, rel=1e-4, abs=1e-4)
    from_pixels = rg.predictable_rank(test.pixels.double().flatten(1), known[1])
    assert of_teacher["predictable"]["explained"] == pytest.approx(from_pixels.explained, rel=1e-3)
    # What is kept of explained variance is kept of its logarithm: the interval follows from it.
    half = scipy.stats.t.ppf(0.975, 319) * float(arrays["log_explained"].double().std()) / math.sqrt(320)
    assert expected.explained_high - expected.explained == pytest.approx(half * expected.explained, rel=1e-3)


def test_large_images_are_averaged_down_and_few_images_say_why():
    """16 blocks of 2 × 2 pixels are one pixel each of 64; a teacher of nine images has no predictable rank."""
    image = torch.randint(256, (9, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    large = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(evaluation.pixels_of(large), image.flatten(1) / 255, atol=1e-6)
    record, arrays = evaluation.predictable(evaluation.pixels_of(image), torch.randn(9, 5))
    assert record["value"] is None
    assert "9 rows" in record["warnings"][0]
    assert arrays == {}


def test_features_without_an_encoder_have_no_accuracy_under_noise(rng):
    train, test = pictures(rng, 60), pictures(rng, 45)
    known = tuple(tiny_model().features(images.pixels, lambda n: None) for images in (train, test))
    files = evaluation.Model(None, PREPROCESSING.sized, PREPROCESSING)
    record, arrays = evaluation.measurements(files, train, test, known[1], Evaluation(), lambda n: None, known)
    whole, _ = evaluation.measurements(tiny_model(), train, test, known[1], Evaluation(), lambda n: None, known)
    assert not any(key.startswith("accuracy/") for key in {**record, **arrays})
    assert record == {key: value for key, value in whole.items() if not key.startswith("accuracy/")}


def test_teacher_and_student_are_measured_by_one_list(rng):
    train, test = pictures(rng, 60), pictures(rng, 45)
    targets = tiny_model().features(test.pixels, lambda n: None)
    found = [evaluation.measurements(tiny_model(s), train, test, targets, Evaluation(), lambda n: None) for s in (0, 1)]
    assert found[0][0].keys() == found[1][0].keys()
    assert found[0][1].keys() == found[1][1].keys()
    for record, arrays in found:
        numbers = {*record, *(f"published/{key}" for key in record["published"]), "predictable_rank", "explained"}
        assert {key.removeprefix("log_") for key in arrays} <= numbers
        assert all(len(value) == 45 for value in arrays.values())


@pytest.mark.parametrize("worth", [0.0, math.nan], ids=["constant", "nan"])
def test_a_student_that_cannot_be_measured_fails_its_cell_and_not_the_run(worth, tmp_path, monkeypatch, rng):
    train, test = pictures(rng, 64), pictures(rng, 45)
    targets = tiny_model().features(test.pixels, lambda n: None)
    teacher = Teacher("tiny", tiny_encoder(), 10, PREPROCESSING, False, {})
    dataset = Dataset("pictures", train, test, ("a", "b", "c"), real=False)
    prepared = preparing.Prepared(Setting("tiny", "pictures"), dataset, teacher, [], [], targets, 0.5, None)
    broken = torch.nn.Module()
    broken.forward = lambda x: torch.full((len(x), 10), 1.0 + worth)
    monkeypatch.setattr(run, "_trained", lambda *args: (broken, {"losses": [1.0]}))
    cell, place = student(prepared.setting, 1), preparing.Place(tmp_path, tmp_path, torch.device("cpu"), bar=False)
    run._run_cell(cell, prepared, Config("planted", (prepared.setting,)), place, lambda n: None)
    record = stored.load(place.result(cell)).record
    assert record["status"] == "failed"
    assert record["reason"]
