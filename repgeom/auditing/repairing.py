"""Would a simple repair help these features? A sentence for the notes of an audit with labels."""

from __future__ import annotations

import numpy as np

from repgeom.auditing.audit_tally import AuditTally
from repgeom.data.arrays import finite_matrix
from repgeom.reading.sample import Drawn
from repgeom.repair.proof import Settings, proof_of

_ROWS = 2_048  # half of them to fit on and half to read: a gain of 0.05 is then sure, and it is a small part of an audit's time
_FEWEST = 200  # of fewer, hardly any gain is sure
_SMALLEST_GAIN = 0.02  # of what is worth a step more in a pipeline


def repair_note(tally: AuditTally, k: int, copies: bool) -> str:
    """Which repair would help and by how much, where one surely does; '' elsewhere.

    `copies`: whether rows repeat that no group holds together; a copy in the other half would vote for itself.
    """
    if "labels" not in tally.asked.beside or copies or tally.n_samples < _FEWEST:
        return ""
    drawn: Drawn = tally.tallies["sample"].drawn(_ROWS)
    rows = finite_matrix(drawn.rows, "features")
    classes = np.unique(drawn.column("labels"), return_inverse=True)[1]
    groups = drawn.column("groups") if "groups" in tally.asked.beside else None
    settings = Settings(k=k, seed=tally.asked.seed, least_gain=_SMALLEST_GAIN)
    try:
        proof = proof_of(rows, classes, groups, None, settings)
    except ValueError:  # half of the rows leave some without k neighbours outside of their group
        return ""
    if proof.best is None:
        return ""
    return f"A repair would help: {proof.sentence}. `repgeom.repair` makes it."
