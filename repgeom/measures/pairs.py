"""What do two representations of the same samples share? Row i of both is the same sample."""

from __future__ import annotations

import torch

from repgeom.data.arrays import give_back, pair_blocks, unit_rows
from repgeom.data.kinds import Features, Groups, Numbers
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings, warn_caller
from repgeom.measures.directions import OTHER_WIDTHS
from repgeom.measures.drawn_rows import as_searched
from repgeom.measures.measure import REFERENCE, Measure, Size, register
from repgeom.measures.nearest_rows import (
    agreement,
    check_neighbours,
    group_codes,
    neighbour_counts,
    refuse_one_direction,
)
from repgeom.measures.pair_sums import as_pair, cka_of, pair_sums

__all__ = ["cosine_alignment", "linear_cka", "mutual_knn", "procrustes_distance"]


@own_settings
def linear_cka(features: Features, reference: Features, *, debiased: bool = True) -> Numbers:
    """Linear centred kernel alignment (Kornblith et al. 2019), by default with the unbiased HSIC of Song et al. (2012).

    HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)) of the linear kernels. The biased form reads 0.86 for independent features
    of 128 × 768; the debiased one reads 0 there. Computed from products of features, in O(n d²).

    Args:
        features, reference: (..., n, d1) and (..., n, d2), the same n samples in the same order; n ≥ 4 if debiased.
        debiased: False gives the original, which lies in [0, 1].

    Returns:
        1 for equal features up to rotation, translation and scale; about 0 (of either sign) for unrelated ones. NaN, with
        a warning, if debiased where all rows of one lie equally far apart: without its diagonal nothing of its kernel is left.

    Raises:
        ValueError: different numbers of rows, fewer than 4 rows if debiased, no variance; else as `effective_rank`.

    >>> x = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -2.0], [3.0, 1.0]]
    >>> round(linear_cka(x, [[2 * b, -2 * a] for a, b in x]), 12)
    1.0
    """
    found = cka_of(features, reference, debiased)
    if bool(torch.isnan(found.detach()).any()):
        warn_caller(
            "debiased linear CKA is NaN: all rows of `features` or of `reference` lie equally far apart, exactly or to "
            "rounding, so nothing of the kernel is left without its diagonal. `debiased=False` is defined."
        )
    return give_back(features)(found)


register(
    Measure(
        "linear_cka", "linear CKA", REFERENCE, linear_cka, ("pair_sums",),
        formula="debiased HSIC (Song et al.), centred",
        source="Kornblith et al. 2019; Song et al. 2012",
        question="Do both place the samples alike, up to rotation and scale?",
        cannot_tell="agreement in small directions: the largest decide",
        rows_needed="100; few rows leave a wide interval, and where a few carry the variance there is none",
        convention="linear kernel, debiased; the biased form reads .86 for unrelated 128 × 768",
        range=lambda size: (-1, 1),
        baseline=lambda size: 0.0,
        better="higher",
        read=lambda sums: sums.linear_cka() if sums.n >= 4 else None,
        missing="needs at least 4 rows that do not all lie equally far apart",
    )
)  # fmt: skip


@own_settings
def procrustes_distance(features: Features, reference: Features) -> Numbers:
    """Orthogonal Procrustes distance after centring and scaling both to unit Frobenius norm (Ding et al. 2021).

    min over rotations Q of ‖X − Y Q‖²_F = 2 − 2 ‖XᵀY‖_*, squared as published. Features of different width are
    compared as if the narrower had zero columns added.

    Args:
        features, reference: (..., n, d1) and (..., n, d2), the same n samples in the same order.

    Returns:
        Between 0 (equal up to rotation, translation and scale) and 2.

    Raises:
        ValueError: different numbers of rows, no variance; else as `effective_rank`.

    >>> x = [[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]
    >>> abs(round(procrustes_distance(x, [[5 - b, 7 + a] for a, b in x]), 12))
    0.0
    """
    return give_back(features)(pair_sums(features, reference).procrustes_distance())


register(
    Measure(
        "procrustes_distance", "Procrustes distance", REFERENCE, procrustes_distance, ("pair_sums",),
        formula="2 − 2‖XᵀY‖_*, both centred, unit norm",
        source="Ding et al. 2021",
        question="How far is one from a rotated and scaled copy of the other?",
        cannot_tell="which samples moved",
        rows_needed="many per feature: it reads low where rows are few",
        convention="squared, both centred and of unit norm; others take the root or the angle",
        range=lambda size: (0, 2),
        baseline=None,
        better="lower",
        read=lambda sums: sums.procrustes_distance(),
        no_interval="it reads low where rows are few, and no correction is known",
    )
)  # fmt: skip


@own_settings
def mutual_knn(features: Features, reference: Features, *, k: int = 10, groups: Groups = None) -> Numbers:
    """Share of the k nearest neighbours (by cosine) that both representations agree on (Huh et al. 2024).

    Mean over samples of |N_k(x_i) ∩ N_k(y_i)| / k; a sample is not its own neighbour. Costs O(n² (d1 + d2)), in
    blocks; of more than 16,384 rows that are not float64 in float32.

    Rows as near as the k-th (rows that repeat, binary codes) share the places that are left: of t such rows for p places each
    counts p/t, in both representations alike, and a sample's share is the cosine of the two lists of counts. Without ties that
    is the formula above, and no order of the rows decides.

    Args:
        features, reference: (..., n, d1) and (..., n, d2), the same n samples in the same order.
        k: neighbours, from 1 to n − 1.
        groups: (n,), whole numbers or text, where rows of a group depend on each other (frames of a video): rows of a
            sample's own group are then no neighbours of it. They are alike in any representation, related or not.

    Returns:
        In [0, 1]; about k/(n − 1) for unrelated features, of groups k over the number of rows outside of a group.

    Raises:
        ValueError: different numbers of rows, k out of range, a group that leaves its rows fewer than k neighbours, rows that
            all point one way (every row is then as near as any other); else as `effective_rank`.

    >>> x = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
    >>> mutual_knn(x, x, k=1)
    1.0
    """
    require_same_order(features, groups=groups)
    x, y = as_pair(features, reference, same_rows=True, double=False)
    n = x.shape[-2]
    own = group_codes(groups, n, x.device)
    k = check_neighbours(k, n, own)
    lead = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = (unit_rows(as_searched(z)).expand(*lead, -1, -1) for z in (x, y))
    refuse_one_direction(x, "features")
    refuse_one_direction(y, "reference")
    shared = x.new_zeros(lead, dtype=torch.float64)
    for (start, a), (_, b) in zip(pair_blocks(x), pair_blocks(y), strict=True):
        mine, theirs = neighbour_counts(a, x, start, k, own), neighbour_counts(b, y, start, k, own)
        shared = shared + agreement(mine, theirs).sum(-1)
    return give_back(features)(shared / n)


def _share_by_chance(size: Size) -> float | None:
    if size.candidates <= 0:
        return None
    return size.neighbours / size.candidates


register(
    Measure(
        "mutual_knn", "mutual kNN", REFERENCE, mutual_knn, ("shared_neighbours",),
        formula="shared share of the 10 nearest by cosine",
        source="Huh et al. 2024",
        question="Do samples have the same neighbours in both?",
        cannot_tell="how far samples are that are no neighbours",
        rows_needed="1,000, and one number for all that are compared: chance is k/(n − 1)",
        convention="10 nearest by cosine; ties share; others use 5 to 100 neighbours",
        range=lambda size: (0, 1),
        baseline=_share_by_chance,
        better="higher",
        read=lambda shared: shared.value,
        missing="all rows are of one group, so none has a neighbour outside of its own",
        invariances=("rotation", "scale", "order"),
    )
)  # fmt: skip


@own_settings
def cosine_alignment(features: Features, reference: Features) -> Numbers:
    """Mean cosine between row i of both: what cosine distillation maximises.

    Args:
        features, reference: (..., n, d), the same samples in the same order, the same width. Not centred.

    Returns:
        In [−1, 1]; 0 for unrelated isotropic features. A row of zeros counts as 0.

    Raises:
        ValueError: different numbers of rows or widths; else as `effective_rank`.

    >>> cosine_alignment([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, -3.0]])
    0.0
    """
    x, y = as_pair(features, reference, same_rows=True, same_width=True)
    return give_back(features)((unit_rows(x) * unit_rows(y)).sum(-1).mean(-1))


register(
    Measure(
        "cosine_alignment", "cosine alignment", REFERENCE, cosine_alignment, ("cosine_alignment",),
        formula="mean cosine of row i with row i, not centred",
        source="arXiv 2603.06698",
        question="Does each row point where its partner in the reference points?",
        cannot_tell="likeness up to rotation: a rotated copy reads 0",
        rows_needed="100",
        convention="mean cosine of pairs, not centred, one width",
        range=lambda size: (-1, 1),
        baseline=lambda size: 0.0,
        better="higher",
        read=float,
        invariances=("rotation", "scale", "order"),
        missing=OTHER_WIDTHS,
    )
)  # fmt: skip
