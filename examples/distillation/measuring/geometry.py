"""How a model's unit rows spread and how they lie to the teacher's: each number with what every test image adds to it.

What image i adds to a number is the number's influence function there: its slope by the weight of that image, times n.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import repgeom as rg

from ..settings.configs import Evaluation

# A number, and what each image adds to it (n,).
Pair = tuple[float, Tensor]


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of length one (n, d) in float64 with their decomposition about their mean, `units − mean = left σ directionsᵀ`.

    It has the r = min(n − 1, d) directions that n rows can span about their mean.
    """

    units: Tensor
    left: Tensor
    sigma: Tensor
    directions: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Rows:
        """Decompose features (n, d). Raises ValueError where all rows point one way but for rounding."""
        units = F.normalize(features.double())
        n, d = units.shape
        if bool((units - units.mean(0)).abs().max() <= 8 * torch.finfo(units.dtype).eps):
            raise ValueError("all rows are equal.")
        r = min(n - 1, d)
        left, sigma, directions, _ = rg.centered_svd(units)
        return cls(units, left[:, :r], sigma[:r], directions[:r].mT)

    @functools.cached_property
    def centred(self) -> Tensor:
        """Rows about their mean, (n, d)."""
        return self.units - self.units.mean(0)

    @functools.cached_property
    def scores(self) -> Tensor:
        """Where each row lies along the directions, (n, r); distances about the mean are those of the rows."""
        return self.left * self.sigma

    @functools.cached_property
    def spectrum(self) -> rg.Spectrum:
        """What the library's measures read."""
        n, d = self.units.shape
        return rg.Spectrum.from_singular_values(self.sigma, n_samples=n, n_features=d)


# All students of a setting are measured against one tensor, which is decomposed once.
@functools.lru_cache(maxsize=8)
def teacher_rows(features: Tensor) -> Rows:
    """The teacher's rows."""
    return Rows.of(features)


def geometry(features: Tensor, teacher: Tensor, evaluation: Evaluation) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The numbers of a model's features (n, d), and what each row adds to those that have an interval.

    Everything is centred where not said otherwise.

    Raises:
        ValueError: all rows are equal.
    """
    rows, target = Rows.of(features), teacher_rows(teacher)
    units, spectrum = rows.units, rows.spectrum
    contrast = infonce_per_image(units, target.units, evaluation.infonce_temperature, evaluation.infonce_batch)
    pairs = {
        "effective_rank": (float(rg.effective_rank(spectrum)), log_rank_parts(rows)),
        "effective_rank_sigma": (float(rg.effective_rank(spectrum, of="singular_values")), log_sigma_rank_parts(rows)),
        "mean_cosine": mean_cosine(units),
        "cosine": of_images((units * target.units).sum(1)),
        "infonce": of_images(contrast),
        "uniformity": uniformity(units),
        "linear_cka": linear_cka(rows, target),
        "mutual_knn": of_images(shared_neighbours(units, target.units, min(evaluation.neighbours, len(units) - 1))),
    }
    batch = evaluation.infonce_batch
    published = {
        "infonce": mean_of_batches([of_images(part) for part in contrast.split(batch)]),
        "uniformity": mean_of_batches([uniformity(part) for part in units.split(batch)]),
    }
    captured, curves = _captured(rows, target, evaluation)
    record: dict[str, Any] = {name: value for name, (value, _) in {**pairs, **captured}.items()}
    record |= {"published": {name: value for name, (value, _) in published.items()}, **curves}
    record |= {
        "n_components_90": int(rg.n_components(spectrum, variance=0.9)),
        "variance_ratio": spectrum.variance_ratio.tolist(),
        "singular_values": rows.sigma.tolist(),
    }
    named = {**pairs, **captured, **{f"published/{name}": pair for name, pair in published.items()}}
    # Ranks are compared as logarithms, so what an image adds is kept of these.
    arrays = {f"log_{n}" if n.startswith("effective_rank") else n: parts.float() for n, (_, parts) in named.items()}
    return record, arrays


def of_images(values: Tensor) -> Pair:
    """A number that is the mean of one value for each image, (n,)."""
    return float(values.mean()), values


def mean_of_batches(batches: list[Pair]) -> Pair:
    """The mean over batches of a number of each, as published: images of a smaller last batch count for more."""
    n = sum(len(parts) for _, parts in batches)
    value = sum(value for value, _ in batches) / len(batches)
    shares = [n / (len(batches) * len(parts)) for _, parts in batches]
    added = [share * (value + parts - parts.mean()) for share, (value, parts) in zip(shares, batches, strict=True)]
    return value, torch.cat(added)


def log_rank_parts(rows: Rows) -> Tensor:
    """What each row adds to the logarithm of the effective rank of σ², (n,): −n Σ_j u_ij² p_j (ln p_j + H), H = −Σ p ln p."""
    return _entropy_parts(rows, rows.sigma.square())


def log_sigma_rank_parts(rows: Rows) -> Tensor:
    """The same of σ: a row moves ln σ_j by half of what it moves ln σ_j²."""
    return _entropy_parts(rows, rows.sigma) / 2


def _entropy_parts(rows: Rows, sizes: Tensor) -> Tensor:
    shares = sizes / sizes.sum()
    slopes = torch.xlogy(shares, shares) + shares * torch.special.entr(shares).sum()
    return -len(rows.left) * rows.left.square() @ slopes


def mean_cosine(units: Tensor) -> Pair:
    """Mean cosine over all pairs of different rows: near 1 where all of them lie in one narrow cone."""
    mean = units.mean(0)
    return float(rg.mean_cosine(units)), 2 * (units @ mean - mean @ mean)


def infonce_per_image(units: Tensor, target: Tensor, temperature: float, batch: int) -> Tensor:
    """Cross-entropy (n,) of student rows against teacher rows, batch by batch in the order of the images."""
    parts = []
    for z, t in zip(units.split(batch), target.split(batch), strict=True):
        parts.append(F.cross_entropy(z @ t.mT / temperature, torch.arange(len(z), device=z.device), reduction="none"))
    return torch.cat(parts)


def uniformity(units: Tensor) -> Pair:
    """ln mean exp(−2 ‖u_i − u_j‖²), the diagonal included as the paper has it, and each row's part."""
    squares = units.square().sum(1)
    parts = []
    # Blocks of rows bound the memory that all pairs take.
    for rows in torch.arange(len(units), device=units.device).split(1024):
        # Rounding can put the distance of a row to itself below 0.
        gap = (squares[rows, None] + squares - 2 * units[rows] @ units.mT).clamp(min=0)
        parts.append(torch.exp(-2 * gap).mean(1))
    near = torch.cat(parts)
    # A row stands on both sides of its pairs, hence the 2. The value is a logarithm, hence the division.
    return float(near.mean().log()), 2 * (near / near.mean() - 1)


def linear_cka(rows: Rows, target: Rows) -> Pair:
    """Debiased linear CKA, and each row's part to first order, that of the biased form.

    ln CKA = ln ‖C_xy‖² − (ln ‖C_xx‖² + ln ‖C_yy‖²) / 2 with covariances C, and row i moves ‖C_xy‖² by
    2 (x_iᵀ C_xy y_i − ‖C_xy‖²).
    """
    value = float(rg.linear_cka(rows.scores, target.scores))
    between = _covariance_parts(rows.scores, target.scores)
    within = (_covariance_parts(rows.scores, rows.scores) + _covariance_parts(target.scores, target.scores)) / 2
    return value, value * (between - within)


def _covariance_parts(x: Tensor, y: Tensor) -> Tensor:
    """What each row adds to ln ‖C_xy‖², (n,); rows are centred."""
    covariance = x.mT @ y / len(x)
    return 2 * (((x @ covariance) * y).sum(1) / covariance.square().sum() - 1)


def shared_neighbours(units: Tensor, target: Tensor, k: int) -> Tensor:
    """Share (n,) of each row's k nearest by cosine that are its nearest in the teacher too; their mean is `rg.mutual_knn`."""
    shares = []
    for rows in torch.arange(len(units), device=units.device).split(1024):
        nearest = []
        for points in (units, target):
            likeness = points[rows] @ points.mT
            # A row is no neighbour of its own.
            likeness[torch.arange(len(rows)), rows] = -torch.inf
            nearest.append(likeness.topk(k).indices)
        shared = (nearest[0][:, :, None] == nearest[1][:, None]).sum((1, 2))
        shares.append(shared.double() / k)
    return torch.cat(shares)


def _captured(rows: Rows, target: Rows, evaluation: Evaluation) -> tuple[dict[str, Pair], dict[str, list[float]]]:
    """Captured variance, centred and as the paper's figure draws it, with the student not centred; and both curves."""
    spreads = {"": rows.centred, "_student_not_centred": rows.units}
    pairs, curves = {}, {}
    for ending, about in spreads.items():
        along = about @ target.directions
        total = about.square().sum(1)
        curve = along.square().sum(0).cumsum(0) / total.sum()
        # Rounding can put the share of all directions above 1.
        curves[f"captured_curve{ending}"] = curve.clamp(max=1).tolist()
        for k, name in ((evaluation.leading, "captured"), (evaluation.leading_figure, "captured_figure")):
            pairs[name + ending] = captured(along, total, target, min(k, len(target.sigma)))
    return pairs, curves


def captured(along: Tensor, total: Tensor, target: Rows, k: int) -> Pair:
    """Share of variance in the teacher's leading k directions v, and each row's part.

    The share is tr(P S) / tr S with S the student's covariance and P the projection on v_1 ... v_k. A row weighs twice:

    * in S: (inside − share · total) / mean total, of its own squares;
    * in P, since the directions are those of the same images: the teacher's row with places a along them turns v_i towards
      v_j by a_i a_j / (λ_i − λ_j), which moves tr(P S) by 2 Σ_{i ≤ k < j} v_iᵀ S v_j a_i a_j / (λ_i − λ_j).

    Two directions whose variances differ by less than n rows can tell, √(λ_i λ_j / n), turn freely, and the slope 1 / gap says
    too much; gap / (gap² + λ_i λ_j / n) stands for it. In simulations (studies/ledger.md) 90 to 100 of 100 intervals at 95 % held,
    of one student and of the difference of two; with directions that count as given 75 to 93.

    Args:
        along: the student's rows along all directions of the teacher (n, r).
        total: squared lengths of the student's rows (n,).
        target: the teacher.
        k: number of leading directions.
    """
    inside = along[:, :k].square().sum(1)
    share = float(inside.sum() / total.sum())
    by_student = inside - share * total
    places, variances = target.scores, target.sigma.square() / len(total)
    gaps = variances[:k, None] - variances[k:]
    blurred = variances[:k, None] * variances[k:] / len(total)
    # Directions without variance do not turn: 0 over the smallest number is 0.
    slopes = gaps / (gaps.square() + blurred).clamp(min=torch.finfo(gaps.dtype).tiny)
    turning = along[:, :k].mT @ along[:, k:] / len(total) * slopes
    by_teacher = 2 * ((places[:, :k] @ turning) * places[:, k:]).sum(1)
    return share, (by_student + by_teacher) / total.mean()
