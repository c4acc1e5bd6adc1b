"""What must a reader of an audit know of how its numbers were read?"""

from __future__ import annotations

from repgeom.auditing.audit_tally import AuditTally
from repgeom.auditing.evidence import Evidence, LabelEvidence
from repgeom.auditing.readings import warning_in_summary
from repgeom.auditing.repairing import repair_note
from repgeom.auditing.row_intervals import MOST_REPEATS
from repgeom.inference.sample import FEWEST_ROWS
from repgeom.measures.class_tally import ClassTally


def notes_of(tally: AuditTally, e: Evidence) -> tuple[str, ...]:
    """What a reader must know of how the numbers were read."""
    n, notes, cloud = tally.n_samples, [], tally.tallies["cloud"]
    if cloud.kept < n:
        notes.append(f"Repeated rows, extreme norms and the median norm are read from {cloud.kept:,} of {n:,} rows.")
    if tally.n_repeats:
        notes.append(f"{tally.n_repeats:,} rows that repeat an earlier one were left out; one of each is kept.")
    if tally.asked.preparation.equal_are_groups:
        n_groups = n - e.health.duplicate_rows
        notes.append(f"Rows that are equal form a group: {n:,} rows in {n_groups:,} groups.")
    if tally.n_dropped:
        notes.append(f"{tally.n_dropped:,} rows with NaN or infinity were left out; {n:,} remain.")
    if len(e.sample) < n:
        notes.append(f"Uniformity and kNN are read from {len(e.sample):,} of {n:,} rows, drawn with a fixed seed.")
    n_drift = n if e.drift is None else max(one.n for one in e.drift.readings.values())
    if n_drift < n:
        notes.append(f"Drift is read from {n_drift:,} of {n:,} rows, drawn with a fixed seed.")
    notes += [one.note for one in e.dominating]
    if e.labels is not None:
        notes += _notes_on_classes(tally.tallies["classes"], e.labels)
        copies = "groups" not in tally.asked.beside and e.health.duplicate_rows > MOST_REPEATS * n
        note = repair_note(tally, e.neighbours, copies)
        notes += [note] * bool(note)
    if e.health.extreme_norms:
        largest = cloud.norms().maximum
        notes.append(
            f"The longest row is row {cloud.longest_row:,}, of norm {largest:.3g}; the median is {cloud.norms().median:.3g}."
        )
    if not e.spectrum.exact_tail:
        notes.append(
            "The smallest singular values are rounding beside the largest, and the rows cannot be read again by a more exact "
            "method; measures that rest on them are left out. Save the rows and audit the file."
        )
    if e.population is None:
        notes.append(f"Nothing is said of the population: that needs {FEWEST_ROWS} rows.")
        return tuple(notes)
    used = len(e.population.scores.squares)
    if used < n:
        notes.append(f"Intervals are worked out from {used:,} of {n:,} rows, drawn with a fixed seed.")
    # Of rows that dominate there is a note already.
    warnings = e.estimates["effective_rank"].warnings
    if any(one.what == "rows" for one in e.dominating):
        warnings = tuple(warning for warning in warnings if not warning.startswith("row "))
    notes += [f"Population: {warning}." for warning in warnings if warning != warning_in_summary(e)]
    return tuple(notes)


def _notes_on_classes(classes: ClassTally, labels: LabelEvidence) -> list[str]:
    sizes, notes = classes.sizes(), []
    single = int((sizes == 1).sum())
    if single > len(sizes) / 2:
        notes.append(
            f"{single:,} of {len(sizes):,} classes have one row, in which no rank can be read: are these labels ids?"
        )
    read = labels.ranks.n_samples
    if read.sum() < sizes.sum():
        notes.append(
            f"Ranks of large classes are read from at most {read.max():,} rows of each, drawn with a fixed seed."
        )
    return notes
