"""From what the rows add up to, to everything that measures and rules read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from repgeom.auditing.audit_tally import AuditTally
from repgeom.auditing.class_collapse import class_collapse
from repgeom.auditing.dominating import Dominating, dominating_of
from repgeom.auditing.evidence import DriftEvidence, Evidence, LabelEvidence, ReferenceEvidence
from repgeom.auditing.finding import Numbered
from repgeom.auditing.near_rows import near_rows_of
from repgeom.auditing.notes import notes_of
from repgeom.auditing.row_intervals import estimates_of_rows
from repgeom.auditing.row_order import UNKNOWN_ORDER, order_of_labels, order_of_rows, same_rows
from repgeom.auditing.values import ratio_estimate
from repgeom.data.arrays import finite_matrix, unit_rows
from repgeom.data.sources import source_of
from repgeom.inference.compare import Contributions, comparison_of, contributions_of
from repgeom.inference.estimate import Estimate
from repgeom.inference.neighbours import Neighbours
from repgeom.inference.sample import FEWEST_ROWS, Sample, group_correlation, scored
from repgeom.measures import rank
from repgeom.measures.class_tally import ClassTally, refuse_sample_ids
from repgeom.measures.classes import class_ranks
from repgeom.measures.cloud_tally import CloudTally, Health
from repgeom.measures.directions import captured_curve
from repgeom.measures.measure import functional, names_of_estimable
from repgeom.measures.nearest_rows import group_codes, mean_candidates, most_neighbours, share_beyond_groups
from repgeom.measures.pair_tally import PairTally
from repgeom.measures.subspaces import subspace_angles
from repgeom.reading.first_places import SHOWN
from repgeom.reading.sample import Drawn, RowSample
from repgeom.robustness.drift import Clean
from repgeom.spectral.directions import Directions, directions_in
from repgeom.spectral.tally import SpectrumTally, as_arrays

DRIFT_ROWS = 8_192  # rows that are compared with their corrupted ones, in memory
SCORED_ROWS = 8_192  # rows whose influence is worked out for intervals: they know a standard error to 1 to 2 %
COMPARED_DIRECTIONS = 10  # leading directions between which principal angles are taken


def evidence_of(tally: AuditTally, reference: str, corrupted: str, *, k: int) -> Evidence:
    """Everything an audit has seen. `reference`, `corrupted`: their names; `k`: neighbours."""
    asked, tallies = tally.asked, tally.tallies
    spectra: SpectrumTally = tallies["spectrum"]
    cloud: CloudTally = tallies["cloud"]
    found = spectra.read("spectrum", vectors=True)
    # Without scaling both spectra come from one sum of squares, read centred and as it is.
    raw = spectra.read("raw" if asked.normalize else "spectrum", center=False).spectrum
    pairs: Drawn = tallies["sample"].drawn(asked.pair_rows)
    # A row has no more neighbours than there are other rows, outside of its group where there are groups.
    sample, groups = pairs.rows, group_codes(pairs.column("groups"), len(pairs), pairs.rows.device)
    asked_k, k = k, min(k, most_neighbours(len(pairs), groups))
    population = None
    if tally.n_samples >= FEWEST_ROWS:
        # Called for its error: rows that are all equal have no rank, and no influence on one.
        rank.effective_rank(found.spectrum)
        population = _population(tally, directions_in(found), "rows")
    contributions: dict[str, Contributions] = {}
    if population is not None:
        # 95 % throughout: text, page and JSON of a report name it.
        contributions = {name: contributions_of(population, name, 0.95) for name in population.scores.influence}
    neighbours = None
    if k and {"labels", "reference"} & set(tally.asked.beside):
        neighbours = Neighbours(_units(sample), k, asked.seed, groups)
    against = _of_reference(tally, reference, population, pairs, neighbours)
    evidence = Evidence(
        n_samples=tally.n_samples,
        n_features=tally.n_features["rows"],
        spectrum=as_arrays(found.spectrum),
        raw_spectrum=as_arrays(raw),
        health=_health(tally, cloud),
        cloud=cloud,
        sample=sample,
        neighbours=k,
        candidates=mean_candidates(len(pairs), groups),
        independent=None if population is None or "groups" not in asked.beside else population.independent,
        estimates=_estimates(contributions, against),
        labels=_of_labels(tally, pairs, neighbours),
        reference=against,
        drift=_of_drift(tally, corrupted, asked_k),
        contributions=contributions,
        population=population,
        dominating=_dominating(tally, population),
        near=near_rows_of(tally.tallies["sample"], asked_k),
        rows=_rows_counted(tally, cloud),
        columns=_columns_counted(tally, cloud),
    )
    estimates = {**evidence.estimates, **estimates_of_rows(evidence)}
    evidence = dataclasses.replace(evidence, estimates=estimates)
    return dataclasses.replace(evidence, notes=notes_of(tally, evidence))


def _estimates(contributions: Mapping[str, Contributions], against: ReferenceEvidence | None) -> dict[str, Estimate]:
    """Ranks of the population, by the name of the measure."""
    found = {name: contribution.estimate for name, contribution in contributions.items()}
    if against is not None and against.retained is not None:
        found["reference_effective_rank"] = against.retained.first
        found["rank_retained"] = ratio_estimate(against.retained)
    return found


def _health(tally: AuditTally, cloud: CloudTally) -> Health:
    """Counts of the rows that were audited, with what was not finite before rows were left out."""
    features = tally.nonfinite["rows"]
    return dataclasses.replace(cloud.health(), nan=features.nan, inf=features.inf, nonfinite_rows=tally.n_dropped)


def _rows_counted(tally: AuditTally, cloud: CloudTally) -> dict[str, Numbered]:
    """Which rows each count of health is of."""
    health = cloud.health()
    found = {name: Numbered(first, getattr(health, name)) for name, first in cloud.first_rows().items()}
    return found | {"nonfinite_rows": Numbered(tally.dropped.numbers, tally.n_dropped)}


def _columns_counted(tally: AuditTally, cloud: CloudTally) -> dict[str, Numbered]:
    counting: tuple[int, ...] = tally.tallies["counting"].columns()
    numbers = {
        "constant_features": (cloud.constant_columns(), cloud.health().constant_features),
        "index_columns": (counting[:SHOWN], len(counting)),
    }
    as_input = tally.asked.preparation.input_column
    return {name: Numbered(tuple(map(as_input, first)), count) for name, (first, count) in numbers.items()}


def _population(tally: AuditTally, directions: Directions, kind: str) -> Sample:
    """What values of the population and their intervals are read from: the influence of a sample of the rows."""
    groups, correlation = None, 0.0
    sample: RowSample = tally.tallies["sample"]
    drawn = sample.drawn(tally.asked.scored_rows)
    if "groups" in tally.asked.beside:
        # Of groups a sample of rows would hold parts; this one holds whole groups.
        drawn = tally.tallies["grouped"].drawn()
        groups = np.unique(drawn.column("groups"), return_inverse=True)[1]
        correlation = group_correlation(drawn, directions, kind)
    # Where the smallest singular values are rounding, what rests on them is left out.
    measures = [name for name in names_of_estimable() if directions.spectrum.exact_tail or not functional(name).tail]
    here = Drawn(np.arange(len(drawn)), {kind: drawn.column(kind)})
    scored_sample = scored(directions, source_of(drawn.column(kind), kind), measures, here, groups, correlation, kind)
    # None stands for the rows 0 to n − 1 in `scored_rows`. After dropped rows the numbers have gaps and must be kept.
    every_row = len(drawn) == tally.n_read
    return dataclasses.replace(scored_sample, rows=None if every_row else drawn.places)


def _dominating(tally: AuditTally, population: Sample | None) -> tuple[Dominating, ...]:
    """Columns and rows that hold much of the variance."""
    if population is None:
        return ()
    drawn = tally.tallies["grouped" if "groups" in tally.asked.beside else "sample"]
    scored = drawn.drawn() if "groups" in tally.asked.beside else drawn.drawn(tally.asked.scored_rows)
    cloud: CloudTally = tally.tallies["cloud"]
    found = dominating_of(population, scored.rows, scored.places, (cloud.longest_row, float(cloud.norms().maximum)))
    as_input = tally.asked.preparation.input_column
    return tuple(
        dataclasses.replace(one, numbers=tuple(map(as_input, one.numbers))) if one.what == "columns" else one
        for one in found
    )


def _of_labels(tally: AuditTally, pairs: Drawn, neighbours: Neighbours | None) -> LabelEvidence | None:
    classes: ClassTally | None = tally.tallies.get("classes")
    if classes is None:
        return None
    refuse_sample_ids(len(classes.index), classes.n_samples)
    votes, order = None, UNKNOWN_ORDER
    if neighbours is not None:
        codes = np.unique(pairs.column("labels"), return_inverse=True)[1]
        labels = torch.as_tensor(codes, device=pairs.rows.device)
        # Where each speaker is a class, a row without its own speaker's rows can find none of its class.
        if share_beyond_groups(labels, neighbours.groups) >= 0.5:
            votes = neighbours.votes(labels)
            lists = neighbours.lists[:, : neighbours.k].cpu().numpy()
            order = order_of_labels(lists, codes, pairs.places, tally.n_read)
    collapse = class_collapse(classes, tally.tallies["spectrum"])
    return LabelEvidence(
        class_ranks(classes), classes, classes.sizes(), votes, _variances_within(classes), order, collapse
    )


def _variances_within(classes: ClassTally) -> np.ndarray:
    """The variance of each class about its own mean, (C,), in sorted order of the classes; NaN for one row."""
    found = []
    for rows in classes.rows_by_class():
        rows = _as_taken(rows, classes.normalize)
        found.append(float((rows - rows.mean(0)).square().sum()) / (len(rows) - 1) if len(rows) > 1 else np.nan)
    return np.array(found)


def _of_reference(
    tally: AuditTally, name: str, population: Sample | None, pairs: Drawn, neighbours: Neighbours | None
) -> ReferenceEvidence | None:
    spectra: SpectrumTally | None = tally.tallies.get("reference")
    if spectra is None:
        return None
    mine, theirs = (directions_in(s.read("spectrum", vectors=True)) for s in (tally.tallies["spectrum"], spectra))
    # The same refusal for the reference.
    rank.effective_rank(theirs.spectrum)
    pair_tally: PairTally = tally.tallies["pairs"]
    sums = pair_tally.pair_sums(tally.scatter("spectrum"), tally.scatter("reference"))
    captured = own = angles = cosine = retained = None
    # Cosines, angles and shares of variance compare vectors of one space, so widths must be equal.
    if len(mine.mean) == len(theirs.mean):
        cosine = pair_tally.mean_cosine()
        captured = _captured(tally.tallies["spectrum"], theirs.vectors)
        own = _captured(spectra, theirs.vectors)
        if theirs.vectors.shape[1] > COMPARED_DIRECTIONS:
            leading = (found.vectors[:, :COMPARED_DIRECTIONS] for found in (mine, theirs))
            angles = subspace_angles(*leading).cpu().numpy()
    if population is not None:
        other = _population(tally, theirs, "reference")
        retained = comparison_of(other, population, "effective_rank", True, 0.95, ("reference", "features"))
    beside: Tensor = pairs.column("reference")
    order = order_of_rows(
        pairs.rows,
        beside,
        pairs.places,
        tally.n_read,
        sums.linear_cka().item() if sums.n >= 4 else np.nan,
        beside="reference",
        same_rows=same_rows(mine.spectrum, theirs.spectrum, sums),
    )
    return ReferenceEvidence(
        name=name,
        spectrum=as_arrays(theirs.spectrum),
        sample=beside,
        shared_neighbours=None if neighbours is None else neighbours.shared_with(_units(beside)),
        sums=sums,
        captured=captured,
        own_curve=own,
        angles=angles,
        cosine=cosine,
        retained=retained,
        order=order,
    )


def _captured(spectra: SpectrumTally, directions: Tensor) -> np.ndarray:
    """Share of the rows' variance inside the leading 1, 2, 3, ... of these directions."""
    rows = spectra.rows_held()
    if rows is None:
        scatter = spectra.sums["spectrum"].scatter()
        # The diagonal of VᵀSV: the variance along each direction from the sums alone, without an (r, r) product.
        energy, total = (directions * (scatter @ directions)).sum(0), scatter.diagonal().sum()
    else:
        x = spectra.about_mean(rows, spectra.wanted["spectrum"].normalize, True)
        energy, total = (x @ directions).square().sum(0), x.square().sum()
    return np.asarray(captured_curve(energy, total).cpu().numpy())


def _of_drift(tally: AuditTally, name: str, k: int) -> DriftEvidence | None:
    if "corrupted" not in tally.asked.beside:
        return None
    if tally.n_samples < 4:
        raise ValueError(
            f"`corrupted` is compared row by row, which needs at least 4 rows; there are {tally.n_samples}."
        )
    drawn = tally.tallies["sample"].drawn(DRIFT_ROWS)
    clean, moved = (_as_taken(drawn.column(kind), tally.asked.normalize) for kind in ("rows", "corrupted"))
    # `Clean` wants two rows more than neighbours.
    neighbours = max(1, min(k, len(drawn) - 2))
    readings = Clean(
        clean,
        drawn.column("labels"),
        k=neighbours,
        max_pair_rows=tally.asked.pair_rows,
        seed=tally.asked.seed,
        groups=drawn.column("groups"),
        lower_k=True,
    ).compared(moved)
    named = {r.measure: r for r in readings}
    order = order_of_rows(clean, moved, drawn.places, tally.n_read, named["linear_cka"].value, beside="corrupted")
    return DriftEvidence(name, named, order)


def _units(rows: Tensor) -> Tensor:
    """Rows of unit length, between which cosines are products; in float32 where the rows are no float64."""
    return unit_rows(finite_matrix(rows, "features"))


def _as_taken(rows: Tensor, normalize: str | None) -> Tensor:
    """Rows in float64, of unit length if asked for."""
    return unit_rows(rows.double()) if normalize else rows.double()
