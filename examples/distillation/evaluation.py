"""What is measured of a model, teacher or student: each number comes from repgeom, with what each test image adds to it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import repgeom as rg
from repgeom.corruptions import add_noise

from .configs import Evaluation
from .data.images import Images
from .teachers.teacher import Preprocessing
from .training import Diverged

BATCH = 256
Tick = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class Model:
    """What is measured: normalised images to features, and how its images are sized and normalised before."""

    encode: Callable[[Tensor], Tensor]
    sized: Callable[[Tensor], Tensor]
    preprocessing: Preprocessing

    def features(self, images: Tensor, tick: Tick, noise: tuple[float, str] | None = None, seed: int = 0) -> Tensor:
        """(n, d), float32, of uint8 images; noise (sigma, space) is drawn by `seed` and each image's number."""
        parts = []
        for rows in torch.arange(len(images), device=images.device).split(BATCH):
            pixels = self.sized(images[rows])
            if noise is not None:
                sigma, space = noise
                std = self.preprocessing.std if space == "normalized" else None
                # Drawn by the image's number, so that every model meets the same noise.
                pixels = add_noise(pixels, sigma, space=space, std=std, seed=seed, indices=rows)
            with torch.no_grad():
                parts.append(self.encode(self.preprocessing.normalized(pixels)).float())
            tick(len(rows))
        return torch.cat(parts)


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
        model: teacher or student.
        train, test: for the probe, and for everything.
        teacher_test: the teacher's features of the test images (n, d).
        evaluation: what is asked for.
        tick: told how many images more went through the model.
        known: the model's features of the images to train and to test on, where they are there already.

    Raises:
        Diverged: embeddings that are not finite, or are all equal.
    """
    if known is None:
        known = model.features(train.pixels, tick), model.features(test.pixels, tick)
    seen_in_training, features = known
    if not all(bool(torch.isfinite(x).all()) for x in known):
        raise Diverged("its embeddings are not finite")
    record, arrays = geometry(features, teacher_test, evaluation)
    probe = rg.probes.fit_linear_probe(seen_in_training, train.labels, C=evaluation.probe_C, normalize="l2", tol=1e-6)
    # None stands for the clean images.
    levels: list[tuple[float, str] | None] = [None]
    levels += [(sigma, space) for space in evaluation.spaces for sigma in evaluation.sigmas]
    for level in levels:
        seen = features if level is None else model.features(test.pixels, tick, level, evaluation.noise_seed)
        correct = probe.correct(seen, test.labels)
        arrays[accuracy_key(level)] = correct.to(torch.uint8)
        record[accuracy_key(level)] = float(correct.double().mean())
    return record, arrays


def accuracy_key(level: tuple[float, str] | None) -> str:
    """The name of an accuracy: "accuracy" or "accuracy/normalized/0.1"."""
    return "accuracy" if level is None else f"accuracy/{level[1]}/{level[0]:g}"


def geometry(features: Tensor, teacher: Tensor, evaluation: Evaluation) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """How a model's unit rows spread and how they lie to the teacher's: the numbers, and what each row adds to them.

    Everything is centred where not said otherwise.

    Raises:
        Diverged: all rows are equal.
    """
    units, target = F.normalize(features.double()), F.normalize(teacher.double())
    spectrum = rg.spectrum(units)
    try:
        rank = float(rg.effective_rank(spectrum))
    # The rows have no variance.
    except ValueError as error:
        raise Diverged("its embeddings of all test images are equal") from error
    rank_sigma = float(rg.effective_rank(spectrum, of="singular_values"))
    captured, captured_parts = _captured(units, target, evaluation.leading)
    not_centred = _captured_not_centred(units, target)
    cosines = (units * target).sum(1)
    uniformity, uniformity_parts = _uniformity(units)
    contrast = infonce_per_image(units, target, evaluation.infonce_temperature, evaluation.infonce_batch)
    arrays = {
        "log_effective_rank": _log_influence(units, "effective_rank", rank),
        "log_effective_rank_sigma": _log_influence(units, "effective_rank_sigma", rank_sigma),
        "captured": captured_parts,
        "cosine": cosines,
        "infonce": contrast,
        "uniformity": uniformity_parts,
    }
    record = {
        "effective_rank": rank,
        "effective_rank_sigma": rank_sigma,
        "population_rank": _population_rank(features),
        "n_components_90": int(rg.n_components(spectrum, variance=0.9)),
        "variance_ratio": spectrum.variance_ratio.tolist(),
        "captured": captured,
        "captured_curve": rg.captured_variance(units, target).tolist(),
        "captured_student_not_centred": not_centred[min(evaluation.leading, len(not_centred)) - 1],
        "captured_curve_student_not_centred": not_centred,
        "cosine": float(rg.cosine_alignment(units, target)),
        "infonce": float(contrast.mean()),
        "uniformity": uniformity,
    }
    return record, {name: value.float() for name, value in arrays.items()}


def _population_rank(features: Tensor) -> dict[str, Any]:
    """Effective rank of all images like these, which these few read too low: value, interval (None without) and warnings."""
    try:
        found = rg.estimate(features, normalize="l2")
    # Too few rows, or rows that are all one.
    except ValueError as error:
        return {"value": None, "low": None, "high": None, "warnings": [str(error)]}
    return {"value": found.value, "low": found.low, "high": found.high, "warnings": list(found.warnings)}


def _log_influence(units: Tensor, measure: str, value: float) -> Tensor:
    """What each row adds to the logarithm of a rank, (n,): d ln(rank) / d(row's weight), mean zero."""
    n = len(units)
    # `rg.influence` differentiates by variances over n − 1; a row's weight moves variances over n.
    return rg.influence(units, measure) / value * n / (n - 1)


def infonce_per_image(units: Tensor, target: Tensor, temperature: float, batch: int) -> Tensor:
    """Cross-entropy (n,) of student rows against teacher rows, batch by batch in the order of the images."""
    parts = []
    for z, t in zip(units.split(batch), target.split(batch), strict=True):
        parts.append(F.cross_entropy(z @ t.mT / temperature, torch.arange(len(z), device=z.device), reduction="none"))
    return torch.cat(parts)


def _captured(units: Tensor, target: Tensor, k: int) -> tuple[float, Tensor]:
    """Share of centred variance in the teacher's leading directions, and each row's part.

    The directions count as given although they come from the same images, so an interval is somewhat narrow: by up to a
    fifth for one model in simulations, by up to nine tenths for the difference of two.
    """
    directions = _leading(target, k)
    value = float(rg.captured_variance(units, target, k=directions.shape[1]))
    # A row's part is its influence on a ratio of two means, of variance inside and of all variance.
    rows = units - units.mean(0)
    inside, total = (rows @ directions).square().sum(1), rows.square().sum(1)
    return value, (inside - value * total) / total.mean()


def _leading(target: Tensor, k: int) -> Tensor:
    """The teacher's first k principal directions (d, k), or as many as there are."""
    return rg.centered_svd(target).Vh[: min(k, target.shape[1], len(target) - 1)].mT


def _captured_not_centred(units: Tensor, target: Tensor) -> list[float]:
    """The curve of the paper's figure, by number of directions: the teacher centred, the student not."""
    inside = (units @ _leading(target, target.shape[1])).square().sum(0)
    curve: list[float] = (inside.cumsum(0) / units.square().sum()).tolist()
    return curve


def _uniformity(units: Tensor) -> tuple[float, Tensor]:
    """ln mean exp(−2 ‖u_i − u_j‖²), the diagonal included as the paper has it, and each row's part."""
    n = len(units)
    others = float(rg.uniformity(units))
    # `rg.uniformity` leaves the diagonal out; its n terms are exp(0) = 1.
    value = math.log((math.exp(others) * (n - 1) + 1) / n)
    squares = units.square().sum(1)
    parts = []
    # Blocks of rows bound the memory that all pairs take.
    for rows in torch.arange(n, device=units.device).split(1024):
        # Rounding can put the distance of a row to itself below 0.
        gap = (squares[rows, None] + squares - 2 * units[rows] @ units.mT).clamp(min=0)
        parts.append(torch.exp(-2 * gap).mean(1))
    # A row stands on both sides of its pairs, hence the 2. The value is a logarithm, hence the division.
    return value, 2 * (torch.cat(parts) / math.exp(value) - 1)
