"""What does a change of the input do to features? Row i of both is the same sample, before and after.

Each measure is a `Measurement`: its value and what each sample contributes to it. Distances and neighbours are means over
samples. Ranks and their ratios are those that `repgeom.estimate` and `repgeom.compare` give for the same rows.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import ZeroVarianceError, centred, row_norms, unit_rows
from repgeom.data.labels import as_labels
from repgeom.data.numbers import whole_from
from repgeom.measures.nearest_rows import check_neighbours, group_codes, most_neighbours
from repgeom.measures.pair_sums import check_k, check_pair
from repgeom.probes.linear import LinearProbe
from repgeom.probes.nearest import KNNProbe, fit_knn_probe
from repgeom.robustness.alignment import cka_measurement
from repgeom.robustness.measurement import Measurement
from repgeom.robustness.neighbourhoods import OF_NEIGHBOURS, Neighbourhoods
from repgeom.robustness.ranks import RATIOS, Ranks, all_rows_equal
from repgeom.robustness.tails import heavy_tails

ALL_ROWS_EQUAL = "all corrupted rows are equal"  # why measures of their variance are missing
LEADING = 0.9  # share of the clean variance that the "leading directions" hold
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
    "effective_rank": "exp entropy of the corrupted features' shares of variance, corrected for the number of samples",
    "effective_rank_ratio": "corrupted / clean effective rank (of variances), both corrected, as compare(paired=True) gives",
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


ONE_GROUP = "no neighbours: all rows are of one group"  # why measures of neighbours are missing


class Clean:
    """Clean features with all that any number of corrupted versions will be compared with, worked out once.

    `groups` (n,) name rows that depend on each other: no row's neighbour is of its own group, and intervals count groups.
    `lower_k` asks fewer neighbours where a large group leaves fewer, where else that is an error.
    """

    def __init__(
        self,
        rows: Tensor,
        labels: Any = None,
        probe: LinearProbe | None = None,
        knn: KNNProbe | None = None,
        k: int = 10,
        max_pair_rows: int = 4096,
        seed: int = 0,
        groups: Any = None,
        lower_k: bool = False,
    ) -> None:
        n = len(rows)
        if rows.ndim != 2 or n < 4:
            raise ValueError(f"`clean` must be (n_samples, n_features) with at least 4 rows, got {tuple(rows.shape)}.")
        # float64: the drift of a mild corruption is a small difference of large numbers.
        self.rows = rows.double()
        if all_rows_equal(self.rows):
            raise ZeroVarianceError(
                "`clean` has zero variance: all rows are equal, so there is nothing to compare with."
            )
        seed = whole_from(0, seed, "seed")
        if max_pair_rows < min(n, k + 2):
            raise ValueError(f"`max_pair_rows` must be at least k + 2, which is {k + 2}, got {max_pair_rows!r}.")
        # One draw for all conditions, and with one seed for all encoders, so that differences are of the same rows.
        self.chosen = np.sort(np.random.default_rng(seed).permutation(n)[:max_pair_rows])
        k = check_k(k, len(self.chosen) - 2)
        self.codes = None if groups is None else as_labels(groups, n, "groups")[0]
        chosen_groups = None if self.codes is None else self.codes[self.chosen]
        self.groups = group_codes(self.codes, n)
        self.groups_of_chosen = group_codes(chosen_groups, len(self.chosen))
        if lower_k:
            k = min(k, most_neighbours(len(self.chosen), self.groups_of_chosen))
        else:
            check_neighbours(k, len(self.chosen), self.groups_of_chosen)
        units = self._units(self.rows)
        self.neighbourhoods = None
        if k:
            self.neighbourhoods = Neighbourhoods(units, k, seed, _on(self.groups_of_chosen, units))
        self.probe, self.knn, self.own_bank = probe, knn, knn is None
        for name, width in (("probe", probe and probe.weight.shape[1]), ("knn", knn and knn.bank.shape[1])):
            if width not in (None, rows.shape[1]):
                raise ValueError(f"`{name}` was fitted on {width} features, these are {rows.shape[1]}.")
        self.labels = None
        if labels is not None:
            codes, names = as_labels(labels, n)
            self.labels = names[codes]
            if knn is None and k:
                self.knn = fit_knn_probe(units, self.labels[self.chosen], k=k, groups=chosen_groups)
        self.right = self._right(self.rows)
        self.mean = self.rows.mean(0)
        self.ranks = Ranks.of(self.rows, "clean", self.codes)
        self.coordinates = self.ranks.coordinates(self.rows)

    def itself(self) -> list[Measurement]:
        """The clean features' own accuracy, rank and norm."""
        found = [
            *(Measurement.mean(name, right, "binary") for name, right in self.right.items()),
            self.ranks.effective_rank(),
            Measurement.mean("mean_norm", row_norms(self.rows), "positive"),
        ]
        return [self._by_group(m) for m in found]

    def compared(self, corrupted: Tensor) -> list[Measurement]:
        """All measures of one corrupted version. Raises ValueError for another shape."""
        check_pair(tuple(self.rows.shape), tuple(corrupted.shape), True, True, ("clean", "corrupted"))
        moved = corrupted.double()
        found = [
            *self._accuracies(moved),
            *self._distances(moved),
            *self._spectral(moved),
            *self._neighbourly(moved),
            *self._in_probe(moved),
        ]
        return [self._by_group(m) for m in found]

    def failed(self, why: str) -> list[Measurement]:
        """What stands in the place of `compared` where there are no corrupted features."""
        return [Measurement(r.measure, math.nan, 0, note=why) for r in self.compared(self.rows)]

    def _by_group(self, m: Measurement) -> Measurement:
        """The same with what each group contributes, where there are groups."""
        if self.groups is None or m.contributions is None:
            return m
        # Of measures that need all pairs only the chosen rows contribute.
        groups = self.groups if len(m.contributions) == len(self.rows) else self.groups_of_chosen
        return m if groups is None else m.by_group(groups)

    def _neighbourly(self, moved: Tensor) -> list[Measurement]:
        if self.neighbourhoods is None:
            return [Measurement(name, math.nan, len(self.chosen), note=ONE_GROUP) for name in OF_NEIGHBOURS]
        return self.neighbourhoods.compared(self._units(moved))

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
                # The bank is the clean rows themselves: none may vote for its own corrupted version.
                own = np.arange(len(self.chosen))
                votes = self.knn.correct(self._units(rows), self.labels[self.chosen], leave_out=own).double()
            else:
                votes = self.knn.correct(rows, self.labels).double()
            names = ["knn_accuracy"] if len(votes) == 1 else [f"knn_accuracy_k{k}" for k in self.knn.k]
            found |= dict(zip(names, votes, strict=True))
        return found

    def _accuracies(self, moved: Tensor) -> list[Measurement]:
        found = []
        for name, right in self._right(moved).items():
            drop = Measurement.mean(f"{name}_drop", self.right[name] - right, "change")
            found += [Measurement.mean(name, right, "binary"), drop]
        return found

    def _distances(self, moved: Tensor) -> list[Measurement]:
        away, moved_away = self.rows - self.mean, moved - self.mean
        distance = row_norms(moved - self.rows)
        return [
            Measurement.mean("cosine_drift", 1 - _cosines(self.rows, moved)),
            _centred_cosine_drift(away, moved_away),
            Measurement.ratio("relative_l2_drift", distance, row_norms(self.rows)),
            Measurement.ratio("centred_relative_l2_drift", distance, _norms_about_mean(away)),
        ]

    def _spectral(self, moved: Tensor) -> list[Measurement]:
        """Measure what rests on the covariance of the corrupted rows."""
        if all_rows_equal(moved):
            names = ("effective_rank", *RATIOS, "leading_variance", "linear_cka")
            return [Measurement(name, math.nan, len(self.rows), note=ALL_ROWS_EQUAL) for name in names]
        ranks = Ranks.of(moved, "corrupted", self.codes)
        cka = cka_measurement(self.coordinates, ranks.coordinates(moved), _squared_steps(self.rows, moved))
        return [ranks.effective_rank(), *ranks.ratios_to(self.ranks), self._leading_variance(moved), cka]

    def _leading_variance(self, moved: Tensor) -> Measurement:
        """Measure Σ_j c_j v_jᵀΣ'v_j / tr Σ' along clean directions v_j.

        c_j is 1 as long as they hold 90 % of the clean variance, and a fraction for the last.
        """
        variances = self.ranks.variances
        # What is missing to 90 % before each direction. Over the direction's own variance, cut to [0, 1], it is c_j.
        needed = LEADING * variances.sum() - (variances.cumsum(0) - variances)
        rows = centred(moved)
        # The value is a ratio, so a common scale cancels; without it squares of large features overflow.
        rows = rows / rows.abs().max()
        along = (rows @ self.ranks.vectors).square().sum(0)
        value = float(along @ (needed / variances).clamp(0, 1) / rows.square().sum())
        note = "no interval: the directions are fitted to the same samples, which bias it"
        return Measurement("leading_variance", value, len(rows), note=note)

    def _in_probe(self, moved: Tensor) -> list[Measurement]:
        if self.probe is None:
            return []
        clean, corrupted = ((unit_rows(x) if self.probe.normalize else x) for x in (self.rows, moved))
        basis = self.probe.row_space.to(clean)
        # A probe that tells nothing apart sees no direction. One column of zeros keeps the shapes, with nothing inside.
        if not basis.shape[1]:
            basis = basis.new_zeros(len(basis), 1)
        away, step = clean - clean.mean(0), corrupted - clean
        seen, moves = away @ basis, step @ basis
        inside = Measurement.ratio("probe_drift", row_norms(moves), _norms_about_mean(seen))
        step_outside, away_outside = _outside(step, basis), _outside(away, basis)
        outside = Measurement.ratio("drift_outside_probe", row_norms(step_outside), _norms_about_mean(away_outside))
        squares = step.square().sum(1)
        share = Measurement.ratio("drift_share_in_probe", moves.square().sum(1), squares, "share")
        if share.known:
            note = heavy_tails(squares)
            if note:
                share = share.without_interval(note)
        return [inside, outside, share]


def _on(groups: Tensor | None, rows: Tensor) -> Tensor | None:
    """Codes of groups on the device of these rows."""
    return None if groups is None else groups.to(rows.device)


def _norms_about_mean(away: Tensor) -> Tensor:
    """Lengths of centred rows, less what each changes in all of them through the mean; their average is that of lengths."""
    lengths = row_norms(away)
    return lengths - away @ unit_rows(away).mean(0)


def _centred_cosine_drift(away: Tensor, moved: Tensor) -> Measurement:
    """1 − mean cosine of rows about the clean mean, which every clean row has a part in."""
    # In units of the largest value: lengths of subnormal rows could not be divided by.
    largest = torch.maximum(away.abs().max(), moved.abs().max())
    if largest > 0:
        away, moved = away / largest, moved / largest
    # A cosine pᵀq changes with its row by (q − cos p) / length, and with the corrupted row likewise. The mean that is
    # subtracted from both moves it by minus the sum, and every clean row moves the mean.
    cosine, p, q = _cosines(away, moved)[:, None], unit_rows(away), unit_rows(moved)
    # A row at the mean has no direction; an infinite length makes its part 0.
    lengths = (torch.where(n > 0, n, torch.inf)[:, None] for n in (row_norms(away), row_norms(moved)))
    parts = zip((q - cosine * p, p - cosine * q), lengths, strict=True)
    slope = sum(((part / length).mean(0) for part, length in parts), away.new_zeros(away.shape[1]))
    drift = 1 - cosine[:, 0]
    return dataclasses.replace(Measurement.mean("centred_cosine_drift", drift), contributions=drift + away @ slope)


def _squared_steps(clean: Tensor, moved: Tensor) -> Tensor:
    """Return how far each row moves beside the others, squared, in units of the largest; 0 where only rounding moves."""
    steps = centred(moved - clean)
    # The subtraction errs by a few eps of the largest value; steps that are no longer say nothing.
    rounding = 8 * torch.finfo(steps.dtype).eps * torch.maximum(clean.abs().max(), moved.abs().max())
    largest = steps.abs().max()
    if bool(largest <= rounding):
        return torch.zeros_like(steps[:, 0])
    return (steps / largest).square().sum(1)


def _outside(rows: Tensor, basis: Tensor) -> Tensor:
    """Rows without what lies in a subspace; nothing where it is the whole space."""
    return torch.zeros_like(rows) if basis.shape[1] >= len(basis) else rows - rows @ basis @ basis.mT


def _cosines(x: Tensor, y: Tensor) -> Tensor:
    """Cosines of rows, (n,); 1 where they are equal, rows of zeros too."""
    return torch.where((x == y).all(1), 1, (unit_rows(x) * unit_rows(y)).sum(1))
