"""How many dimensions are in use in these rows? Every measure here is a few lines that read one `Spectrum`.

What the population has in use, with an interval, is what `repgeom.estimate` says: of few rows every rank reads low.

Four of them are Hill numbers of the same shares p_i = λ_i / Σλ, so for any input
stable_rank ≤ participation_ratio ≤ effective_rank ≤ effective_rank(of="singular_values") ≤ min(n − 1, d).
"""

from __future__ import annotations

import math

import torch

from repgeom.data.kinds import Features, Numbers
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings
from repgeom.measures.functionals import entropy, participation, stable
from repgeom.measures.measure import DIMENSIONS, Measure, Size, register
from repgeom.measures.shares import entropy_of, shares
from repgeom.measures.steepness import numerical_rank
from repgeom.spectral.spectrum import Spectrum

__all__ = ["effective_rank", "hill_number", "participation_ratio", "rankme", "stable_rank"]


@own_settings
def effective_rank(
    features: Features, *, of: str = "variances", center: bool = True, normalize: str | None = None
) -> Numbers:
    """Number of dimensions in use: exp of the Shannon entropy of the spectrum's shares.

    exp(−Σ p_i ln p_i) with p_i = σ_i² / Σσ² for `of="variances"` (the default; Giraldo et al. 2015, and the paper this
    project reproduces, arXiv 2603.06698) or p_i = σ_i / Σσ for `of="singular_values"` (Roy & Vetterli 2007). The
    second is never smaller. No ε: 0 ln 0 = 0. Its logarithm is the spectral entropy, in nats. This is the number in these
    rows; `estimate(features, "effective_rank")` gives the population's, with an interval.

    Args:
        features: (..., n_samples, n_features) of any array kind, or a `Spectrum`.
        of: "variances" or "singular_values".
        center: subtract the mean row first.
        normalize: "l2" scales rows to unit length before centring.

    Returns:
        Between 1 and min(n_samples − 1, n_features), in dimensions. A Python number; for a tensor a float64 tensor on
        its device, differentiable; for a stack one value each. Unchanged by rotation, translation, scale, the order
        of rows and repeating them all. Reads low where samples are few: isotropic features with n = 2d read 78 % of d
        (see `isotropic_baseline`).

    Raises:
        ValueError: NaN or infinity, fewer than two rows, no variance at all, a 1-D array.
        TypeError: complex, text, sparse or masked data.

    >>> s = Spectrum.from_singular_values([1.0, 1.0, 1.0, 0.0])
    >>> round(effective_rank(s), 12)
    3.0
    """
    p, give = shares(features, of=of, center=center, normalize=normalize)
    return give(entropy_of(p).exp())


register(
    Measure(
        "effective_rank", "effective rank", DIMENSIONS, effective_rank, ("spectrum",),
        formula="exp entropy of σ² of centred features",
        source="Giraldo et al. 2015; arXiv 2603.06698",
        question="How many dimensions are in use?",
        cannot_tell="whether they are the right ones: noise fills dimensions too",
        rows_needed="100, and 2 per feature, for an interval; a value with ≈ from fewer",
        convention="of σ², centred, exp(H), no ε; papers also use σ, rows as they are, or H / ln d",
        unit="dimensions",
        better="higher",
        functional=entropy(1.0),
        aliases=("von Neumann effective rank", "Hill number of order 1", "Vendi score of the centred features"),
    )
)  # fmt: skip
register(
    Measure(
        "effective_rank_sigma", "effective rank (σ)", DIMENSIONS, effective_rank, ("spectrum",),
        formula="exp entropy of σ of centred features (Roy & Vetterli)",
        source="Roy & Vetterli 2007",
        question="How many dimensions are in use, small ones counted for more?",
        cannot_tell="signal from noise: a long tail of tiny variances raises it",
        rows_needed="100, and 4 per feature, for an interval to lean on",
        convention="of σ, centred, no ε",
        unit="dimensions",
        better="higher",
        arguments={"of": "singular_values"},
        functional=entropy(0.5),
    )
)  # fmt: skip


@own_settings
def rankme(features: Features, *, eps: float = 1e-7) -> Numbers:
    """RankMe exactly as published: exp entropy of the singular values of the features as they are, with its ε.

    exp(−Σ p_i ln p_i), p_i = σ_i / Σσ + ε, not centred, not normalised (Garrido et al., ICML 2023, arXiv 2210.02885).
    ε adds up: with d = 2,048 features of rank one it reads 1.003, and a spectrum that is full can read above d by
    about d · ε · ln d. Other values of ε, 1e-5 and 1e-12 among them, are in use, and only numbers of one ε can be compared:
    of 2,048 singular values that fall as 1/i they read 329 and 281, 17 % apart (15 % of equal ones, 27 % of rank one). A mean
    far from zero pulls it towards 1; `effective_rank` is not moved by the mean. This is the number in these rows; `estimate(features, "effective_rank_sigma", center=False)` gives
    the population's, without the ε.

    Args:
        features: (..., n_samples, n_features), or a `Spectrum` made with `center=False`. The authors use 25,600 rows.
        eps: ε, at least 0; 1e-7 as published, 0 for the exp entropy itself.

    Returns:
        Between 1 and min(n_samples, n_features), in dimensions, as `effective_rank` returns it.

    Raises:
        ValueError: as `effective_rank`; also for a `Spectrum` of centred features, and an ε that is negative or not finite.

    >>> round(rankme([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), 5)
    2.0
    """
    if isinstance(features, Spectrum) and features.centered:
        raise ValueError("RankMe is defined on features that are not centred; make the spectrum with `center=False`.")
    floor = real_number(eps)
    if floor is None or not 0 <= floor < math.inf:
        raise ValueError(f"`eps` must be a finite number of at least 0, 1e-7 as published; got {eps!r}.")
    p, give = shares(features, of="singular_values", center=False)
    # Shares then add up to more than one; that is how it was published.
    return give(entropy_of(p + floor).exp())


def _rankme_range(size: Size) -> tuple[float, float]:
    """ε lets it read a little above the number of directions and, of one feature, a little below one."""
    least = 1.0
    if size.n_features == 1:
        least = 1 - 2e-7
    return least, min(size.n_samples, size.n_features) * (1 + 2e-6 * size.n_features)


register(
    Measure(
        "rankme", "RankMe", DIMENSIONS, rankme, ("raw_spectrum",),
        formula="exp entropy of σ, features as they are, ε = 1e-7",
        source="Garrido et al., ICML 2023",
        question="What does RankMe read, to be set beside published numbers?",
        cannot_tell="collapse from a mean far off zero: both lower it",
        rows_needed="25,600, as its authors use; equal numbers for the models that are compared",
        convention="of σ, not centred, ε = 1e-7; other values of ε move it by 17 %",
        unit="dimensions",
        range=_rankme_range,
        better="higher",
        invariances=("rotation", "scale", "order"),
        no_interval='`estimate(x, "effective_rank_sigma", center=False)` gives the population\'s, without the ε',
    )
)  # fmt: skip


@own_settings
def hill_number(features: Features, *, order: float, center: bool = True, normalize: str | None = None) -> Numbers:
    """Hill number of the variances: one family for all ranks of a covariance.

    (Σ p_i^q)^(1/(1−q)) with p_i = λ_i / Σλ (Hill 1973; for features Pasarkar & Dieng 2024). Order 0 is the numerical
    rank, 1 the effective rank, 2 the participation ratio, infinity the stable rank. Never rises with the order.
    Orders below 1 rest on the smallest variances, which are mostly noise. This is the number in these rows; `estimate` gives
    the population's for orders 1, 2 and infinity.

    Args:
        features: (..., n_samples, n_features) or a `Spectrum`.
        order: q ≥ 0, `float("inf")` allowed.
        center, normalize: as `effective_rank`.

    Returns:
        Between 1 and min(n_samples − 1, n_features), as `effective_rank` returns it.

    Raises:
        ValueError: a negative order; else as `effective_rank`.

    >>> s = Spectrum.from_variances([4.0, 2.0, 1.0, 1.0])
    >>> [round(hill_number(s, order=q), 3) for q in (0, 2, float("inf"))]
    [4, 2.909, 2.0]
    """
    number = real_number(order)
    if number is None or not number >= 0:
        raise ValueError(f"`order` must be a number ≥ 0, got {order!r}.")
    order = number
    if order == 0:
        return numerical_rank(features, center=center, normalize=normalize)
    p, give = shares(features, center=center, normalize=normalize, tail=order < 1)
    if order == 1:
        return give(entropy_of(p).exp())
    if order == float("inf"):
        return give(1 / p[..., 0])
    # Powers of p / p_1 stay in [0, 1]; the gradient at p = 0 is left out as in `entropy_of`.
    ratio = p / p[..., :1]
    powers = torch.where(ratio > 0, torch.where(ratio > 0, ratio, 1) ** order, 0).sum(-1)
    return give((powers.log() + order * p[..., 0].log()).div(1 - order).exp())


@own_settings
def participation_ratio(features: Features, *, center: bool = True, normalize: str | None = None) -> Numbers:
    """Number of dimensions in use, weighted to the large ones: (Σλ)² / Σλ².

    Also tr(C)² / tr(C²), and 1 + (d − 1) · IsoScore (Gao et al. 2017; Rudman et al. 2022). Reads low where samples
    are few: isotropic features read d / (1 + (d + 1)/(n − 1)). This is the number in these rows;
    `estimate(features, "participation_ratio")` gives the population's, with an interval.

    Args:
        features: (..., n_samples, n_features) or a `Spectrum`.
        center, normalize: as `effective_rank`.

    Returns:
        Between 1 and min(n_samples − 1, n_features), as `effective_rank` returns it, with the same invariances.

    Raises:
        ValueError, TypeError: as `effective_rank`.

    Singular values 3, 2, 1 are variances in the ratio 9 : 4 : 1, so 14² / (81 + 16 + 1) = 2:

    >>> round(participation_ratio(Spectrum.from_singular_values([3.0, 2.0, 1.0])), 12)
    2.0
    """
    p, give = shares(features, center=center, normalize=normalize)
    return give(1 / p.square().sum(-1))


register(
    Measure(
        "participation_ratio", "participation ratio", DIMENSIONS, participation_ratio, ("spectrum",),
        formula="(Σλ)²/Σλ², λ = σ² of centred features",
        source="Gao et al. 2017; estimated as Himeno & Yamada 2014 and Chun, Canatar et al. 2026",
        question="How many large directions share most of the variance?",
        cannot_tell="how many small directions there are: it hardly sees them",
        rows_needed="100, and 2 per feature, for an interval",
        convention="of σ², centred; IsoScore is (this − 1) / (d − 1)",
        unit="dimensions",
        better="higher",
        functional=participation(),
        aliases=("Hill number of order 2", "1 + (d − 1) IsoScore", "exp of the Rényi-2 entropy"),
    )
)  # fmt: skip


@own_settings
def stable_rank(features: Features, *, center: bool = True, normalize: str | None = None) -> Numbers:
    """Total variance over the largest: Σλ / λ_1 = ‖X‖²_F / ‖X‖²_2 (Rudelson & Vershynin 2007; NESum, He & Ozay 2022).

    This is the number in these rows; `estimate(features, "stable_rank")` gives the population's, with an interval where the
    leading variance stands clear.

    Args:
        features: (..., n_samples, n_features) or a `Spectrum`.
        center, normalize: as `effective_rank`.

    Returns:
        Between 1 and min(n_samples − 1, n_features), as `effective_rank` returns it. Isotropic features read about
        d / (1 + √(d/(n − 1)))².

    Raises:
        ValueError, TypeError: as `effective_rank`.

    >>> stable_rank(Spectrum.from_variances([4.0, 2.0, 2.0]))
    2.0
    """
    p, give = shares(features, center=center, normalize=normalize)
    return give(1 / p[..., 0])


register(
    Measure(
        "stable_rank", "stable rank", DIMENSIONS, stable_rank, ("spectrum",),
        formula="Σλ/λ₁, λ = σ² of centred features",
        source="Rudelson & Vershynin 2007",
        question="Does one direction dominate?",
        cannot_tell="what lies behind the leading direction",
        rows_needed="100, and 4 per feature, for an interval",
        convention="of σ², centred; also published of rows as they are",
        unit="dimensions",
        better="higher",
        functional=stable(),
        aliases=("NESum", "Hill number of order ∞", "1 / share of the leading direction"),
    )
)  # fmt: skip
