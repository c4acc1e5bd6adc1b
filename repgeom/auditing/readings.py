"""What rules read of the features alone, and the sentences that say it.

A reading is None where the rule does not apply, or where the number would say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from repgeom.auditing.evidence import Evidence
from repgeom.auditing.finding import NONE, Numbered
from repgeom.inference.correction import FEWEST_FOR_INTERVAL
from repgeom.inference.population import Population
from repgeom.measures import rank
from repgeom.reading.first_places import SHOWN
from repgeom.spectral.isotropic import isotropic_baseline

# Variance of a direction over the mean variance, below which it has faded: a twentieth of a typical spread.
FADED = 2e-3
# Rows over features that give a corrected rank no interval but are still enough for a verdict, with these margins of it.
_MARGINS = ((1.0, 0.1), (0.5, 0.2), (0.0, 0.35))
NO_INTERVAL = "no interval: "  # how the warning of an estimate begins that says why
MOST_TRANSPOSED = 4096  # features that a representation has, at most: more rows than that are no transposed columns
_TOO_FEW = 0.5  # of the rows: an effective rank beyond that, from few rows, is mostly the model's

Reading = Callable[[Evidence], float | None]
Interval = tuple[float, float] | None


# How many dimensions are in use ---------------------------------------------------------------------------------------


def summary(e: Evidence) -> str:
    """Say how many dimensions are in use: the sentence that a user came for."""
    if e.population is None:
        return (
            f"reads {rank.effective_rank(e.spectrum):.4g} of {e.n_features:,} dimensions in these {e.n_samples:,} rows"
        )
    estimate = e.estimates["effective_rank"]
    value, low, high, margin = rank_with_margin(e)
    if _undecided(e):
        return (
            f"too few rows to say how many of {e.n_features:,} dimensions are in use: {e.n_samples:,} rows, of which an "
            f"isotropic cloud would show {rank.effective_rank(isotropic_baseline(e.spectrum)):.4g}; about {value:.4g} by a model"
        )
    if estimate.low is not None:
        return f"uses about {value:.4g} of {e.n_features:,} dimensions (95 %: {low:.4g} to {high:.4g})"
    return (
        f"uses about {value:.4g} of {e.n_features:,} dimensions (no 95 % interval: {_no_interval(e)}; the verdict "
        f"allows for {margin:.0%} either way)"
    )


def _no_interval(e: Evidence) -> str:
    """Say in a few words why the effective rank has no interval."""
    if e.n_samples < FEWEST_FOR_INTERVAL:
        return f"only {e.n_samples:,} rows, and it needs {FEWEST_FOR_INTERVAL}"
    said = next((w for w in e.estimates["effective_rank"].warnings if w.startswith(NO_INTERVAL)), NO_INTERVAL)
    return said.removeprefix(NO_INTERVAL).split("; ")[0] or "none is known to hold"


def warning_in_summary(e: Evidence) -> str:
    """The warning that the summary quotes in full, which no note need repeat; empty where it quotes none."""
    if e.n_samples < FEWEST_FOR_INTERVAL or _undecided(e):
        return ""
    return NO_INTERVAL + _no_interval(e)


def notes_on_shape(e: Evidence) -> tuple[str, ...]:
    """Ask whether a file is transposed, where rows are far fewer than columns."""
    if e.n_samples > MOST_TRANSPOSED or 4 * e.n_samples >= e.n_features:
        return ()
    return (
        f"{e.n_samples:,} rows are few beside {e.n_features:,} columns: is the file transposed? Rows are samples, columns are "
        "features; if it is, audit `x.T`.",
    )


def rank_with_margin(e: Evidence) -> tuple[float, float, float, float]:
    """The effective rank of the population with its interval, or with a margin where none is known; and the margin's share."""
    estimate = e.estimates["effective_rank"]
    if estimate.low is not None and estimate.high is not None:
        return estimate.value, estimate.low, estimate.high, 0.0
    independent = e.independent or e.n_samples
    margin = next(share for rows, share in _MARGINS if independent >= rows * e.n_features)
    low, high = max(1.0, estimate.value * (1 - margin)), min(float(e.n_features), estimate.value * (1 + margin))
    return estimate.value, low, high, margin


def _undecided(e: Evidence) -> bool:
    """Whether the rows are too few: fewer than a quarter of the features, with a rank that most of them would be needed for."""
    independent = e.independent or e.n_samples
    value = e.estimates["effective_rank"].value
    return independent < 8 or (independent < 0.25 * e.n_features and value > _TOO_FEW * independent)


def rank_share(e: Evidence) -> float | None:
    """The share of dimensions in use, between 0 (a line) and 1 (isotropic): geometric mean of two effective ranks' shares.

    That of variances says what dominates, that of singular values how far the tail reaches. A pretrained image network with
    73 of 1,280 by the first has 796 by the second; a collapsed one is low in both. A few dominating columns or rows are left
    out, and named instead.
    """
    if e.n_features == 1 or e.population is None or _undecided(e):
        return None
    return _share_of(e, 1.0)


def rank_share_interval(e: Evidence) -> Interval:
    """The share at both ends of the effective rank's interval, or of the margin where none is known."""
    if e.n_features == 1 or e.population is None or _undecided(e):
        return None
    value, low, high, _ = rank_with_margin(e)
    return _share_of(e, low / value), _share_of(e, high / value)


def _share_of(e: Evidence, factor: float) -> float:
    """The share of dimensions in use where the effective rank is `factor` times its value."""
    if e.dominating:
        by_variance, by_spread, d = max((*one.effective_ranks, one.n_features) for one in e.dominating)
    else:
        by_variance = e.estimates["effective_rank"].value
        # Where the smallest singular values are rounding, a typical tail stands in for them.
        by_spread, d = (by_variance * e.n_features) ** 0.5, e.n_features
        if "effective_rank_sigma" in e.estimates:
            by_spread = e.estimates["effective_rank_sigma"].value
    shares = [min(1.0, max(0.0, value - 1) / max(1, d - 1)) for value in (by_variance * factor, by_spread)]
    return math.sqrt(shares[0] * shares[1])


def rank_sentence(e: Evidence, value: float) -> str:
    """Say how small the share is, and by what."""
    words = f"only {100 * value:.2g} % of its dimensions are in use (0 %: a line; 100 %: all directions alike)"
    if "effective_rank_sigma" in e.estimates:
        words += (
            f": effective rank {e.estimates['effective_rank'].value:.4g} "
            f"(σ: {e.estimates['effective_rank_sigma'].value:.4g}) of {e.n_features:,}"
        )
    return words + without_dominating(e)


def without_dominating(e: Evidence) -> str:
    """Say what the effective rank is without the columns or rows that dominate; empty where none does."""
    found = ""
    for one in e.dominating:
        found += f"; without {one.named}: {one.effective_ranks[0]:.4g} of {one.n_features:,}"
    return found


def live_directions(e: Evidence) -> float | None:
    """The share of directions with at least a five-hundredth of the mean variance, where a few columns do not dominate it."""
    if e.population is None or e.n_features < 4 or _undecided(e):
        return None
    rows = [one for one in e.dominating if one.what == "rows"]
    columns = [one for one in e.dominating if one.what == "columns"]
    behind: Population = e.population.fit.corrected
    d = e.n_features
    if columns or rows:
        chosen = (columns or rows)[0]
        behind, d = chosen.behind, chosen.n_features
    mean = float(behind.counts @ behind.variances) / d
    return float(behind.counts[behind.variances >= FADED * mean].sum()) / d


def live_sentence(e: Evidence, value: float) -> str:
    """Say how many directions have faded."""
    return (
        f"about {(1 - value) * e.n_features:,.0f} of {e.n_features:,} directions have faded: each holds less than a five-hundredth "
        "of the mean variance"
    )


def leading_excess(e: Evidence) -> float | None:
    """How far the leading direction's share lies above what isotropic features show (0) towards all of it (1).

    None where a few columns or rows make it: those are named.
    """
    if e.dominating:
        return None
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


def dominating_row(e: Evidence) -> float | None:
    """The largest share of the variance that a few rows hold."""
    shares = [one.share for one in e.dominating if one.what == "rows"]
    return max(shares, default=0.0)


def dominating_sentence(e: Evidence, value: float) -> str:
    """Name the rows, and say what is left without them."""
    rows = [one for one in e.dominating if one.what == "rows"]
    if not rows:
        return "no few rows hold much of the variance"
    named = ", ".join(one.named for one in rows)
    hold = "holds" if len(rows[0].numbers) == 1 else "hold"
    return f"{named} of {e.n_samples:,} {hold} {value:.0%} of the variance{without_dominating(e)}"


def n_independent(e: Evidence) -> float:
    """How many independent rows there are."""
    return e.independent or float(e.n_samples)


def few_rows_sentence(e: Evidence, value: float) -> str:
    """Say that so few rows show next to nothing."""
    return f"{value:.3g} independent rows show next to nothing of what they were drawn from"


# A point, or a cone ---------------------------------------------------------------------------------------------------


def spread_over_mean(e: Evidence) -> float | None:
    """The rows' spread over the length of their mean, √(tr Σ) / ‖μ‖; None where the mean is zero."""
    mean = np.asarray(e.spectrum.mean, float)
    scale = float(np.abs(mean).max())
    if scale == 0 or e.spectrum.normalize:
        return None
    length = scale * float(np.linalg.norm(mean / scale))
    sigma = np.asarray(e.spectrum.singular_values, float)
    return float(np.linalg.norm(sigma / sigma[0]) * sigma[0] / max(1, e.n_samples - 1) ** 0.5 / length)


def noise_at_a_point(e: Evidence) -> float | None:
    """The same where the rows have no structure: an isotropic cloud about a mean is a point with noise."""
    estimate = e.estimates.get("effective_rank")
    if estimate is None or e.n_features < 8 or estimate.value < 0.9 * e.n_features or _undecided(e):
        return None
    return spread_over_mean(e)


def point_sentence(e: Evidence, value: float) -> str:
    """Say how small the spread is."""
    return f"all rows lie at one point: their spread about the mean is {value:.2g} of its length"


def noise_sentence(e: Evidence, value: float) -> str:
    """Say that what is left about the mean has no structure."""
    return f"all rows lie at one point with noise of {value:.2g} of its length, alike in all directions"


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


def repeated_rows(e: Evidence) -> float | None:
    """The share of rows that repeat an earlier one; None where values are whole numbers, of which rows may just be alike."""
    values = e.sample[:512]
    if bool((values == values.round()).all()):
        return None
    return e.health.duplicate_rows / e.health.n_samples


# Which rows and columns -----------------------------------------------------------------------------------------------


def rows_counted(name: str) -> Callable[[Evidence], Numbered]:
    """The rows that one of the counts of `Health` is of."""
    return lambda e: e.rows.get(name, NONE)


def columns_counted(name: str) -> Callable[[Evidence], Numbered]:
    """The columns that one of the counts is of."""
    return lambda e: e.columns.get(name, NONE)


def dominating_numbers(what: str) -> Callable[[Evidence], Numbered]:
    """The few rows, or columns, that hold much of the variance."""

    def found(e: Evidence) -> Numbered:
        numbers = [number for one in e.dominating if one.what == what for number in one.numbers]
        return Numbered(tuple(numbers[:SHOWN]), len(numbers))

    return found


# A column that is no feature ------------------------------------------------------------------------------------------


def index_columns(e: Evidence) -> float:
    """How many columns count the rows."""
    return float(e.columns.get("index_columns", NONE).count)


def index_sentence(e: Evidence, value: float) -> str:
    """Name the columns."""
    columns = e.columns["index_columns"]
    named = ", ".join(str(number) for number in columns.first)
    if columns.count == 1:
        return f"column {named} counts rows: an index?"
    return f"{columns.count:,} columns count rows: an index? (columns {named})"
