"""What rules read of the order of rows, and the sentences that say it."""

from __future__ import annotations

from repgeom.auditing.evidence import Evidence
from repgeom.measures import rank
from repgeom.spectral.isotropic import isotropic_baseline
from repgeom.spectral.spectrum import Spectrum

_STRUCTURED = 0.8  # of the effective rank of isotropic features: below that, rows have a structure to be recognised by
_RESTS_ON_ORDER = "linear CKA, mutual kNN, cosine alignment and Procrustes distance say nothing until then"


def reference_misorder(e: Evidence) -> float | None:
    """How much more features and reference agree in another order than in theirs."""
    if e.reference is None:
        return None
    return e.reference.order.gained


def reference_order_sentence(e: Evidence, value: float) -> str:
    """Say which order it is, or that both hold the same rows."""
    assert e.reference is not None
    order = e.reference.order
    words = f"features and reference are in different orders: {_agreement(e)}"
    if order.same_rows:
        words += "; both hold the same rows, by their spectra and lengths"
    if order.name:
        words += f"; they agree by {value:.2f} more if {order.name}"
    return f"{words}; {_RESTS_ON_ORDER}"


def corrupted_misorder(e: Evidence) -> float | None:
    """How much more clean and corrupted rows agree in another order; all that is missing where they agree as random rows do."""
    if e.drift is None:
        return None
    cka = e.drift.readings["linear_cka"].value
    if cka != cka:
        return None
    if e.drift.order.at_chance(cka):
        return 1 - cka
    return e.drift.order.gained


def corrupted_order_sentence(e: Evidence, value: float) -> str:
    """Say that rows of one model cannot be strangers, and which order they are in where that is known."""
    assert e.drift is not None
    order, readings = e.drift.order, e.drift.readings
    words = (
        f"clean and corrupted rows are in different orders, or nothing is left of them: CKA "
        f"{readings['linear_cka'].value:.3f}{_by_chance(order.chance)}"
    )
    retrieved = readings["self_retrieval"].value
    if retrieved == retrieved:
        words += f", {retrieved:.1%} of the rows find their own"
    if order.name:
        words += f"; they agree by {order.gained:.2f} more if {order.name}"
    return f"{words}; every measure of drift rests on the order"


def label_misorder(e: Evidence) -> float | None:
    """How much more neighbours agree on labels in another order."""
    if e.labels is None or e.labels.votes is None:
        return None
    return e.labels.order.gained


def label_order_sentence(e: Evidence, value: float) -> str:
    """Say which order it is."""
    assert e.labels is not None
    assert e.labels.votes is not None
    return (
        f"labels are in another order than the rows: {e.labels.votes.value:.1%} of the rows have the label of their neighbours, "
        f"who agree by {value:.2f} more (0 is guessing, 1 always) if {e.labels.order.name}"
    )


def strangers(e: Evidence) -> str:
    """Say of a reference with which nothing is shared what that may mean."""
    assert e.reference is not None
    words = f"features and reference have nothing in common: {_agreement(e)}"
    for name, spectrum in (("the features are", e.spectrum), ("the reference is", e.reference.spectrum)):
        if not has_structure(spectrum):
            return f"{words}; {name} as good as isotropic noise, in which nothing could be recognised"
    return f"{words}; unrelated models, or rows in another order? {_RESTS_ON_ORDER[0].upper()}{_RESTS_ON_ORDER[1:]}"


def _agreement(e: Evidence) -> str:
    """Say what both agree on, and what they would by chance."""
    assert e.reference is not None
    words = f"CKA {e.estimates['linear_cka'].value:.3f}{_by_chance(e.reference.order.chance)}"
    shared = e.reference.shared_neighbours
    if shared is not None:
        words += f", mutual kNN {shared.value:.3f} (by chance {e.neighbours / e.candidates:.3f})"
    return words


def _by_chance(chance: tuple[float, float] | None) -> str:
    if chance is None:
        return ""
    return f" ({chance[0]:.3f} to {chance[1]:.3f} in random orders)"


def has_structure(spectrum: Spectrum) -> bool:
    """Whether rows differ from isotropic noise, so that they can be recognised among others."""
    share = rank.effective_rank(spectrum) / rank.effective_rank(isotropic_baseline(spectrum))
    return float(share) < _STRUCTURED
