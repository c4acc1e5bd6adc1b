"""tiny-dino: a small ViT trained by self-distillation without labels or captions (Caron et al. 2021, Oquab et al. 2023).

A student sees large and small crops of an image, a teacher only the large ones; the student predicts what the teacher says
of another crop. The teacher is the student's moving average. Centring keeps it from saying the same of every image,
sharpening from saying nothing. As in DINOv2 centring is by Sinkhorn and Knopp, KoLeo spreads the embeddings, and the loss
is of parts of the image, here its quarters; crops are wide enough that the quarters of two crops show the same.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.shapes import SIZE, rendered
from ..settings.configs import TeacherTraining
from .cached import PREPROCESSING, load_trained
from .contrastive import warm_cosine
from .teacher import Teacher
from .vit import VisionTransformer

SEED = 4  # of its own shapes
N_PROTOTYPES = 1024
# Crops of each image: the teacher sees the large ones, the student all.
N_LARGE, N_SMALL = 2, 2
# Pixels per side: 3 × 3 tokens.
SMALL_SIZE = 24
# Share of the image's area that a crop shows.
LARGE_AREA, SMALL_AREA = (0.7, 1.0), (0.5, 0.8)
# The teacher's is the lower one: what it says is sharper than what the student says.
STUDENT_TEMPERATURE, TEACHER_TEMPERATURE = 0.1, 0.05
# Rounds of Sinkhorn and Knopp.
CENTERINGS = 3
# Weight of KoLeo in the loss.
KOLEO = 0.1


class Encoder(nn.Module):
    """Normalised images to embeddings (b, 4 × width): the mean token of each quarter of the image."""

    def __init__(self, training: TeacherTraining) -> None:
        super().__init__()
        self.vit = VisionTransformer(size=SIZE, width=training.width, depth=training.depth)

    def forward(self, images: Tensor) -> Tensor:
        return self.quarters(images).flatten(1)

    def quarters(self, images: Tensor) -> Tensor:
        """(b, 4, width)."""
        tokens = self.vit(images)
        side = math.isqrt(tokens.shape[1])
        return F.adaptive_avg_pool2d(tokens.mT.unflatten(2, (side, side)), 2).flatten(2).mT


class Head(nn.Module):
    """Quarters (b, 4, width) to scores of prototypes (4 b, 1024): an MLP, unit length, and unit prototypes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, 512), nn.GELU(), nn.Linear(512, 128))
        self.prototypes = nn.Parameter(torch.randn(N_PROTOTYPES, 128))

    def forward(self, embeddings: Tensor) -> Tensor:
        return F.normalize(self.mlp(embeddings.flatten(0, 1)), dim=1) @ F.normalize(self.prototypes).mT


def load_tiny_dino(training: TeacherTraining, cache: Path, device: torch.device | str, bar: bool = True) -> Teacher:
    """From the cache, or trained now: some minutes on two CPU cores."""
    return load_trained("tiny-dino", lambda: Encoder(training), train, training, cache, device, bar=bar)


def train(encoder: Encoder, training: TeacherTraining, device: torch.device | str) -> Iterator[float]:
    """Trains in place, ends with the moving average, as is usual, and yields the loss of each step."""
    pixels = torch.cat([pixels for _, pixels in rendered(training.n_images, SEED, device)])
    head = Head(training.width).to(device)
    student = nn.ModuleList([encoder, head])
    # Both begin alike; from here on the teacher only follows.
    teacher = copy.deepcopy(student).requires_grad_(False)
    optimizer = torch.optim.AdamW(student.parameters(), lr=training.learning_rate, weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine(step, training.steps))
    random = torch.Generator().manual_seed(training.seed)
    n = len(pixels) // training.batch_size * training.batch_size
    for step in range(training.steps):
        if step * training.batch_size % n == 0:
            batches = iter(torch.randperm(len(pixels), generator=random).to(device)[:n].split(training.batch_size))
        images = PREPROCESSING(pixels[next(batches)])
        large = [crops(images, SIZE, LARGE_AREA, random) for _ in range(N_LARGE)]
        small = [crops(images, SMALL_SIZE, SMALL_AREA, random) for _ in range(N_SMALL)]
        with torch.no_grad():
            told = centred(scores(teacher, torch.cat(large))).chunk(N_LARGE)
        embedded = encoder.quarters(torch.cat(large))
        said = [*head(embedded).chunk(N_LARGE), *scores(student, torch.cat(small)).chunk(N_SMALL)]
        # KoLeo of the first crops only: crops of one image should lie together, not apart.
        loss = distilled(said, told) + KOLEO * koleo(embedded[: training.batch_size].flatten(0, 1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        # The momentum rises from 0.98 to 1, so the teacher follows ever more slowly.
        follow(teacher, student, 1 - 0.01 * (1 + math.cos(math.pi * step / training.steps)))
        yield float(loss.detach())
    encoder.load_state_dict(teacher[0].state_dict())


def scores(model: nn.ModuleList, images: Tensor) -> Tensor:
    """Prototype scores of images by an encoder and its head."""
    found: Tensor = model[1](model[0].quarters(images))  # type: ignore[operator]
    return found


def centred(scores: Tensor) -> Tensor:
    """Targets (n, 1024): sharpened, then scaled so that each prototype is told equally often of each quarter (Cuturi 2013)."""
    # The scaling below cancels a common shift, which here keeps every exponential at 1 or less.
    told = ((scores - scores.max()) / TEACHER_TEMPERATURE).exp().unflatten(0, (-1, 4))
    for _ in range(CENTERINGS):
        told = told / told.sum(0).clamp(min=1e-12)
        told = told / told.sum(-1, keepdim=True)
    return told.flatten(0, 1)


def distilled(said: Sequence[Tensor], told: Sequence[Tensor]) -> Tensor:
    """Mean cross-entropy of what the student says of a crop against what the teacher says of another."""
    logs = [F.log_softmax(s / STUDENT_TEMPERATURE, dim=1) for s in said]
    # No crop is asked what the teacher said of that same crop; small crops are asked about all large ones.
    terms = [-(t * s).sum(1).mean() for i, t in enumerate(told) for j, s in enumerate(logs) if i != j]
    return torch.stack(terms).mean()


def koleo(embeddings: Tensor) -> Tensor:
    """−mean ln distance to the nearest other unit row (Sablayrolles et al. 2019)."""
    units = F.normalize(embeddings)
    with torch.no_grad():
        # Below every cosine, so that no row is its own neighbour.
        nearest = (units @ units.mT).fill_diagonal_(-2).argmax(1)
    return -(units - units[nearest]).norm(dim=1).clamp(min=1e-6).log().mean()


def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Moves the teacher a little towards the student; counts of batches are copied."""
    with torch.no_grad():
        for mine, theirs in zip(teacher.state_dict().values(), student.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - momentum)
            else:
                mine.copy_(theirs)


def crops(images: Tensor, size: int, area: tuple[float, float], random: torch.Generator) -> Tensor:
    """(b, 3, size, size): of each image a square of a random share of the area, in other colours.

    Channels change places and each has its own contrast and brightness: where colours told two crops of one image from
    others, nothing else would be learned.
    """
    b = len(images)
    # Columns: 0 the area, 1 and 2 the place, 3 to 5 the order of channels, 6 to 8 contrast, 9 to 11 brightness.
    draws = torch.rand(b, 12, generator=random).to(images.device)
    side = (area[0] + (area[1] - area[0]) * draws[:, 0]).sqrt()
    where = torch.zeros(b, 2, 3, device=images.device)
    where[:, 0, 0], where[:, 1, 1] = side, side
    # In coordinates from −1 to 1; a centre is drawn where the whole crop lies within the image.
    where[:, :, 2] = (2 * draws[:, 1:3] - 1) * (1 - side)[:, None]
    grid = F.affine_grid(where, [b, 3, size, size], align_corners=False)
    cropped = F.grid_sample(images, grid, align_corners=False, padding_mode="reflection")
    exchanged = cropped.gather(1, draws[:, 3:6].argsort(1)[:, :, None, None].expand_as(cropped))
    contrast, brightness = 0.6 + 0.8 * draws[:, 6:9], 0.8 * draws[:, 9:12] - 0.4
    return exchanged * contrast[:, :, None, None] + brightness[:, :, None, None]
