"""What rules read of labels, a reference and corrupted features, and the sentences that say it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from repgeom.auditing.evidence import Evidence, LabelEvidence
from repgeom.auditing.purposes import CLASSIFY
from repgeom.auditing.readings import Interval, Reading, rank_with_margin
from repgeom.auditing.readings_of_order import has_structure, strangers
from repgeom.measures import rank
from repgeom.robustness.drift import ALL_ROWS_EQUAL

# A class has collapsed where its variance is less than this share of what its larger half of classes have.
COLLAPSED_CLASS = 0.1
SIMPLEX = 0.15  # mean error of the cosines of class means, below which they lie as a simplex; random ones of 20 features read 0.18
NOT_ALIKE = 0.1  # CKA, below which two have little in common
SHARED = 0.1  # of the way from chance to all neighbours, beyond which rows are of the same samples all the same


# The reference --------------------------------------------------------------------------------------------------------


def retained_rank(e: Evidence) -> float | None:
    """Effective rank over the reference's: of the populations where both are estimated, else of these rows."""
    if e.reference is None:
        return None
    if e.reference.retained is not None:
        return e.reference.retained.ratio
    # Too few rows for an estimate: this ratio is of the rows alone and has no interval.
    return float(rank.effective_rank(e.spectrum) / rank.effective_rank(e.reference.spectrum))


def retained_interval(e: Evidence) -> Interval:
    """The interval of that ratio."""
    if e.reference is None or e.reference.retained is None:
        return None
    comparison = e.reference.retained
    if comparison.ratio_low is None or comparison.ratio_high is None:
        return None
    return comparison.ratio_low, comparison.ratio_high


def retained_sentence(e: Evidence, value: float) -> str:
    """Say how much of the reference's effective rank is kept."""
    interval, words = retained_interval(e), ""
    if interval is not None:
        words = f" (95 % interval {interval[0]:.1%} to {interval[1]:.1%})"
    return f"keeps {value:.0%} of the reference's effective rank{words}"


def alike(e: Evidence) -> float | None:
    """Debiased linear CKA with the reference; None where neighbours are shared although the leading directions are not."""
    estimate = e.estimates.get("linear_cka")
    if estimate is None or estimate.value != estimate.value:
        return None
    # Of rows in another order that finding speaks.
    if e.reference is not None and e.reference.order.gained > 0.01:
        return None
    # CKA feels little but the leading directions, which one model's rogue columns may fill.
    if estimate.value < NOT_ALIKE and _shared_beyond_chance(e) > SHARED:
        return None
    return estimate.value


def _shared_beyond_chance(e: Evidence) -> float:
    """Mutual kNN from chance (0) to all (1); 0 where it is not known."""
    if e.reference is None or e.reference.shared_neighbours is None:
        return 0.0
    chance = e.neighbours / e.candidates
    return (e.reference.shared_neighbours.value - chance) / max(1e-9, 1 - chance)


def alike_sentence(e: Evidence, value: float) -> str:
    """Say how little both agree on; where it is no more than by chance, what that may mean."""
    assert e.reference is not None
    if e.reference.order.at_chance(value):
        return strangers(e)
    return f"features and reference have little in common (CKA {value:.3f})"


# Classes --------------------------------------------------------------------------------------------------------------


def notes_on_purpose(e: Evidence, purpose: str) -> tuple[str, ...]:
    """What the verdict for this purpose could not look at."""
    if purpose != CLASSIFY:
        return ()
    if e.labels is None:
        return ("Judged for classify without labels: whether the classes are told apart was not looked at.",)
    if len(e.labels.sizes) < 2:
        return ("All labels are one class, so whether classes are told apart could not be looked at.",)
    return ()


def rank_per_class(e: Evidence) -> float | None:
    """Effective rank over K − 1, which is what telling K classes apart needs."""
    if e.labels is None or e.population is None or len(e.labels.sizes) < 3:
        return None
    return rank_with_margin(e)[0] / (len(e.labels.sizes) - 1)


def rank_per_class_interval(e: Evidence) -> Interval:
    """The same at both ends of the interval or the margin."""
    if rank_per_class(e) is None:
        return None
    assert e.labels is not None
    _, low, high, _ = rank_with_margin(e)
    needed = len(e.labels.sizes) - 1
    return low / needed, high / needed


def rank_per_class_sentence(e: Evidence, value: float) -> str:
    """Say how many dimensions the classes need."""
    assert e.labels is not None
    return f"{len(e.labels.sizes):,} classes need {len(e.labels.sizes) - 1:,} dimensions, and {rank_with_margin(e)[0]:.3g} are in use"


def between_share(e: Evidence) -> float | None:
    """Share of the variance that lies between classes."""
    if e.labels is None or len(e.labels.sizes) < 2:
        return None
    return e.labels.sums.between_share()


def between_sentence(e: Evidence, value: float) -> str:
    """Say how little is left within classes, and whether their means lie as they do at the end of a training."""
    words = f"classes have collapsed to their means: {value:.1%} of the variance lies between classes, {1 - value:.1%} within"
    collapse = None if e.labels is None else e.labels.collapse
    if collapse is None or len(collapse.classes) < 3:
        return words
    if collapse.nc2_angles < SIMPLEX:
        return (
            f"{words}; the means lie as a simplex (NC2 {collapse.nc2_angles:.2f}), as late in a classifier's training"
        )
    return f"{words}; the means do not lie as a simplex (NC2 {collapse.nc2_angles:.2f}), so look for another cause than training"


def collapsed_classes(e: Evidence) -> float | None:
    """The share of classes whose variance has collapsed beside that of the others."""
    if e.labels is None or len(e.labels.sizes) < 3:
        return None
    # Beside the class of a corrupt row every other one looks collapsed.
    if any(one.what == "rows" for one in e.dominating):
        return None
    return float(_collapsed(e.labels).mean())


def _collapsed(labels: LabelEvidence) -> np.ndarray:
    """Which classes have collapsed: (C,). A class of one row has no variance, and has not collapsed."""
    variances = labels.variances
    known = np.sort(variances[~np.isnan(variances)])
    if not len(known):
        return np.zeros(len(variances), bool)
    # The median of the larger half: it stands while fewer than three in four classes have collapsed.
    typical = np.median(known[len(known) // 2 :])
    # NaN is not smaller than anything.
    return np.asarray(variances < COLLAPSED_CLASS * typical)


def collapsed_classes_sentence(e: Evidence, value: float) -> str:
    """Say how many classes have collapsed, and name the first five."""
    assert e.labels is not None
    collapsed = [str(name) for name in e.labels.ranks.labels[_collapsed(e.labels)]]
    names = ", ".join(collapsed[:5])
    if len(collapsed) > 5:
        names += ", ..."
    return (
        f"{len(collapsed)} of {len(e.labels.sizes)} classes have collapsed beside the others: less than "
        f"{COLLAPSED_CLASS:.0%} of their variance ({names})"
    )


def agreement(e: Evidence) -> float | None:
    """kNN accuracy from chance (0) to perfect (1)."""
    if e.labels is None or e.labels.votes is None:
        return None
    shares = e.labels.sizes / e.labels.sizes.sum()
    chance = float((shares**2).sum())
    if chance > 0.9:
        return None
    return (e.labels.votes.value - chance) / (1 - chance)


def agreement_interval(e: Evidence) -> Interval:
    """The same at both ends of the accuracy's interval."""
    if e.labels is None or e.labels.votes is None or agreement(e) is None:
        return None
    estimate = e.labels.votes.estimate(0.95, share_of_rows=True)
    if estimate.low is None or estimate.high is None:
        return None
    shares = e.labels.sizes / e.labels.sizes.sum()
    chance = float((shares**2).sum())
    return (estimate.low - chance) / (1 - chance), (estimate.high - chance) / (1 - chance)


def agreement_sentence(e: Evidence, value: float) -> str:
    """Say what neighbours know of the labels."""
    assert e.labels is not None
    assert e.labels.votes is not None
    words = f"{e.labels.votes.value:.1%} of the rows have the label that their nearest neighbours have"
    if value < 0.05:
        words += ": hardly better than guessing"
        if has_structure(e.spectrum):
            words += ", although the rows have a structure of their own; labels in another order?"
        return words
    return f"{words}; from guessing (0) to always (1) that is {value:.2f}"


# Corrupted features ---------------------------------------------------------------------------------------------------


def drift(measure: str) -> Reading:
    """A reading of one measure of drift."""

    def read(e: Evidence) -> float | None:
        if e.drift is None:
            return None
        return e.drift.readings[measure].value

    return read


def drift_interval(measure: str) -> Callable[[Evidence], Interval]:
    """A reading of the interval of one measure of drift."""

    def read(e: Evidence) -> Interval:
        if e.drift is None:
            return None
        interval = e.drift.readings[measure].interval(0.95)
        # NaN crosses no threshold: as an interval it would let every value pass.
        if math.isnan(interval[0]):
            return None
        return interval

    return read


def rank_under_corruption(e: Evidence) -> float | None:
    """The ratio of ranks; 0 where all corrupted rows are equal."""
    ratio = drift("effective_rank_ratio")(e)
    if e.drift is None or ratio is None or not math.isnan(ratio):
        return ratio
    # Rows that are all equal have no rank, and for a verdict that is the worst there is. A ratio that is missing for any
    # other reason says nothing.
    if e.drift.readings["effective_rank_ratio"].note == ALL_ROWS_EQUAL:
        return 0.0
    return None
