"""Which rows was a report made of? Fingerprints tell whether two reports saw the same ones."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from repgeom.auditing.audit_tally import AuditTally
from repgeom.inference.sample import FEWEST_ROWS, Sample

IDS = "ids"


@dataclasses.dataclass(frozen=True)
class RowIdentity:
    """What a report knows of the rows that its intervals rest on.

    Attributes:
        scored: fingerprint of how many rows there are and of the numbers of those scored; "" where none were.
        independent: so many independent rows say as much as all rows; None where that is not known.
        marks: fingerprints of what stood beside these rows, in their order: of "ids", "labels", "groups".
    """

    scored: str = ""
    independent: float | None = None
    marks: Mapping[str, str] = dataclasses.field(default_factory=dict)


def scored_rows(sample: Sample | None) -> str:
    """A fingerprint that is equal for two samples of as many rows of which the same ones were scored."""
    if sample is None:
        return ""
    rows = np.arange(sample.n)
    if sample.rows is not None:
        rows = np.asarray(sample.rows)
    # Little-endian and 64 bits everywhere, so that fingerprints of two machines agree.
    return f"{sample.n} {hashlib.sha256(rows.astype('<i8').tobytes()).hexdigest()}"


def row_marks(tally: AuditTally) -> dict[str, str]:
    """Fingerprints of the labels and groups of the rows scored, in their order; empty where there are neither."""
    beside = [name for name in ("labels", "groups") if name in tally.asked.beside]
    if tally.n_samples < FEWEST_ROWS or not beside:
        return {}
    sample: Any = tally.tallies["grouped" if "groups" in beside else "sample"]
    drawn = sample.drawn() if "groups" in beside else sample.drawn(tally.asked.scored_rows)
    if tally.asked.preparation.equal_are_groups:
        # Groups of equal rows are of these features alone.
        beside.remove("groups")
    return {name: fingerprint(drawn.column(name)) for name in beside}


def fingerprint(values: Iterable[Any]) -> str:
    """A checksum of labels or ids in their order. A number and the same number as text are one label."""
    digest = hashlib.sha256()
    for value in values:
        text = str(value.item() if isinstance(value, np.generic) else value)
        # The length keeps "a", "bc" apart from "ab", "c".
        digest.update(f"{len(text)} {text} ".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def same_rows(old: RowIdentity, new: RowIdentity) -> tuple[bool, str]:
    """Whether both are known to be the same rows in the same order, and how that is known, or why it is not."""
    if not old.scored or not new.scored:
        return False, "which rows were scored is not known"
    if old.scored != new.scored:
        return False, "they are other rows, or other numbers of rows"
    kinds = [IDS] if IDS in old.marks and IDS in new.marks else sorted(set(old.marks) & set(new.marks))
    if not kinds:
        return False, "nothing says that row i of both is one sample (no labels, groups or ids stand in both reports)"
    names = " and ".join(kinds)
    if any(old.marks[kind] != new.marks[kind] for kind in kinds):
        return False, f"they have other {names}"
    return True, f"row i of both has the same {names}"
