"""How far apart do two clouds of one space lie, as the images and the texts of CLIP do, and what does that cost?"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from repgeom.data.arrays import (
    as_features,
    check_normalize,
    refuse_nonfinite,
    shape_of,
)
from repgeom.data.kinds import Features, Groups
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.row_names import require_same_columns, require_same_order
from repgeom.data.settings import own_settings
from repgeom.inference.clouds import Clouds, as_taken
from repgeom.inference.estimate import Estimate
from repgeom.inference.intervals import check_confidence
from repgeom.inference.retrieval import Retrieval, retrieval_of
from repgeom.measures.drawn_rows import drawn_rows
from repgeom.measures.measure import REFERENCE, Measure, register
from repgeom.measures.nearest_rows import group_codes

_FEWEST = 4  # rows of a cloud, or groups of pairs
MOST_ROWS = 4096  # that look for their partner by default: all pairs of them take a few seconds


@own_settings
@dataclasses.dataclass(frozen=True)
class ModalityGap(ShownInNotebook):
    """What `modality_gap` returns. `estimate.value`, `.low`, `.high`; `.in_these_rows` is the plain form.

    Attributes:
        squared: ‖mean of a − mean of b‖² of the populations. It can come out below 0 where there is no gap.
        share: of the variance of both clouds together (each counted for half) that lies between their means. Below 0 where `squared`
            is; its interval begins at 0 where that of `squared` does.
        separability: how often a row of `a` lies further towards a's side than one of `b`, along the line between the means of the
            other half of the rows (area under the ROC curve): 0.5 where they cannot be told apart, 1 where a plane parts them. Where
            fewer than ten rows or so are misplaced, the interval is that of the largest error an area can have, and holds too often.
        a_to_b, b_to_a: how often the most similar row of the other cloud is the own partner, before and after both clouds are moved
            to one mean; None where not paired.
        n: (rows of a, rows of b).
        normalize: as asked.
    """

    squared: Estimate
    share: Estimate
    separability: Estimate
    a_to_b: Retrieval | None
    b_to_a: Retrieval | None
    n: tuple[int, int]
    normalize: str | None

    @property
    def distance(self) -> float:
        """Distance between the means of the populations; 0 where the squared one comes out below 0."""
        return math.sqrt(max(0.0, self.squared.value))

    def __str__(self) -> str:
        lines = [
            f"gap {self.distance:.3g} (squared {_with_interval(self.squared)}; these rows alone {self.squared.in_these_rows:.3g})",
            f"share of variance {_with_interval(self.share)}",
            f"separability {_with_interval(self.separability)} (0.5 none, 1 a plane parts them)",
        ]
        for name, found in (("a to b", self.a_to_b), ("b to a", self.b_to_a)):
            if found is not None:
                lines.append(
                    f"retrieval {name} {found.before.value:.1%}, without the gap {found.after.value:.1%} among {found.candidates:,}"
                )
        return "\n".join(lines)


def _with_interval(e: Estimate) -> str:
    if e.low is None or e.high is None:
        return f"{e.value:.3g} (no interval)"
    return f"{e.value:.3g} ({e.low:.3g} to {e.high:.3g})"


@own_settings
def modality_gap(
    a: Features,
    b: Features,
    *,
    paired: bool = True,
    normalize: str | None = "l2",
    groups: Groups = None,
    max_rows: int | None = MOST_ROWS,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool = False,
) -> ModalityGap:
    """Distance between the means of two clouds of one space, corrected for chance, and what it does (Liang et al. 2022).

    ‖x̄ − ȳ‖² of rows without any gap reads tr Σ_a / n_a + tr Σ_b / n_b, 0.0885² for 256 rows of 512 features. So that is
    taken off: of pairs, whose rows depend on each other, tr Σ_{x−y} / n. The interval allows for what is of second order in the
    rows, which is all there is without a gap.

    Share: (‖Δ‖²/4) / (‖Δ‖²/4 + T), with T the mean of both clouds' own variance. Separability: along the line between the means
    of one random half of the rows, in the other half, both ways round. Retrieval: before, and after both clouds are moved to the
    middle of their means (and, with `normalize`, rows scaled again). It falls with the number of candidates.

    Args:
        a, b: (n_samples, n_features) of the same width, any array kind.
        paired: row i of both is one sample (an image and its text). Otherwise rows are independent, and there is no retrieval.
        normalize: "l2" scales rows to unit length first, as cosine sees them; None takes them as they are.
        groups: (n_samples,), whole numbers or text, where pairs depend on each other (five texts of one image). Intervals count groups,
            what chance adds is read from them, and a row's own group is not sought among but for its partner. Only where paired.
        max_rows: so many pairs are drawn with `seed` for retrieval; None takes all.
        seed: of these, and of halves.
        confidence: of intervals, in (0, 1).
        progress: show a bar of the retrieval on standard error where that is a terminal.

    Returns:
        A `ModalityGap`. Unchanged by a rotation of both. No interval below 50 rows, or where a few rows carry the error. No gradient.

    Raises:
        ValueError: other widths, other numbers of rows where paired, fewer than 4 rows or groups, groups of what is not paired, both clouds one point; else as
            `effective_rank`.

    Two clouds of four rows about (0, 3) and (0, 0): their means lie 3 apart, and each row one step from its mean.

    >>> import numpy as np
    >>> cross = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> gap = modality_gap(cross + [0.0, 3.0], cross, paired=False, normalize=None)
    >>> gap.squared.in_these_rows, round(gap.squared.value, 6), gap.separability.value
    (9.0, 8.333333, 1.0)
    """
    check_confidence(confidence)
    check_normalize(normalize)
    require_same_columns(a, "a", b=b)
    if paired:
        require_same_order(a, "a", b=b, groups=groups)
    elif groups is not None:
        raise ValueError("`groups` say which pairs depend on each other, and with `paired=False` there are no pairs.")
    x, y = _matrix(a, "a"), _matrix(b, "b")
    codes = group_codes(groups, len(x), x.device)
    if codes is not None and int(codes.max()) < _FEWEST - 1:
        raise ValueError(
            f"`groups` holds {int(codes.max()) + 1} groups of pairs; a gap between clouds needs at least {_FEWEST}."
        )
    clouds = Clouds(x, y, paired, normalize, seed, codes)
    forward = backward = None
    if paired:
        x, rows = drawn_rows(clouds.a, max_rows, seed)
        y = clouds.b[torch.as_tensor(rows, device=clouds.b.device)].to(x)
        before = as_taken(x, normalize), as_taken(y, normalize)
        del x, y
        among = codes
        if codes is not None:
            among = codes[torch.as_tensor(rows, device=codes.device)].unique(return_inverse=True)[1]
        after = before[0] - clouds.step / 2, before[1] + clouds.step / 2
        forward, backward = retrieval_of(before, after, seed, confidence, progress, among)
    squared, share = clouds.gap(confidence)
    return ModalityGap(squared, share, clouds.separability(confidence), forward, backward, clouds.n, normalize)


register(
    Measure(
        "modality_gap", "modality gap", REFERENCE, modality_gap, (),
        formula="‖mean a − mean b‖² − what chance adds, of unit rows",
        source="Liang et al. 2022",
        question="Do two clouds of one space (images and texts) lie apart, and does that cost retrieval?",
        cannot_tell="why; a gap can be without cost, so read retrieval before and after it is removed",
        rows_needed="50 of each for an interval; small gaps take more",
        convention="squared and debiased: the plain distance of 256 rows of 512 features without a gap reads 0.0885",
        range=lambda size: (-1, 4),
        baseline=lambda size: 0.0,
        better="lower",
        invariances=("rotation", "scale", "order"),
        no_interval="each number has its own",
    )
)  # fmt: skip


def _matrix(features: Features, name: str) -> Tensor:
    x = as_features(features, name, min_rows=_FEWEST).detach()
    refuse_nonfinite(x, name)
    if x.ndim != 2:
        raise ValueError(f"`{name}` must be (n_samples, n_features), got shape {shape_of(x)}.")
    return x
