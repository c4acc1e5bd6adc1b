"""The terms that objectives add up: each is a function of a `Batch`. Rows are embeddings as they are where not said otherwise."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

import repgeom as rg

from ..settings.configs import Training

# As published: Bardes et al. 2022 (weights 25 of variance, 1 of covariance, 25 of the term that `cosine` stands for).
VICREG_STD, VICREG_EPS, VICREG_COVARIANCE = 1.0, 1e-4, 1 / 25
# Zbontar et al. 2021, and the ε of the batch norm that standardises there.
BARLOW_OFF_DIAGONAL, BARLOW_EPS = 0.0051, 1e-5
# Tian et al. 2020: negatives of each image.
CRD_NEGATIVES = 16_384
# Of the teacher's variance, held by the directions that are brought to one variance each. With smaller ones too (0.99, or
# all of them at the variance of the last) nothing was learnt in 8 epochs on digits: the loss stayed that of the mean alone.
WHITENED_SHARE = 0.9
# Squared distances below this share of their mean are rounding.
DISTANCE_FLOOR = 1e-6
# Images between which the teacher's similarities are averaged: of more, so many are taken at even steps.
SIMILAR_IMAGES = 2_048


class Bank:
    """The teacher's features (n, d) of all images to train on, and what terms read off them, each worked out once."""

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self._similarities: dict[float, float] = {}

    @functools.cached_property
    def units(self) -> Tensor:
        """The features at length 1, (n, d)."""
        return F.normalize(self.features)

    @functools.cached_property
    def center(self) -> Tensor:
        """The mean of the unit rows, (d,): not itself of length 1."""
        return self.units.mean(0)

    @functools.cached_property
    def whitening(self) -> Tensor:
        """The map (d, k) to the leading principal directions, each over its standard deviation.

        They are those that together hold `WHITENED_SHARE` of the variance: 91 of efficientnet-lite0's 1,280 on digits.
        """
        _, sizes, directions, _ = rg.centered_svd(self.features.double())
        spreads = sizes / math.sqrt(len(self.features) - 1)
        held = spreads.square().cumsum(0) / spreads.square().sum()
        k = min(int((held < WHITENED_SHARE).sum()) + 1, len(spreads))
        return (directions[:k].mT / spreads[:k]).to(self.features.dtype)

    def similarity(self, temperature: float) -> float:
        """ln mean exp(cos(t, t') / temperature) over pairs of images."""
        if temperature not in self._similarities:
            step = -(-len(self.units) // SIMILAR_IMAGES)
            some = self.units[::step]
            pairs = ~torch.eye(len(some), dtype=torch.bool, device=some.device)
            total = torch.logsumexp((some @ some.mT / temperature)[pairs], 0)
            self._similarities[temperature] = float(total) - math.log(int(pairs.sum()))
        return self._similarities[temperature]


@dataclasses.dataclass(frozen=True)
class Batch:
    """What an objective may look at.

    Attributes:
        student, teacher: embeddings (b, d) of the same images, not normalised.
        second_view: calls the student on the images cropped and flipped at random, (b, d); costs a pass where called.
        training: weights and temperatures.
        rows: the numbers (b,) of the images in the bank.
        bank: the teacher's features of all images.
        draws: of what a term draws, on the CPU.
    """

    student: Tensor
    teacher: Tensor
    second_view: Callable[[], Tensor]
    training: Training
    rows: Tensor
    bank: Bank
    draws: torch.Generator


# ---- each image by itself ----


def cosine(batch: Batch) -> Tensor:
    """mean(1 − cos(z_s, z_t)): cosine distillation as published."""
    return 1 - F.cosine_similarity(batch.student, batch.teacher).mean()


def mse(batch: Batch) -> Tensor:
    """Mean squared distance per feature, of embeddings as they are."""
    return F.mse_loss(batch.student, batch.teacher)


def centered_cosine(batch: Batch) -> Tensor:
    """mean(1 − cos(u_s − m, u_t − m)) of unit rows u; m is the mean of the teacher's unit rows over all training images.

    Of unit rows, because then 0 is reached only by the teacher's own directions.
    """
    center = batch.bank.center
    student, teacher = F.normalize(batch.student) - center, F.normalize(batch.teacher) - center
    return 1 - F.cosine_similarity(student, teacher).mean()


def whitened_mse(batch: Batch) -> Tensor:
    """Mean squared distance per direction after `Bank.whitening`: each of the teacher's leading directions counts alike.

    1 is a student that gives the teacher's mean for every image. What the student does in other directions is not
    trained; `mse+whitened-mse` holds these too.
    """
    gap = (batch.student - batch.teacher) @ batch.bank.whitening
    return gap.square().mean()


# ---- images against each other ----


def infonce(batch: Batch) -> Tensor:
    """Each student embedding must find its own teacher embedding in the batch (van den Oord et al. 2018)."""
    return contrast(batch.student, batch.teacher, batch.training.infonce_temperature)


def infonce_views(batch: Batch) -> Tensor:
    """InfoNCE of the student against itself on another view: the proposal of the paper's first version."""
    return contrast(batch.student, batch.second_view(), batch.training.infonce_temperature)


def crd(batch: Batch) -> Tensor:
    """Each student embedding tells its own teacher embedding from those of many other images (Tian et al. 2020).

    With x = cos / temperature − ln N − ln Z: mean over images of softplus(−x_own) + Σ over N others of softplus(x).
    That is the paper's −ln h_own − Σ ln(1 − h), h = e^{cos/τ} / (e^{cos/τ} + N Z), with these differences:

    * The teacher is frozen, so all its features are known exactly. The paper remembers those of the last epoch.
    * The student alone looks for the teacher: a remembered student would be out of date.
    * No projection heads: both are equally wide.
    * Z is the teacher's own mean of e^{cos/τ} between images. The paper's code estimates it from its first batch.
    * N others are all other images, or at most 16,384 that are drawn for the whole batch, not for each image.
    """
    bank, temperature = batch.bank, batch.training.infonce_temperature
    n_others = min(CRD_NEGATIVES, len(bank.features) - 1)
    chosen = torch.arange(len(bank.features), device=batch.rows.device)
    others = bank.units
    if n_others == CRD_NEGATIVES:
        chosen = torch.randint(len(bank.features), (n_others,), generator=batch.draws).to(batch.rows.device)
        others = bank.units[chosen]
    shift = math.log(n_others) + bank.similarity(temperature)
    student = F.normalize(batch.student)
    own = (student * F.normalize(batch.teacher)).sum(1) / temperature - shift
    against = F.softplus(student @ others.mT / temperature - shift)
    against = against.masked_fill(chosen == batch.rows[:, None], 0)
    return (F.softplus(-own) + against.sum(1)).mean()


def rkd_distance(batch: Batch) -> Tensor:
    """Huber loss (δ = 1) between distances of student and teacher, each over its mean in the batch (Park et al. 2019)."""
    student, teacher = _distances(batch.student), _distances(batch.teacher)
    apart = ~torch.eye(len(student), dtype=torch.bool, device=student.device)
    student, teacher = student[apart], teacher[apart]
    return F.smooth_l1_loss(student / student.mean(), teacher / teacher.mean())


def rkd_angle(batch: Batch) -> Tensor:
    """Huber loss (δ = 1) between cosines of angles in all triangles of the batch (Park et al. 2019); takes b³ numbers."""
    b = len(batch.student)
    total = F.smooth_l1_loss(_angles(batch.student), _angles(batch.teacher), reduction="sum")
    # Where two corners are one image, student and teacher agree by definition.
    return total / (b * (b - 1) * (b - 2))


# ---- how the student spreads ----


def rank(batch: Batch) -> Tensor:
    """The share of the teacher's effective rank, in this batch, that the student lacks."""
    # Cut at 0: to use more dimensions than the teacher earns nothing.
    kept = batch_rank(batch.student) / batch_rank(batch.teacher)
    return (1 - kept).clamp(min=0).to(batch.student.dtype)


def vicreg(batch: Batch) -> Tensor:
    """The variance and the covariance term of VICReg (Bardes et al. 2022), of the student's embeddings as they are.

    mean_j max(0, 1 − √(Var z_j + ε)) + (1 / 25) Σ_{i≠j} C²_ij / d, C the covariance in the batch. These are the
    published weights 25 and 1 over the 25 of the invariance term, whose place the first term of a sum takes. `cosine`
    leaves the student's scale free, and these terms then set it; beside `mse` they pull against the teacher's scale.
    """
    centered = batch.student - batch.student.mean(0)
    n, d = centered.shape
    variances = centered.square().sum(0) / (n - 1)
    lacking = F.relu(VICREG_STD - (variances + VICREG_EPS).sqrt()).mean()
    # The squares of all covariances add up to those of the rows' products, a smaller matrix.
    together = (centered @ centered.mT / (n - 1)).square().sum() - variances.square().sum()
    return lacking + VICREG_COVARIANCE * together / d


def barlow(batch: Batch) -> Tensor:
    """Barlow Twins between student and teacher (Zbontar et al. 2021): their cross-correlations C should be the identity.

    (Σ_i (1 − C_ii)² + 0.0051 Σ_{i≠j} C²_ij) / d, features standardised over the batch. Over d, so that weight 1 is of the
    size of `cosine`: without it the sum grows with the width. A teacher with correlated features does not reach 0.
    """
    student, teacher = _standardized(batch.student), _standardized(batch.teacher)
    n, d = student.shape
    same = (student * teacher).mean(0)
    # The squares of all correlations, by the products of rows, which is a smaller matrix.
    everything = ((student @ student.mT) * (teacher @ teacher.mT)).sum() / n**2
    return ((1 - same).square().sum() + BARLOW_OFF_DIAGONAL * (everything - same.square().sum())) / d


# ---- shared ----


def contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the cosines over the temperature against the diagonal."""
    logits = F.normalize(queries) @ F.normalize(keys).mT / temperature
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def batch_rank(embeddings: Tensor) -> Tensor:
    """Effective rank of unit rows, differentiable."""
    rank: Tensor = rg.effective_rank(F.normalize(embeddings))
    return rank


def _distances(embeddings: Tensor) -> Tensor:
    """Euclidean distances (b, b)."""
    return _distances_of(_products(embeddings))


def _angles(embeddings: Tensor) -> Tensor:
    """Cosines (b, b, b) of the angle at the first of three images between the other two."""
    products = _products(embeddings)
    distances = _distances_of(products)
    at = products.diagonal()[:, None, None]
    inner = products - products[:, :, None] - products[:, None, :] + at
    return inner / (distances[:, :, None] * distances[:, None, :])


def _products(embeddings: Tensor) -> Tensor:
    """Inner products (b, b) of centred rows: a common mean would only cost digits."""
    centered = embeddings - embeddings.mean(0)
    return centered @ centered.mT


def _distances_of(products: Tensor) -> Tensor:
    squares = products.diagonal()
    gaps = squares[:, None] + squares - 2 * products
    # The root has no slope at 0; rows that are all equal have no distance at all.
    least = (DISTANCE_FLOOR * gaps.detach().mean()).clamp(min=1e-12)
    return gaps.clamp(min=least).sqrt()


def _standardized(embeddings: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the batch, as batch norm does."""
    variances = embeddings.var(0, correction=0)
    return (embeddings - embeddings.mean(0)) / (variances + BARLOW_EPS).sqrt()
