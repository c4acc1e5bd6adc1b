"""Do two representations differ in a measure, and by how much? The same samples through both say most."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repgeom.data.arrays import check_normalize
from repgeom.data.kinds import Features, Groups, MeasureName
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings
from repgeom.inference.correction import (
    FINENESS,
    Corrected,
    corrected,
    counted_once,
    mean_variance,
    n_draws,
    rests_on_few_rows,
)
from repgeom.inference.differences import welch
from repgeom.inference.estimate import Estimate, shown
from repgeom.inference.intervals import check_confidence, p_value, quantile
from repgeom.inference.sample import Sample, opened, sample_of
from repgeom.measures.functionals import Array
from repgeom.measures.measure import estimable


@own_settings
@dataclasses.dataclass(frozen=True)
class Comparison(ShownInNotebook):
    """What `compare` returns.

    Attributes:
        measure: its name.
        first, second: the estimates of both, as `estimate` returns them.
        difference: second minus first, both corrected, in the measure's unit.
        low, high: two-sided interval for the difference; None where none is known to hold.
        p_value: of no difference, two-sided; None with the interval.
        ratio, ratio_low, ratio_high: second over first, with an interval on the scale of the logarithm.
        paired: whether rows were taken as the same samples.
        warnings: of either estimate.
        degrees: degrees of freedom of the difference's error; None with the interval.
    """

    measure: str
    first: Estimate
    second: Estimate
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    ratio: float
    ratio_low: float | None
    ratio_high: float | None
    paired: bool
    warnings: tuple[str, ...] = ()
    degrees: float | None = None


@own_settings
def compare(
    a: Features,
    b: Features,
    measure: MeasureName = "effective_rank",
    *,
    paired: bool = False,
    center: bool = True,
    normalize: str | None = None,
    groups: Groups = None,
    confidence: float = 0.95,
) -> Comparison:
    """The difference of a measure between two representations, with an interval and a test.

    Both are corrected for their number of samples (see `estimate`), so they may have different n and widths. Where row i
    of both is the same sample (two models, or one model clean and corrupted), `paired=True` subtracts the rows' influences
    one by one, and most of what the draw of samples adds cancels. Rows in another order lose that gain; where an index shows
    it they are refused. Test: Student's
    t on the difference.

    Args:
        a, b: features, as `estimate` takes them.
        measure, center, normalize, confidence: as `estimate`.
        paired: row i of `a` and row i of `b` are one sample.
        groups: as `estimate`; of both where paired, else a pair (groups of a, groups of b).

    Returns:
        A `Comparison`; differences are of `b` minus `a`.

    Raises:
        ValueError: as `estimate`; other numbers of rows where paired.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((2000, 20))
    >>> c = compare(x, x[:, :10], "effective_rank", paired=True)
    >>> round(c.difference), round(c.ratio, 2), c.p_value < 0.001
    (-10, 0.5, True)
    """
    check_confidence(confidence)
    check_normalize(normalize)
    wanted = estimable(measure).name
    if paired:
        require_same_order(a, "a", b=b, groups=groups)
    x, y = opened(a, "a"), opened(b, "b")
    if paired and x.n_samples != y.n_samples:
        raise ValueError(
            f"`a` has {x.n_samples:,} rows and `b` {y.n_samples:,}: row i of both must be one sample where `paired=True`."
        )
    if groups is None or paired:
        groups = (groups, groups)
    elif not isinstance(groups, (tuple, list)) or len(groups) != 2:
        raise ValueError("`groups` must be a pair (groups of a, groups of b) where `paired` is not set.")
    else:
        require_same_order(a, "a", **{"groups[0]": groups[0]})
        require_same_order(b, "b", **{"groups[1]": groups[1]})
    first = sample_of(x, [wanted], center=center, normalize=normalize, groups=groups[0])
    second = sample_of(y, [wanted], center=center, normalize=normalize, groups=groups[1])
    return comparison_of(first, second, wanted, paired, confidence)


def comparison_of(
    first: Sample, second: Sample, measure: str, paired: bool, confidence: float, names: tuple[str, str] = ("a", "b")
) -> Comparison:
    """From samples that were scored for `measure`, with the same rows where paired."""
    both = contributions_of(first, measure, confidence), contributions_of(second, measure, confidence)
    return compared(*both, measure, paired, confidence, names)


@dataclasses.dataclass(frozen=True)
class Contributions:
    """One measure of one set of features with what each row scored adds to it: all that a comparison reads.

    `groups` are those of the rows scored, from 0; None where all are independent. `n` counts all rows.
    """

    corrected: Corrected
    estimate: Estimate
    n: int
    groups: NDArray[np.integer[Any]] | None

    def compact(self) -> Contributions:
        """The same in little memory: influences are known to far less than float32 holds, and only intervals need them."""
        influence: Array = self.corrected.influence.astype(np.float32)
        if self.corrected.error is None:
            influence = influence[:0]
        kept = dataclasses.replace(self.corrected, influence=influence, groups=None)
        groups = self.groups
        if groups is not None and len(groups) < 1 << 31:
            groups = groups.astype(np.int32)
        return dataclasses.replace(self, corrected=kept, groups=groups)


def contributions_of(sample: Sample, measure: str, confidence: float) -> Contributions:
    """Of a sample that was scored for `measure`."""
    found = corrected(sample, measure)
    return Contributions(found, shown(found, sample, measure, confidence), sample.n, found.groups)


def compared(
    first: Contributions, second: Contributions, measure: str, paired: bool, confidence: float, names: tuple[str, str]
) -> Comparison:
    """The second minus the first, whose estimates were made with this confidence."""
    a, b = first.corrected, second.corrected
    estimates = first.estimate, second.estimate
    values = estimates[0].value, estimates[1].value
    warnings = tuple(f"{name}: {w}" for name, e in zip(names, estimates, strict=True) for w in e.warnings)
    low = high = p = ratio_low = ratio_high = found_degrees = None
    difference = values[1] - values[0]
    if a.error is not None and b.error is not None:
        # Errors are of logarithms, and d value = value · d ln value.
        error, degrees = _error(first, second, values, paired)
        why = rests_on_few_rows(degrees, _n_draws(first, second, paired))
        if why:
            warnings = (*warnings, f"no interval: {why}")
        else:
            # The grid of variances moves a value by a share of it.
            error = math.hypot(error, FINENESS * max(values))
            half = quantile(confidence, degrees) * error
            low, high, p = difference - half, difference + half, p_value(difference, error, degrees)
            found_degrees = float(degrees)
            # Without the values as scales it is the error of ln ratio.
            error, degrees = _error(first, second, (1.0, 1.0), paired)
            factor = math.exp(quantile(confidence, degrees) * error)
            ratio_low, ratio_high = values[1] / values[0] / factor, values[1] / values[0] * factor
    return Comparison(
        measure, estimates[0], estimates[1], difference, low, high, p, values[1] / values[0], ratio_low, ratio_high,
        paired, warnings, found_degrees,
    )  # fmt: skip


def _error(
    first: Contributions, second: Contributions, scale: tuple[float, float], paired: bool
) -> tuple[float, float]:
    """Standard error of the difference of both, each times its scale, and degrees of freedom."""
    a, b = first.corrected, second.corrected
    if paired:
        groups = _groups_of_both(first, second)
        influence, second_order = combined([(-scale[0], a), (scale[1], b)])
        variance, degrees = mean_variance(influence, second.n, groups)
        return paired_variance(variance, second_order) ** 0.5, degrees
    assert a.error is not None
    assert b.error is not None
    return welch(scale[0] * a.error, a.degrees, scale[1] * b.error, b.degrees)


def _groups_of_both(first: Contributions, second: Contributions) -> NDArray[np.integer[Any]] | None:
    """Return the groups of paired rows. They are the same samples, so the groups that one side knows hold for both."""
    return first.groups if second.groups is None else second.groups


def _n_draws(first: Contributions, second: Contributions, paired: bool) -> int:
    """How many independent draws of rows a difference is made of: those of the smaller side where not paired."""
    if paired:
        return n_draws(second.corrected.influence, _groups_of_both(first, second))
    return min(n_draws(c.corrected.influence, c.groups) for c in (first, second))


def combined(terms: Sequence[tuple[float, Corrected]]) -> tuple[Array, float]:
    """Add up scale · ln measure over measures of the same rows.

    Returns each row's influence on the sum, and the variance of what is of second order in the rows.
    """
    influence: Array = np.sum([scale * c.influence.astype(float) for scale, c in terms], axis=0)
    second_order = 0.0
    for i, (scale, one) in enumerate(terms):
        second_order += scale**2 * one.beyond
        for other_scale, other in terms[:i]:
            # Parts of second order are alike as the square of how much those of first order are.
            alike = min(1.0, _correlation(one.influence, other.influence) ** 2)
            second_order += 2 * alike * scale * other_scale * (one.beyond * other.beyond) ** 0.5
    return influence, max(0.0, second_order)


def paired_variance(variance: float, second_order: float) -> float:
    """Return the variance of a sum over the same rows, given that of its influence and its part of second order."""
    # Where the second order is overestimated, counting it once must not raise the variance.
    return min(variance, counted_once(variance, second_order))


def _correlation(a: Array, b: Array) -> float:
    a, b = a.astype(float), b.astype(float)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else 0.0
