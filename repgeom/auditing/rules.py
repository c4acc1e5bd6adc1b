"""Which readings are a reason to worry, and what to do about them: one table of rules.

What a rule reads and says stands in `readings`, how it is applied in `judging`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from repgeom.auditing.evidence import Evidence
from repgeom.auditing.readings import (
    COLLAPSED_CLASS,
    collapsed_classes,
    collapsed_classes_sentence,
    count_sentence,
    drift,
    drift_interval,
    leading_excess,
    leading_sentence,
    rank_sentence,
    rank_share,
    rank_share_interval,
    rank_under_corruption,
    retained_interval,
    retained_rank,
    retained_sentence,
    samples_per_feature,
    samples_per_feature_sentence,
    share_nonfinite,
    share_of_directions,
    share_of_rows,
)
from repgeom.measures.steepness import numerical_rank


@dataclasses.dataclass(frozen=True)
class Rule:
    """One number of an audit, with the thresholds that say how bad it is and the words that go with it.

    Attributes:
        name: what `thresholds` takes.
        worse: on which side of the thresholds trouble lies, "below" or "above".
        warn, fail: the thresholds; None where the rule has no such level.
        read: the number; None where the rule does not apply.
        reason: one sentence with the number in it.
        causes: what usually lies behind it.
        advice: what to try next.
        source: where the thresholds come from.
        interval: the number's 95 % interval; None where none is known.
    """

    name: str
    worse: str
    warn: float | None
    fail: float | None
    read: Callable[[Evidence], float | None]
    reason: Callable[[Evidence, float], str]
    causes: str
    advice: str
    source: str
    interval: Callable[[Evidence], tuple[float, float] | None] = lambda e: None


_PAPER = "arXiv 2603.06698, table 1: collapsed students read a share of 0.03, their CLIP teacher 0.17"
_OURS = "our choice; override it where your data are known to differ"

# The order counts: of findings of one level the first is the headline.
RULES: tuple[Rule, ...] = (
    Rule(
        name="rank_share",
        worse="below",
        warn=0.10,
        fail=0.05,
        read=rank_share,
        reason=rank_sentence,
        causes="an objective without a repelling term, dead units, a bottleneck layer, or too strong a weight decay",
        advice="add a contrastive or variance term to the loss, look at the layer before this one, and compare with the teacher",
        source=_PAPER,
        interval=rank_share_interval,
    ),
    Rule(
        name="rank_retained",
        worse="below",
        warn=0.5,
        fail=0.25,
        read=retained_rank,
        reason=retained_sentence,
        causes="distillation by cosine alone, a student too small for the teacher, or too little training",
        advice="add an InfoNCE term: in the paper it raises 18 % to 43 %",
        source="arXiv 2603.06698, table 1: cosine students keep 0.18 of CLIP's rank, with InfoNCE 0.43",
        interval=retained_interval,
    ),
    Rule(
        # Warns from the first class on: the share's threshold is 0.
        name="collapsed_classes",
        worse="above",
        warn=0.0,
        fail=0.5,
        read=collapsed_classes,
        reason=collapsed_classes_sentence,
        causes="labels that leak into the features, near-duplicate images in a class, or neural collapse late in training",
        advice="look at those classes' images; stop earlier or weigh the classifying loss less if features are to transfer",
        source=f"share of the class's own isotropic baseline below {COLLAPSED_CLASS}, as the paper's collapsed students",
    ),
    Rule(
        # exp(−d / 2n) is 0.8 where n / d = 1 / (2 ln 1.25) = 2.24, which is rounded up.
        name="samples_per_feature",
        worse="below",
        warn=2.25,
        fail=None,
        read=samples_per_feature,
        reason=samples_per_feature_sentence,
        causes="a small evaluation set, or a wide layer",
        advice="extract features of more samples, or compare only features with the same number of rows",
        source="isotropic features read 80 % of their width at 2.25 samples per feature (d · exp(−d/2n))",
    ),
    Rule(
        name="leading_direction",
        worse="above",
        warn=0.5,
        fail=0.9,
        read=leading_excess,
        reason=leading_sentence,
        causes="one outlier column, a few extreme rows, or features that only encode one factor such as brightness",
        advice="look at the column with the largest variance and at the rows with extreme norms; standardise, or remove it",
        source=_OURS,
    ),
    Rule(
        name="directions_that_vary",
        worse="below",
        warn=0.9,
        fail=None,
        read=share_of_directions,
        reason=lambda e, value: (
            f"varies along {numerical_rank(e.spectrum):,} of {e.size.most:,} possible directions; the rest is rounding"
        ),
        causes="a narrower layer before this one, dead units, or features that were projected",
        advice="read the rank of the layer before; the columns beyond it add nothing and can be dropped",
        source=_OURS,
    ),
    Rule(
        # 1.41 is √2: two unrelated rows of one length lie √2 lengths apart.
        name="corrupted_drift",
        worse="above",
        warn=0.7,
        fail=1.2,
        read=drift("centred_relative_l2_drift"),
        reason=lambda e, value: f"corruption moves a row by {value:.2f} of its mean distance from the centre",
        causes="rows in another order (1.41), features that follow textures or high frequencies, or too strong a corruption",
        advice="check that row i of both is the same sample; look at which corruption it is, and augment with its kind",
        source="rows without anything in common lie 1.41 of it apart; the thresholds at half and most of that are our choice",
        interval=drift_interval("centred_relative_l2_drift"),
    ),
    Rule(
        name="corrupted_rank_ratio",
        worse="below",
        warn=0.8,
        fail=0.5,
        read=rank_under_corruption,
        reason=lambda e, value: f"corrupted features keep {value:.0%} of the clean effective rank",
        causes="corrupted samples that all move towards one direction",
        advice="compare the two spectra: audit both files side by side",
        source=_OURS,
        interval=drift_interval("effective_rank_ratio"),
    ),
    Rule(
        name="mean_cosine",
        worse="above",
        warn=0.7,
        fail=0.99,
        read=lambda e: e.cloud.mean_cosine(),
        reason=lambda e, value: (
            f"two rows have a mean cosine of {value:.2f}: the cloud is a narrow cone far from the origin"
        ),
        causes="a large common mean, which cosine losses do not see; ReLU features are all positive and always form a cone",
        advice="subtract the mean before using cosine similarity; ranks here are of centred features and do not feel it",
        source="useful public image and text encoders lie between 0.5 and 0.7",
    ),
    Rule(
        name="nonfinite_rows",
        worse="above",
        warn=0.0,
        fail=0.01,
        read=share_nonfinite,
        reason=lambda e, value: (
            f"{e.health.nonfinite_rows:,} rows ({value:.2%}) hold NaN or infinity, here or in the reference, and were left out"
        ),
        causes="overflow in half precision, or a division by a zero norm",
        advice="extract in float32 and find the samples",
        source=_OURS,
    ),
    Rule(
        name="zero_rows",
        worse="above",
        warn=0.0,
        fail=0.01,
        read=share_of_rows("zero_rows"),
        reason=count_sentence("zero_rows", "are all zero"),
        causes="dead units, padding rows, or samples that failed to load",
        advice="find those samples; a row of zeros has no direction and counts as cosine 0",
        source=_OURS,
    ),
    Rule(
        name="duplicate_rows",
        worse="above",
        warn=0.01,
        fail=0.5,
        read=share_of_rows("duplicate_rows"),
        reason=count_sentence("duplicate_rows", "repeat an earlier row exactly"),
        causes="repeated samples, a sampler with replacement, padding, or collapse to a point",
        advice="remove repeats: they make neighbours and intervals look better than they are",
        source=_OURS,
    ),
    Rule(
        name="constant_features",
        worse="above",
        warn=0.0,
        fail=0.5,
        read=lambda e: e.health.constant_features / e.n_features,
        reason=lambda e, value: f"{e.health.constant_features:,} of {e.n_features:,} features never change",
        causes="dead ReLU units, or columns that are padding",
        advice="lower the learning rate or use another activation; drop the columns before comparing widths",
        source=_OURS,
    ),
    Rule(
        name="extreme_norms",
        worse="above",
        warn=0.001,
        fail=0.1,
        read=share_of_rows("extreme_norms"),
        reason=count_sentence("extreme_norms", "have an extreme norm"),
        causes="outlier tokens without registers (Darcet et al. 2024), corrupt samples, or overflow",
        advice="look at those samples; use `normalize='l2'` if only directions matter",
        source=_OURS,
    ),
)
