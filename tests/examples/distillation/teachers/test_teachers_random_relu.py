"""The untrained network: its components, its weights, its features by a plain loop."""

import math

import numpy as np
import pytest
import torch

from repgeom_examples.distillation.data.images import Dataset, Images
from repgeom_examples.distillation.settings.configs import Setting
from repgeom_examples.distillation.teachers.load import load_teacher
from repgeom_examples.distillation.teachers.random_relu import RandomReLU, half_whitened
from repgeom_examples.distillation.teachers.teacher import native_preprocessing

from ..image_files import random_images


def dataset_of(rng, n=30):
    images = Images(random_images(rng, n, 4, 4), torch.zeros(n, dtype=torch.int64))
    return Dataset("images", images, images, ("a", "b"), real=False)


def test_half_whitened_scores_have_the_root_of_their_deviation(rng):
    rows = rng.standard_normal((12, 20)) * np.arange(1, 21) + 100
    mean, directions = half_whitened(torch.tensor(rows))
    assert np.allclose(mean, rows.mean(0), rtol=1e-6)
    # Twelve centred rows have eleven directions.
    deviations = np.linalg.svd(rows - rows.mean(0), compute_uv=False)[:11] / math.sqrt(12)
    scores = (rows - rows.mean(0)) @ directions.double().numpy()
    assert np.allclose(np.cov(scores.T, bias=True), np.diag(deviations), atol=1e-4)


def test_only_the_leading_components_are_kept(rng):
    rows = torch.tensor(rng.standard_normal((400, 310)))
    assert half_whitened(rows)[1].shape == (310, 300)


@pytest.mark.parametrize(("name", "n_layers"), [("random-relu", 2), ("random-relu-4", 4)])
def test_features_are_those_of_a_plain_loop(name, n_layers, rng, tmp_path):
    dataset = dataset_of(rng)
    teacher = load_teacher(Setting(name, "images"), dataset, tmp_path, "cpu")
    assert (teacher.name, teacher.width, teacher.pretrained) == (name, 512, False)
    pixels = teacher.preprocessing(dataset.train.pixels)
    found = teacher.encode(pixels).double().numpy()
    network = RandomReLU(*half_whitened(pixels.flatten(1)), n_layers)
    network.draw(0)
    x = (pixels.flatten(1).double() - network.mean).numpy() @ network.components.double().numpy()
    x = x / np.sqrt((x**2).mean(1, keepdims=True))
    weights = [weight.detach().double().numpy() for weight in network.weights]
    assert [w.shape[0] for w in weights] == [1024] * n_layers + [512]
    for weight in weights[:-1]:
        x = np.maximum(weight @ x.T, 0).T
    assert np.allclose(found, x @ weights[-1].T, atol=1e-4)


def test_weights_are_hes():
    network = RandomReLU(torch.zeros(300), torch.zeros(300, 300), 2)
    network.draw(0)
    for weight, gain in zip(network.weights, (2, 2, 1), strict=True):
        n = weight.numel()
        variance = float(weight.detach().double().square().mean()) * weight.shape[1]
        assert abs(variance / gain - 1) < 5 * math.sqrt(2 / n)


def test_it_is_kept_and_changes_with_the_images_and_the_layers(rng, tmp_path):
    dataset, other = dataset_of(rng), dataset_of(rng)
    setting, deep = Setting("random-relu", "images"), Setting("random-relu-4", "images")
    first, again = (load_teacher(setting, dataset, tmp_path, "cpu") for _ in range(2))
    assert first.recipe == again.recipe
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    recipes = [first.recipe, load_teacher(setting, other, tmp_path, "cpu").recipe]
    recipes.append(load_teacher(deep, dataset, tmp_path, "cpu").recipe)
    assert len({recipe["weights"] for recipe in recipes}) == 3
    assert (first.recipe["seed"], first.recipe["layers"], recipes[2]["layers"]) == (0, 2, 4)


def test_native_preprocessing_is_of_all_pixels_of_a_channel(rng):
    pixels = random_images(rng, 7, 5, 9)
    pixels[:, 2] = 51
    how = native_preprocessing(Images(pixels, torch.zeros(7)))
    unit = pixels.double().numpy() / 255
    assert (how.resize, how.crop) == (5, 5)
    assert np.allclose(how.mean, unit.mean((0, 2, 3)))
    assert np.allclose(how.std[:2], unit.std((0, 2, 3))[:2])
    # It never varies, and is only shifted.
    assert how.std[2] == 1
