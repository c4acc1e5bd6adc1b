"""A student's training with all its work on data, and its bare steps on one batch, as a child process prints both in JSON.

python -m benchmarks.steps SIDE N_IMAGES EPOCHS RUNS
"""

from __future__ import annotations

import json
import sys

import torch
from torch.nn import functional as F

from benchmarks import timing
from repgeom.corruptions import CLIP_STD
from repgeom.models import Preprocessing
from repgeom_examples.distillation.settings.configs import Training
from repgeom_examples.distillation.students.networks import make_student
from repgeom_examples.distillation.students.training import normalizing, train_student
from repgeom_examples.distillation.teachers.pretrained import CLIP_MEAN

BATCH, OUT = 64, 512


def bare(side: int, n_steps: int) -> None:
    """Forward, backward and Adam, of images that lie there as the student sees them."""
    student = make_student("cnn", 1, OUT, 42).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3, fused=True)
    x = torch.randn(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    target = torch.randn(BATCH, OUT)
    for _ in range(n_steps):
        loss = 1 - F.cosine_similarity(student(x), target).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def ours(images: torch.Tensor, side: int, epochs: int) -> None:
    """The same number of steps as a run takes them, from images of 32 pixels in memory."""
    preprocessing = Preprocessing(side, side, CLIP_MEAN, CLIP_STD)
    train_student(
        make_student("cnn", 1, OUT, 42), images, [torch.randn(len(images), OUT)], "cosine", Training(epochs=epochs),
        as_input=normalizing(preprocessing, images.device), sized=preprocessing.sized, augmented=False, seed=42, tick=lambda n: None,
    )  # fmt: skip


def main(side: int, n: int, epochs: int, runs: int) -> dict[str, float]:
    """Median seconds of each over calls in turns, after a warm-up."""
    images = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ways = {
        "ours": lambda: ours(images, side, epochs),
        "bare": lambda: bare(side, epochs * (n // BATCH)),
    }
    for way in ways.values():
        way()
    return timing.in_turns(ways, runs)


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:5]))))
