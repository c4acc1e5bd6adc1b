"""Teachers by name and from outside, their preprocessing and the digest of their weights."""

import importlib

import pytest
import torch
from conftest import photographs

from repgeom_examples.distillation.data.images import Images
from repgeom_examples.distillation.settings.configs import Setting
from repgeom_examples.distillation.teachers.load import load_teacher
from repgeom_examples.distillation.teachers.teacher import Preprocessing, frozen, weights_digest

from ..image_files import IMAGENET, pillow, random_images
from ..small_teachers import features_of


def test_preprocessing_is_pillow_then_the_middle_then_the_normalisation():
    how = Preprocessing(40, 32, *IMAGENET)
    photos = photographs(64)
    whole = torch.stack([pillow(photo, (40, 40))[:, 4:36, 4:36] for photo in photos])
    assert (how.sized(photos).int() - whole.int()).abs().max() <= 1
    mean, std = (torch.tensor(v).double()[:, None, None] for v in IMAGENET)
    expected = (how.sized(photos).double() / 255 - mean) / std
    assert torch.allclose(how(photos).double(), expected, atol=1e-6)
    unit = how.sized(photos).float() / 255
    assert torch.allclose(how.normalized(unit), how(photos), atol=1e-6)


def test_weights_digest_is_of_names_shapes_kinds_and_values():
    def digest(change=lambda m: m):
        torch.manual_seed(0)
        return weights_digest(change(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))))

    def moved(model):
        model[0].weight.data[3, 3] += 1e-6
        return model

    def counted_on(model):
        model[1].num_batches_tracked += 1
        return model

    changes = [lambda m: m, moved, counted_on, torch.nn.Module.double, lambda m: torch.nn.Sequential(m[1], m[0])]
    assert len({digest(change) for change in changes}) == len(changes)
    assert digest() == digest()


OUTSIDE = """
import torch
from repgeom_examples.distillation.teachers.teacher import Preprocessing, Teacher
def make(path, device):
    how = Preprocessing(8, 8, (0.0,) * 3, (1.0,) * 3)
    return Teacher("mine", lambda x: x.mean((2, 3)), 3, how, False, {"path": path, "device": str(device)})
def wrong(path, device):
    return torch.nn.Identity()
number = 3
"""


def test_a_teacher_from_outside(tmp_path, monkeypatch, rng):
    (tmp_path / "outside_teachers.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    teacher = load_teacher(Setting("outside_teachers:make", "digits", teacher_path="there"), None, tmp_path, "cpu")
    assert teacher.recipe == {"path": "there", "device": "cpu"}
    images = Images(random_images(rng, 3, 8, 8), torch.arange(3))
    assert torch.allclose(features_of(teacher, images, tmp_path), images.pixels.float().mean((2, 3)) / 255, atol=1e-5)
    with pytest.raises(TypeError, match="'outside_teachers:wrong' must return a Teacher, it returned Identity"):
        load_teacher(Setting("outside_teachers:wrong", "digits"), None, tmp_path, "cpu")
    for name, what in (("outside_teachers:nothing", "nothing"), ("no_such_module:make", "no_such_module")):
        with pytest.raises(ValueError, match=f"teacher '{name}' cannot be found: .*{what}"):
            load_teacher(Setting(name, "digits"), None, tmp_path, "cpu")


def test_teachers_by_name_say_what_is_wrong(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"unknown teacher 'vit'; there are clip, .*, tiny-dino, features, or package.module:function",
    ):
        load_teacher(Setting("vit", "digits"), None, tmp_path, "cpu")
    with pytest.raises(ValueError, match="tiny-dino has no path; --teacher-path goes with clip or dinov2"):
        load_teacher(Setting("tiny-dino", "digits", teacher_path="x"), None, tmp_path, "cpu")


def test_pretrained_teachers_by_name(checkpoints, tmp_path):
    root, _ = checkpoints
    for name in ("clip", "dinov2"):
        assert load_teacher(Setting(name, "digits", teacher_path=str(root / name)), None, tmp_path, "cpu").name == name


def test_frozen_is_without_gradients_and_in_evaluation():
    model = frozen(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout()), "cpu")
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
