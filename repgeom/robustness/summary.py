"""One number for a whole robustness table: mean accuracy, area under the severity curve, mean corruption error."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.corruptions.registry import names
from repgeom.data.notebook import ShownInNotebook
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
PUBLISHED_SEVERITIES = (1.0, 2.0, 3.0, 4.0, 5.0)
Errors = dict[str, float]


@own_settings
@dataclasses.dataclass(frozen=True)
class CorruptionError(ShownInNotebook):
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
def mean_corruption_accuracy(
    table: pd.DataFrame, *, measure: str = "accuracy", extra: bool = False, corruptions: Sequence[str] | None = None
) -> float:
    """Mean over corruptions of the mean over severities: what is reported where no reference model exists (CIFAR-10-C).

    Args:
        table: as `corruption_robustness` or `feature_robustness` returns it.
        measure: "accuracy", "knn_accuracy" or any other of the table.
        extra: take all 19 corruptions, not just the 15 of mCE. Corruptions that are not in the table are left out.
        corruptions: names in the table to average in place of these: typing errors of a text, say. Each must be there.

    Raises:
        ValueError: the table has no such measure, or none of these corruptions; a value is NaN.

    >>> import pandas as pd
    >>> rows = [("fog", 1, "accuracy", 0.8), ("fog", 2, "accuracy", 0.6), ("snow", 1, "accuracy", 0.5)]
    >>> mean_corruption_accuracy(pd.DataFrame(rows, columns=["corruption", "severity", "measure", "value"]))
    0.6
    """
    values = _values(table, measure)
    if corruptions is None:
        chosen = _chosen(values, extra)
    else:
        chosen = _named(values, corruptions)
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
    from scipy.integrate import trapezoid  # NumPy has it by this name from 2.0 on

    values = _values(table, measure)
    start = _clean(values, measure)
    areas = {}
    for name, curve in values.items():
        if name != CLEAN:
            severities = sorted(curve)
            heights = [start, *(_known(curve[s], measure, name, s) for s in severities)]
            areas[name] = float(trapezoid(heights, [0, *severities]) / severities[-1])
    if not areas:
        raise ValueError(f"the table has {measure} of clean images only.")
    return areas


@own_settings
def mean_corruption_error(
    table: pd.DataFrame | Mapping[str, Any],
    reference: pd.DataFrame | Mapping[str, Any],
    *,
    measure: str = "accuracy",
    extra: bool = False,
    corruptions: Sequence[str] | None = None,
) -> CorruptionError:
    """mCE and relative mCE (Hendrycks & Dietterich 2019) against a reference model that must be named.

    Args:
        table: as `corruption_robustness` returns it, with severities 1 to 5 of all 15 corruptions; or, where only a
            classifier's errors are at hand, {corruption: its five errors, "clean": clean error}, shares in [0, 1].
        reference: {corruption: mean error over severities 1 to 5, "clean": clean error}, such as `ALEXNET_IMAGENET_C` for
            ImageNet-C, or another model's table of the same kind. There is none for CIFAR: see `mean_corruption_accuracy`.
        measure: "accuracy" or "knn_accuracy".
        extra: average all 19 corruptions; the result is then not the published mCE.
        corruptions: names to average in place of these, at whatever severities both tables have; not the published mCE.

    Raises:
        ValueError: a corruption or severity is missing in either; procedural frost, which is not ImageNet-C's; errors that
            are no shares.

    >>> import pandas as pd
    >>> rows = [("clean", 0, "accuracy", 0.9)] + [(c, s, "accuracy", 0.5) for c in names() for s in range(1, 6)]
    >>> table = pd.DataFrame(rows, columns=["corruption", "severity", "measure", "value"])
    >>> found = mean_corruption_error(table, table)
    >>> found.mce, found.relative_mce, found.n_corruptions
    (1.0, 1.0, 15)
    """
    chosen = _names_of_mce(extra)
    needed: Collection[float] | None = PUBLISHED_SEVERITIES
    if corruptions is not None:
        chosen, needed = list(dict.fromkeys(corruptions)), None
    if not chosen:
        raise ValueError("`corruptions` is empty; give names, or None for the 15 of mCE.")
    mine = _errors(table, "table", measure, chosen, needed)
    theirs = _errors(reference, "reference", measure, chosen, needed)
    if needed is None:
        _check_same_severities(table, reference, measure, chosen)
    _check_divisors(theirs, mine)
    # Both are means over the same five severities, so their quotient is that of the sums that define mCE.
    per = {
        name: (error / theirs[name], (error - mine[CLEAN]) / (theirs[name] - theirs[CLEAN]))
        for name, error in mine.items()
        if name != CLEAN
    }
    mce, relative = (float(np.mean([pair[i] for pair in per.values()])) for i in (0, 1))
    return CorruptionError(mce, relative, len(per), per)


def _names_of_mce(extra: bool) -> list[str]:
    return [name for name, kind in names().items() if extra or kind == "mCE"]


def _check_divisors(errors: Mapping[str, float], needed: Mapping[str, float]) -> None:
    """Raise ValueError where a reference's errors are nothing to divide by."""
    for name in needed:
        if name != CLEAN and errors[name] in (0, errors[CLEAN]):
            raise ValueError(
                f"`reference` has an error of {errors[name]:g} for {name} and {errors[CLEAN]:g} for clean: mCE divides by it "
                "and by the difference, so neither may be 0."
            )


def _check_same_severities(table: Any, reference: Any, measure: str, chosen: Sequence[str]) -> None:
    """Raise ValueError where two tables have other severities of a corruption: their means are then of other things."""
    if isinstance(table, Mapping) or isinstance(reference, Mapping):
        return
    mine, theirs = _values(table, measure), _values(reference, measure)
    for name in chosen:
        if set(mine[name]) != set(theirs[name]):
            raise ValueError(
                f"the table has severities {sorted(mine[name])} of {name}, the reference {sorted(theirs[name])}; both need the same."
            )


def _errors(given: Any, argument: str, measure: str, chosen: Sequence[str], needed: Collection[float] | None) -> Errors:
    """Return the mean error over severities of each chosen corruption, and the clean one, all shares in [0, 1].

    `given` is a table or a mapping, and `argument` its name. A table must have the severities `needed`, where they are given.
    """
    if isinstance(given, Mapping):
        return _listed_errors(given, argument, chosen, needed)
    if "accuracy" not in measure or measure.endswith("_drop"):
        raise ValueError(f'mCE is of an accuracy, such as "accuracy" or "knn_accuracy", not of {measure!r}.')
    values = _values(given, measure)
    errors = {CLEAN: 1 - _clean(values, measure)}
    for name in chosen:
        if name == "frost" and "frost_procedural" in values and "frost" not in values:
            raise ValueError(
                "the table's frost is procedural, which is not ImageNet-C's: give `frost_images` for mCE, or use "
                "`mean_corruption_accuracy`."
            )
        seen = sorted(values.get(name, {}))
        if needed is not None and set(seen) != set(needed):
            raise ValueError(f"mCE needs severities 1 to 5 of {name}; the table has {seen or 'none'}.")
        if not seen:
            raise ValueError(f"the table has no {measure} of {name}; it has {', '.join(sorted(values))}.")
        errors[name] = 1 - _mean(values[name], measure, name)
    outside = [name for name, error in errors.items() if not 0 <= error <= 1]
    if outside:
        raise ValueError(f"the table's {measure} of {outside[0]} is not a share in [0, 1]; divide percentages by 100.")
    return errors


def _listed_errors(
    given: Mapping[str, Any], argument: str, chosen: Sequence[str], needed: Collection[float] | None
) -> Errors:
    """Read errors that are listed by corruption: a mean over severities, or one error for each severity."""
    missing = [name for name in (CLEAN, *chosen) if name not in given]
    if missing:
        raise ValueError(f"`{argument}` has no error for {', '.join(missing)}.")
    errors = {}
    for name in (CLEAN, *chosen):
        listed = np.asarray(given[name], dtype=float)
        if listed.ndim and needed is not None and name != CLEAN and len(listed) != len(needed):
            raise ValueError(
                f"`{argument}` has {len(listed)} errors for {name}; give {len(needed)}, one for each severity, or their mean."
            )
        if not (listed.size and (listed >= 0).all() and (listed <= 1).all()):  # also where they are NaN
            raise ValueError(f"`{argument}` has an error of {given[name]!r} for {name}; errors are shares in [0, 1].")
        errors[name] = float(listed.mean())
    return errors


def _values(table: Any, measure: str) -> dict[str, dict[float, float]]:
    """{corruption: {severity: value}} of one measure. Raises ValueError for a value that is there twice."""
    rows = table[table["measure"] == measure]
    if not len(rows):
        there = sorted(set(table["measure"]))
        accuracies = [name for name in there if name.startswith("knn_accuracy") and not name.endswith("_drop")]
        advice = f' `measure="{accuracies[0]}"` reads the accuracy of its neighbours.' if accuracies else ""
        raise ValueError(f"the table has no measure {measure!r}; it has {', '.join(there)}.{advice}")
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


def _named(values: dict[str, dict[float, float]], corruptions: Sequence[str]) -> list[str]:
    """Check that the table has each of these corruptions, and return them without repeats."""
    missing = [name for name in corruptions if name not in values]
    if missing or not len(corruptions):
        there = ", ".join(name for name in values if name != CLEAN)
        raise ValueError(f"`corruptions` names {missing or 'nothing'}; the table has {there}.")
    return list(dict.fromkeys(corruptions))


def _chosen(values: dict[str, dict[float, float]], extra: bool) -> list[str]:
    kinds = names() | {"frost_procedural": "mCE"}
    chosen = [name for name in values if name in kinds and (extra or kinds[name] == "mCE")]
    if not chosen:
        raise ValueError(
            "the table has none of these corruptions; name others by `corruptions=`. It has "
            f"{', '.join(name for name in values if name != CLEAN) or 'clean images only'}."
        )
    return chosen
