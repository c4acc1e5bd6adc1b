"""One cell of the paper's grid, our way and the notebook's way, as a child process prints it in JSON.

python -m benchmarks.distillation N_IMAGES EPOCHS N_CELLS DEVICE
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from repgeom.corruptions import CLIP_STD
from repgeom_examples.distillation.data.images import Images
from repgeom_examples.distillation.settings.configs import Training
from repgeom_examples.distillation.students.networks import make_student
from repgeom_examples.distillation.students.training import normalizing, train_student
from repgeom_examples.distillation.teachers.features import teacher_features
from repgeom_examples.distillation.teachers.pretrained import CLIP_MEAN, load_clip


def checkpoint(folder: Path) -> str:
    """CLIP ViT-B/32's image tower with random weights, saved as a checkpoint."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, patch_size=32, image_size=224,
        projection_dim=512,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return str(folder)


def random_images(n: int, device: str) -> Images:
    """Of CIFAR's shape."""
    draws = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=draws)
    return Images(pixels.to(device), torch.arange(n, device=device) % 10)


class OneByOne(torch.utils.data.Dataset[Tensor]):
    """Images that are resized and normalised by Pillow and NumPy each time they are asked for."""

    def __init__(self, images: Images) -> None:
        self.pictures = [Image.fromarray(p.permute(1, 2, 0).cpu().numpy()) for p in images.pixels]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> Tensor:
        large = np.asarray(self.pictures[i].resize((224, 224), Image.Resampling.BICUBIC), np.float32) / 255
        return torch.tensor(((large - CLIP_MEAN) / CLIP_STD).astype(np.float32)).permute(2, 0, 1)


def notebook(path: str, images: Images, epochs: int, device: str) -> tuple[float, Tensor]:
    """Seconds and the student's embeddings: preprocessing per image and epoch, the teacher in the loop."""
    teacher = load_clip(path, device)
    student = make_student("cnn", 1, teacher.width, 42).to(device)
    order = torch.Generator().manual_seed(42)
    loader = torch.utils.data.DataLoader(OneByOne(images), batch_size=64, shuffle=True, drop_last=True, generator=order)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    start = time.perf_counter()
    for _ in range(epochs):
        for batch in loader:
            x = batch.to(device)
            with torch.no_grad():
                target = teacher.encode(x)
            loss = 1 - F.cosine_similarity(student(x), target).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return _since(start, device), _embeddings(student, images, teacher)


def ours(path: str, images: Images, epochs: int, n_cells: int, device: str) -> tuple[float, list[float], Tensor]:
    """Seconds of the teacher's features, seconds of each of several students that share them, the first's embeddings."""
    teacher = load_clip(path, device)
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        target = teacher_features(teacher, images, Path(cache), tick=lambda n: None)
        features = _since(start, device)
    cells, first = [], None
    for seed in range(42, 42 + n_cells):
        start = time.perf_counter()
        student = make_student("cnn", 1, teacher.width, seed).to(device)
        train_student(
            student, images.pixels, [target], "cosine", Training(epochs=epochs),
            as_input=normalizing(teacher.preprocessing, images.pixels.device), sized=teacher.preprocessing.sized, augmented=False, seed=seed, tick=lambda n: None,
        )  # fmt: skip
        cells.append(_since(start, device))
        first = _embeddings(student, images, teacher) if first is None else first
    assert first is not None
    return features, cells, first


def _embeddings(student: nn.Module, images: Images, teacher: Any) -> Tensor:
    student.eval()
    with torch.no_grad():
        return F.normalize(student(teacher.preprocessing(images.pixels[:64])).float()).cpu()


def _since(start: float, device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main(n: int, epochs: int, n_cells: int, device: str) -> dict[str, Any]:
    """Both ways on the same images in one process, ours first, after a warm-up."""
    images = random_images(n, device)
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint(Path(folder))
        ours(path, Images(images.pixels[:64], images.labels[:64]), 1, 1, device)  # warm-up
        features, cells, mine = ours(path, images, epochs, n_cells, device)
        seconds, theirs = notebook(path, images, epochs, device)
    same = float((mine * theirs).sum(1).mean())  # cosine between the two students' embeddings of the same images
    return {"n": n, "epochs": epochs, "notebook": seconds, "features": features, "cells": cells, "agreement": same}


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:4]), sys.argv[4])))
