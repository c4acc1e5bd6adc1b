"""How many of a teacher's dimensions can be predicted from other features of the same samples?"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import ZeroVarianceError, centred, check_normalize, finite_matrix, too_large_error, unit_rows
from repgeom.data.kinds import Features, Groups
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.numbers import whole_from, whole_number
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings
from repgeom.inference.intervals import check_confidence, quantile
from repgeom.inference.ridge_folds import OutOfFold, drawn_folds, out_of_fold
from repgeom.measures.measure import REFERENCE, Measure, register
from repgeom.measures.nearest_rows import group_codes
from repgeom.measures.pair_sums import check_pair, compact
from repgeom.measures.shares import entropy_of

FEWEST_ROWS = 10  # two in each of five folds
FEWEST_FOR_INTERVAL = 300  # rows or groups: of 100, as few as 89 of 100 intervals held
_LARGEST_VARIANCE = 0.25  # of the teacher's in one row or group, as for `estimate`
_ONE_SCALE = 1 - 1e-6  # of the features' variance along one direction: penalties then reach what is small beside it
_LARGEST_SHARE = 0.5  # of the squared error in one row or group: the spread of rows then says little


@own_settings
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PredictableRank(ShownInNotebook):
    """What `predictable_rank` returns. Arrays have an entry for each principal direction of the teacher, leading first.

    Attributes:
        value: effective rank of the predictable variances λ_i R²_i, in dimensions; 0 where nothing is predictable.
        low, high: its two-sided interval, of what as many rows read on average; None where none is known to hold.
        explained: Σ λ_i R²_i / Σ λ_i, the share of the teacher's variance that is predicted.
        explained_low, explained_high: its interval, given where that of the value is.
        teacher_rank: effective rank of the λ_i, which the value is read against.
        r_squared: (r,) R²_i, the share of each direction that is predicted for rows of other folds, in [0, 1]; cut at 0.
        variances: (r,) λ_i, the teacher's variance along each direction, descending.
        penalties: (folds,) α of each fold, times the features' largest sum of squares along a direction.
        n_samples: rows.
        normalize: as asked.
        warnings: why there is no interval.
        influence, explained_influence: what each row (group) adds to the logarithm of the value and to `explained`, of mean zero;
            their variance over their number is the squared standard error. What two models of the same rows share cancels in
            the difference of theirs. None without the interval.
    """

    value: float
    low: float | None
    high: float | None
    explained: float
    explained_low: float | None
    explained_high: float | None
    teacher_rank: float
    r_squared: np.ndarray
    variances: np.ndarray
    penalties: np.ndarray
    n_samples: int
    normalize: str | None
    warnings: tuple[str, ...] = ()
    influence: np.ndarray | None = None
    explained_influence: np.ndarray | None = None

    def __repr__(self) -> str:
        rank, share = f"{self.value:.3g}", f"{self.explained:.1%}"
        if self.low is not None and self.high is not None:
            rank += f" [{self.low:.3g}, {self.high:.3g}]"
        if self.explained_low is not None and self.explained_high is not None:
            share += f" [{self.explained_low:.1%}, {self.explained_high:.1%}]"
        beside = "".join(f"; {warning}" for warning in self.warnings)
        return (
            f"<PredictableRank {rank} of the teacher's {self.teacher_rank:.3g} dimensions, {share} of its variance, "
            f"from {self.n_samples:,} rows{beside}>"
        )


@own_settings
def predictable_rank(
    features: Features,
    teacher: Features,
    *,
    normalize: str | None = "l2",
    groups: Groups = None,
    folds: int = 5,
    seed: int = 0,
    confidence: float = 0.95,
) -> PredictableRank:
    """Effective rank of what a linear map of the features predicts of a teacher, for rows that it was not fitted on.

    A student trained on squared error, or by cosine, becomes the teacher's mean given the image. Along the teacher's principal
    direction i, of variance λ_i, it can keep λ_i R²_i, with R²_i the share of that direction that can be predicted. With
    p_i = λ_i R²_i / Σ λ_j R²_j the value is exp(−Σ p_i ln p_i): the effective rank (of σ², centred) of what can be kept. From a
    network's input it says how far a student must collapse, from a student's own features how many of the teacher's dimensions it
    holds.

    R²_i = 1 − Σ e_i² / Σ z_i², cut at 0: z the rows' places along the direction, e their errors, each row predicted by ridge
    regression on the rows of other folds. Features are centred, not scaled. The penalty is one of 89, from 1e-9 to 100 times
    the features' largest sum of squares along a direction; for each fold the one that predicts the other folds best.

    Interval: a jackknife in closed form. Each row counts by its own error and, through the fits that it takes part in, by
    what it changes in others' errors. On the scale of the logarithm, with Student's quantile; its coverage stands in
    studies/predictable_rank.md.

    Its limits: it sees linear maps only, so a network that reads more out of the features keeps more. It is for this number of
    rows: fewer are learnt from worse and read lower, so compare at one n. It counts the teacher's directions one by one; where
    what is predicted lies across them, its own covariance has a lower rank, never a higher one. The interval takes those directions
    as known: between neighbours of which much and little is predicted it is a third too narrow and held the value 82 of 100 times.

    Its cost: O(folds (n p² + p³ + n p r)) for p columns (n where that is fewer) and r directions of the teacher. 10,000 rows of
    768 columns against 512 take 8 s of one CPU thread and 1 GB.

    Source: this project; ridge regression is Hoerl and Kennard's (1970), the closed form of a jackknife Jaeckel's (1972).

    Args:
        features: (n_samples, p), any array kind: what is predicted from, such as pixels or a student's features.
        teacher: (n_samples, q), the same samples in the same order.
        normalize: "l2" scales the teacher's rows to unit length before centring, as cosine sees them; None takes them as they
            are. Features are taken as they are.
        groups: (n_samples,), whole numbers or text, where rows depend on each other (crops of one photograph): a group is never
            in two folds, and counts as one in the interval.
        folds: into how many parts rows are split, from 2 to the number of rows (groups).
        seed: of the split.
        confidence: of the intervals, in (0, 1).

    Returns:
        A `PredictableRank`. Unchanged by shift, rotation and one scale of the features, by rotation and scale of the teacher, and
        with `normalize=None` by its shift. The order of rows decides the folds. Value, `explained` and `r_squared` are 0, with a
        warning, where neither a direction's R² nor that of all together is surely above 0 (97.5 %, corrected for their number).
        There is no interval then, nor below 300 rows (groups), where one of them holds a quarter of the variance or half of the
        squared error, or where a single direction is left. No gradient.

    Raises:
        ValueError: other numbers of rows, fewer than 10, features or a teacher whose rows are all equal, folds out of range, a
            seed below 0; else as `effective_rank`.

    Of two directions of one variance only the first follows the features:

    >>> x = [[-3.0], [-1.0], [1.0], [3.0]] * 15
    >>> found = predictable_rank(x, [[a, b] for (a,), b in zip(x, [1.0, -3.0, 3.0, -1.0] * 15)], normalize=None)
    >>> round(found.teacher_rank, 2), round(found.value, 2), round(found.explained, 2)
    (2.0, 1.0, 0.5)
    """
    check_confidence(confidence)
    check_normalize(normalize)
    require_same_order(features, teacher=teacher, groups=groups)
    x, y = (finite_matrix(z, name, torch.float64) for z, name in ((features, "features"), (teacher, "teacher")))
    check_pair(tuple(x.shape), tuple(y.shape), True, False, ("features", "teacher"))
    n = len(x)
    if n < FEWEST_ROWS:
        raise ValueError(f"`features` has {n} rows; predictable rank takes {FEWEST_ROWS} or more.")
    own = group_codes(groups, n, x.device)
    n_units = n if own is None else int(own.max()) + 1
    split = drawn_folds(n, _checked_folds(folds, n_units, own is not None), whole_from(0, seed, "seed"), own).to(
        x.device
    )
    x, _ = _varying(x, "features")
    y, unit = _varying(unit_rows(y) if normalize else y, "teacher")
    read = out_of_fold(compact(x), _principal_scores(y.to(x.device)), split)
    return _result(read, unit, own, normalize, confidence)


register(
    Measure(
        "predictable_rank", "predictable rank", REFERENCE, predictable_rank, (),
        formula="exp entropy of λ_i R²_i, R²_i of ridge regression out of fold along the teacher's principal directions",
        source="this project; ridge regression: Hoerl & Kennard 1970",
        question="How many of a teacher's dimensions can be predicted from these features?",
        cannot_tell="what a nonlinear map would predict; it is not symmetric, and fewer rows read lower",
        rows_needed="300 for an interval; several per column, and one n where numbers are compared",
        convention="teacher's rows of unit length, centred; features centred; R² cut at 0, 5 folds",
        unit="dimensions",
        baseline=None,
        better="higher",
        invariances=("rotation", "scale"),
        no_interval="yes, in its own result",
    )
)  # fmt: skip


def _checked_folds(folds: int, n_units: int, grouped: bool) -> int:
    number = whole_number(folds)
    if number is None or not 2 <= number <= n_units:
        units = "groups" if grouped else "rows"
        raise ValueError(f"`folds` must be a whole number from 2 to the number of {units}, {n_units:,}; got {folds!r}.")
    return number


def _varying(rows: Tensor, name: str) -> tuple[Tensor, float]:
    """Centred rows over their largest entry, and that entry. Raises ZeroVarianceError where all rows are equal but for rounding."""
    about = centred(rows)
    largest = float(about.abs().max())
    if largest <= 8 * torch.finfo(rows.dtype).eps * float(rows.abs().max()):
        raise ZeroVarianceError(f"`{name}` has zero variance: all rows are equal, so there is nothing to compare.")
    return about / largest, largest


def _principal_scores(teacher: Tensor) -> Tensor:
    """Places (n, r) of centred rows along their principal directions, leading first; without directions of rounding."""
    rows = compact(teacher)
    squares, directions = torch.linalg.eigh(rows.mT @ rows)
    kept = squares > squares[-1] * max(rows.shape) * torch.finfo(rows.dtype).eps
    return (rows @ directions[:, kept]).flip(1)


def _result(
    read: OutOfFold, unit: float, groups: Tensor | None, normalize: str | None, confidence: float
) -> PredictableRank:
    totals = read.targets.square().sum(0)
    variances = totals * (unit * unit / (len(read.targets) - 1))
    if not bool(torch.isfinite(variances).all()):
        raise too_large_error("teacher")
    predicted = read.gains.sum(0).clamp(min=0)
    rank = share = influence = explained_influence = None
    warnings: list[str] = []
    if _is_predictable(read, groups, confidence):
        value, explained = _rank(predicted), float(predicted.sum() / totals.sum())
        of_rank, of_share = _influences(read, predicted, groups)
        reason = _doubt(read, predicted, (of_rank, of_share), groups)
        if reason:
            warnings.append(f"no interval: {reason}")
        else:
            rank, share = _intervals(value, explained, (of_rank, of_share), confidence)
            influence, explained_influence = _array(of_rank), _array(of_share)
    else:
        predicted = torch.zeros_like(predicted)
        value = explained = 0.0
        warnings.append("nothing is predictable: no direction's R² is surely above 0")
    if read.largest_share > _ONE_SCALE:
        warnings.append(
            "one direction of `features` holds all but a millionth of their variance: what smaller ones predict can be lost, "
            "so standardise columns whose scales mean nothing"
        )
    low, high = rank or (None, None)
    explained_low, explained_high = share or (None, None)
    return PredictableRank(
        value, low, high, explained, explained_low, explained_high, _rank(totals), _array(predicted / totals),
        _array(variances), _array(read.penalties), len(read.targets), normalize, tuple(warnings),
        influence, explained_influence,
    )  # fmt: skip


def _rank(variances: Tensor) -> float:
    """Effective rank of variances, one or more above 0."""
    return float(entropy_of(variances / variances.sum()).exp())


def _array(values: Tensor) -> np.ndarray:
    return np.asarray(values.cpu().numpy())


def _by_unit(contributions: Tensor, groups: Tensor | None) -> Tensor:
    """Contributions of rows (n, ...) added up over each group; as they are without groups."""
    if groups is None:
        return contributions
    sums = contributions.new_zeros(int(groups.max()) + 1, *contributions.shape[1:])
    return sums.index_add_(0, groups, contributions)


def _is_predictable(read: OutOfFold, groups: Tensor | None, confidence: float) -> bool:
    """Whether some direction's R², or that of all together, is surely above 0, corrected for their number (Bonferroni)."""
    gains, squares = (torch.cat([z, z.sum(1, keepdim=True)], 1) for z in (read.gains, read.targets.square()))
    sums = gains.sum(0)
    # To first order R² = Σ gains / Σ squares moves by each row's gain beyond the share R² of its square.
    apart = _by_unit(gains - squares * (sums / squares.sum(0)), groups)
    surely = quantile(1 - (1 - confidence) / len(sums), len(apart) - 1)
    return bool((sums > surely * apart.std(0) * len(apart) ** 0.5).any())


Interval = tuple[float, float]


def _influences(read: OutOfFold, predicted: Tensor, groups: Tensor | None) -> tuple[Tensor, Tensor]:
    """What each row, or group, adds to the logarithm of the value and to what is explained."""
    squares, kept = read.targets.square().sum(1), predicted > 0
    shares = predicted / predicted.sum()
    entropy, explained = entropy_of(shares), float(predicted.sum() / squares.sum())
    # d entropy / d predicted_i; what is cut at 0 is held there.
    slopes = torch.where(kept, -(torch.where(kept, shares, 1).log() + entropy) / predicted.sum(), 0)
    of_rank, of_gains = read.contributions(torch.stack([slopes, kept.to(slopes)]))
    of_share = (of_gains - explained * squares) / squares.sum()
    of_rank, of_share = (_by_unit(z, groups) for z in (of_rank, of_share))
    # Their sum is the error; of mean zero and times their number, their mean is.
    return len(of_rank) * (of_rank - of_rank.mean()), len(of_share) * (of_share - of_share.mean())


def _intervals(
    value: float, explained: float, influences: tuple[Tensor, Tensor], confidence: float
) -> tuple[Interval, Interval]:
    """Intervals of the value, on the scale of the logarithm, and of what is explained."""
    n_units = len(influences[0])
    rank_error, share_error = (quantile(confidence, n_units - 1) * float(z.std()) / n_units**0.5 for z in influences)
    rank = value * math.exp(-rank_error), value * math.exp(rank_error)
    return rank, (max(0.0, explained - share_error), min(1.0, explained + share_error))


def _doubt(read: OutOfFold, predicted: Tensor, influences: tuple[Tensor, Tensor], groups: Tensor | None) -> str:
    """Why no interval is known to hold; empty where one is."""
    squares = _by_unit(read.targets.square().sum(1), groups)
    units = "rows" if groups is None else "groups"
    if len(squares) < FEWEST_FOR_INTERVAL:
        return f"{len(squares)} {units} are fewer than {FEWEST_FOR_INTERVAL}"
    if int((predicted > 0).sum()) == 1:
        return "only one direction is predictable, and its rank is 1 whatever the rows are"
    if squares.max() > _LARGEST_VARIANCE * squares.sum():
        return f"one of the {units} holds more than a quarter of the teacher's variance"
    if max(map(_largest_share, influences)) > _LARGEST_SHARE:
        return f"one of the {units} carries half of the squared error"
    return ""


def _largest_share(contributions: Tensor) -> float:
    """The largest share of the contributions' squared distances from their mean."""
    squares = (contributions - contributions.mean()).square()
    return float(squares.max() / squares.sum())
