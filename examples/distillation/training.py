"""How a student is trained: the images and the teacher's features lie on the device; a batch is an index."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from .configs import Training
from .objectives import Objective, objective_of
from .terms import Bank, Batch
from .views import crop_flip

Input = Callable[[Tensor], Tensor]  # uint8 images as they lie to what the student sees


class Diverged(RuntimeError):
    """A student that cannot be measured: its loss is no longer a number, or its embeddings are not."""


def train_student(
    student: nn.Module,
    images: Tensor,
    targets: list[Tensor],
    objective: str,
    training: Training,
    *,
    as_input: Input,
    augmented: bool,
    seed: int,
    tick: Callable[[int], None],
) -> list[float]:
    """Trains in place and returns the mean loss of each epoch.

    Args:
        student: on the images' device.
        images: (n, 3, h, w), uint8.
        targets: the teacher's features (n, d), one for all epochs, or with `augmented` those of each epoch's view.
        objective: a name that `objective_of` knows.
        training: epochs, batch size and the rest, where the objective does not say otherwise.
        as_input: resizing and normalisation.
        augmented: epoch e sees view e of every image.
        seed: of the order of the images and of second views.
        tick: told how many images more were seen.

    Raises:
        Diverged: the loss became NaN or infinite; the message says in which epoch.
        ValueError: fewer images than one batch.
    """
    minimised = objective_of(objective, training)
    training = minimised.training
    n, step = len(images), training.batch_size
    if n < step:
        raise ValueError(f"{n} images to train on do not fill one batch of {step}.")
    order = torch.Generator().manual_seed(seed)
    # Of their own, so that what a term draws does not change the order of the images.
    draws = torch.Generator().manual_seed(seed + 1_000_000)
    banks = [Bank(target) for target in targets]
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(student.parameters(), lr=training.learning_rate)
    student.train()
    losses: list[float] = []

    def embed(pixels: Tensor) -> Tensor:
        x = as_input(pixels).contiguous(memory_format=torch.channels_last)
        with precision_of(training.precision, images.device):
            z: Tensor = student(x)
        # Objectives are worked out in float32, whatever precision the network ran in.
        return z.float()

    for epoch in range(training.epochs):
        bank = banks[epoch if augmented else 0]
        # Added up on the device: to read every loss would make the CPU wait for the GPU at each step.
        total = torch.zeros((), dtype=torch.float64, device=images.device)
        # Drawn on the CPU, so that the order is the same on every device.
        permuted = torch.randperm(n, generator=order).to(images.device)
        for i, rows in enumerate(permuted[: n - n % step].split(step)):
            pixels = images[rows]
            if augmented:
                pixels = crop_flip(pixels, rows, epoch, training.crop_padding)

            # Bound as defaults: the function keeps its own batch, whenever it is called.
            def second_view(
                pixels: Tensor = pixels, rows: Tensor = rows, number: int = i + epoch * (n // step)
            ) -> Tensor:
                # Other draws in every epoch, for every seed, and than those of the augmentation control.
                view = crop_flip(pixels, rows, 1_000_000 * (seed + 1) + number, training.crop_padding)
                return embed(view)

            batch = Batch(embed(pixels), bank.features[rows], second_view, training, rows, bank, draws)
            loss = _loss(minimised, objective, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()
            tick(step)
        losses.append(float(total) / (n // step))
        if not torch.isfinite(total):
            raise Diverged(f"the loss became {losses[-1]} in epoch {epoch + 1} of {training.epochs}")
    return losses


@contextlib.contextmanager
def precision_of(name: str, device: torch.device) -> Iterator[None]:
    """The precision in which a student's layers multiply: float32 without TF32 on every device, or bfloat16."""
    if name == "bfloat16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
        return
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _loss(minimised: Objective, name: str, batch: Batch) -> Tensor:
    """A rank is not defined of rows that are not finite, or all equal: then the student is lost."""
    try:
        return minimised(batch)
    except ValueError as error:
        raise Diverged(f"{name} is not defined for this batch: {error}") from None
