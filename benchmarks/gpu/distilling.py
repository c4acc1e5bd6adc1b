"""One cell of the paper's grid at the teacher's 224 pixels, what that makes of a whole run, and a linear probe's path."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

import repgeom as rg
from benchmarks import timing, together
from benchmarks.gpu.measuring import Number, Setting, profile, seconds_of
from benchmarks.images import CLASSES, labelled
from repgeom.corruptions import CLIP_STD
from repgeom.models import Preprocessing
from repgeom.probes.linear import DEFAULT_C
from repgeom.probes.logistic import LogisticPath
from repgeom_examples.distillation.running.costs import expected, student_flops, work
from repgeom_examples.distillation.settings.configs import Config, Training
from repgeom_examples.distillation.settings.grid import cells_of
from repgeom_examples.distillation.students import training
from repgeom_examples.distillation.students.curves import PASSES_OF_A_STEP
from repgeom_examples.distillation.students.networks import make_student

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
WIDTH = 512  # of CLIP ViT-B/32's embedding
SIDE = 224  # pixels that it sees


def cells(setting: Setting) -> Iterator[Number]:
    """Images a second that a student is trained on, by width, precision and objective."""
    n = setting.size(4_096, 64)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator).to(setting.device)
    target = torch.nn.functional.normalize(torch.randn(n, WIDTH, generator=generator)).to(setting.device)
    side = setting.size(SIDE, 32)
    preprocessing = Preprocessing(side, side, CLIP_MEAN, CLIP_STD)
    rates: dict[tuple[int, str], float] = {}

    def train(width: int, objective: str = "cosine", precision: str = "float32") -> None:
        graph = setting.device == "cuda"
        trained(images, target, graph, width=width, objective=objective, side=side, precision=precision, epochs=1)

    for precision in ("bfloat16", "float32"):
        for width in (1, 4):
            for objective in ("cosine", "cosine+infonce"):
                rate = n / seconds_of(lambda w=width, o=objective, p=precision: train(w, o, p), 1)
                rates[width, precision] = rate
                yield Number(rate_name(width, precision, objective), rate)
    resized = seconds_of(lambda: [preprocessing(part) for part in images.split(64)], 3)
    yield Number("images a second, resized alone", n / resized)
    yield from profile(setting, "an epoch, width 1", lambda: train(1), n / rates[1, "float32"])
    yield from profile(setting, "an epoch, width 4", lambda: train(4), n / rates[4, "float32"])
    model = vit(setting).to(setting.device).eval()
    pixels = torch.randn(setting.size(256, 4), 3, side, side, device=setting.device)
    with torch.no_grad():
        yield Number(
            "images a second, the teacher CLIP ViT-B/32",
            len(pixels) / seconds_of(lambda: model(pixel_values=pixels), 3),
        )


def rate_name(width: int, precision: str, objective: str) -> str:
    """What the number of images a second is called."""
    return f"images a second, width {width}, {precision}, {objective}"


def hours(config: Config, numbers: Mapping[str, Any], precision: str) -> float:
    """Of all students of a run, trained and measured, by the measured rates of the row `distillation`.

    A student's operations are those that `repgeom-distill status` counts. Operations a second are those of its width in
    training; of width 2, which is not measured, the geometric mean of the others.
    """
    narrow, wide = (
        PASSES_OF_A_STEP
        * numbers[rate_name(width, precision, "cosine+infonce")]
        * student_flops("cnn", width, WIDTH, SIDE)
        for width in (1, 4)
    )
    flops_a_second = {1: narrow, 2: math.sqrt(narrow * wide), 4: wide}
    sizes = {setting.name: expected(setting) for setting in config.settings}
    students = [cell for cell in cells_of(config) if cell.kind == "student"]
    seconds = sum(work(cell, config, sizes[cell.setting]) / flops_a_second[cell.width] for cell in students)
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


# ---- students: agreement and speed ----


def _widths(setting: Setting) -> tuple[int, ...]:
    """The smallest and the largest of the paper's students."""
    if setting.tiny:
        return (1,)
    return 1, 4


def smooth_images(n: int, device: str) -> Tensor:
    """Images (n, 3, 32, 32), uint8, of eight by eight random blocks made smooth: what a student can learn from."""
    draws = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, 3, 8, 8, generator=draws)
    smooth = nn.functional.interpolate(coarse, size=32, mode="bicubic").clamp(0, 1)
    return (255 * smooth).to(torch.uint8).to(device)


def random_teacher(images: Tensor) -> Tensor:
    """Features (n, 512) of a network of two layers with random weights."""
    draws = torch.Generator().manual_seed(1)
    x = nn.functional.avg_pool2d(images.cpu().float() / 255, 4).flatten(1)
    x = x - x.mean(0)
    hidden = torch.relu(x @ torch.randn(x.shape[1], 1024, generator=draws))
    return (hidden @ torch.randn(1024, WIDTH, generator=draws) / 32).to(images.device)


def seeds_together(setting: Setting) -> Iterator[Number]:
    """A step of students of three seeds, as one model with a further dimension or one after the other."""
    for width in _widths(setting):
        found = together.compared(width, 3, setting.device, setting.size(7, 1))
        for way in ("one by one", "together"):
            yield Number(f"3 seeds of width {width}, 32 px: milliseconds {way}", 1e3 * found[way])
        # In float32, of sums over all pixels that nearly cancel.
        yield Number(f"3 seeds of width {width}, 32 px: difference of gradients", found["difference"], most=0.05)


def trained(images: Tensor, target: Tensor, replayed: bool, seed: int = 42, **how: Any) -> nn.Module:
    """A student of width 1, or as `how` says."""
    width, objective, side = how.pop("width", 1), how.pop("objective", "cosine"), how.pop("side", 32)
    student = make_student("cnn", width, WIDTH, seed).to(images.device)
    preprocessing = Preprocessing(side, side, CLIP_MEAN, CLIP_STD)
    training.train_student(
        student, images, [target], objective, Training(**how), as_input=training.normalizing(preprocessing, images.device),
        sized=preprocessing.sized, augmented=False, seed=seed, tick=lambda n: None, replayed=replayed,
    )  # fmt: skip
    return student.eval()


def agreement(setting: Setting) -> Iterator[Number]:
    """Rank and captured variance of students of each device and precision, and how alike their embeddings are.

    What is replayed from a graph comes last, so that all else is known should that fail.
    """
    n, epochs = setting.size(2_048, 128), setting.size(4, 1)
    images = smooth_images(n + 512, "cpu")
    target = random_teacher(images)
    seen = Preprocessing(32, 32, CLIP_MEAN, CLIP_STD)(images[n:])
    directions = rg.centered_svd(nn.functional.normalize(target[n:].double())).Vh[:20].mT
    seeds = (42,) if setting.tiny else (42, 123, 456)
    ways = {
        "CPU": ("cpu", "float32", False),
        "float32": (setting.device, "float32", False),
        "bfloat16": (setting.device, "bfloat16", False),
        "float32, graph": (setting.device, "float32", setting.device == "cuda"),
        "bfloat16, graph": (setting.device, "bfloat16", setting.device == "cuda"),
    }
    found: dict[tuple[str, str, int], Tensor] = {}
    for way, (device, precision, replayed) in ways.items():
        for objective, seed in itertools.product(("cosine", "cosine+infonce"), seeds):
            if way == "CPU" and seed != 42:
                # It takes seconds for each student, so it trains one.
                continue
            how = {"objective": objective, "precision": precision, "epochs": epochs}
            student = trained(images[:n].to(device), target[:n].to(device), replayed, seed, **how)
            with torch.no_grad():
                units = nn.functional.normalize(student.cpu()(seen).double())
            found[way, objective, seed] = units
            rows = units - units.mean(0)
            captured = float((rows @ directions).square().sum() / rows.square().sum())
            name = f"{objective}, seed {seed}, {way}"
            yield Number(f"{name}: rank", float(rg.effective_rank(units)))
            yield Number(f"{name}: captured", captured)
            for other in ("CPU", "float32"):
                if other != way and (other, objective, seed) in found:
                    alike = float((found[other, objective, seed] * units).sum(1).mean())
                    yield Number(f"{name}: cosine with {other}", alike, least=0.9)


def speed(setting: Setting) -> Iterator[Number]:
    """Milliseconds of a step of the student alone and in an epoch of ours, at 32 and 224 pixels; with a graph last."""
    n = setting.size(4_096, 128)
    images = smooth_images(n, setting.device)
    target = random_teacher(images)
    grid = list(itertools.product((32, setting.size(224, 32)), ("float32", "bfloat16"), _widths(setting)))
    alone: dict[Any, float] = {}

    def ours(side: int, precision: str, width: int, replayed: bool) -> float:
        epochs = setting.size(640 // side, 1)
        how = {"side": side, "width": width, "precision": precision, "epochs": epochs}
        took = seconds_of(lambda: trained(images, target, replayed, **how), 1)
        return 1e3 * took / (epochs * (n // 64))

    for side, precision, width in grid:
        what, n_steps = f"{side} px, width {width}, {precision}", setting.size(64 * 640 // side, 2)
        took = seconds_of(lambda s=side, w=width, p=precision, k=n_steps: bare(s, w, p, setting.device, k), 1)
        alone[side, precision, width] = 1e3 * took / n_steps
        yield Number(f"{what}: milliseconds of a step, alone", alone[side, precision, width])
        step = ours(side, precision, width, False)
        yield Number(f"{what}: milliseconds of a step, ours", step)
        yield Number(f"{what}: ours over alone", step / alone[side, precision, width])
    for side, precision, width in grid:
        step = ours(side, precision, width, setting.device == "cuda")
        yield Number(f"{side} px, width {width}, {precision}: milliseconds of a step, graph", step)
        yield Number(
            f"{side} px, width {width}, {precision}: graph over alone", step / alone[side, precision, width], most=1.1
        )


def bare(side: int, width: int, precision: str, device: str, n_steps: int) -> None:
    """So many steps of a student on one batch that lies there as it is seen."""
    student = make_student("cnn", width, WIDTH, 42).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3, fused=True)
    x = torch.randn(64, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    target = torch.randn(64, WIDTH, device=device)
    for _ in range(n_steps):
        with training.precision_of(precision, torch.device(device)):
            z = student(x)
        loss = 1 - nn.functional.cosine_similarity(z.float(), target).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


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
