"""One cell of the paper's grid at the teacher's 224 pixels, the hours of the whole preset, and a linear probe's path."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from benchmarks import timing
from benchmarks.gpu.measuring import Number, Setting, profile, seconds_of
from benchmarks.images import CLASSES, labelled
from repgeom.corruptions import CLIP_STD
from repgeom.models import Preprocessing
from repgeom.probes.linear import DEFAULT_C
from repgeom.probes.logistic import LogisticPath
from repgeom_examples.distillation import training
from repgeom_examples.distillation.configs import Config, Training
from repgeom_examples.distillation.presets import PRESETS
from repgeom_examples.distillation.students import make_student

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
WIDTH = 512  # of CLIP ViT-B/32's embedding
CIFAR = 50_000


def cells(setting: Setting) -> Iterator[Number]:
    """Images a second that a student is trained on, by width, precision and objective."""
    n = setting.size(4_096, 64)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator).to(setting.device)
    target = torch.nn.functional.normalize(torch.randn(n, WIDTH, generator=generator)).to(setting.device)
    side = setting.size(224, 32)
    as_input = Preprocessing(side, side, CLIP_MEAN, CLIP_STD)
    rates: dict[tuple[int, str], float] = {}

    def train(width: int, objective: str = "cosine", precision: str = "float32") -> None:
        student = make_student("cnn", width, WIDTH, 42).to(setting.device)
        training.train_student(
            student, images, [target], objective, Training(epochs=1, precision=precision), as_input=as_input, augmented=False, seed=42,
            tick=lambda n: None,
        )  # fmt: skip

    for precision in ("bfloat16", "float32"):
        for width in (1, 4):
            for objective in ("cosine", "cosine+infonce"):
                rate = n / seconds_of(lambda w=width, o=objective, p=precision: train(w, o, p), 1)
                rates[width, precision] = rate
                yield Number(f"images a second, width {width}, {precision}, {objective}", rate)
    resized = seconds_of(lambda: [as_input(part) for part in images.split(64)], 3)
    yield Number("images a second, resized alone", n / resized)
    for precision in ("bfloat16", "float32"):
        narrow, wide = rates[1, precision], rates[4, precision]
        rate = {1: narrow, 2: math.sqrt(narrow * wide), 4: wide}
        yield Number(f"hours of students of --preset paper, {precision}", hours(PRESETS["paper"], rate))
    yield from profile(setting, "an epoch, width 1", lambda: train(1), n / rates[1, "float32"])
    yield from profile(setting, "an epoch, width 4", lambda: train(4), n / rates[4, "float32"])
    model = vit(setting).to(setting.device).eval()
    pixels = torch.randn(setting.size(256, 4), 3, side, side, device=setting.device)
    with torch.no_grad():
        yield Number(
            "images a second, the teacher CLIP ViT-B/32",
            len(pixels) / seconds_of(lambda: model(pixel_values=pixels), 3),
        )


def hours(config: Config, rate: dict[int, float]) -> float:
    """Of all students of a run: images that each sees over the rate of its width. A view, a probe and measures come on top."""
    cells_of_width = {
        width: len(config.settings) * len(config.objectives) * len(config.seeds) for width in config.widths
    }
    for setting in config.settings:
        cells_of_width[min(config.widths)] += len(setting.architectures) * len(config.seeds)
        cells_of_width[max(config.widths)] += setting.augmented * len(config.objectives) * len(config.seeds)
    seconds = sum(cells * config.training.epochs * CIFAR / rate[width] for width, cells in cells_of_width.items())
    return seconds / 3600


def vit(setting: Setting) -> nn.Module:
    """CLIP's image tower with random weights."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    width, side = setting.size(768, 64), setting.size(224, 32)
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=width, intermediate_size=4 * width, num_hidden_layers=setting.size(12, 2), num_attention_heads=width // 64, patch_size=32,
            image_size=side, projection_dim=WIDTH,
        )
    )  # fmt: skip


def probe(setting: Setting) -> Iterator[Number]:
    """A path of 20 strengths of regularisation on the device and on this CPU, and how far the two objectives lie apart."""
    n, d = setting.size(50_000, 300), setting.size(512, 8)
    x, y = labelled(n, d)
    strengths = DEFAULT_C if not setting.tiny else DEFAULT_C[:2]
    rows, codes = torch.from_numpy(x), torch.from_numpy(y)

    def path(device: str) -> LogisticPath:
        return LogisticPath(rows.to(device), codes.to(device), CLASSES, strengths, 1e-8, 2000).solve()

    took = seconds_of(lambda: path(setting.device), 1)
    yield Number("seconds of the path", took)
    if setting.left > 15 or setting.tiny:
        here = timing.once(lambda: path("cpu"))
        yield Number("seconds of the path on this CPU", here)
        yield Number("the path, times faster than on this CPU", here / took)
    yield from profile(setting, "the path", lambda: path(setting.device), took)
