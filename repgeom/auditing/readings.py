"""What each rule of an audit reads, how sure that is, and the sentence that says it.

A reading is None where the rule does not apply: without labels, reference or corrupted features, or where the number would
say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from repgeom.auditing.evidence import Evidence
from repgeom.inference.estimate import Estimate
from repgeom.measures import rank
from repgeom.measures.steepness import numerical_rank
from repgeom.robustness.drift import ALL_ROWS_EQUAL
from repgeom.spectral.isotropic import isotropic_baseline

# Share of a class's own isotropic baseline below which it has collapsed: what collapsed students read (arXiv 2603.06698).
COLLAPSED_CLASS = 0.03

Reading = Callable[[Evidence], float | None]
Interval = tuple[float, float] | None


# The effective rank ---------------------------------------------------------------------------------------------------


def rank_share(e: Evidence) -> float | None:
    """Effective rank between 0 (a line) and 1 (isotropic): of the population, or of these rows where that is not sure."""
    sure = _sure_rank(e)
    if sure is not None:
        # One feature has rank 1 whatever it holds, so the share would be 0 / 0.
        if e.n_features == 1:
            return None
        # An isotropic population has rank n_features; no baseline of finite samples is needed.
        return (sure.value - 1) / (e.n_features - 1)
    # Isotropic features of as many rows are no measure for fewer independent ones.
    if e.independent is not None:
        return None
    baseline = rank.effective_rank(isotropic_baseline(e.spectrum))
    # Two rows or one column have a rank of one, whatever they are. The margin is for rounding.
    if baseline <= 1.001:
        return None
    return (rank.effective_rank(e.spectrum) - 1) / (baseline - 1)


def rank_share_interval(e: Evidence) -> Interval:
    """The interval of the effective rank, on the scale of the share."""
    sure = _sure_rank(e)
    if sure is None or sure.low is None or sure.high is None or e.n_features == 1:
        return None
    return (sure.low - 1) / (e.n_features - 1), (sure.high - 1) / (e.n_features - 1)


def rank_sentence(e: Evidence, value: float) -> str:
    """Say how many dimensions the features use, with the interval or with what isotropic features would read."""
    sure = _sure_rank(e)
    if sure is not None:
        return (
            f"uses {sure.value:.4g} dimensions of {e.n_features} (95 % interval {sure.low:.4g} to {sure.high:.4g}; share "
            f"{value:.3f})"
        )
    of_rows = rank.effective_rank(e.spectrum)
    baseline = rank.effective_rank(isotropic_baseline(e.spectrum))
    return (
        f"uses {of_rows:.1f} dimensions of {e.n_features}; isotropic features of this size would read {baseline:.1f} "
        f"(share {value:.3f})"
    )


def _sure_rank(e: Evidence) -> Estimate | None:
    """The effective rank of the population where its interval is known."""
    estimate = e.estimates.get("effective_rank")
    if estimate is None or estimate.low is None:
        return None
    return estimate


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


# Classes --------------------------------------------------------------------------------------------------------------


def collapsed_classes(e: Evidence) -> float | None:
    """The share of classes that have collapsed."""
    if e.labels is None:
        return None
    # A class of one row has no rank; its NaN counts as not collapsed.
    return float((e.labels.ranks.share < COLLAPSED_CLASS).mean())


def collapsed_classes_sentence(e: Evidence, value: float) -> str:
    """Say how many classes have collapsed, and name the first five."""
    assert e.labels is not None
    ranks = e.labels.ranks
    collapsed = [str(label) for label, share in zip(ranks.labels, ranks.share, strict=True) if share < COLLAPSED_CLASS]
    names = ""
    if collapsed:
        names = ": " + ", ".join(collapsed[:5])
    if len(collapsed) > 5:
        names += ", ..."
    return f"{len(collapsed)} of {len(ranks.labels)} classes have collapsed for their own number of rows{names}"


# The spectrum and its size --------------------------------------------------------------------------------------------


def samples_per_feature(e: Evidence) -> float:
    """Independent samples, less the one that the mean takes, over features."""
    return ((e.independent or e.n_samples) - 1) / e.n_features


def samples_per_feature_sentence(e: Evidence, value: float) -> str:
    """Say that the samples are few, and how low even isotropic features would read."""
    if e.independent is not None:
        return (
            f"too few independent samples for this width: {e.n_samples:,} rows count as {e.independent:,.0f} for "
            f"{e.n_features:,} features, as rows of a group are alike"
        )
    baseline = rank.effective_rank(isotropic_baseline(e.spectrum))
    return (
        f"too few samples for this width: {e.n_samples:,} rows for {e.n_features:,} features. Even isotropic features "
        f"would read {baseline:.0f} of {e.n_features:,}, so ranks of these rows read low, and corrected ones rest on a model"
    )


def leading_excess(e: Evidence) -> float | None:
    """How far the leading direction's share lies above what isotropic features show (0) towards all of it (1)."""
    # The stable rank is the total variance over the leading one, so its inverse is the leading direction's share.
    isotropic = 1 / rank.stable_rank(isotropic_baseline(e.spectrum))
    # So few rows or columns that isotropic features are nearly one direction as well.
    if isotropic > 0.9:
        return None
    return (1 / rank.stable_rank(e.spectrum) - isotropic) / (1 - isotropic)


def leading_sentence(e: Evidence, value: float) -> str:
    """Say how much of the variance the leading direction holds."""
    share, isotropic = (1 / rank.stable_rank(s) for s in (e.spectrum, isotropic_baseline(e.spectrum)))
    return (
        f"the leading direction holds {share:.0%} of the variance; in isotropic features of this size it holds "
        f"{isotropic:.0%}"
    )


def share_of_directions(e: Evidence) -> float:
    """Directions that vary by more than rounding, over those that could."""
    return numerical_rank(e.spectrum) / e.size.most


# Rows that spoil a measure --------------------------------------------------------------------------------------------


def share_nonfinite(e: Evidence) -> float:
    """The share of all rows that hold NaN or infinity; `n_samples` counts only those that were kept."""
    return e.health.nonfinite_rows / (e.health.n_samples + e.health.nonfinite_rows)


def share_of_rows(count: str) -> Reading:
    """A reading of one of the counts of `Health`, over the number of rows."""
    return lambda e: getattr(e.health, count) / e.health.n_samples


def count_sentence(count: str, words: str) -> Callable[[Evidence, float], str]:
    """A sentence that gives the count, the number of rows and the share, and ends with these words."""
    return lambda e, value: f"{getattr(e.health, count):,} of {e.health.n_samples:,} rows ({value:.2%}) {words}"


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
