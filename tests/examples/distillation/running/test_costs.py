"""The work of models before and after they are there, against closed forms and what the models themselves count."""

import importlib.util

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from repgeom_examples.distillation.data.load import DATASETS, load_dataset
from repgeom_examples.distillation.running import costs
from repgeom_examples.distillation.settings import configs, grid, presets
from repgeom_examples.distillation.teachers.load import TEACHERS


def by_hand(width, side, out):
    """Multiplications of the paper's CNN, layer by layer: 3 × 3 convolutions halve the side, a head of 512 reads 4 × 4."""
    a, b, c = 16 * width, 32 * width, 64 * width
    convolutions = 9 * (3 * a * side**2 + a * b * (side // 2) ** 2 + b * c * (side // 4) ** 2)
    return convolutions + 16 * c * 512 + 512 * out


@pytest.mark.parametrize(("width", "mega"), [(1, 138), (2, 507), (4, 1939)])
def test_a_students_work_is_that_of_its_layers(width, mega):
    assert costs.student_flops("cnn", width, 512, 224) == 2 * by_hand(width, 224, 512)
    assert round(by_hand(width, 224, 512) / 1e6) == mega


def test_the_work_of_the_published_grid():
    """One cell: five epochs of 49,984 images at three passes each, 50,000 and 10,000 images once, 10,000 at 8 levels of noise."""
    config = presets.PRESETS["paper-cifar10-clip"]
    (setting,) = config.settings
    sizes = costs.expected(setting)
    assert sizes == costs.Sizes(50_000, 10_000, 224, 512, costs.TEACHERS["clip"][2])
    passes = 3 * 5 * 49_984 + 50_000 + 9 * 10_000
    for width in (1, 2, 4):
        cell = grid.Cell(setting.name, "student", "cnn", width, "cosine", seed=42)
        assert costs.work(cell, config, sizes) == passes * 2 * by_hand(width, 224, 512)
    longer = grid.Cell(setting.name, "student", "cnn", 1, "cosine@epochs=20", seed=42)
    passes = 3 * 20 * 49_984 + 50_000 + 9 * 10_000
    assert costs.work(longer, config, sizes) == passes * 2 * by_hand(1, 224, 512)
    # The images to train on as they are and in five views, those to test on, and these under noise.
    teacher = costs.preparing_work(setting, config, sizes) + costs.work(
        grid.Cell(setting.name, "teacher"), config, sizes
    )
    assert teacher == (6 * 50_000 + 10_000 + 80_000) * sizes.teacher_flops


def test_counts_of_images_are_those_of_the_data():
    assert set(costs.IMAGES) == set(DATASETS) - {"folder"}
    for name in ("digits", "photos"):
        found = load_dataset(configs.Setting("", name))
        assert (len(found.train), len(found.test), found.test.pixels.shape[-1]) == (*costs.IMAGES[name], costs.SIDE)
    few = costs.expected(configs.Setting("clip", "digits", n_train=100, n_test=10_000))
    assert (few.n_train, few.n_test) == (100, 599)
    many = costs.expected(configs.Setting("clip", "photos", n_train=9_000))
    assert (many.n_train, many.n_test) == (9_000, 1_000)
    own = costs.expected(configs.Setting("a.b:c", "folder", n_train=100, n_test=10, image_size=64))
    assert own == costs.Sizes(100, 10, 64, 512, 0.0)


def test_every_teacher_has_a_size():
    assert set(costs.TEACHERS) == set(TEACHERS) - {"features"}


def test_the_work_of_an_untrained_teacher_is_that_of_its_layers():
    for name, n_layers in (("random-relu", 2), ("random-relu-4", 4)):
        products = 3 * 32**2 * 300 + 300 * 1024 + (n_layers - 1) * 1024**2 + 1024 * 512
        assert costs.TEACHERS[name][2] == pytest.approx(2 * products, rel=0.01)


def counted(model, **images):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**images)
    return counter.get_total_flops()


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
def test_the_work_of_published_teachers_is_that_of_their_networks():
    import transformers as tr

    # Their published shapes; without memory for weights.
    with torch.device("meta"):
        towers = {
            "clip": tr.CLIPVisionModelWithProjection(
                tr.CLIPVisionConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, patch_size=32, image_size=224, projection_dim=512)
            ),
            "dinov2": tr.Dinov2Model(tr.Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, patch_size=14, image_size=518)),
        }  # fmt: skip
    for name, model in towers.items():
        found = counted(model, pixel_values=torch.zeros(1, 3, 224, 224, device="meta"))
        assert found == pytest.approx(costs.TEACHERS[name][2], rel=0.02), name
