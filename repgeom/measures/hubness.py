"""Are a few rows the neighbours of very many others, and does the length of rows decide who is near?"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_features, give_back, pair_blocks
from repgeom.data.kinds import Features, Groups, Numbers
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.progress_bar import with_bar
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings
from repgeom.measures.drawn_rows import AUDITED_ROWS, MOST_ROWS, drawn_rows
from repgeom.measures.measure import CLOUD, Measure, Size, register
from repgeom.measures.nearest_rows import Space, check_neighbours, group_codes, refuse_one_direction, space_of

__all__ = ["cosine_dot_overlap", "hubness"]

_ISOTROPIC_ROWS = (
    8_192  # over which isotropic draws are averaged where n is smaller: one hub moves a skewness by a third
)


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class Hubness(ShownInNotebook):
    """How often rows are among the k nearest of others. O_i, the k-occurrence of row i, is k on average.

    Attributes:
        skewness: third central moment of O over the 1.5th power of the second; 0 where all are equal.
        robin_hood: Σ|O_i − k| / (2 n k), the share of places that would have to change hands for all O to be equal.
        antihub_share: share of rows that are nobody's neighbour.
        largest: the largest O.
        isotropic_skewness, isotropic_robin_hood, isotropic_antihub_share: the same of isotropic Gaussian rows of this n, d, k and metric.
        occurrence: (n,) O of each row that was read.
        rows: (n,) the numbers of these rows.
        k, metric: as asked.
    """

    skewness: Any
    robin_hood: Any
    antihub_share: Any
    largest: Any
    isotropic_skewness: float
    isotropic_robin_hood: float
    isotropic_antihub_share: float
    occurrence: Any
    rows: np.ndarray
    k: int
    metric: str

    def __repr__(self) -> str:
        if np.ndim(self.skewness):
            return f"<Hubness of {np.shape(self.skewness)} matrices, {len(self.rows):,} rows each, k = {self.k}>"
        return (
            f"<Hubness of {len(self.rows):,} rows, k = {self.k}, {self.metric}: skewness {float(self.skewness):.2f} "
            f"(isotropic {self.isotropic_skewness:.2f}), {float(self.antihub_share):.1%} antihubs "
            f"(isotropic {self.isotropic_antihub_share:.1%})>"
        )

    @property
    def antihubs(self) -> np.ndarray:
        """Numbers of the rows that are nobody's neighbour, ascending."""
        return self.rows[self._of_rows() == 0]

    @property
    def hubs(self) -> np.ndarray:
        """Numbers of the rows that are neighbours most often, the first first: as many as have O above 2 k."""
        often = self._of_rows()
        order = np.argsort(-often, kind="stable")
        return self.rows[order[often[order] > 2 * self.k]]

    def _of_rows(self) -> np.ndarray:
        often = torch.as_tensor(self.occurrence).cpu().numpy()
        if often.ndim > 1:
            raise ValueError(f"this is of a stack of matrices {often.shape[:-1]}: call `hubness` of one of them.")
        return often


@own_settings
def hubness(
    features: Features,
    *,
    k: int = 10,
    metric: str = "cosine",
    groups: Groups = None,
    max_rows: int | None = MOST_ROWS,
    seed: int = 0,
    progress: bool = False,
) -> Hubness:
    """How unevenly rows serve as neighbours: the skewness of the k-occurrence (Radovanović et al. 2010).

    O_i is the number of rows that have row i among their k nearest others; skewness = m₃ / m₂^1.5 of its central moments.
    Rows as near as the k-th share the places that are left, as in `mutual_knn`, so that no order of the rows decides. It grows
    with the dimension and with n, and is no fault by itself: compare it with what isotropic rows read. Neither it nor the shares
    are smooth, so they have no gradient. No interval is given: none is known for a moment of counts that share neighbours.

    Args:
        features: (..., n_samples, n_features).
        k: neighbours, from 1 to n_samples − 1.
        metric: "cosine", "euclidean", or "dot" (the largest products, as an index of inner products ranks them). By cosine a row of
            zeros is as near as any row at a right angle; by dot a row need not be near to itself, and is left out all the same.
        groups: (n_samples,), whole numbers or text: rows of a row's own group are no neighbours of it.
        max_rows: of more rows so many are drawn and searched; None searches all, in blocks: O(n² d) time, and memory for three
            copies of the rows beside them (float32 stays float32).
        seed: of the rows that are drawn, and of the isotropic ones.
        progress: show a bar on standard error where that is a terminal.

    Returns:
        `Hubness`, whose fields have the stack's shape (...,). Unchanged by rotation and scale, by Euclidean distance also by
        translation.

    Raises:
        ValueError: k out of range, a metric that is not known, rows that are all equal (by cosine: that point one way); else as
            `effective_rank`.

    Of four points on a line each of the two in the middle is the nearest of two others:

    >>> hubness([[0.0], [2.0], [3.0], [9.0]], k=1, metric="euclidean").occurrence
    array([0., 2., 2., 0.])
    """
    require_same_order(features, groups=groups)
    whole = as_features(features)
    own = group_codes(groups, whole.shape[-2], whole.device)
    x, rows = drawn_rows(whole, max_rows, seed)
    n = x.shape[-2]
    if own is not None:
        own = own[torch.as_tensor(rows, device=x.device)]
    k = check_neighbours(k, n, own)
    size, dtype, device = x.shape[-2:], x.dtype, x.device
    space = space_of(x, metric)
    del x  # the space holds rows of its own, and so will those of isotropic rows
    refuse_equal(space, metric)
    often = occurrence(space, k, own, progress)
    random = torch.Generator().manual_seed(int(seed) % (1 << 63))
    draws = []
    for _ in range(max(1, min(16, _ISOTROPIC_ROWS // n))):
        space = space_of(torch.randn(size, generator=random, dtype=dtype, device="cpu").to(device), metric)
        draws.append(torch.stack(_read(occurrence(space, k, own, progress), k)[:3]))
    isotropic = torch.stack(draws).mean(0).tolist()
    give = give_back(features)
    skewness, robin_hood, antihub_share, largest = (give(value) for value in _read(often, k))
    return Hubness(
        skewness=skewness,
        robin_hood=robin_hood,
        antihub_share=antihub_share,
        largest=largest,
        isotropic_skewness=isotropic[0],
        isotropic_robin_hood=isotropic[1],
        isotropic_antihub_share=isotropic[2],
        occurrence=give(often),
        rows=rows,
        k=k,
        metric=metric,
    )


def refuse_equal(space: Space, metric: str) -> None:
    """Raises ValueError where every row is as near as any other."""
    if metric == "cosine":
        refuse_one_direction(space.rows, "features")
    if metric != "cosine" and bool((space.rows == space.rows[..., :1, :]).all((-2, -1)).any()):
        raise ValueError("all rows of `features` are equal, so every row is as near as any other: none is a neighbour.")


def occurrence(space: Space, k: int, groups: Tensor | None = None, progress: bool = False) -> Tensor:
    """How often each row is among the k nearest others of another, (..., n) float64; n k in all."""
    often = torch.zeros(space.rows.shape[:-1], dtype=torch.float64, device=space.rows.device)
    blocks = list(pair_blocks(space.queries))
    for start, block in with_bar(blocks, "neighbours", progress):
        often += space.counts(start, block.shape[-2], k, groups).sum(-2, dtype=torch.float64)
    return often


def _read(often: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Skewness, Robin Hood index, share of antihubs and the largest, each (...,), of occurrences (..., n)."""
    away = often - often.mean(-1, keepdim=True)
    second, third = away.square().mean(-1), away.pow(3).mean(-1)
    # Counts that are equal but for rounding have no skewness.
    even = second <= (1e-9 * k) ** 2
    skewness = torch.where(even, 0, third / torch.where(even, 1, second) ** 1.5)
    robin_hood = away.abs().mean(-1) / (2 * k)
    return skewness, robin_hood, (often == 0).double().mean(-1), often.amax(-1)


def skewness_of(x: Tensor, k: int, groups: Tensor | None = None) -> float:
    """The skewness alone, by cosine, of rows (n, d). Raises ValueError where all point one way."""
    space = space_of(x, "cosine")
    refuse_equal(space, "cosine")
    return float(_read(occurrence(space, k, groups), k)[0])


def _skewness_range(size: Size) -> tuple[float, float]:
    """The smallest and largest skewness of so many numbers: one differs from all others."""
    n = max(2, min(size.n_sampled, AUDITED_ROWS))
    return -(n - 2) / (n - 1) ** 0.5, (n - 2) / (n - 1) ** 0.5


register(
    Measure(
        "hubness", "hubness", CLOUD, hubness, ("near_rows",),
        formula="skewness of how often a row is among the 10 nearest of others",
        source="Radovanović et al. 2010",
        question="Are a few rows the neighbours of very many?",
        cannot_tell="whether it harms: it rises with dimension and with n, so read it beside what isotropic rows read",
        rows_needed="1,000; it depends on n, and 16,384 are drawn of more; an audit reads 1,024",
        convention="by cosine; ties share places; central moments divide by n; isotropic rows of many dimensions read about 1/√k, of few less",
        range=_skewness_range,
        baseline=None,
        better="lower",
        invariances=("rotation", "scale", "order"),
        read=lambda near: near.hubness,
        missing="all rows point one way, or are of one group",
        no_interval="none is known for a moment of counts that share neighbours; isotropic rows read at most about 1/√k, 0.3 of 10",
    )
)  # fmt: skip


@own_settings
def cosine_dot_overlap(
    features: Features, *, k: int = 10, max_rows: int | None = MOST_ROWS, seed: int = 0, progress: bool = False
) -> Numbers:
    """Share of the k nearest others by cosine that are also those with the largest dot products.

    Mean over rows of |N_k^cosine ∩ N_k^dot| / k, ties as in `mutual_knn`. Low where lengths of rows vary: an index of inner products
    then returns long rows rather than near ones. 1 for rows of one length. Not smooth, so without a gradient.

    Args:
        features: (..., n_samples, n_features).
        k: neighbours, from 1 to n_samples − 1.
        max_rows, seed, progress: as `hubness`.

    Returns:
        In [0, 1]. Unchanged by rotation and scale.

    Raises:
        ValueError: as `hubness`.

    Row 3 points far from the others, and is so long that each has its largest product with it:

    >>> cosine_dot_overlap([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [9.0, 9.0]], k=1)
    0.25
    """
    x, _ = drawn_rows(as_features(features), max_rows, seed)
    n = x.shape[-2]
    k = check_neighbours(k, n, None)
    by_cosine, by_dot = space_of(x, "cosine"), space_of(x, "dot")
    refuse_equal(by_cosine, "cosine")
    shared = torch.zeros(x.shape[:-2], dtype=torch.float64, device=x.device)
    del x  # both spaces hold rows of their own
    blocks = list(pair_blocks(by_dot.queries))
    for start, block in with_bar(blocks, "neighbours", progress):
        near, large = (space.counts(start, block.shape[-2], k) for space in (by_cosine, by_dot))
        lengths = near.square().sum(-1) * large.square().sum(-1)
        shared += ((near * large).sum(-1) / lengths.sqrt()).sum(-1, dtype=torch.float64)
    return give_back(features)(shared / n)


register(
    Measure(
        "cosine_dot_overlap", "cosine against dot product", CLOUD, cosine_dot_overlap, (),
        formula="shared share of the 10 nearest by cosine and the 10 largest dot products",
        source="this project",
        question="Does an index of inner products find the same neighbours as cosine?",
        cannot_tell="which of the two retrieves better: that takes labels",
        rows_needed="1,000; it falls with n where lengths vary",
        convention="among other rows, ties share places",
        baseline=None,
        better="higher",
        invariances=("rotation", "scale", "order"),
        no_interval="it depends on the number of rows among which neighbours are sought",
    )
)  # fmt: skip
