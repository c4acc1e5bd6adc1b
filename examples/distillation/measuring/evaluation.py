"""What is measured of a model, teacher or student: its geometry, what of the teacher it predicts, and a probe's accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import repgeom as rg
from repgeom.corruptions import add_noise

from ..data.images import Images
from ..settings.configs import Evaluation
from ..students.training import Diverged
from ..teachers.teacher import Preprocessing
from .geometry import geometry

# Pixels per side to which larger images are averaged down before a teacher is predicted from them.
PIXELS = 32
# Small enough that a layer's outputs stay in the processor's cache: 3 times as fast as 256 on a CPU.
BATCH = 64
Tick = Callable[[int], None]
Level = tuple[float, str]  # of noise: its sigma and its space


@dataclasses.dataclass(frozen=True)
class Model:
    """What is measured: normalised images to features, and how its images are sized and normalised before.

    `encode` is None where only features of the images as they are are known.
    """

    encode: Callable[[Tensor], Tensor] | None
    sized: Callable[[Tensor], Tensor]
    preprocessing: Preprocessing

    def features(self, images: Tensor, tick: Tick) -> Tensor:
        """(n, d), float32, of uint8 images as they are."""
        return torch.cat([features for _, _, features in self.seen(images, [None], tick)])

    def seen(
        self, images: Tensor, levels: list[Level | None], tick: Tick, seed: int = 0
    ) -> Iterator[tuple[Tensor, Level | None, Tensor]]:
        """Numbers of a batch's images, a level of noise (None: as they are), and features (b, d), batch by batch.

        Noise is drawn by `seed` and each image's number, so that every model and every level meets the same draws.
        """
        assert self.encode is not None
        noisy = any(level is not None for level in levels)
        for rows in torch.arange(len(images), device=images.device).split(BATCH):
            pixels = self.sized(images[rows]).float() / 255
            if noisy:
                white = add_noise(torch.zeros_like(pixels), 1.0, clip=False, seed=seed, indices=rows)
            for level in levels:
                shown = pixels
                if level is not None:
                    shown = self._with_noise(pixels, white, level)
                # Convolutions on a CPU are twice as fast with channels last.
                x = self.preprocessing.normalized(shown).contiguous(memory_format=torch.channels_last)
                with torch.no_grad():
                    yield rows, level, self.encode(x).float()
                tick(len(rows))

    def _with_noise(self, pixels: Tensor, white: Tensor, level: Level) -> Tensor:
        """As `add_noise` does: in "normalized" space sigma times each channel's std, in pixels cut to [0, 1]."""
        sigma, space = level
        if space == "normalized":
            return pixels + sigma * white.new_tensor(self.preprocessing.std)[:, None, None] * white
        return (pixels + sigma * white).clamp(0, 1)


def measurements(
    model: Model,
    train: Images,
    test: Images,
    teacher_test: Tensor,
    evaluation: Evaluation,
    tick: Tick,
    known: tuple[Tensor, Tensor] | None = None,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The numbers of one model, and what each test image adds to those that have an interval.

    Args:
        model: teacher or student; without `encode` it has no accuracies under noise.
        train, test: for the probe, and for everything.
        teacher_test: the teacher's features of the test images (n, d).
        evaluation: what is asked for.
        tick: told how many images more went through the model.
        known: of the teacher, its features of the images to train and to test on. What can be predicted of the teacher is then
            predicted from pixels; of a student, from its unit features.

    Raises:
        Diverged: embeddings that are not finite, or are all equal.
    """
    inputs = None
    if known is None:
        known = model.features(train.pixels, tick), model.features(test.pixels, tick)
    else:
        inputs = pixels_of(test.pixels)
    seen_in_training, features = known
    if not all(bool(torch.isfinite(x).all()) for x in known):
        raise Diverged("its embeddings are not finite")
    try:
        record, arrays = geometry(features, teacher_test, evaluation)
    # The rows have no variance.
    except ValueError as error:
        raise Diverged("its embeddings of all test images are equal") from error
    record["population_rank"] = population_rank(features)
    record["predictable"], predicted = predictable(F.normalize(features) if inputs is None else inputs, teacher_test)
    arrays |= predicted
    probe = rg.probes.fit_linear_probe(seen_in_training, train.labels, C=evaluation.probe_C, normalize="l2", tol=1e-6)
    correct: dict[Level | None, Tensor] = {None: probe.correct(features, test.labels)}
    if model.encode is not None:
        correct |= _under_noise(model, probe, test, evaluation, tick)
    for level, found in correct.items():
        record[accuracy_key(level)] = float(found.double().mean())
        arrays[accuracy_key(level)] = found.to(torch.uint8)
    return record, arrays


def accuracy_key(level: Level | None) -> str:
    """The name of an accuracy: "accuracy" or "accuracy/normalized/0.1"."""
    return "accuracy" if level is None else f"accuracy/{level[1]}/{level[0]:g}"


def _under_noise(
    model: Model, probe: rg.probes.LinearProbe, test: Images, evaluation: Evaluation, tick: Tick
) -> dict[Level | None, Tensor]:
    """Which test images (n,) the probe gets right at each level of noise."""
    levels: list[Level | None] = [(sigma, space) for space in evaluation.spaces for sigma in evaluation.sigmas]
    parts: dict[Level | None, list[Tensor]] = {level: [] for level in levels}
    for rows, level, features in model.seen(test.pixels, levels, tick, evaluation.noise_seed):
        parts[level].append(probe.correct(features, test.labels[rows]))
    return {level: torch.cat(found) for level, found in parts.items()}


def predictable(inputs: Tensor, teacher: Tensor) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What of the teacher a linear map of the inputs (n, p) predicts, and what each image adds to the logarithms of two numbers."""
    try:
        found = rg.predictable_rank(inputs, teacher)
    # Too few rows.
    except ValueError as error:
        return {"value": None, "low": None, "high": None, "explained": None, "warnings": [str(error)]}, {}
    names = ("value", "low", "high", "explained", "explained_low", "explained_high", "teacher_rank")
    record = {name: getattr(found, name) for name in names}
    record |= {"r_squared": found.r_squared.tolist(), "warnings": list(found.warnings)}
    if found.influence is None or found.explained_influence is None:
        return record, {}
    arrays = {
        "log_predictable_rank": torch.as_tensor(found.influence),
        "log_explained": torch.as_tensor(found.explained_influence) / found.explained,
    }
    return record, {name: values.float() for name, values in arrays.items()}


def pixels_of(images: Tensor) -> Tensor:
    """Images as rows of pixels in [0, 1]."""
    pixels = images.float() / 255
    if max(pixels.shape[2:]) > PIXELS:
        pixels = F.adaptive_avg_pool2d(pixels, PIXELS)
    return pixels.flatten(1)


def population_rank(features: Tensor) -> dict[str, Any]:
    """Effective rank of all images like these, which these few read too low: value, interval (None without) and warnings."""
    try:
        found = rg.estimate(features, normalize="l2")
    # Too few rows, or rows that are all one.
    except ValueError as error:
        return {"value": None, "low": None, "high": None, "warnings": [str(error)]}
    return {"value": found.value, "low": found.low, "high": found.high, "warnings": list(found.warnings)}
