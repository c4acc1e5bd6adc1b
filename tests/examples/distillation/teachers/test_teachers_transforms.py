"""What may be done to a teacher's features, against what it promises of the rows."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from repgeom_examples.distillation.teachers.transforms import check_transform, fitted, narrow_cone, transformed

from ..small_teachers import counted


def rows(rng, n=40, width=6):
    """Rows in a cone, of many lengths."""
    return torch.tensor(rng.standard_normal((n, width)) + 1.5, dtype=torch.float32) * torch.arange(1, n + 1)[:, None]


def units_of(features):
    x = features.double().numpy()
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def slow_mean_cosine(features):
    units = units_of(features)
    return np.mean([a @ b for a, b in itertools.permutations(units, 2)])


def test_center_takes_the_mean_of_the_training_images_from_all(rng):
    train, test = rows(rng), rows(rng)
    found = fitted("center", train)
    mean = units_of(train).mean(0)
    assert np.allclose(found(train).numpy().mean(0), 0, atol=1e-7)
    assert np.allclose(found(test).numpy(), units_of(test) - mean, atol=1e-6)
    assert found(test).dtype == torch.float32


def test_whitening_leaves_directions_of_variance_one_and_none(rng):
    # Deviations of 16, 4, 1 and .1: the fourth holds less than a hundredth of the variance.
    train = torch.tensor(rng.standard_normal((400, 4)) * [16, 4, 1, 0.1] + 30, dtype=torch.float32)
    found = fitted("whiten", train)(train).double().numpy()
    variances = np.linalg.eigvalsh(np.cov(found.T, bias=True))[::-1]
    before = np.linalg.eigvalsh(np.cov(units_of(train).T, bias=True))[::-1]
    n_kept = 1 + int(np.argmax(before.cumsum() / before.sum() >= 0.99))
    assert 1 < n_kept < 4
    assert np.allclose(variances[:n_kept], 1, atol=1e-4)
    assert np.allclose(variances[n_kept:], 0, atol=1e-6)
    # No direction is turned: every component of what is left grows with its own.
    centred = units_of(train) - units_of(train).mean(0)
    assert np.allclose(centred.T @ found, found.T @ centred, atol=1e-4)


@pytest.mark.parametrize("cosine", [0.0, 0.3, 0.75, 0.99])
def test_a_cone_has_the_mean_cosine_that_was_asked_for(cosine, rng):
    train = rows(rng)
    assert 0.3 < slow_mean_cosine(train) < 0.75
    found = fitted(f"cone={cosine}", train)
    assert slow_mean_cosine(found(train)) == pytest.approx(cosine, abs=1e-5)
    # All rows are moved alike.
    moved = found(train).double().numpy() - units_of(train)
    assert np.allclose(moved, moved[0], atol=1e-6)
    test = rows(rng)
    assert np.allclose(found(test).double().numpy() - units_of(test), moved[0], atol=1e-6)


@pytest.mark.parametrize(
    "name", ["centre", "cone", "cone=", "cone=1", "cone=-0.1", "cone=x", "cone=nan", "tilt=0.5", ""]
)
def test_another_transform_is_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=r"there are none, center, whiten, cone=C with C from 0 to below 1"):
        check_transform(name)


def test_a_cone_that_cannot_be_is_refused():
    both_ways = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    with pytest.raises(ValueError, match="have a mean of 0, so there is no axis"):
        fitted("cone=0.5", both_ways)
    # Nine rows one way and one the other: without their mean, the nine still are alike.
    uneven = torch.tensor([[1.0, 0.1]] * 9 + [[-1.0, 0.1]])
    with pytest.raises(ValueError, match=r"cone=0\.1 cannot be reached: `center` leaves a mean cosine of 0\.6"):
        fitted("cone=0.1", uneven)


def test_a_teacher_is_transformed_with_its_recipe(rng):
    teacher, _, weight = counted(rng)
    pixels = torch.tensor(rng.standard_normal((9, 3, 16, 16)), dtype=torch.float32)
    features = pixels.flatten(1) @ weight
    transform = fitted("center", features)
    found = transformed(teacher, "center", transform)
    with torch.no_grad():
        assert torch.equal(found.encode(pixels), transform(features))
    assert found.recipe["transform"] == "center"
    assert transformed(teacher, "none", fitted("none", features)) is teacher
    silent = dataclasses.replace(teacher, encode=None)
    assert transformed(silent, "center", transform).encode is None


def test_a_narrow_cone_is_warned_of():
    assert narrow_cone("a-teacher", 0.9699) is None
    warning = narrow_cone("a-teacher", 0.9701)
    assert "a-teacher" in warning
    assert "0.9701" in warning
    assert "--teacher-transform center" in warning
