"""Rules of what stands beside the rows: a reference, labels, corrupted features, and the order that all of them are in."""

from __future__ import annotations

from repgeom.auditing.purposes import BROAD, CLASSIFY
from repgeom.auditing.readings_beside import (
    agreement,
    agreement_interval,
    agreement_sentence,
    alike,
    alike_sentence,
    between_sentence,
    between_share,
    collapsed_classes,
    collapsed_classes_sentence,
    drift,
    drift_interval,
    rank_under_corruption,
    retained_interval,
    retained_rank,
    retained_sentence,
)
from repgeom.auditing.readings_of_order import (
    corrupted_misorder,
    corrupted_order_sentence,
    label_misorder,
    label_order_sentence,
    reference_misorder,
    reference_order_sentence,
)
from repgeom.auditing.rule import BATTERY, OURS, Rule

_SAME_SAMPLE = "check that row i of both is the same sample, save ids beside both, and audit again in one order"

OF_ORDER: tuple[Rule, ...] = (
    Rule(
        name="reference_order",
        meaning="how much more the rows agree with the reference in another order than in theirs",
        worse="above",
        warn=None,
        fail=0.01,
        read=reference_misorder,
        reason=reference_order_sentence,
        causes="rows gathered from several processes, shards joined in the order of their names, a shuffled loader",
        advice=_SAME_SAMPLE,
        source="0 where no other order is known in which rows agree more",
    ),
    Rule(
        name="corrupted_order",
        meaning="how much more the rows agree with the corrupted ones in another order than in theirs",
        worse="above",
        warn=None,
        fail=0.01,
        read=corrupted_misorder,
        reason=corrupted_order_sentence,
        causes="rows gathered from several processes, shards joined in the order of their names, a shuffled loader",
        advice=_SAME_SAMPLE,
        source="0 where rows of one model agree on more than in random order, and no other order is known to be better",
    ),
    Rule(
        name="label_order",
        meaning="how much more neighbours agree on the labels in another order than in theirs",
        worse="above",
        warn=None,
        fail=0.1,
        read=label_misorder,
        reason=label_order_sentence,
        causes="labels gathered from several processes, shards joined in the order of their names, a shuffled loader",
        advice=_SAME_SAMPLE,
        source="0 where no other order is known in which neighbours agree more on the labels",
    ),
)

OF_REFERENCE: tuple[Rule, ...] = (
    Rule(
        name="rank_retained",
        meaning="effective rank over the reference's",
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
        meaning="debiased linear CKA with the reference: 0 is nothing in common",
        worse="below",
        warn=0.1,
        fail=0.02,
        read=alike,
        reason=alike_sentence,
        causes="rows in another order, features of other samples, or a model that did not learn from the reference",
        advice="check that row i of both is the same sample",
        source="debiased CKA of unrelated features is 0; distilled students read 0.7 and more",
    ),
)

OF_CLASSES: tuple[Rule, ...] = (
    Rule(
        # Warns from the first class on: the share's threshold is 0.
        name="collapsed_classes",
        meaning="the share of classes that have next to no variance beside the others",
        worse="above",
        warn=0.0,
        fail=0.3,
        read=collapsed_classes,
        reason=collapsed_classes_sentence,
        causes="labels that leak into the features of some classes, near-duplicate samples in a class, or classes seen far more often",
        advice="look at those classes' samples, and at how often they were seen",
        source=BATTERY,
    ),
    Rule(
        name="between_share",
        meaning="the share of the variance that lies between classes",
        worse="above",
        warn=0.85,
        fail=0.97,
        read=between_share,
        reason=between_sentence,
        causes="neural collapse late in training (Papyan et al. 2020), or labels that leak into the features",
        advice="stop earlier or weigh the classifying loss less; to tell just these classes it is no trouble: --for classify",
        source=BATTERY,
        purposes=BROAD,
    ),
    Rule(
        name="agreement",
        meaning="how well neighbours know the labels, from chance (0) to always (1)",
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
        meaning="how well neighbours know the labels, from chance (0) to always (1)",
        worse="below",
        warn=0.6,
        fail=0.2,
        read=agreement,
        reason=agreement_sentence,
        causes="labels in another order than the rows, merged classes, or a classifier that did not learn",
        advice="check that row i of both is the same sample; look at which classes are confused",
        source=OURS,
        interval=agreement_interval,
        purposes=(CLASSIFY,),
    ),
)

OF_CORRUPTED: tuple[Rule, ...] = (
    Rule(
        # 1.41 is √2: two unrelated rows of one length lie √2 lengths apart.
        name="corrupted_drift",
        meaning="how far corruption moves a row, over its mean distance from the centre",
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
        meaning="effective rank of the corrupted rows over that of the clean ones",
        worse="below",
        warn=0.8,
        fail=0.5,
        read=rank_under_corruption,
        reason=lambda e, value: f"corrupted features keep {value:.0%} of the clean effective rank",
        causes="corrupted samples that all move towards one direction",
        advice="compare the two spectra: audit both files side by side",
        source=OURS,
        interval=drift_interval("effective_rank_ratio"),
    ),
)
