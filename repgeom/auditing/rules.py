"""Which readings are a reason to worry, and what to do about them: one table of rules.

Rules of what stands beside the rows are in `rules_beside`, what a rule reads and says in `readings` and `readings_beside`, how
it is applied in `judging`.
"""

from __future__ import annotations

from repgeom.auditing.purposes import BROAD, CLASSIFY
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
    rank_per_class,
    rank_per_class_interval,
    rank_per_class_sentence,
)
from repgeom.auditing.rule import BATTERY, OURS, Rule
from repgeom.auditing.rules_beside import OF_CLASSES, OF_CORRUPTED, OF_ORDER, OF_REFERENCE

# The order counts: of findings of one level the first is the headline.
RULES: tuple[Rule, ...] = (
    *OF_ORDER,
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
        source=BATTERY,
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
    *OF_REFERENCE,
    Rule(
        name="live_directions",
        worse="below",
        warn=0.5,
        fail=0.2,
        read=live_directions,
        reason=live_sentence,
        causes="units that fade, a narrower layer before this one, or columns in different units",
        advice="read the rank of the layer before; look at the spread of each column; drop what holds next to nothing",
        source=BATTERY,
        purposes=BROAD,
    ),
    *OF_CLASSES,
    Rule(
        name="leading_direction",
        worse="above",
        warn=0.6,
        fail=0.9,
        read=leading_excess,
        reason=leading_sentence,
        causes="features that only encode one factor, such as brightness or length",
        advice="look at the samples at both ends of it; standardise, or remove it",
        source=OURS,
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
        source=OURS,
    ),
    *OF_CORRUPTED,
    Rule(
        name="few_rows",
        worse="below",
        warn=10.0,
        fail=None,
        read=n_independent,
        reason=few_rows_sentence,
        causes="a file of a few samples, or features lying as columns by rows",
        advice="extract features of some hundred samples; rows are samples, columns are features",
        source=OURS,
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
        source=OURS,
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
        source=OURS,
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
        source=OURS,
        purposes=BROAD,  # probabilities of a classifier have two kinds of lengths
    ),
)
