"""What is read of a student while it is trained."""

import dataclasses
import math

import pytest
import torch
from conftest import oracle
from torch import nn

from repgeom_examples.distillation.settings import configs
from repgeom_examples.distillation.students import curves, networks, training

from ..small_runs import numbered
from .test_training import trained

STEPS = configs.Training(epochs=3, batch_size=8)


def planted_curve(n=8, every=2, d=5):
    """On n images, with directions that are the first two axes."""
    return curves.Curve(numbered(n).float() / 255, torch.eye(d, dtype=torch.float64)[:, :2], every)


def weights(curve, settings=STEPS):
    student = networks.make_student("cnn", 1, 5, 0)
    targets = torch.randn(40, 5, generator=torch.Generator().manual_seed(3))
    losses = trained(student, numbered(40), [targets], "cosine+infonce", settings, curve=curve)
    return student, losses


def test_a_student_that_is_read_is_trained_bit_for_bit_as_one_that_is_not():
    curve = planted_curve()
    (one, losses), (other, same) = weights(curve), weights(None)
    assert [reading["step"] for reading in curve.readings] == [0, 5, 10, 15]
    assert losses == same
    assert one.training
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_readings_are_those_of_the_student_at_that_step():
    """The last one, by plain formulas, and the first, of the student as it was made."""
    curve = planted_curve()
    student, _ = weights(curve)
    for reading, model in ((curve.readings[-1], student), (curve.readings[0], networks.make_student("cnn", 1, 5, 0))):
        with torch.no_grad():
            z = model.eval()(curve.seen).double()
        units = z / z.norm(dim=1, keepdim=True)
        rows = units - units.mean(0)
        assert reading["effective_rank"] == pytest.approx(oracle(units.numpy())["effective_rank"], rel=1e-6)
        inside = rows[:, :2].square().sum() / rows.square().sum()
        assert reading["captured"] == pytest.approx(float(inside), rel=1e-6)
        pairs = [float(units[i] @ units[j]) for i in range(8) for j in range(8) if i != j]
        assert reading["mean_cosine"] == pytest.approx(sum(pairs) / 56, rel=1e-6)


@pytest.mark.parametrize(
    ("n_images", "every", "expected"),
    [
        (1, 2, [0, 2, 4, 5, 6, 8, 10, 12, 14, 15]),  # all of them: every second step, and steps 5, 10 and 15
        (72, 50, [0, 15]),  # a reading costs 72 / (3 · 8) = 3 steps and a third more, so 40 must lie between
        (9, 2, [0, 5, 10, 15]),  # 9 / 24 · 4/3 = half a step, so 5 between: step 2 and 4 come too soon
        (10, 2, [0, 6, 12, 15]),  # 6 between
        (1, 100, [0, 5, 10, 15]),  # the ends of epochs alone
    ],
)
def test_readings_are_due_every_so_many_steps_and_at_each_end_of_an_epoch(n_images, every, expected, monkeypatch):
    curve = planted_curve(n_images, every)
    monkeypatch.setattr(curves.Curve, "_spread", lambda self, features: {})
    weights(curve)
    assert [reading["step"] for reading in curve.readings] == expected
    assert [reading["epoch"] for reading in curve.readings] == [step / 5 for step in expected]


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, 0.1])
def test_a_student_without_a_spectrum_is_read_as_none_and_stops_nothing(value):
    class Constant(nn.Module):
        def forward(self, x):
            return torch.full((len(x), 5), value)

    curve = planted_curve()
    curve.follow(Constant(), 0, 1, 1, 8)
    (reading,) = curve.readings
    assert (reading["effective_rank"], reading["captured"], reading["mean_cosine"]) == (None, None, None)


def test_images_resized_once_or_at_each_step_train_the_same_student(monkeypatch):
    found = []
    for kept in (10**9, 0):
        monkeypatch.setattr(training, "KEPT_BYTES", kept)
        student, sizes = networks.make_student("cnn", 1, 5, 0), []

        def sized(pixels, sizes=sizes):
            sizes.append(len(pixels))
            return pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)

        targets = [torch.randn(20, 5, generator=torch.Generator().manual_seed(3))]
        settings = dataclasses.replace(STEPS, epochs=2)
        trained(student, numbered(20), targets, "cosine+infonce-views", settings, sized=sized)
        found.append((sizes, student.state_dict()))
    (once, one), (each, other) = found
    # One image to learn the size by, then all at once, then the four second views; or both views at each of four steps.
    assert (once, each) == ([1, 20, 8, 8, 8, 8], [1, *8 * [8]])
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_images_are_normalized_in_place_to_the_same_bits():
    from repgeom.models import Preprocessing

    preprocessing = Preprocessing(8, 8, (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
    pixels = numbered(6)
    before = pixels.clone()
    found = training.normalizing(preprocessing, torch.device("cpu"))(pixels)
    assert torch.equal(found, preprocessing.normalized(pixels))
    assert torch.equal(pixels, before)
