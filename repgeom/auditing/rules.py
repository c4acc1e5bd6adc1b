"""Which readings are a reason to worry, and what to do about them: one table of rules.

What a rule reads and says stands in `readings`, how it is applied in `judging`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from repgeom.auditing.evidence import Evidence
from repgeom.auditing.purposes import BROAD, CLASSIFY, EVERY
from repgeom.auditing.readings import (
    count_sentence,
    dominating_row,
    dominating_sentence,
    few_rows_sentence,
    leading_excess,
    leading_sentence,
    live_directions,
    live_sentence,
    n_independent,
    noise_at_a_point,
    noise_sentence,
    point_sentence,
    rank_sentence,
    rank_share,
    rank_share_interval,
    repeated_rows,
    share_nonfinite,
    share_of_rows,
    spread_over_mean,
)
from repgeom.auditing.readings_beside import (
    agreement,
    agreement_interval,
    agreement_sentence,
    alike,
    between_sentence,
    between_share,
    collapsed_classes,
    collapsed_classes_sentence,
    drift,
    drift_interval,
    rank_per_class,
    rank_per_class_interval,
    rank_per_class_sentence,
    rank_under_corruption,
    retained_interval,
    retained_rank,
    retained_sentence,
)


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
        purposes: what features must be for, for the rule to speak.
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
    purposes: tuple[str, ...] = EVERY


_OURS = "our choice; override it where your data are known to differ"
_BATTERY = "our choice, by the sets of studies/verdicts.md"

# The order counts: of findings of one level the first is the headline.
RULES: tuple[Rule, ...] = (
    Rule(
        name="spread_over_mean",
        worse="below",
        warn=0.05,
        fail=0.01,
        read=spread_over_mean,
        reason=point_sentence,
        causes="collapse to a point: an objective that pulls pairs together and pushes nothing apart, or a dead layer",
        advice="add a term that keeps variance; look at the layer before; in float16 so small a spread is mostly rounding",
        source="a mean cosine of 0.9975 and 0.9999; E5's and GPT-2's last layers, which are healthy, lie near 0.99 and below",
    ),
    Rule(
        name="noise_at_a_point",
        worse="below",
        warn=0.3,
        fail=0.15,
        read=noise_at_a_point,
        reason=noise_sentence,
        causes="collapse to a point, of which only noise or rounding is left",
        advice="add a term that keeps variance, and look at whether features depend on the input at all",
        source=_BATTERY,
    ),
    Rule(
        name="rank_share",
        worse="below",
        warn=0.12,
        fail=0.08,
        read=rank_share,
        reason=rank_sentence,
        causes="an objective without a repelling term, dead units, a bottleneck layer, too strong a weight decay, or columns in "
        "different units",
        advice="add a contrastive or variance term to the loss, look at the layer before this one, and compare with the teacher; "
        "a layer that tells K classes apart needs K − 1 dimensions: judge it by --for classify",
        source="between collapsed students (arXiv 2603.06698, table 1: 16 of 512 dimensions) and their CLIP teacher (89); a "
        "pretrained efficientnet-lite0 has 0.19 (studies/real.md)",
        interval=rank_share_interval,
        purposes=BROAD,
    ),
    Rule(
        name="rank_per_class",
        worse="below",
        warn=0.4,
        fail=0.2,
        read=rank_per_class,
        reason=rank_per_class_sentence,
        causes="classes that lie on a line or at one point, or too few dimensions before this layer",
        advice="look at which classes are confused, and at the layer before",
        source="K class means that are told apart evenly span K − 1 dimensions (Papyan et al. 2020); shares are our choice",
        interval=rank_per_class_interval,
        purposes=(CLASSIFY,),
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
        name="alike",
        worse="below",
        warn=0.1,
        fail=0.02,
        read=alike,
        reason=lambda e, value: f"features and reference have nothing in common (CKA {value:.3f})",
        causes="rows in another order, features of other samples, or a model that did not learn from the reference",
        advice="check that row i of both is the same sample",
        source="debiased CKA of unrelated features is 0; distilled students read 0.7 and more",
    ),
    Rule(
        name="live_directions",
        worse="below",
        warn=0.5,
        fail=0.2,
        read=live_directions,
        reason=live_sentence,
        causes="units that fade, a narrower layer before this one, or columns in different units",
        advice="read the rank of the layer before; look at the spread of each column; drop what holds next to nothing",
        source=_BATTERY,
        purposes=BROAD,
    ),
    Rule(
        # Warns from the first class on: the share's threshold is 0.
        name="collapsed_classes",
        worse="above",
        warn=0.0,
        fail=0.3,
        read=collapsed_classes,
        reason=collapsed_classes_sentence,
        causes="labels that leak into the features of some classes, near-duplicate samples in a class, or classes seen far more often",
        advice="look at those classes' samples, and at how often they were seen",
        source=_BATTERY,
    ),
    Rule(
        name="between_share",
        worse="above",
        warn=0.85,
        fail=0.97,
        read=between_share,
        reason=between_sentence,
        causes="neural collapse late in training (Papyan et al. 2020), or labels that leak into the features",
        advice="stop earlier or weigh the classifying loss less; to tell just these classes it is no trouble: --for classify",
        source=_BATTERY,
        purposes=BROAD,
    ),
    Rule(
        name="agreement",
        worse="below",
        warn=0.1,
        fail=None,
        read=agreement,
        reason=agreement_sentence,
        causes="labels in another order than the rows, or features that do not tell these classes",
        advice="check that row i of both is the same sample",
        source="0 is chance",
        interval=agreement_interval,
        purposes=BROAD,
    ),
    Rule(
        name="classes_told_apart",
        worse="below",
        warn=0.6,
        fail=0.2,
        read=agreement,
        reason=agreement_sentence,
        causes="labels in another order than the rows, merged classes, or a classifier that did not learn",
        advice="check that row i of both is the same sample; look at which classes are confused",
        source=_OURS,
        interval=agreement_interval,
        purposes=(CLASSIFY,),
    ),
    Rule(
        name="leading_direction",
        worse="above",
        warn=0.6,
        fail=0.9,
        read=leading_excess,
        reason=leading_sentence,
        causes="features that only encode one factor, such as brightness or length",
        advice="look at the samples at both ends of it; standardise, or remove it",
        source=_OURS,
        purposes=BROAD,  # two classes need no more than one direction
    ),
    Rule(
        name="dominating_rows",
        worse="above",
        warn=0.9,
        fail=None,
        read=dominating_row,
        reason=dominating_sentence,
        causes="corrupt samples, or overflow; rows of massive activations are usual in transformers",
        advice="look at those samples; audit again without them",
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
        name="few_rows",
        worse="below",
        warn=10.0,
        fail=None,
        read=n_independent,
        reason=few_rows_sentence,
        causes="a file of a few samples, or features lying as columns by rows",
        advice="extract features of some hundred samples; rows are samples, columns are features",
        source=_OURS,
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
        warn=0.01,
        fail=0.05,
        read=share_of_rows("zero_rows"),
        reason=count_sentence("zero_rows", "are all zero"),
        causes="dead units, padding rows, or samples that failed to load",
        advice="find those samples; a row of zeros has no direction and counts as cosine 0",
        source=_OURS,
    ),
    Rule(
        name="duplicate_rows",
        worse="above",
        warn=0.1,
        fail=0.5,
        read=repeated_rows,
        reason=count_sentence("duplicate_rows", "repeat an earlier row exactly"),
        causes="repeated samples, a sampler with replacement, padding, or collapse to a few points",
        advice="remove repeats: they make neighbours and intervals look better than they are",
        source="real text sets repeat 3 % of their rows; beyond that our choice",
    ),
    Rule(
        name="constant_features",
        worse="above",
        warn=0.2,
        fail=0.5,
        read=lambda e: e.health.constant_features / e.n_features,
        reason=lambda e, value: f"{e.health.constant_features:,} of {e.n_features:,} features never change",
        causes="dead ReLU units, or columns that are padding",
        advice="lower the learning rate or use another activation; drop the columns before comparing widths",
        source="a pretrained efficientnet-lite0 leaves 13 % of its units constant on handwritten digits; beyond that our choice",
        purposes=BROAD,  # good classifiers lose a third of their ReLU units
    ),
    Rule(
        name="extreme_norms",
        worse="above",
        warn=0.1,
        fail=None,
        read=share_of_rows("extreme_norms"),
        reason=count_sentence("extreme_norms", "have an extreme norm"),
        causes="outlier tokens without registers (Darcet et al. 2024), corrupt samples, or overflow",
        advice="look at those samples; use `normalize='l2'` if only directions matter",
        source=_OURS,
        purposes=BROAD,  # probabilities of a classifier have two kinds of lengths
    ),
)
