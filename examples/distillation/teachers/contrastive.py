"""tiny-clip: a small ViT and a text tower, trained contrastively on shapes and their captions (Radford et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.shapes import CAPTION_WORDS, SIZE, WORDS, captions, rendered
from ..settings.configs import TeacherTraining
from .cached import PREPROCESSING, load_trained
from .teacher import Teacher
from .vit import PATCH, Block, VisionTransformer

# Of its own shapes, which no student is trained or measured on.
SEED = 3


class ImageTower(nn.Module):
    """Normalised images to embeddings (b, out): one linear map of all tokens in their places."""

    def __init__(self, training: TeacherTraining) -> None:
        super().__init__()
        self.vit = VisionTransformer(size=SIZE, width=training.width, depth=training.depth)
        self.projection = nn.Linear(training.width * (SIZE // PATCH) ** 2, training.out, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        embeddings: Tensor = self.projection(self.vit(images).flatten(1))
        return embeddings


class TextTower(nn.Module):
    """Word numbers (b, 28) to embeddings (b, out), in the same way: a caption's words stand where the grammar has them."""

    def __init__(self, training: TeacherTraining) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS), training.width)
        self.positions = nn.Parameter(0.02 * torch.randn(1, CAPTION_WORDS, training.width))
        self.block, self.norm = Block(training.width, heads=4), nn.LayerNorm(training.width)
        self.projection = nn.Linear(training.width * CAPTION_WORDS, training.out, bias=False)

    def forward(self, words: Tensor) -> Tensor:
        tokens = self.norm(self.block(self.words(words) + self.positions))
        embeddings: Tensor = self.projection(tokens.flatten(1))
        return embeddings


def load_tiny_clip(training: TeacherTraining, cache: Path, device: torch.device | str, bar: bool = True) -> Teacher:
    """From the cache, or trained now: some minutes on two CPU cores."""
    return load_trained("tiny-clip", lambda: ImageTower(training), train, training, cache, device, bar=bar)


def train(images: ImageTower, training: TeacherTraining, device: torch.device | str) -> Iterator[float]:
    """Trains the image tower in place and yields the loss of each step.

    The temperature is fixed. One that is learned falls until the easiest attributes tell a batch apart, and nothing
    pushes the embeddings to tell more; at this one they spread over all that a caption says.
    """
    text = TextTower(training).to(device)
    pixels, words = _pairs(training.n_images, device)
    # The captions stay varied while the image tower learns to follow them.
    slowly = {"params": [*text.parameters()], "lr": 0.1 * training.learning_rate}
    groups: list[dict[str, Any]] = [{"params": [*images.parameters()]}, slowly]
    optimizer = torch.optim.AdamW(
        groups,
        lr=training.learning_rate,
        # CLIP's own, for its ViTs.
        betas=(0.9, 0.98),
        weight_decay=0.05,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine(step, training.steps))
    order = torch.Generator().manual_seed(training.seed)
    for _ in range(training.epochs):
        permuted = torch.randperm(len(pixels), generator=order).to(device)
        # Partial batches are dropped: InfoNCE depends on the number of rows that one row must be told from.
        for rows in permuted[: len(pixels) // training.batch_size * training.batch_size].split(training.batch_size):
            loss = both_ways(images(PREPROCESSING(pixels[rows])), text(words[rows]), training.temperature)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            scheduler.step()
            yield float(loss.detach())


def both_ways(images: Tensor, captions: Tensor, temperature: float) -> Tensor:
    """InfoNCE from images to captions and back, halved."""
    logits = F.normalize(images) @ F.normalize(captions).mT / temperature
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.mT, own)) / 2


def warm_cosine(step: int, steps: int) -> float:
    """Share of the peak learning rate: a linear rise over a twentieth of the steps, then half a cosine to zero."""
    warm = max(1, steps // 20)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / steps)))


def _pairs(n: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    batches = [(pixels, captions(scenes)) for scenes, pixels in rendered(n, SEED, device)]
    pixels, words = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return pixels, words
