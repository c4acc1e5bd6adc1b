"""The training of the small teachers: once, repeatable, and kept."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from repgeom_examples.distillation.data import shapes
from repgeom_examples.distillation.teachers import cached, contrastive, self_distilled
from repgeom_examples.distillation.teachers.features import encoded

from ..small_teachers import TINY

LOADERS = {"tiny-clip": contrastive.load_tiny_clip, "tiny-dino": self_distilled.load_tiny_dino}


@pytest.mark.parametrize("name", LOADERS)
def test_a_small_teacher_is_trained_once_and_repeats_bit_for_bit(name, tmp_path, monkeypatch):
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first = LOADERS[name](TINY, tmp_path / "a", "cpu", False)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (first.name, first.width, first.pretrained) == (name, 12 if name == "tiny-clip" else 64, False)
    (file,) = (tmp_path / "a" / "teachers").glob("*.json")
    losses = json.loads(file.read_text())["record"]["losses"]
    assert len(losses) == TINY.steps == 6
    assert np.isfinite(losses).all()
    torch.manual_seed(12)
    second = LOADERS[name](TINY, tmp_path / "b", "cpu", False)
    assert second.recipe == first.recipe
    images = next(shapes.rendered(10, 1))[1]
    features = encoded(first, first.preprocessing(images))
    assert features.shape == (10, first.width)
    assert torch.equal(encoded(second, second.preprocessing(images)), features)
    alone = encoded(first, first.preprocessing(images[:1]))
    assert torch.allclose(alone, features[:1], atol=1e-5)  # in evaluation: not of the batch

    def never(*_):
        raise AssertionError("trained again")

    for module in (contrastive, self_distilled):
        monkeypatch.setattr(module, "train", never)
    kept = LOADERS[name](TINY, tmp_path / "a", "cpu", False)
    assert kept.recipe == first.recipe
    assert torch.equal(encoded(kept, kept.preprocessing(images)), features)
    with pytest.raises(AssertionError, match="trained again"):
        LOADERS[name](dataclasses.replace(TINY, seed=1), tmp_path / "a", "cpu", False)


@pytest.mark.parametrize("name", LOADERS)
def test_seeds_give_different_teachers(name, tmp_path):
    one, two = (LOADERS[name](dataclasses.replace(TINY, seed=s), tmp_path, "cpu", False) for s in (0, 1))
    assert one.recipe["weights"] != two.recipe["weights"]
    assert len(list((tmp_path / "teachers").glob("*.safetensors"))) == 2


def test_training_moves_every_weight_and_lowers_the_loss(tmp_path):
    training = dataclasses.replace(TINY, n_images=64, epochs=12, batch_size=32, learning_rate=3e-3, width=32)
    torch.manual_seed(0)
    tower = contrastive.ImageTower(training)
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    losses = list(contrastive.train(tower, training, "cpu"))
    assert losses[0] == pytest.approx(math.log(32), rel=0.2)  # a chance level
    assert np.mean(losses[-4:]) < losses[0] - 0.1
    assert all(not torch.equal(before[name], value) for name, value in tower.state_dict().items())


def test_the_same_weights_are_read_from_the_cache_after_damage(tmp_path, capsys):
    first = contrastive.load_tiny_clip(TINY, tmp_path, "cpu", False)
    (file,) = (tmp_path / "teachers").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    again = contrastive.load_tiny_clip(TINY, tmp_path, "cpu", False)
    assert again.recipe == first.recipe
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_training_that_diverges_says_where_and_is_not_kept(bad, tmp_path):
    def train(model, training, device):
        yield from (1.0, 0.5, bad, 0.1)

    with pytest.raises(FloatingPointError, match=f"training mine diverged at step 3: the loss became {bad}"):
        cached.load_trained("mine", lambda: torch.nn.Flatten(), train, TINY, tmp_path, "cpu", bar=False)
    assert not list(tmp_path.rglob("*.json"))


def test_dino_ends_with_the_moving_average(monkeypatch):
    torch.manual_seed(0)
    encoder = self_distilled.Encoder(TINY)
    teachers = []
    follow = self_distilled.follow
    monkeypatch.setattr(self_distilled, "follow", lambda t, s, m: (follow(t, s, m), teachers.append((t, m))))
    list(self_distilled.train(encoder, TINY, "cpu"))
    teacher, _ = teachers[-1]
    assert all(
        torch.equal(a, b) for a, b in zip(encoder.state_dict().values(), teacher[0].state_dict().values(), strict=True)
    )
    momenta = [m for _, m in teachers]
    assert momenta == sorted(momenta)
    assert 0.97 < momenta[0] < momenta[-1] < 1
