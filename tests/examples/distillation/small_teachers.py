"""Teachers that are small enough for a test, and the slow definitions of what is done with them."""

import numpy as np
import torch

from repgeom.corruptions import Draws
from repgeom_examples.distillation.settings.configs import TeacherTraining
from repgeom_examples.distillation.teachers.features import teacher_features
from repgeom_examples.distillation.teachers.teacher import Preprocessing, Teacher

TINY = TeacherTraining(n_images=24, epochs=2, batch_size=8, width=16, depth=1, out=12)


def slow_view(image, row, view, pad):
    draws = Draws(view, torch.tensor([row]), "crop-flip")
    down, right = draws.below(2 * pad + 1, 2)[0].tolist()
    mirrored = bool(draws.uniform(1)[0, 0] < 0.5)
    padded = np.pad(image.numpy(), ((0, 0), (pad, pad), (pad, pad)))
    cut = padded[:, down : down + image.shape[1], right : right + image.shape[2]]
    return torch.tensor(cut[:, :, ::-1].copy() if mirrored else cut.copy())


def counted(rng, width=5, name="counted", **recipe):
    """A linear teacher of 16 × 16 images, and how many images it has seen."""
    weight = torch.tensor(rng.standard_normal((3 * 16 * 16, width)), dtype=torch.float32)
    seen = []

    def encode(pixels):
        assert not torch.is_grad_enabled()
        seen.append(len(pixels))
        return pixels.flatten(1) @ weight

    how = Preprocessing(16, 16, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    return Teacher(name, encode, width, how, pretrained=False, recipe=recipe), seen, weight


def features_of(teacher, images, cache, ticks=None, **view):
    return teacher_features(
        teacher, images, cache, tick=lambda n: ticks.append(n) if ticks is not None else None, **view
    )


def by_hand(images, weight):
    x = (images.double() / 255 - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.3, 0.4])[
        :, None, None
    ]
    return x.flatten(1) @ weight.double()


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
