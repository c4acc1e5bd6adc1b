"""The procedural images of shapes, and the captions that tell what is in them."""

import dataclasses
import itertools
import math

import pytest
import torch

from repgeom_examples.distillation.data import load as data_load
from repgeom_examples.distillation.data import shapes
from repgeom_examples.distillation.data.load import load_dataset
from repgeom_examples.distillation.settings.configs import Setting
from repgeom_examples.distillation.teachers import contrastive, self_distilled


def scenes_and_images(n, seed=5):
    batches = list(shapes.rendered(n, seed))
    return [scene for scene, _ in batches], torch.cat([pixels for _, pixels in batches])


def test_image_i_is_the_same_whatever_else_is_drawn(monkeypatch):
    _, whole = scenes_and_images(12)
    monkeypatch.setattr(shapes, "BATCH", 5)
    assert torch.equal(scenes_and_images(12)[1], whole)
    assert torch.equal(scenes_and_images(7)[1], whole[:7])
    for i in (0, 4, 11):
        assert torch.equal(shapes.render(shapes.draw_scenes(1, 5, start=i))[0], whole[i])
    assert not torch.equal(scenes_and_images(12, seed=6)[1], whole)
    assert len({image.numpy().tobytes() for image in whole}) == 12


def parsed(text):
    """Objects by place, light and ground, read from the sentence alone."""
    words = text.split()
    assert words[24] == "on"
    assert words[27:] == ["ground"]
    phrases = [words[6 * k : 6 * k + 6] for k in range(4)]
    assert [phrase[0] for phrase in phrases] == ["a"] * 4
    return {place: facts for _, *facts, place in phrases}, words[25], words[26]


def test_captions_say_what_the_scenes_hold():
    assert len(set(shapes.WORDS)) == len(shapes.WORDS)
    scenes = shapes.draw_scenes(200, 9)
    words = shapes.captions(scenes)
    assert words.shape == (200, shapes.CAPTION_WORDS)
    colors, grounds = list(shapes.COLORS), list(shapes.GROUNDS)
    for i, text in enumerate(shapes.caption_text(words)):
        objects, light, ground = parsed(text)
        assert list(objects) == ["top-left", "top-right", "bottom-left", "bottom-right"]
        for k, (size, texture, color, shape) in enumerate(objects.values()):
            assert size == ("small", "large")[scenes.size[i, k]]
            assert texture == shapes.TEXTURES[scenes.texture[i, k]]
            assert color == colors[scenes.color[i, k]]
            assert shape == shapes.SHAPES[scenes.shape[i, k]]
            assert (scenes.radius[i, k] > 5.8) == (size == "large")
        assert [facts[0] for facts in objects.values()].count("large") == 1
        assert light == shapes.LIGHTS[scenes.light[i]]
        assert ground == grounds[scenes.ground[i]]


def test_labels_of_shapes_are_those_of_the_captions():
    n = {"n_train": 150, "n_test": 90}
    coarse, dense = (load_dataset(Setting("tiny-clip", name, **n)) for name in ("shapes10", "shapes100"))
    assert not coarse.real
    assert (len(coarse.classes), len(dense.classes)) == (10, 100)
    for half, seed in (("train", data_load.TRAIN_SEED), ("test", data_load.TEST_SEED)):
        ten, hundred = getattr(coarse, half), getattr(dense, half)
        assert len(ten) == n[f"n_{half}"]
        assert torch.equal(ten.pixels, hundred.pixels)
        texts = shapes.caption_text(shapes.captions(shapes.draw_scenes(len(ten), seed)))
        for text, a, b in zip(texts, ten.labels, hundred.labels, strict=True):
            objects, _, _ = parsed(text)
            left, right = objects["top-left"][3], objects["top-right"][3]
            assert coarse.classes[a] == left
            assert dense.classes[b] == f"{left}, {right}"
    seeds = {data_load.TRAIN_SEED, data_load.TEST_SEED, contrastive.SEED, self_distilled.SEED}
    assert len(seeds) == 4  # no student is measured on what a teacher was trained on


def test_every_value_is_drawn_about_as_often_as_any_other():
    scenes = shapes.draw_scenes(4000, 2)
    for values, n in (
        (scenes.shape, 10),
        (scenes.color, 10),
        (scenes.texture, 3),
        (scenes.ground, 6),
        (scenes.light, 3),
        (scenes.size.argmax(1), 4),
    ):
        counts = torch.bincount(values.flatten(), minlength=n)
        expected = values.numel() / n
        assert len(counts) == n
        assert (counts - expected).abs().max() < 5 * math.sqrt(expected)
    joint = torch.bincount(scenes.shape[:, 0] * 10 + scenes.color[:, 0], minlength=100)
    assert (joint - 40).abs().max() < 5 * math.sqrt(40)  # and shape says nothing of colour


LENS = 0.64 * math.acos((0.25 + 0.64 - 1) / (2 * 0.5 * 0.8)) + math.acos((0.25 + 1 - 0.64) / (2 * 0.5)) - 0.5 * math.sqrt(
    (-0.5 + 1.8) * (0.5 + 1 - 0.8) * (0.5 - 1 + 0.8) * (0.5 + 1.8)
)  # fmt: skip


AREAS = {
    "disc": math.pi,
    "ring": math.pi * (1 - 0.5**2),
    "crescent": math.pi - LENS,
    "square": (2 * 0.88) ** 2,
    "frame": 1.8**2 - 1.0**2,
    "diamond": 2 * 1.15**2,
    "cross": 2 * 0.6 * 2 - 0.6**2,
    "saltire": 2 * 0.6 * 2 - 0.6**2,
    "bar": 2 * 0.8,
}


@pytest.mark.parametrize("shape", AREAS)
def test_objects_cover_the_area_of_their_shape(shape):
    one = shapes.draw_scenes(64, 1)
    zeros = torch.zeros_like(one.shape)
    scenes = dataclasses.replace(
        one, shape=zeros + shapes.SHAPES.index(shape), color=zeros + list(shapes.COLORS).index("white"), texture=zeros,
        radius=zeros + 6.0, ground=zeros[:, 0] + list(shapes.GROUNDS).index("slate"), light=zeros[:, 0],
    )  # fmt: skip
    pixels = shapes.render(scenes)[:, 0].float() / 255
    ground = shapes.GROUNDS["slate"][0]
    cover = (pixels - ground) / (0.97 - ground)
    assert cover.sum((1, 2)).mean() == pytest.approx(4 * AREAS[shape] * 36, rel=0.04)


def test_objects_have_their_colour_and_texture_where_the_caption_puts_them():
    scenes = shapes.draw_scenes(300, 3)
    pixels = shapes.render(scenes)
    palette = 255 * torch.tensor(list(shapes.COLORS.values()))
    solid = [shapes.SHAPES.index(name) for name in ("disc", "square", "diamond", "triangle", "cross", "saltire", "bar")]
    shades = set()
    for i, k in itertools.product(range(300), range(4)):
        if int(scenes.shape[i, k]) in solid:
            x, y = (8 + 16 * (k % 2) + scenes.jitter[i, k, 0], 8 + 16 * (k // 2) + scenes.jitter[i, k, 1])
            seen = pixels[i, :, int(y), int(x)].float()
            of = seen / palette[scenes.color[i, k]]
            shade = 1.0 if abs(of.mean() - 1) < 0.1 else 0.55
            assert torch.allclose(seen, palette[scenes.color[i, k]] * shade, atol=1)
            shades.add((int(scenes.texture[i, k]), shade))
    assert shades == {(0, 1.0), (1, 1.0), (1, 0.55), (2, 1.0), (2, 0.55)}  # plain is never dark, the others both


def test_light_is_even_falls_or_is_grainy():
    scenes = shapes.draw_scenes(200, 4)
    columns = shapes.render(scenes)[:, 0, :, 0].float()
    free = scenes.size[:, [0, 2]].sum(1) == 0  # the large object, which may reach the edge, stands at the right
    assert set(scenes.light[free].tolist()) == {0, 1, 2}
    for column, light in zip(columns[free], scenes.light[free], strict=True):
        if light == 0:
            assert column.std() == 0
        elif light == 1:
            assert (column.diff() <= 0).all()
            assert column[0] > column[-1] + 20
        else:
            assert 0.05 < column.std() / column.mean() < 0.25
