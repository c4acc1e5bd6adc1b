"""Which repair would help, and by how much? Each is fitted on one half of the rows and judged on the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import ZeroVarianceError, finite_matrix, unit_rows
from repgeom.data.kinds import Features, Groups, Labels
from repgeom.data.labels import as_labels
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.numbers import whole_number
from repgeom.data.progress_bar import with_bar
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings
from repgeom.data.sources import nonfinite_error_of
from repgeom.inference.estimate import Estimate, estimate_or_reason
from repgeom.inference.holdout import FEWEST_ROWS, fitted_half
from repgeom.inference.intervals import check_confidence
from repgeom.inference.neighbours import Neighbours
from repgeom.inference.sample import opened
from repgeom.measures.cloud import mean_cosine
from repgeom.measures.drawn_rows import MOST_ROWS
from repgeom.measures.nearest_rows import group_codes
from repgeom.repair.made import remove_top, standardize, whiten

if TYPE_CHECKING:
    import pandas as pd

AS_THEY_ARE = "as they are"


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class RepairProof(ShownInNotebook):
    """What each repair, fitted on one half of the rows, does to the other half.

    Attributes:
        table: a row for each repair, the first "as they are": effective_rank with low and high; mean_cosine; with labels accuracy with
            accuracy_low and accuracy_high, and gained with gained_low and gained_high: accuracy after less before, row by row.
            Intervals of `gained` hold for all repairs at once (Bonferroni). NaN where none is known; `table.attrs["no_interval"]` says why.
        fitted: the transformers by name, fitted on the first half.
        left_out: default repairs that these rows cannot be fitted with, or whose result is not finite, and why.
        n_fitted, n_read: rows of the two halves.
    """

    table: pd.DataFrame
    fitted: Mapping[str, Any]
    n_fitted: int
    n_read: int
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def best(self) -> str | None:
        """The repair that surely gains most: of those whose `gained_low` is above 0 the largest. None without one, or labels."""
        if "gained" not in self.table:
            return None
        sure = self.table[self.table.gained_low > 0]
        return None if sure.empty else str(sure.gained.idxmax())

    @property
    def sentence(self) -> str:
        """The best one and what it gains, in one sentence; that none is sure to help; or, without labels, that nothing can say so."""
        if "gained" not in self.table:
            return "without labels nothing says whether a repair helps"
        if self.best is None:
            return "none is sure to help"
        row, before = self.table.loc[self.best], self.table.loc[AS_THEY_ARE]
        return (
            f"{self.best}, fitted on {self.n_fitted:,} rows, raises the kNN accuracy of {self.n_read:,} others from "
            f"{before.accuracy:.3f} to {row.accuracy:.3f} (+{row.gained:.3f}, {row.gained_low:.3f} to {row.gained_high:.3f})"
        )

    def __repr__(self) -> str:
        return f"<RepairProof of {len(self.fitted)} repairs: {self.sentence}>"


@own_settings
def compare_repairs(
    features: Features,
    labels: Labels = None,
    *,
    repairs: Mapping[str, Any] | None = None,
    k: int = 10,
    groups: Groups = None,
    max_rows: int = MOST_ROWS,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool = False,
) -> RepairProof:
    """Fit each repair on one half of the rows, drawn with a seed, and read the other half before and after.

    With labels a repair helps where the leave-one-out vote of the k nearest by cosine is surely right more often than before. Without
    them nothing says whether a change helps: effective rank and mean cosine show what changed, and whitening raises a rank by
    making noise as large as everything else.

    Args:
        features: (n_samples, n_features) of any array kind, at least 20 rows, or the path of a file.
        labels: (n_samples,), whole numbers or text.
        repairs: scikit-learn transformers by name; by default "center", "standardize", "remove_top(1)", "remove_top(m)" with m a
            hundredth of the width where that is above 1, and "whiten".
        k: neighbours that vote.
        groups: (n_samples,), whole numbers or text: rows of one group depend on each other, go to one half and do not vote for each other.
        max_rows: of more rows so many are drawn, half of them to fit on.
        confidence: of the intervals.
        seed: of rows, halves, and splits behind intervals.
        progress: show a bar on standard error where that is a terminal.

    Returns:
        `RepairProof`, with `table`, `best`, `sentence` and the fitted transformers.

    Raises:
        TypeError: `repairs` is no dict.
        ValueError: fewer than 20 rows, rows that are all equal, k out of range, and what a repair raises; else as `effective_rank`.

    Four classes stand along four columns; three others are thirty times as large, and decide every cosine:

    >>> import numpy as np
    >>> labels = np.arange(400) % 4
    >>> x = np.random.default_rng(0).standard_normal((400, 9)) + 3 * np.eye(4, 9)[labels]
    >>> x[:, 6:] *= 30
    >>> compare_repairs(x, labels).best
    'standardize'
    """
    check_confidence(confidence)
    require_same_order(features, labels=labels, groups=groups)
    if repairs is not None and not isinstance(repairs, Mapping):
        raise TypeError(
            f"`repairs` must be a dict of transformers by name, such as {{'whiten': rg.repair.whiten()}}, got a {type(repairs).__name__}."
        )
    source = opened(features)
    n = source.n_samples
    most = whole_number(max_rows)
    if most is None or most < FEWEST_ROWS:
        raise ValueError(f"`max_rows` must be a whole number of at least {FEWEST_ROWS}, got {max_rows!r}.")
    chosen = np.arange(n)
    if n > most:
        chosen = np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
    rows = source.rows(chosen)
    if not bool(torch.isfinite(rows).all()):
        raise nonfinite_error_of(source, "features") or AssertionError("unreachable: a value is not finite")
    rows = finite_matrix(rows, "features")
    classes = None if labels is None else as_labels(labels, n)[0][chosen]
    own = None if groups is None else as_labels(groups, n, "groups")[0][chosen]
    return proof_of(rows, classes, own, repairs, Settings(k=k, confidence=confidence, seed=seed, progress=progress))


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the halves are read. `least_gain`: only the repair that gains most is read, if it gains so much, and no ranks."""

    k: int = 10
    confidence: float = 0.95
    seed: int = 0
    least_gain: float | None = None
    progress: bool = False


def proof_of(
    rows: Tensor,
    classes: np.ndarray | None,
    groups: np.ndarray | None,
    repairs: Mapping[str, Any] | None,
    settings: Settings,
) -> RepairProof:
    """The same of rows in memory, with codes of their classes and groups, if there are any."""
    import pandas as pd

    codes = None if groups is None else np.unique(groups, return_inverse=True)[1]
    fitted = fitted_half(len(rows), settings.seed, codes)
    held_groups = None if groups is None else groups[~fitted]
    held_classes = None if classes is None else torch.as_tensor(classes[~fitted])
    values = rows.cpu().numpy()
    if bool((rows == rows[:1]).all()):
        raise ZeroVarianceError("`features` has zero variance: all rows are equal, so no repair can help.")
    held = values[~fitted]
    judge = _Judge(torch.from_numpy(held), held_groups, held_classes, settings)
    left_out: dict[str, str] = {}
    if judge.may_gain():
        made, left_out = _fitted(values[fitted], repairs)
        # Repaired rows are made again where they are read: all of them together are several times the rows.
        for name in list(made):
            try:
                _transformed(made[name], held, name)
            except ValueError as error:
                if repairs is not None:
                    raise
                del made[name]
                left_out[name] = str(error)
        judge.made = made
    read = list(judge.made)
    if settings.least_gain is not None:
        read = judge.promising(settings.least_gain)
    table = [judge.row(name) for name in with_bar((AS_THEY_ARE, *read), "repairs", settings.progress)]
    frame = pd.DataFrame(table).set_index("repair")
    frame.attrs["no_interval"] = list(judge.reasons)
    return RepairProof(frame, judge.made, int(fitted.sum()), int((~fitted).sum()), left_out)


def _transformed(transformer: Any, rows: np.ndarray, name: str) -> Tensor:
    """Rows after a repair. Raises ValueError, which names the repair, where they are not finite."""
    found = torch.from_numpy(np.ascontiguousarray(transformer.transform(rows)))
    if not bool(torch.isfinite(found).all()):
        raise ValueError(
            f"the repair {name!r} gives values that are not finite, though `features` has none: divide the features by their largest."
        )
    return found


def _fitted(rows: np.ndarray, repairs: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, str]]:
    """The repairs fitted on rows, and which of the default ones cannot be."""
    if repairs is not None:
        from sklearn.base import clone

        return {name: clone(transformer).fit(rows) for name, transformer in repairs.items()}, {}
    from repgeom.repair.transformers import fitted_together

    return fitted_together(_default(rows.shape[1]), rows)


def _default(width: int) -> dict[str, Any]:
    """Repairs by name, from mild to strong."""
    found: dict[str, Any] = {"center": remove_top(0), "standardize": standardize()}
    for m in sorted({1, round(width / 100)} - {0}):
        if m < width:
            found[f"remove_top({m})"] = remove_top(m)
    return found | {"whiten": whiten()}


class _Judge:
    """Reads the half of the rows that no repair was fitted on, after each repair beside before."""

    def __init__(
        self,
        held: Tensor,
        groups: np.ndarray | None,
        classes: Tensor | None,
        settings: Settings,
    ) -> None:
        self.held, self.groups, self.classes, self.settings = held, groups, classes, settings
        self.made: dict[str, Any] = {}
        self.known: dict[str, Neighbours] = {}
        self.reasons: dict[str, None] = {}  # why there is no interval; a dict keeps the order

    def rows(self, name: str) -> Tensor:
        """The rows after this repair, or as they are."""
        if name == AS_THEY_ARE:
            return self.held
        return _transformed(self.made[name], self.held.numpy(), name)

    def neighbours(self, name: str) -> Neighbours:
        """The nearest of each row after this repair, sought once."""
        if name not in self.known:
            units = unit_rows(finite_matrix(self.rows(name), "features"))
            codes = group_codes(self.groups, len(units))
            self.known[name] = Neighbours(units, self.settings.k, self.settings.seed, codes)
        return self.known[name]

    def may_gain(self) -> bool:
        """Whether so many rows are voted wrong that a repair can gain what is asked for."""
        least = self.settings.least_gain
        if least is None or self.classes is None:
            return True
        return self.neighbours(AS_THEY_ARE).accuracy(self.classes) <= 1 - least

    def promising(self, least_gain: float) -> list[str]:
        """The repair that gains most, if it gains so much; nothing else."""
        assert self.classes is not None
        before = self.neighbours(AS_THEY_ARE)
        gains = {name: self.neighbours(name).gain(before, self.classes) for name in self.made}
        best = max(gains, key=lambda name: gains[name], default=None)
        if best is None or gains[best] < least_gain:
            return []
        return [best]

    def row(self, name: str) -> dict[str, Any]:
        """One row of the table."""
        confidence = self.settings.confidence
        found: dict[str, Any] = {"repair": name}
        if self.settings.least_gain is None:
            rows = self.rows(name)
            rank = estimate_or_reason(rows, groups=self.groups, confidence=confidence)
            found |= self.ends("effective_rank", "", rank) | {"mean_cosine": mean_cosine(rows.numpy())}
        if self.classes is None:
            return found
        before, here = self.neighbours(AS_THEY_ARE), self.neighbours(name)
        accuracy = here.votes(self.classes).estimate(confidence, share_of_rows=True)
        found |= self.ends("accuracy", "accuracy_", accuracy)
        if name == AS_THEY_ARE:  # against itself
            return found | {"gained": 0.0, "gained_low": 0.0, "gained_high": 0.0}
        of_all = 1 - (1 - confidence) / len(self.made)
        gained = here.votes_gained(before, self.classes).estimate(of_all, least=-1.0)
        return found | self.ends("gained", "gained_", gained)

    def ends(self, name: str, prefix: str, e: Estimate) -> dict[str, float]:
        """A value and its interval as columns; NaN where there is none, and why is kept."""
        if e.low is None and e.warnings:
            self.reasons[f"{name}: {e.warnings[-1]}"] = None
        low, high = (np.nan if end is None else end for end in (e.low, e.high))
        return {name: e.value, f"{prefix}low": low, f"{prefix}high": high}
