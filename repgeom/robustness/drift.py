"""What does a change of the input do to features? Row i of both is the same sample, before and after.

Each measure is a `Reading`: its value and what each sample contributes to it. Distances and neighbours are means over
samples; for ranks, variance shares and CKA the contributions are influence functions.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import row_norms, unit_rows
from repgeom.data.labels import as_labels
from repgeom.inference.intervals import Reading
from repgeom.measures.pair_sums import PairSums, check_k, check_pair
from repgeom.probes.linear import LinearProbe
from repgeom.probes.nearest import KNNProbe, fit_knn_probe
from repgeom.robustness.neighbourhoods import Neighbourhoods
from repgeom.robustness.spread import RANKS, Spread

LEADING = 0.9  # share of the clean variance that the "leading directions" hold
SAMPLES_PER_FEATURE = 16  # below it few samples bias a ratio of ranks by more than its interval is wide
# What each measure is and where it can lie. Drift is 0 where nothing moves; ratios and overlaps are 1 there.
MEASURES = {
    "accuracy": "share of samples that the linear probe, fitted on clean features, gets right",
    "accuracy_drop": "clean accuracy minus corrupted accuracy of the same samples",
    "knn_accuracy": "share of samples that a vote of the nearest clean features gets right",
    "knn_accuracy_drop": "clean minus corrupted kNN accuracy of the same samples",
    "cosine_drift": "1 − mean cosine of a sample's clean and corrupted features",
    "centred_cosine_drift": "the same after subtracting the clean mean from both: a cone hides drift",
    "relative_l2_drift": "mean distance moved / mean norm of the clean features",
    "centred_relative_l2_drift": "mean distance moved / mean distance of clean features from their mean",
    "mean_norm": "mean length of the clean features",
    "effective_rank": "exp entropy of the corrupted features' shares of variance",
    "effective_rank_ratio": "corrupted / clean effective rank (of variances)",
    "effective_rank_ratio_sigma": "the same of singular values",
    "participation_ratio_ratio": "corrupted / clean participation ratio",
    "leading_variance": f"share of corrupted variance in the clean directions that hold {LEADING:.0%} of clean variance, "
    f"the last in part: {LEADING:g} where nothing moves",
    "linear_cka": "debiased linear CKA of clean and corrupted features",
    "knn_overlap": "shared share of a sample's k nearest clean features, asked with its clean and its corrupted ones",
    "mutual_knn": "the same with the corrupted samples' neighbours taken among the corrupted ones",
    "self_retrieval": "share of samples whose nearest clean features are their own",
    "probe_drift": "mean distance moved / mean distance from the mean, both inside the probe's row space",
    "drift_outside_probe": "the same outside it, where the probe sees nothing",
    "drift_share_in_probe": "share of the squared distance moved that lies inside the probe's row space",
}


class Clean:
    """Clean features with all that any number of corrupted versions will be compared with, worked out once."""

    def __init__(
        self,
        rows: Tensor,
        labels: Any = None,
        probe: LinearProbe | None = None,
        knn: KNNProbe | None = None,
        k: int = 10,
        max_pair_rows: int = 4096,
        seed: int = 0,
    ) -> None:
        n = len(rows)
        if rows.ndim != 2 or n < 4:
            raise ValueError(f"`clean` must be (n_samples, n_features) with at least 4 rows, got {tuple(rows.shape)}.")
        self.rows = rows.double()
        self.spread = Spread(self.rows)
        if self.spread.flat:
            raise ValueError("`clean` has zero variance: all rows are equal, so there is nothing to compare with.")
        if not (isinstance(seed, (int, np.integer)) and seed >= 0):
            raise ValueError(f"`seed` must be a whole number of at least 0, got {seed!r}.")
        if max_pair_rows < min(n, k + 2):
            raise ValueError(f"`max_pair_rows` must be at least k + 2, which is {k + 2}, got {max_pair_rows!r}.")
        self.log_ranks = {name: self.spread.log_rank(name) for name in RANKS}
        self.chosen = np.sort(np.random.default_rng(seed).permutation(n)[:max_pair_rows])
        k = check_k(k, len(self.chosen) - 2)
        units = self._units(self.rows)
        self.neighbourhoods = Neighbourhoods(units, k, seed)
        self.probe, self.knn, self.own_bank = probe, knn, knn is None
        for name, width in (("probe", probe and probe.weight.shape[1]), ("knn", knn and knn.bank.shape[1])):
            if width not in (None, rows.shape[1]):
                raise ValueError(f"`{name}` was fitted on {width} features, these are {rows.shape[1]}.")
        self.labels = None
        if labels is not None:
            codes, names = as_labels(labels, n)
            self.labels = names[codes]
            if knn is None:
                self.knn = fit_knn_probe(units, self.labels[self.chosen], k=k)
        self.right = self._right(self.rows)

    def itself(self) -> list[Reading]:
        """The clean features' own accuracy, rank and norm."""
        return [
            *(Reading.mean(name, right, "binary") for name, right in self.right.items()),
            self.spread.effective_rank(),
            Reading.mean("mean_norm", row_norms(self.rows), "positive"),
        ]

    def compared(self, corrupted: Tensor) -> list[Reading]:
        """All measures of one corrupted version. Raises ValueError for another shape."""
        check_pair(tuple(self.rows.shape), tuple(corrupted.shape), True, True, ("clean", "corrupted"))
        moved = corrupted.double()
        return [
            *self._accuracies(moved),
            *self._distances(moved),
            *self._spectral(Spread(moved)),
            *self.neighbourhoods.compared(self._units(moved)),
            *self._in_probe(moved),
        ]

    def failed(self, why: str) -> list[Reading]:
        """What stands in the place of `compared` where there are no corrupted features."""
        return [Reading(r.measure, math.nan, 0, note=why) for r in self.compared(self.rows)]

    def _units(self, rows: Tensor) -> Tensor:
        """The chosen rows for all that needs pairs, of unit length."""
        return unit_rows(rows[torch.as_tensor(self.chosen, device=rows.device)])

    def _right(self, rows: Tensor) -> dict[str, Tensor]:
        """Which samples each probe gets right, as 0 and 1."""
        found: dict[str, Tensor] = {}
        if self.labels is None:
            return found
        if self.probe is not None:
            found["accuracy"] = self.probe.correct(rows, self.labels).double()
        if self.knn is not None:
            if self.own_bank:
                own = np.arange(len(self.chosen))
                votes = self.knn.correct(self._units(rows), self.labels[self.chosen], leave_out=own).double()
            else:
                votes = self.knn.correct(rows, self.labels).double()
            names = ["knn_accuracy"] if len(votes) == 1 else [f"knn_accuracy_k{k}" for k in self.knn.k]
            found |= dict(zip(names, votes, strict=True))
        return found

    def _accuracies(self, moved: Tensor) -> list[Reading]:
        readings = []
        for name, right in self._right(moved).items():
            drop = Reading.mean(f"{name}_drop", self.right[name] - right, "change")
            readings += [Reading.mean(name, right, "binary"), drop]
        return readings

    def _distances(self, moved: Tensor) -> list[Reading]:
        away, moved_away = self.rows - self.spread.mean, moved - self.spread.mean
        distance = row_norms(moved - self.rows)
        return [
            Reading.mean("cosine_drift", 1 - _cosines(self.rows, moved)),
            _centred_cosine_drift(away, moved_away),
            Reading.ratio("relative_l2_drift", distance, row_norms(self.rows)),
            Reading.ratio("centred_relative_l2_drift", distance, _norms_about_mean(away)),
        ]

    def _spectral(self, moved: Spread) -> list[Reading]:
        if moved.flat:
            names = ("effective_rank", *RANKS, "leading_variance", "linear_cka")
            return [Reading(name, math.nan, len(self.rows), note="all corrupted rows are equal") for name in names]
        ratios = []
        for name, (there, theirs) in self.log_ranks.items():
            here, mine = moved.log_rank(name)
            value = math.exp(here - there)
            ratios.append(Reading(name, value, len(mine), value * (1 + mine - theirs), "positive"))
        if len(self.rows) < SAMPLES_PER_FEATURE * self.rows.shape[1]:
            note = f"no interval: fewer than {SAMPLES_PER_FEATURE} samples per feature, which bias it"
            ratios = [dataclasses.replace(r, samples=None, note=note) for r in ratios]
        return [moved.effective_rank(), *ratios, self._leading_variance(moved), self._cka(moved)]

    def _leading_variance(self, moved: Spread) -> Reading:
        """Σ_j c_j v_jᵀΣ'v_j / tr Σ': c_j is 1 along clean directions v_j as long as they hold 90 %, a fraction for the last."""
        variances = self.spread.variances
        needed = LEADING * variances.sum() - (variances.cumsum(0) - variances)
        along = (moved.rows @ self.spread.directions).square().sum(0)
        value = float(along @ (needed / variances).clamp(0, 1) / moved.rows.square().sum())
        note = "no interval: the directions are fitted to the same samples, which bias it"
        return Reading("leading_variance", value, len(moved.rows), note=note)

    def _cka(self, moved: Spread) -> Reading:
        x, y = self.spread.scores, moved.scores
        sums = PairSums(x.new_zeros(()), x.mT @ x, y.mT @ y)
        sums.update(x, y, own=False)
        value = float(sums.linear_cka())
        parts = [
            _off_diagonal(x, sums.cross, y),
            _off_diagonal(x, sums.square_x, x),
            _off_diagonal(y, sums.square_y, y),
        ]
        if not math.isfinite(value) or any(float(part.mean()) <= 0 for part in parts):
            return Reading("linear_cka", value, len(x), note="too few samples for an interval")
        both, first, second = (part / part.mean() - 1 for part in parts)
        return Reading("linear_cka", value, len(x), value * (1 + 2 * both - first - second), "similarity")

    def _in_probe(self, moved: Tensor) -> list[Reading]:
        if self.probe is None:
            return []
        clean, corrupted = ((unit_rows(x) if self.probe.normalize else x) for x in (self.rows, moved))
        basis = self.probe.row_space.to(clean)
        if not basis.shape[1]:
            basis = basis.new_zeros(len(basis), 1)
        away, step = clean - clean.mean(0), corrupted - clean
        seen, moves = away @ basis, step @ basis
        return [
            Reading.ratio("probe_drift", row_norms(moves), _norms_about_mean(seen)),
            Reading.ratio(
                "drift_outside_probe", row_norms(_outside(step, basis)), _norms_about_mean(_outside(away, basis))
            ),
            Reading.ratio("drift_share_in_probe", moves.square().sum(1), step.square().sum(1), "share"),
        ]


def _norms_about_mean(away: Tensor) -> Tensor:
    """Lengths of centred rows, less what each changes in all of them through the mean; their average is that of lengths."""
    lengths = row_norms(away)
    return lengths - away @ unit_rows(away).mean(0)


def _centred_cosine_drift(away: Tensor, moved: Tensor) -> Reading:
    """1 − mean cosine of rows about the clean mean, which every clean row has a part in."""
    cosine, p, q = _cosines(away, moved)[:, None], unit_rows(away), unit_rows(moved)
    lengths = (torch.where(n > 0, n, torch.inf)[:, None] for n in (row_norms(away), row_norms(moved)))
    parts = zip((q - cosine * p, p - cosine * q), lengths, strict=True)
    slope = sum(((part / length).mean(0) for part, length in parts), away.new_zeros(away.shape[1]))
    drift = 1 - cosine[:, 0]
    return dataclasses.replace(Reading.mean("centred_cosine_drift", drift), samples=drift + away @ slope)


def _outside(rows: Tensor, basis: Tensor) -> Tensor:
    """Rows without what lies in a subspace; nothing where it is the whole space."""
    return torch.zeros_like(rows) if basis.shape[1] >= len(basis) else rows - rows @ basis @ basis.mT


def _cosines(x: Tensor, y: Tensor) -> Tensor:
    """Cosines of rows, (n,); 1 where they are equal, rows of zeros too."""
    return torch.where((x == y).all(1), 1, (unit_rows(x) * unit_rows(y)).sum(1))


def _off_diagonal(x: Tensor, cross: Tensor, y: Tensor) -> Tensor:
    """Row i's sum over j ≠ i of (x_i·x_j)(y_i·y_j)."""
    return ((x @ cross) * y).sum(1) - x.square().sum(1) * y.square().sum(1)
