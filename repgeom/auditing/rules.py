"""From numbers to words: which readings are a reason to worry, and what to do about them.

Every rule reads one number. Its thresholds can be overridden by name; `None` switches a level off.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from repgeom.auditing.evidence import Evidence
from repgeom.inference.estimate import Estimate
from repgeom.measures import rank
from repgeom.measures.shares import InexactTailError
from repgeom.measures.steepness import numerical_rank
from repgeom.spectral.isotropic import isotropic_baseline

LEVELS = ("ok", "warn", "fail")


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one rule found.

    Attributes:
        name: the rule's name, which `thresholds` takes.
        level: "ok", "warn" or "fail".
        value: the number it read.
        low, high: its 95 % interval, where one is known; a threshold is crossed where all of it lies beyond.
        warn, fail: its thresholds; `worse` says on which side of them trouble lies ("below" or "above").
        reason: one sentence with the number in it.
        causes: what usually lies behind it.
        advice: what to try next.
        source: where the thresholds come from.
    """

    name: str
    level: str
    value: float
    low: float | None
    high: float | None
    warn: float | None
    fail: float | None
    worse: str
    reason: str
    causes: str
    advice: str
    source: str


@dataclasses.dataclass(frozen=True)
class Rule:
    name: str
    worse: str
    warn: float | None
    fail: float | None
    read: Callable[[Evidence], float | None]  # None where the rule does not apply
    reason: Callable[[Evidence, float], str]
    causes: str
    advice: str
    source: str
    interval: Callable[[Evidence], tuple[float, float] | None] = lambda e: None  # 95 %, where one is known


def rank_share(e: Evidence) -> float | None:
    """Effective rank between 0 (a line) and 1 (isotropic): of the population, or of these rows where that is not sure."""
    sure = _sure_rank(e)
    if sure is not None:
        return None if e.n_features == 1 else (sure.value - 1) / (e.n_features - 1)
    if e.independent is not None:  # isotropic features of as many rows are no measure for fewer independent ones
        return None
    baseline = rank.effective_rank(isotropic_baseline(e.spectrum))
    return None if baseline <= 1.001 else (rank.effective_rank(e.spectrum) - 1) / (baseline - 1)


def _sure_rank(e: Evidence) -> Estimate | None:
    """The effective rank of the population where its interval is known."""
    found = e.estimates.get("effective_rank")
    return None if found is None or found.low is None else found


def _share_interval(e: Evidence) -> tuple[float, float] | None:
    sure = _sure_rank(e)
    if sure is None or sure.low is None or sure.high is None or e.n_features == 1:
        return None
    return (sure.low - 1) / (e.n_features - 1), (sure.high - 1) / (e.n_features - 1)


def _rank_reason(e: Evidence, value: float) -> str:
    sure = _sure_rank(e)
    if sure is not None:
        return (
            f"uses {sure.value:.4g} dimensions of {e.n_features} (95 % interval {sure.low:.4g} to {sure.high:.4g}; share "
            f"{value:.3f})"
        )
    read = rank.effective_rank(e.spectrum)
    baseline = rank.effective_rank(isotropic_baseline(e.spectrum))
    return (
        f"uses {read:.1f} dimensions of {e.n_features}; isotropic features of this size would read {baseline:.1f} "
        f"(share {value:.3f})"
    )


def _width_reason(e: Evidence, value: float) -> str:
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


def _leading_excess(e: Evidence) -> float | None:
    """How far the leading direction's share lies above what isotropic features show (0) towards all of it (1)."""
    least = 1 / rank.stable_rank(isotropic_baseline(e.spectrum))
    return None if least > 0.9 else (1 / rank.stable_rank(e.spectrum) - least) / (1 - least)


def _leading_reason(e: Evidence, value: float) -> str:
    share, least = (1 / rank.stable_rank(s) for s in (e.spectrum, isotropic_baseline(e.spectrum)))
    return f"the leading direction holds {share:.0%} of the variance; in isotropic features of this size it holds {least:.0%}"


def _share(count: str) -> Callable[[Evidence], float | None]:
    return lambda e: getattr(e.health, count) / e.health.n_samples


def _count_reason(count: str, words: str) -> Callable[[Evidence, float], str]:
    return lambda e, value: f"{getattr(e.health, count):,} of {e.health.n_samples:,} rows ({value:.2%}) {words}"


def _collapsed_classes(e: Evidence) -> float | None:
    return None if e.labels is None else float((e.labels.ranks.share < COLLAPSED_CLASS).mean())


def _class_reason(e: Evidence, value: float) -> str:
    assert e.labels is not None
    ranks = e.labels.ranks
    bad = [str(label) for label, share in zip(ranks.labels, ranks.share, strict=True) if share < COLLAPSED_CLASS]
    names = ", ".join(bad[:5]) + (", ..." if len(bad) > 5 else "")
    listed = f": {names}" if bad else ""
    return f"{len(bad)} of {len(ranks.labels)} classes have collapsed for their own number of rows{listed}"


def _retained(e: Evidence) -> float | None:
    if e.reference is None:
        return None
    if e.reference.retained is not None:
        return e.reference.retained.ratio
    return float(rank.effective_rank(e.spectrum) / rank.effective_rank(e.reference.spectrum))


def _retained_interval(e: Evidence) -> tuple[float, float] | None:
    found = None if e.reference is None else e.reference.retained
    if found is None or found.ratio_low is None or found.ratio_high is None:
        return None
    return found.ratio_low, found.ratio_high


def _retained_reason(e: Evidence, value: float) -> str:
    ends = _retained_interval(e)
    sure = "" if ends is None else f" (95 % interval {ends[0]:.1%} to {ends[1]:.1%})"
    return f"keeps {value:.0%} of the reference's effective rank{sure}"


def _drift(measure: str) -> Callable[[Evidence], float | None]:
    return lambda e: None if e.drift is None else e.drift.readings[measure].value


def _drift_interval(measure: str) -> Callable[[Evidence], tuple[float, float] | None]:
    def ends(e: Evidence) -> tuple[float, float] | None:
        found = None if e.drift is None else e.drift.readings[measure].interval(0.95)
        return None if found is None or math.isnan(found[0]) else found

    return ends


def _rank_under_corruption(e: Evidence) -> float | None:
    """The ratio of ranks; 0 where all corrupted rows are equal."""
    ratio = _drift("effective_rank_ratio")(e)
    return 0.0 if ratio is not None and ratio != ratio else ratio


COLLAPSED_CLASS = 0.03
_PAPER = "arXiv 2603.06698, table 1: collapsed students read a share of 0.03, their CLIP teacher 0.17"
_OURS = "our choice; override it where your data are known to differ"

RULES: tuple[Rule, ...] = (
    Rule(
        "rank_share",
        "below",
        0.10,
        0.05,
        rank_share,
        _rank_reason,
        "an objective without a repelling term, dead units, a bottleneck layer, or too strong a weight decay",
        "add a contrastive or variance term to the loss, look at the layer before this one, and compare with the teacher",
        _PAPER,
        _share_interval,
    ),
    Rule(
        "rank_retained",
        "below",
        0.5,
        0.25,
        _retained,
        _retained_reason,
        "distillation by cosine alone, a student too small for the teacher, or too little training",
        "add an InfoNCE term: in the paper it raises 18 % to 43 %",
        "arXiv 2603.06698, table 1: cosine students keep 0.18 of CLIP's rank, with InfoNCE 0.43",
        _retained_interval,
    ),
    Rule(
        "collapsed_classes",
        "above",
        0.0,
        0.5,
        _collapsed_classes,
        _class_reason,
        "labels that leak into the features, near-duplicate images in a class, or neural collapse late in training",
        "look at those classes' images; stop earlier or weigh the classifying loss less if features are to transfer",
        f"share of the class's own isotropic baseline below {COLLAPSED_CLASS}, as the paper's collapsed students",
    ),
    Rule(
        "samples_per_feature",
        "below",
        2.25,
        None,
        lambda e: ((e.independent or e.n_samples) - 1) / e.n_features,
        _width_reason,
        "a small evaluation set, or a wide layer",
        "extract features of more samples, or compare only features with the same number of rows",
        "isotropic features read 80 % of their width at 2.25 samples per feature (d · exp(−d/2n))",
    ),
    Rule(
        "leading_direction",
        "above",
        0.5,
        0.9,
        _leading_excess,
        _leading_reason,
        "one outlier column, a few extreme rows, or features that only encode one factor such as brightness",
        "look at the column with the largest variance and at the rows with extreme norms; standardise, or remove it",
        _OURS,
    ),
    Rule(
        "directions_that_vary",
        "below",
        0.9,
        None,
        lambda e: numerical_rank(e.spectrum) / e.size.most,
        lambda e, value: (
            f"varies along {numerical_rank(e.spectrum):,} of {e.size.most:,} possible directions; the rest is rounding"
        ),
        "a narrower layer before this one, dead units, or features that were projected",
        "read the rank of the layer before; the columns beyond it add nothing and can be dropped",
        _OURS,
    ),
    Rule(
        "corrupted_drift",
        "above",
        0.7,
        1.2,
        _drift("centred_relative_l2_drift"),
        lambda e, value: f"corruption moves a row by {value:.2f} of its mean distance from the centre",
        "rows in another order (1.41), features that follow textures or high frequencies, or too strong a corruption",
        "check that row i of both is the same sample; look at which corruption it is, and augment with its kind",
        "rows without anything in common lie 1.41 of it apart; the thresholds at half and most of that are our choice",
        _drift_interval("centred_relative_l2_drift"),
    ),
    Rule(
        "corrupted_rank_ratio",
        "below",
        0.8,
        0.5,
        _rank_under_corruption,
        lambda e, value: f"corrupted features keep {value:.0%} of the clean effective rank",
        "corrupted samples that all move towards one direction",
        "compare the two spectra: audit both files side by side",
        _OURS,
        _drift_interval("effective_rank_ratio"),
    ),
    Rule(
        "mean_cosine",
        "above",
        0.7,
        0.99,
        lambda e: e.cloud.mean_cosine(),
        lambda e, value: f"two rows have a mean cosine of {value:.2f}: the cloud is a narrow cone far from the origin",
        "a large common mean, which cosine losses do not see; ReLU features are all positive and always form a cone",
        "subtract the mean before using cosine similarity; ranks here are of centred features and do not feel it",
        "useful public image and text encoders lie between 0.5 and 0.7",
    ),
    Rule(
        "nonfinite_rows",
        "above",
        0.0,
        0.01,
        lambda e: e.health.nonfinite_rows / (e.health.n_samples + e.health.nonfinite_rows),
        lambda e, value: (
            f"{e.health.nonfinite_rows:,} rows ({value:.2%}) hold NaN or infinity, here or in the reference, and were left out"
        ),
        "overflow in half precision, or a division by a zero norm",
        "extract in float32 and find the samples",
        _OURS,
    ),
    Rule(
        "zero_rows",
        "above",
        0.0,
        0.01,
        _share("zero_rows"),
        _count_reason("zero_rows", "are all zero"),
        "dead units, padding rows, or samples that failed to load",
        "find those samples; a row of zeros has no direction and counts as cosine 0",
        _OURS,
    ),
    Rule(
        "duplicate_rows",
        "above",
        0.01,
        0.5,
        _share("duplicate_rows"),
        _count_reason("duplicate_rows", "repeat an earlier row exactly"),
        "repeated samples, a sampler with replacement, padding, or collapse to a point",
        "remove repeats: they make neighbours and intervals look better than they are",
        _OURS,
    ),
    Rule(
        "constant_features",
        "above",
        0.0,
        0.5,
        lambda e: e.health.constant_features / e.n_features,
        lambda e, value: f"{e.health.constant_features:,} of {e.n_features:,} features never change",
        "dead ReLU units, or columns that are padding",
        "lower the learning rate or use another activation; drop the columns before comparing widths",
        _OURS,
    ),
    Rule(
        "extreme_norms",
        "above",
        0.001,
        0.1,
        _share("extreme_norms"),
        _count_reason("extreme_norms", "have an extreme norm"),
        "outlier tokens without registers (Darcet et al. 2024), corrupt samples, or overflow",
        "look at those samples; use `normalize='l2'` if only directions matter",
        _OURS,
    ),
)


def judge(e: Evidence, thresholds: Mapping[str, Any] | None = None) -> tuple[Finding, ...]:
    """All findings, the worst first. Raises ValueError for thresholds that no rule has."""
    rules = [_overridden(rule, thresholds or {}) for rule in RULES]
    unknown = set(thresholds or {}) - {rule.name for rule in RULES}
    if unknown:
        known = ", ".join(rule.name for rule in RULES)
        raise ValueError(f"`thresholds` names {', '.join(sorted(unknown))}, which no rule has. The rules are: {known}.")
    found = [_find(rule, e) for rule in rules]
    return tuple(sorted((f for f in found if f), key=lambda f: -LEVELS.index(f.level)))


def worst(findings: tuple[Finding, ...]) -> str:
    return max((f.level for f in findings), key=LEVELS.index, default="ok")


def _overridden(rule: Rule, thresholds: Mapping[str, Any]) -> Rule:
    if rule.name not in thresholds:
        return rule
    try:
        warn, fail = (None if v is None else float(v) for v in thresholds[rule.name])
    except (TypeError, ValueError):
        raise ValueError(
            f"`thresholds[{rule.name!r}]` must be two numbers (warn, fail), None for never; got {thresholds[rule.name]!r}."
        ) from None
    ordered = warn is None or fail is None or (fail <= warn if rule.worse == "below" else fail >= warn)
    if warn != warn or fail != fail or not ordered:
        raise ValueError(
            f"`thresholds[{rule.name!r}]` must be two numbers (warn, fail) with fail the stricter one: this rule warns "
            f"{rule.worse} its threshold; got {thresholds[rule.name]!r}."
        )
    return dataclasses.replace(rule, warn=warn, fail=fail, source="set by the caller")


def _find(rule: Rule, e: Evidence) -> Finding | None:
    try:
        value = rule.read(e)
    except InexactTailError:
        return None
    if value is None:
        return None

    low, high = rule.interval(e) or (None, None)
    # The end of the interval that speaks for the features decides: what crosses a threshold does so beyond doubt.
    kindest = value if low is None or high is None else high if rule.worse == "below" else low
    level, doubted = _level(rule, kindest), _level(rule, value)
    # A sentence that explains what is wrong would accuse where nothing is.
    plain = level == doubted == "ok" and rule.name != "rank_share"
    reason = f"{rule.name.replace('_', ' ')} is {value:.3g}" if plain else rule.reason(e, float(value))
    if doubted != level:
        reason += f"; not sure enough for {doubted}, as the interval reaches past its threshold"
    words = (reason, rule.causes, rule.advice, rule.source)
    return Finding(rule.name, level, float(value), low, high, rule.warn, rule.fail, rule.worse, *words)


def _level(rule: Rule, value: float) -> str:
    def crossed(threshold: float | None) -> bool:
        return threshold is not None and (value < threshold if rule.worse == "below" else value > threshold)

    return "fail" if crossed(rule.fail) else "warn" if crossed(rule.warn) else "ok"
