"""How a student is trained: the images and the teacher's features lie on the device; a batch is an index."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from repgeom.models import Preprocessing

from ..data.views import crop_flip
from ..settings.configs import Training
from .curves import Curve
from .graphs import Replayed
from .objectives import Objective, objective_of
from .terms import Bank, Batch

Input = Callable[[Tensor], Tensor]  # uint8 images as they lie to what the student sees


# Bytes of resized images that are kept on a CPU; of more, each batch is resized anew, a twelfth of a step at 224 pixels.
KEPT_BYTES = 2_000_000_000
RESIZED_AT_ONCE = 256


def as_they_are(pixels: Tensor) -> Tensor:
    """Images that have the student's size."""
    return pixels


def normalizing(preprocessing: Preprocessing, device: torch.device) -> Input:
    """The same as `preprocessing.normalized` of uint8 images, bit for bit, in one piece of memory."""
    # Copied to the device once, not at each step.
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (preprocessing.mean, preprocessing.std))

    def normalized(pixels: Tensor) -> Tensor:
        levels = pixels.to(torch.float32, memory_format=torch.channels_last)
        return levels.div_(255).sub_(mean).div_(std)

    return normalized


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
    mirrored: bool = False,
    seed: int,
    tick: Callable[[int], None],
    sized: Input = as_they_are,
    curve: Curve | None = None,
    replayed: bool = False,
) -> list[float]:
    """Trains in place and returns the mean loss of each epoch.

    Args:
        student: on the images' device.
        images: (n, 3, h, w), uint8.
        targets: the teacher's features (n, d), one for all epochs, or with `augmented` those of each epoch's view.
        objective: a name that `objective_of` knows.
        training: epochs, batch size and the rest, where the objective does not say otherwise.
        as_input: normalisation.
        augmented: epoch e sees view e of every image.
        mirrored: views are flipped too: the mirror image of an image has its label.
        seed: of the order of the images, of second views and of what a term draws.
        tick: told how many images more were seen.
        sized: uint8 images to uint8 images of the size that the student sees.
        curve: reads the student now and then; its weights become the same with and without.
        replayed: steps are a CUDA graph; for what `graphs.is_capturable` allows.

    Raises:
        Diverged: the loss became NaN or infinite; the message says in which epoch.
        ValueError: fewer images than one batch.
    """
    minimised = objective_of(objective, training)
    training = minimised.training
    n, size = len(images), training.batch_size
    if n < size:
        raise ValueError(f"{n} images to train on do not fill one batch of {size}.")
    n_batches = n // size
    order = torch.Generator().manual_seed(seed)
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    student.train()
    banks = [Bank(target) for target in targets]
    inputs = _Inputs(images, sized, as_input, augmented, mirrored)
    step: Callable[..., Tensor] = _Step(student, inputs, minimised, objective, seed)
    if replayed:
        step = Replayed(step, images.device)
    losses: list[float] = []

    def follow(n_steps: int) -> None:
        if curve is not None:
            curve.follow(student, n_steps, n_batches, training.epochs * n_batches, size)

    follow(0)
    for epoch in range(training.epochs):
        bank = banks[epoch if augmented else 0]
        # Added up on the device: to read every loss would make the CPU wait for the GPU at each step.
        total = torch.zeros((), dtype=torch.float64, device=images.device)
        # Drawn on the CPU, so that the order is the same on every device.
        permuted = torch.randperm(n, generator=order).to(images.device)
        for number, rows in enumerate(permuted[: n_batches * size].split(size), epoch * n_batches):
            total += step(rows, bank, epoch, number)
            tick(size)
            follow(number + 1)
        losses.append(float(total) / n_batches)
        if not torch.isfinite(total):
            raise Diverged(f"the loss became {losses[-1]} in epoch {epoch + 1} of {training.epochs}")
    return losses


class _Inputs:
    """The images as a student sees them: brought to size once where they then fit, or else batch by batch."""

    def __init__(self, images: Tensor, sized: Input, as_input: Input, augmented: bool, mirrored: bool) -> None:
        self.images, self.sized, self.as_input = images, sized, as_input
        self.augmented, self.mirrored = augmented, mirrored
        # Crops are cut before images are resized, and are others in every epoch.
        self.kept = None if augmented else _resized_once(images, sized)

    def plain(self, rows: Tensor, epoch: int, padding: float) -> Tensor:
        """The batch of an epoch."""
        if self.kept is not None:
            return self._as_seen(self.kept[rows])
        pixels = self.images[rows]
        if self.augmented:
            pixels = crop_flip(pixels, rows, epoch, padding, mirrored=self.mirrored)
        return self._as_seen(self.sized(pixels))

    def view(self, rows: Tensor, epoch: int, padding: float, number: int) -> Tensor:
        """The batch, cropped as this number says, and flipped where labels allow it."""
        pixels = self.images[rows]
        if self.augmented:
            pixels = crop_flip(pixels, rows, epoch, padding, mirrored=self.mirrored)
        view = crop_flip(pixels, rows, number, padding, mirrored=self.mirrored)
        return self._as_seen(self.sized(view))

    def _as_seen(self, pixels: Tensor) -> Tensor:
        return self.as_input(pixels).contiguous(memory_format=torch.channels_last)


def _resized_once(images: Tensor, sized: Input) -> Tensor | None:
    """All images at the student's size, uint8; None where that is too much to keep."""
    if sized is as_they_are:
        return images
    one = sized(images[:1])
    room = KEPT_BYTES
    if images.device.type == "cuda":
        # Half of what is free, so that the student has the rest.
        room = torch.cuda.mem_get_info(images.device)[0] // 2
    if one.numel() * len(images) > room:
        return None
    kept = one.new_empty((len(images), *one.shape[1:]))
    for rows in torch.arange(len(images), device=images.device).split(RESIZED_AT_ONCE):
        kept[rows] = sized(images[rows])
    return kept


class _Step:
    """One step of training: what a batch does to the student."""

    def __init__(self, student: nn.Module, inputs: _Inputs, minimised: Objective, name: str, seed: int) -> None:
        self.student, self.inputs, self.minimised, self.name, self.seed = student, inputs, minimised, name, seed
        self.training = minimised.training
        # Fused: one pass over the weights where the plain one makes ten.
        on_gpu = inputs.images.device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            student.parameters(), lr=self.training.learning_rate, fused=True, capturable=on_gpu
        )
        # Of their own, so that what a term draws does not change the order of the images.
        self.draws = torch.Generator().manual_seed(seed + 1_000_000)

    def __call__(self, rows: Tensor, bank: Bank, epoch: int, number: int) -> Tensor:
        """Trains on these images, the batch of this number since the start, and returns the loss."""
        padding = self.training.crop_padding

        def second_view() -> Tensor:
            # Other draws in every epoch, for every seed, and than those of the augmentation control.
            return self._embed(self.inputs.view(rows, epoch, padding, 1_000_000 * (self.seed + 1) + number))

        embedded = self._embed(self.inputs.plain(rows, epoch, padding))
        batch = Batch(embedded, bank.features[rows], second_view, self.training, rows, bank, self.draws)
        loss = _loss(self.minimised, self.name, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _embed(self, seen: Tensor) -> Tensor:
        with precision_of(self.training.precision, seen.device):
            z: Tensor = self.student(seen)
        # Objectives are worked out in float32, whatever precision the network ran in.
        return z.float()


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
