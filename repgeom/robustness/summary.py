"""One number for a whole robustness table: mean accuracy, area under the severity curve, mean corruption error."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.corruptions.registry import names
from repgeom.data.settings import own_settings
from repgeom.robustness.conditions import CLEAN

if TYPE_CHECKING:
    import pandas as pd

# AlexNet's error on ImageNet-C, mean over the five severities, and on the clean validation set: what published mCE
# divides by (Hendrycks & Dietterich 2019).
ALEXNET_IMAGENET_C: dict[str, float] = {
    "gaussian_noise": 0.886428, "shot_noise": 0.894468, "impulse_noise": 0.922640, "defocus_blur": 0.819880,
    "glass_blur": 0.826268, "motion_blur": 0.785948, "zoom_blur": 0.798360, "snow": 0.866816, "frost": 0.826572,
    "fog": 0.819324, "brightness": 0.564592, "contrast": 0.853204, "elastic_transform": 0.646056,
    "pixelate": 0.717840, "jpeg_compression": 0.606500, CLEAN: 0.4348,
}  # fmt: skip


@own_settings
@dataclasses.dataclass(frozen=True)
class CorruptionError:
    """Mean corruption error against a reference model; 1 is as good as the reference (papers print 100).

    Attributes:
        mce: mean over corruptions of Σ error / Σ reference error, both over severities.
        relative_mce: mean over corruptions of (mean error − clean error) / the same of the reference.
        n_corruptions: 15 for the published mCE, 19 with the extra ones.
        per_corruption: {corruption: (corruption error, relative corruption error)}.
    """

    mce: float
    relative_mce: float
    n_corruptions: int
    per_corruption: dict[str, tuple[float, float]]


@own_settings
def mean_corruption_accuracy(table: pd.DataFrame, *, measure: str = "accuracy", extra: bool = False) -> float:
    """Mean over corruptions of the mean over severities: what is reported where no reference model exists (CIFAR-10-C).

    Args:
        table: as `corruption_robustness` returns it.
        measure: "accuracy", "knn_accuracy" or any other of the table.
        extra: take all 19 corruptions, not just the 15 of mCE. Corruptions that are not in the table are left out.

    Raises:
        ValueError: the table has no such measure, or none of these corruptions; a value is NaN.

    >>> import pandas as pd
    >>> rows = [("fog", 1, "accuracy", 0.8), ("fog", 2, "accuracy", 0.6), ("snow", 1, "accuracy", 0.5)]
    >>> mean_corruption_accuracy(pd.DataFrame(rows, columns=["corruption", "severity", "measure", "value"]))
    0.6
    """
    values = _values(table, measure)
    chosen = _chosen(values, extra)
    return float(np.mean([_mean(values[name], measure, name) for name in chosen]))


@own_settings
def severity_auc(table: pd.DataFrame, *, measure: str = "accuracy") -> dict[str, float]:
    """Area under each corruption's curve over severity, from the clean value at 0, divided by the largest severity.

    Trapezoids between the severities that were measured. For an accuracy: 1 is perfect at every severity.

    Args:
        table: as `corruption_robustness` returns it.
        measure: one that the table has for the clean images too, such as "accuracy", "knn_accuracy", "effective_rank".

    Returns:
        {corruption: area}.

    Raises:
        ValueError: the table has no such measure, or no clean value of it; a value is NaN.

    >>> import pandas as pd
    >>> rows = [("clean", 0, "accuracy", 1.0), ("fog", 2, "accuracy", 0.8), ("fog", 4, "accuracy", 0.4)]
    >>> found = severity_auc(pd.DataFrame(rows, columns=["corruption", "severity", "measure", "value"]))
    >>> round(found["fog"], 6)
    0.75
    """
    values = _values(table, measure)
    start = _clean(values, measure)
    areas = {}
    for name, curve in values.items():
        if name != CLEAN:
            severities = sorted(curve)
            heights = [start, *(_known(curve[s], measure, name, s) for s in severities)]
            areas[name] = float(np.trapezoid(heights, [0, *severities]) / severities[-1])
    if not areas:
        raise ValueError(f"the table has {measure} of clean images only.")
    return areas


@own_settings
def mean_corruption_error(
    table: pd.DataFrame,
    reference: Mapping[str, float] | pd.DataFrame,
    *,
    measure: str = "accuracy",
    extra: bool = False,
) -> CorruptionError:
    """mCE and relative mCE (Hendrycks & Dietterich 2019) against a reference model that must be named.

    Args:
        table: as `corruption_robustness` returns it, with severities 1 to 5 of all 15 corruptions.
        reference: {corruption: mean error over severities 1 to 5, "clean": clean error}, such as `ALEXNET_IMAGENET_C` for
            ImageNet-C, or another model's table of the same kind. There is none for CIFAR: see `mean_corruption_accuracy`.
        measure: "accuracy" or "knn_accuracy".
        extra: average all 19 corruptions; the result is then not the published mCE.

    Raises:
        ValueError: a corruption or severity is missing in either; procedural frost, which is not ImageNet-C's.

    >>> import pandas as pd
    >>> rows = [("clean", 0, "accuracy", 0.9)] + [(c, s, "accuracy", 0.5) for c in names() for s in range(1, 6)]
    >>> table = pd.DataFrame(rows, columns=["corruption", "severity", "measure", "value"])
    >>> found = mean_corruption_error(table, table)
    >>> found.mce, found.relative_mce, found.n_corruptions
    (1.0, 1.0, 15)
    """
    mine = _errors(table, measure, extra)
    theirs = _errors(reference, measure, extra) if hasattr(reference, "columns") else dict(reference)
    _check_divisors(theirs, mine)
    # Both are means over the same five severities, so their quotient is that of the sums that define mCE.
    per = {
        name: (error / theirs[name], (error - mine[CLEAN]) / (theirs[name] - theirs[CLEAN]))
        for name, error in mine.items()
        if name != CLEAN
    }
    mce, relative = (float(np.mean([pair[i] for pair in per.values()])) for i in (0, 1))
    return CorruptionError(mce, relative, len(per), per)


def _check_divisors(errors: Mapping[str, float], needed: Mapping[str, float]) -> None:
    """Raises ValueError where a reference's errors are missing, no shares, or nothing to divide by."""
    missing = [name for name in needed if name not in errors]
    if missing:
        raise ValueError(f"`reference` has no error for {', '.join(missing)}.")
    for name in needed:
        if not 0 <= errors[name] <= 1:
            raise ValueError(f"`reference` has an error of {errors[name]!r} for {name}; errors are shares in [0, 1].")
        if name != CLEAN and errors[name] in (0, errors[CLEAN]):
            raise ValueError(
                f"`reference` has an error of {errors[name]:g} for {name} and {errors[CLEAN]:g} for clean: mCE divides by it "
                "and by the difference, so neither may be 0."
            )


def _errors(table: Any, measure: str, extra: bool) -> dict[str, float]:
    """Mean error over severities 1 to 5 of each corruption, and the clean one."""
    if "accuracy" not in measure or measure.endswith("_drop"):
        raise ValueError(f'mCE is of an accuracy, such as "accuracy" or "knn_accuracy", not of {measure!r}.')
    values = _values(table, measure)
    errors = {CLEAN: 1 - _clean(values, measure)}
    for name, kind in names().items():
        if kind == "extra" and not extra:
            continue
        if name == "frost" and "frost_procedural" in values and "frost" not in values:
            raise ValueError(
                "the table's frost is procedural, which is not ImageNet-C's: give `frost_images` for mCE, or use "
                "`mean_corruption_accuracy`."
            )
        if set(values.get(name, {})) != {1.0, 2.0, 3.0, 4.0, 5.0}:
            seen = sorted(values.get(name, {}))
            raise ValueError(f"mCE needs severities 1 to 5 of {name}; the table has {seen or 'none'}.")
        errors[name] = 1 - _mean(values[name], measure, name)
    outside = [name for name, error in errors.items() if not 0 <= error <= 1]
    if outside:
        raise ValueError(f"the table's {measure} of {outside[0]} is not a share in [0, 1]; divide percentages by 100.")
    return errors


def _values(table: Any, measure: str) -> dict[str, dict[float, float]]:
    """{corruption: {severity: value}} of one measure. Raises ValueError for a value that is there twice."""
    rows = table[table["measure"] == measure]
    if not len(rows):
        raise ValueError(f"the table has no measure {measure!r}; it has {', '.join(sorted(set(table['measure'])))}.")
    found: dict[str, dict[float, float]] = {}
    for name, severity, value in zip(rows["corruption"], rows["severity"], rows["value"], strict=True):
        curve = found.setdefault(name, {})
        if float(severity) in curve:
            raise ValueError(f"the table has {measure} of {name} at severity {severity:g} twice: are two runs in it?")
        curve[float(severity)] = float(value)
    return found


def _mean(curve: Mapping[float, float], measure: str, name: str) -> float:
    return float(np.mean([_known(value, measure, name, severity) for severity, value in curve.items()]))


def _known(value: float, measure: str, name: str, severity: float) -> float:
    if np.isnan(value):
        raise ValueError(f"{measure} of {name} at severity {severity:g} is NaN, so there is no mean.")
    return value


def _clean(values: dict[str, dict[float, float]], measure: str) -> float:
    if CLEAN not in values:
        raise ValueError(f"the table has no clean {measure} to start from.")
    return _known(next(iter(values[CLEAN].values())), measure, CLEAN, 0)


def _chosen(values: dict[str, dict[float, float]], extra: bool) -> list[str]:
    kinds = names() | {"frost_procedural": "mCE"}
    chosen = [name for name in values if name in kinds and (extra or kinds[name] == "mCE")]
    if not chosen:
        raise ValueError("the table has none of these corruptions.")
    return chosen
