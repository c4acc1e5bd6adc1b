"""An audit of rows that lie on many machines: each adds up its own, and the sums are merged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.auditing.audit import report_of
from repgeom.auditing.audit_tally import Asked, AuditTally
from repgeom.auditing.evidence_of import SCORED_ROWS
from repgeom.auditing.options import Options
from repgeom.auditing.purposes import TRANSFER, check_purpose
from repgeom.auditing.report import Report
from repgeom.auditing.titles import Titles
from repgeom.data.arrays import as_features, check_normalize
from repgeom.data.kinds import Features, Groups, Labels, Thresholds
from repgeom.data.labels import as_values
from repgeom.data.row_names import require_same_columns, require_same_order
from repgeom.data.settings import own_settings
from repgeom.reading.sample import Drawn, RowSample
from repgeom.reading.tally import Piece, from_bytes, to_bytes

__all__ = ["AuditAccumulator"]


def _copied(features: Any, name: str, device: torch.device) -> Tensor:
    """Rows (n, d) in memory of their own: samples keep rows, and the caller may use its memory for the next."""
    x = as_features(features, name, min_rows=1).detach()
    if x.ndim != 2:
        raise ValueError(f"`{name}` must be (n_samples, n_features), got shape {tuple(x.shape)}.")
    return x.to(device, copy=True)


@own_settings
class AuditAccumulator:
    """What `audit` takes from rows, added up in any order and on any machine: for Ray, Spark and your own cluster.

    Each machine adds its rows with `update` and sends `to_bytes`; one reads them with `from_bytes`, merges, and asks for the
    `report`. States hold no pickle and carry a version. Memory is that of `audit`: it does not grow with the rows.

    Args:
        normalize: "l2" scales rows to unit length before centring, for every spectral measure except RankMe.
        method: "float64" (exact for every measure of the variances; where smaller singular values are rounding, measures that
            rest on them are missing in the report, with the reason) or "qr" (about four times the work; exact for all).
        seed, max_pair_rows, drop_nonfinite: as `audit`.
        scored_rows: rows kept for intervals, at most.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((400, 8))
    >>> here, there = AuditAccumulator(), AuditAccumulator()
    >>> _ = here.update(x[:150], start=0), there.update(x[150:], start=150)
    >>> _ = here.merge(AuditAccumulator.from_bytes(there.to_bytes()))
    >>> here.n_samples, round(here.report()["effective_rank"].value, 1)
    (400, 8.0)
    """

    def __init__(
        self,
        *,
        normalize: str | None = None,
        method: str = "float64",
        seed: int = 0,
        max_pair_rows: int = 4096,
        drop_nonfinite: bool = False,
        scored_rows: int = SCORED_ROWS,
    ) -> None:
        check_normalize(normalize)
        if method not in ("float64", "qr"):
            raise ValueError(f'`method` must be "float64" or "qr", got {method!r}.')
        self._options: dict[str, Any] = {
            "normalize": normalize, "method": method, "seed": seed, "max_pair_rows": max_pair_rows,
            "drop_nonfinite": drop_nonfinite, "scored_rows": scored_rows,
        }  # fmt: skip
        self._tally: AuditTally | None = None
        self._device = torch.device("cpu")  # of the rows that are kept and the sums

    @property
    def n_samples(self) -> int:
        """Rows so far, with those that were dropped."""
        return 0 if self._tally is None else self._tally.n_read

    def update(
        self,
        features: Features,
        *,
        start: int | None = None,
        labels: Labels = None,
        groups: Groups = None,
        reference: Features = None,
        corrupted: Features = None,
    ) -> AuditAccumulator:
        """Adds rows, and what stands beside them. Returns itself.

        Args:
            features: (n, n_features), n ≥ 1.
            start: the number of the first row among all rows of all machines, by which the sample of rows is drawn; by default
                rows follow those before. No two machines may count the same number.
            labels, groups: (n,), as `audit`.
            reference, corrupted: (n, ...), as `audit`. The same of these must be given each time.

        Raises:
            ValueError, TypeError: as `audit`; another width or type, or other things beside the rows, than before.
        """
        require_same_order(features, reference=reference, corrupted=corrupted, labels=labels, groups=groups)
        require_same_columns(features, reference=reference, corrupted=corrupted)
        rows = _copied(features, "features", self._device)
        beside: dict[str, Any] = {}
        for name, values in (("reference", reference), ("corrupted", corrupted)):
            if values is not None:
                beside[name] = _copied(values, name, self._device)
        for name, values in (("labels", labels), ("groups", groups)):
            if values is not None:
                beside[name] = as_values(values, len(rows), name).copy()
        if start is not None and not (isinstance(start, (int, np.integer)) and start >= 0):
            raise ValueError(f"`start` must be a whole number of at least 0, got {start!r}.")
        if self._tally is None:
            # What stands beside the first rows decides which sums are kept; `_check` holds later rows to the same.
            self._tally = self._empty(tuple(beside))
        self._check(rows, beside, self._tally)
        for piece in Piece.numbered(rows, self.n_samples if start is None else start, **beside).split():
            self._tally.update(piece)
        return self

    def _empty(self, beside: tuple[str, ...]) -> AuditTally:
        options = self._options
        asked = Asked(
            normalize=options["normalize"],
            seed=options["seed"],
            scored_rows=options["scored_rows"],
            pair_rows=options["max_pair_rows"],
            drop_nonfinite=options["drop_nonfinite"],
            # Sorted: two machines that name the same things in another order must still merge.
            beside=tuple(sorted(beside)),
            method=options["method"],
        )
        tally = AuditTally(asked)
        # Machines do not see each other's first rows, so all add up by the same method whatever theirs look like.
        for name in ("spectrum", "reference"):
            spectra = tally.tallies.get(name)
            if spectra is not None:
                methods = {wanted: {"method": options["method"], "directions": None} for wanted in spectra.wanted}
                spectra.follow({"methods": methods})
        return tally

    def _check(self, rows: Any, beside: Mapping[str, Any], tally: AuditTally) -> None:
        """Raises ValueError for rows that do not belong to those before."""
        if tuple(sorted(beside)) != tally.asked.beside:
            before = ", ".join(tally.asked.beside) or "nothing"
            raise ValueError(
                f"earlier rows came with {before} beside them, these with {', '.join(beside) or 'nothing'}."
            )
        widths = {"rows": rows} | {name: beside[name] for name in ("reference", "corrupted") if name in beside}
        for name, values in widths.items():
            what = "features" if name == "rows" else name
            if len(values) != len(rows):
                raise ValueError(f"`features` has {len(rows):,} rows and `{what}` {len(values):,}.")
            width = tally.n_features.get(name, values.shape[1])
            if width != values.shape[1]:
                raise ValueError(f"`{what}` has {values.shape[1]} features and earlier rows {width}.")
            dtype = tally.dtypes.get(name, values.dtype)
            if dtype != values.dtype:
                raise ValueError(f"`{what}` is {values.dtype} and earlier rows {dtype}: give all in one type.")

    def merge(self, other: AuditAccumulator) -> AuditAccumulator:
        """Adds all rows that `other` has seen. Returns itself. Raises ValueError if the two were set up differently."""
        if not isinstance(other, AuditAccumulator):
            raise TypeError(f"`other` must be an AuditAccumulator, got {type(other).__name__}.")
        if other is self:
            raise ValueError("`other` is this accumulator itself: its rows would count twice.")
        if other._options != self._options:
            raise ValueError(f"`other` was made with {other._options} and this accumulator with {self._options}.")
        # A copy, because merging takes sums over and adds to them in place.
        theirs = AuditAccumulator.from_bytes(other.to_bytes())._tally
        if theirs is None:
            return self
        if self._tally is None:
            self._tally, self._device = theirs, torch.device("cpu")
            return self
        if self._device.type != "cpu":
            # What comes from elsewhere lies on the CPU.
            self._tally, self._device = AuditAccumulator.from_bytes(self.to_bytes())._tally, torch.device("cpu")
            assert self._tally is not None
        if theirs.dtypes != self._tally.dtypes:
            raise ValueError(f"`other` holds rows of {theirs.dtypes} and this one of {self._tally.dtypes}.")
        if theirs.asked.beside != self._tally.asked.beside or theirs.n_features != self._tally.n_features:
            raise ValueError(
                f"`other` holds {theirs.n_features} features with {theirs.asked.beside or 'nothing'} beside them, this one "
                f"{self._tally.n_features} with {self._tally.asked.beside or 'nothing'}."
            )
        self._tally.merge(theirs)
        return self

    def __copy__(self) -> AuditAccumulator:
        """A copy that does not share its sums: an accumulator adds to them in place."""
        return AuditAccumulator.from_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Everything that was added up, as bytes that need no pickle and carry a version."""
        state = None if self._tally is None else self._tally.state()
        return to_bytes({"options": self._options, "tally": state})

    @classmethod
    def from_bytes(cls, content: bytes) -> AuditAccumulator:
        """The accumulator that `to_bytes` wrote. Raises ValueError for other bytes and for those of another version."""
        state = from_bytes(content)
        if set(state) != {"options", "tally"}:
            raise ValueError("these bytes hold no AuditAccumulator.")
        made = cls(**state["options"])
        if state["tally"] is not None:
            made._tally = AuditTally.from_state(state["tally"])
        return made

    def report(
        self,
        *,
        name: str | os.PathLike[str] = "features",
        k: int = 10,
        thresholds: Thresholds | None = None,
        purpose: str = TRANSFER,
    ) -> Report:
        """The report on all rows so far. Arguments and errors as `audit`."""
        if self._tally is None:
            raise ValueError("this accumulator has seen no rows yet.")
        options = Options(
            self._options["normalize"], k, self._options["max_pair_rows"], self._options["seed"],
            self._options["drop_nonfinite"], thresholds, check_purpose(purpose),
        )  # fmt: skip
        return report_of(self._tally, options, name=os.fspath(name), titles=Titles())


def keep_on(accumulator: AuditAccumulator, device: torch.device) -> None:
    """Let an accumulator that has no rows yet keep rows and sums on a GPU, until it is merged."""
    accumulator._device = device


def drawn_of(accumulator: AuditAccumulator, most: int) -> Drawn:
    """A sample of the rows that an accumulator has seen, with what stood beside them; the same rows for one seed."""
    if accumulator._tally is None:
        raise ValueError("this accumulator has seen no rows yet.")
    sample: RowSample = accumulator._tally.tallies["sample"]
    return sample.drawn(most)
