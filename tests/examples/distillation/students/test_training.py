"""The training of a student, step by step."""

import contextlib
import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from repgeom_examples.distillation.data import views
from repgeom_examples.distillation.settings import configs
from repgeom_examples.distillation.students import networks, objectives, terms, training

from ..small_runs import SMALL, numbered


def trained(student, images, targets, objective="cosine", settings=SMALL, **other):
    """`train_student` on what a student sees: pixels over 255."""
    how = {"as_input": lambda p: p.float() / 255, "augmented": False, "seed": 1, "tick": lambda n: None, **other}
    return training.train_student(student, images, targets, objective, settings, **how)


@pytest.fixture
def seen(monkeypatch):
    """Every batch that an objective named "spy" looked at."""
    found = []

    def spy(batch):
        found.append(batch)
        return terms.cosine(batch)

    monkeypatch.setitem(objectives.TERMS, "spy", spy)
    return found


def test_every_epoch_is_another_order_of_whole_batches_with_their_own_targets(seen):
    images, ticks, inputs = numbered(21), [], []

    def as_input(pixels):
        inputs.append(pixels)
        return pixels.float() / 255

    def numbers(seed, **other):
        inputs.clear()
        trained(networks.make_student("cnn", 1, 1, 0), images, [torch.arange(21.0)[:, None]], "spy", seed=seed, **other)
        return [p[:, 0, 0, 0].tolist() for p in inputs]

    first = numbers(1, as_input=as_input, tick=ticks.append)
    assert [len(b) for b in first] == [8, 8, 8, 8]  # five of twenty-one do not fill a batch
    assert ticks == [8] * 4
    assert [b.teacher[:, 0].tolist() for b in seen] == first
    epochs = [first[0] + first[1], first[2] + first[3]]
    assert all(len(set(e)) == 16 for e in epochs)
    assert epochs[0] != epochs[1]
    assert set(epochs[0]) != set(epochs[1])
    assert numbers(1, as_input=as_input) == first
    assert numbers(2, as_input=as_input) != first
    generator = torch.Generator().manual_seed(1)
    assert epochs == [torch.randperm(21, generator=generator)[:16].tolist() for _ in range(2)]


@pytest.mark.parametrize("mirrored", [False, True])
def test_augmented_epochs_have_their_own_views_and_targets(mirrored, seen):
    images, inputs = numbered(16), []
    targets = [torch.stack([torch.arange(16.0), torch.full((16,), e)], 1) for e in (10.0, 20.0)]

    def as_input(pixels):
        inputs.append(pixels)
        return pixels.float() / 255

    how = {"augmented": True, "mirrored": mirrored, "as_input": as_input}
    trained(networks.make_student("cnn", 1, 2, 0), images, targets, "spy", **how)
    for number, (batch, pixels) in enumerate(zip(seen, inputs, strict=True)):
        epoch, rows = number // 2, batch.teacher[:, 0].long()
        assert batch.teacher[:, 1].tolist() == [10.0 + 10 * epoch] * 8
        assert torch.equal(pixels, views.crop_flip(images[rows], rows, epoch, SMALL.crop_padding, mirrored=mirrored))
    assert not torch.equal(views.crop_flip(images, torch.arange(16), 0, 0.125, mirrored=mirrored), images)


def slow_view(image, pad, top, left, mirrored):
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
    size = image.shape[-1]
    cut = padded[:, top : top + size, left : left + size]
    return cut[:, :, ::-1] if mirrored else cut


def test_a_view_is_one_of_the_crops_and_flips_and_all_of_them_come():
    images, found = numbered(40), Counter()
    for view in range(3):
        made = views.crop_flip(images, torch.arange(40), view, 0.125, mirrored=True).numpy()
        for i, image in enumerate(images.numpy()):
            ways = [(t, x, m) for t in range(3) for x in range(3) for m in (False, True)]
            hits = [w for w in ways if np.array_equal(made[i], slow_view(image, 1, *w))]
            assert len(hits) == 1
            found[hits[0]] += 1
    assert len(found) == 18
    part = views.crop_flip(images[[7, 3]], torch.tensor([7, 3]), 2, 0.125, mirrored=True)
    assert np.array_equal(part.numpy(), made[[7, 3]])


def test_second_views_differ_by_batch_epoch_and_seed():
    images, found = numbered(8, 16), []

    def spy(batch):
        inputs.clear()
        batch.second_view()
        found.append(inputs[0])
        return terms.cosine(batch)

    inputs = []

    def as_input(pixels):
        inputs.append(pixels.clone())
        return pixels.float() / 255

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(objectives.TERMS, "spy", spy)
        for seed in (0, 1, 2):
            student = networks.make_student("cnn", 1, 3, 0)
            settings = dataclasses.replace(SMALL, epochs=3)
            trained(student, images, [torch.rand(8, 3)], "spy", settings, seed=seed, as_input=as_input)
    shown = {x[x[:, 0, 0, 0].sort().indices].numpy().tobytes() for x in found}
    assert len(found) == 9
    assert len(shown) == 9


def test_second_views_of_a_long_training_are_not_those_of_the_next_seed(monkeypatch):
    """At the paper's 50,000 images."""
    numbers = {}
    monkeypatch.setattr(training, "crop_flip", lambda pixels, rows, view, padding, **_: drawn.append(view) or pixels)
    monkeypatch.setitem(objectives.TERMS, "spy", lambda b: b.second_view().square().mean())
    images = numbered(200, 1).expand(50_000 // 200, 200, 3, 1, 1).flatten(0, 1)
    settings = configs.Training(epochs=25, batch_size=25_000)
    for seed in (42, 43):
        drawn = []
        trained(
            nn.Sequential(nn.Flatten(), nn.Linear(3, 1)), images, [torch.zeros(50_000, 1)], "spy", settings, seed=seed
        )
        numbers[seed] = set(drawn)
        assert len(numbers[seed]) == 50
    assert not numbers[42] & numbers[43]
    assert not numbers[42] & set(range(25))  # of the augmentation control


def test_training_is_adams_by_a_plain_loop():
    images, targets = numbered(20), torch.randn(20, 5, generator=torch.Generator().manual_seed(3))
    student, slow = (networks.make_student("cnn", 1, 5, 9).double() for _ in range(2))
    settings = configs.Training(epochs=2, batch_size=8, learning_rate=3e-3)
    losses = []
    weights = list(slow.parameters())
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    generator, step = torch.Generator().manual_seed(4), 0
    for _ in range(2):
        order = torch.randperm(20, generator=generator).tolist()
        for rows in (order[:8], order[8:16]):
            z, t = slow(images[rows].double() / 255), targets[rows].double()
            loss = (1 - (z * t).sum(1) / z.norm(dim=1) / t.norm(dim=1)).mean()
            gradients, step = torch.autograd.grad(loss, weights), step + 1
            losses.append(loss.item())
            with torch.no_grad():
                for w, g, m, v in zip(weights, gradients, first, second, strict=True):
                    m.mul_(0.9).add_(0.1 * g)
                    v.mul_(0.999).add_(0.001 * g * g)
                    w -= 3e-3 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    found = trained(student, images, [targets], settings=settings, seed=4, as_input=lambda p: p.double() / 255)
    assert found == pytest.approx([np.mean(losses[:2]), np.mean(losses[2:])], rel=1e-4)


@pytest.mark.parametrize("objective", objectives.TERMS)
@pytest.mark.parametrize("augmented", [False, True])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(objective, augmented):
    images, targets = numbered(16), [torch.randn(16, 5, generator=torch.Generator().manual_seed(e)) for e in range(2)]

    def weights(seed):
        student = networks.make_student("cnn", 1, 5, 0)
        trained(student, images, targets, objective, augmented=augmented, seed=seed)
        return torch.cat([v.double().flatten() for v in student.state_dict().values()])

    one = weights(1)
    torch.rand(7)
    assert torch.equal(one, weights(1))
    assert not torch.equal(one, weights(2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_divergence_is_told_with_its_epoch(bad, monkeypatch):
    count = []

    def objective(batch):
        count.append(1)
        return batch.student.sum() * (bad if len(count) == 3 else 1)

    monkeypatch.setitem(objectives.TERMS, "bad", objective)
    with pytest.raises(training.Diverged, match=r"the loss became (nan|-?inf) in epoch 2 of 3"):
        trained(networks.make_student("cnn", 1, 2, 0), numbered(16), [torch.ones(16, 2)], "bad", configs.Training(3, 8))


@pytest.mark.parametrize("objective", objectives.TERMS)
def test_a_rate_that_is_far_too_high_raises_nothing_but_diverged(objective):
    with contextlib.suppress(training.Diverged):
        settings = configs.Training(4, 8, learning_rate=1e30)
        trained(networks.make_student("cnn", 1, 5, 0), numbered(16), [torch.rand(16, 5)], objective, settings)


def test_fewer_images_than_a_batch_are_named():
    with pytest.raises(ValueError, match="7 images to train on do not fill one batch of 8"):
        trained(networks.make_student("cnn", 1, 5, 0), numbered(7), [torch.rand(7, 5)])
