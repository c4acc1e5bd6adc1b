"""A teacher's features of a set of images: computed once, kept, and checked."""

import dataclasses
import json
import math

import pytest
import torch

from repgeom_examples.distillation.data.images import Images
from repgeom_examples.distillation.teachers.features import encoded

from ..image_files import random_images
from ..small_teachers import by_hand, counted, features_of, slow_view


def test_features_are_computed_once(rng, tmp_path):
    teacher, seen, weight = counted(rng)
    images, ticks = Images(random_images(rng, 600, 16, 16), torch.zeros(600).long()), []
    found = features_of(teacher, images, tmp_path, ticks)
    assert sum(seen) == sum(ticks) == 600
    assert max(seen) <= 256
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), by_hand(images.pixels, weight), rtol=1e-5, atol=1e-4)
    assert torch.equal(features_of(teacher, images, tmp_path), found)
    assert sum(seen) == 600


@pytest.mark.parametrize("view", [{}, {"view": 2, "padding": 0.125, "mirrored": True}])
def test_features_are_the_same_for_any_batch_size(view, rng, tmp_path, monkeypatch):
    teacher, _, weight = counted(rng)
    images = Images(random_images(rng, 50, 16, 16), torch.zeros(50).long())
    whole = features_of(teacher, images, tmp_path / "a", **view)
    monkeypatch.setattr("repgeom_examples.distillation.teachers.features.BATCH", 7)
    parts = features_of(teacher, images, tmp_path / "b", **view)
    assert torch.allclose(parts, whole, rtol=1e-5, atol=1e-4)
    seen = (
        images.pixels if not view else torch.stack([slow_view(image, i, 2, 2) for i, image in enumerate(images.pixels)])
    )
    assert torch.allclose(whole.double(), by_hand(seen, weight), rtol=1e-5, atol=1e-4)


def test_damaged_features_are_named_and_made_again(rng, tmp_path, capsys):
    teacher, seen, _ = counted(rng)
    images = Images(random_images(rng, 8, 16, 16), torch.zeros(8).long())
    found = features_of(teacher, images, tmp_path)
    (file,) = tmp_path.rglob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-3] ^= 16
    file.write_bytes(data)
    capsys.readouterr()
    assert torch.equal(features_of(teacher, images, tmp_path), found)
    assert str(file) in capsys.readouterr().err
    assert sum(seen) == 16
    assert torch.equal(features_of(teacher, images, tmp_path), found)
    assert sum(seen) == 16


def test_recipes_keep_teachers_views_and_images_apart(rng, tmp_path):
    teacher, seen, _ = counted(rng, weights="a")
    other = dataclasses.replace(teacher, recipe={"weights": "b"})
    sized = dataclasses.replace(
        teacher, preprocessing=dataclasses.replace(teacher.preprocessing, mean=(0.5, 0.4, 0.31))
    )
    images, more = (Images(random_images(rng, 8, 16, 16), torch.zeros(8).long()) for _ in range(2))
    asked = [
        (teacher, images, {}), (other, images, {}), (sized, images, {}), (teacher, more, {}), (teacher, Images(images.pixels[:7], images.labels[:7]), {}),
        (teacher, images, {"view": 0, "padding": 0.125}), (teacher, images, {"view": 1, "padding": 0.125}), (teacher, images, {"view": 0, "padding": 0.25}),
        (teacher, images, {"view": 0, "padding": 0.125, "mirrored": True}),
    ]  # fmt: skip
    for _ in range(2):
        for t, x, view in asked:
            features_of(t, x, tmp_path, **view)
        assert len(seen) == len(asked)
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(asked)
    record = json.loads(next(tmp_path.rglob("counted-*.json")).read_text())["record"]
    assert record["recipe"]["teacher"]["weights"] in "ab"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_that_are_not_finite_are_refused_and_not_kept(bad, rng, tmp_path):
    teacher, _, _ = counted(rng)
    broken = dataclasses.replace(teacher, encode=lambda x: torch.full((len(x), 5), bad))
    images = Images(random_images(rng, 8, 16, 16), torch.zeros(8).long())
    with pytest.raises(ValueError, match="teacher counted returned values that are not finite"):
        features_of(broken, images, tmp_path)
    assert torch.isfinite(features_of(teacher, images, tmp_path)).all()


def test_features_of_a_teacher_in_half_precision_are_float32(rng):
    teacher, _, _ = counted(rng)
    half = dataclasses.replace(teacher, encode=lambda x: torch.ones(len(x), 5, dtype=torch.float16))
    assert encoded(half, torch.zeros(2, 3, 16, 16)).dtype == torch.float32
