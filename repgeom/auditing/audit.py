"""One call from features to a report: collects the evidence in at most two passes over the rows, and a sample of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.auditing.collecting import Checkpoint
from repgeom.auditing.decomposition import Decomposition, decomposed, streamed
from repgeom.auditing.evidence import DriftEvidence, Evidence, LabelEvidence, ReferenceEvidence
from repgeom.auditing.report import Report, scored_rows
from repgeom.auditing.rules import judge
from repgeom.auditing.values import ratio_estimate
from repgeom.data import files
from repgeom.data.arrays import Source, as_source, check_normalize, is_stream, nonfinite_error, unit_rows
from repgeom.data.processes import Team
from repgeom.inference.compare import Contributions, comparison_of, contributions_of
from repgeom.inference.estimate import FEWEST_ROWS, Estimate, Sample, scored
from repgeom.measures import rank
from repgeom.measures.classes import ClassSums, class_effective_rank
from repgeom.measures.cloud import Health, health
from repgeom.measures.measure import names_of_estimable
from repgeom.measures.pairs import PairSums, captured_curve, check_pair, pair_sums, subspace_angles
from repgeom.robustness.drift import Clean

DRIFT_ROWS = 16_384  # rows that are compared with their corrupted ones, in memory
SCORED_ROWS = 16_384  # rows whose influence is worked out for intervals: they know a standard error to 1 %


def audit(
    features: Any,
    *,
    reference: Any = None,
    corrupted: Any = None,
    labels: Any = None,
    groups: Any = None,
    normalize: str | None = None,
    name: str | None = None,
    thresholds: Mapping[str, Any] | None = None,
    drop_nonfinite: bool = False,
    k: int = 10,
    max_pair_rows: int = 4096,
    seed: int = 0,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    distributed: bool = False,
) -> Report:
    """Measures one set of features, compares it with what isotropic features would read, and says what is wrong.

    Args:
        features: (n_samples, n_features) of any array kind; the path or glob pattern of a file (see `open_source`); or an
            iterable of batches (a generator, a DataLoader; of tuples the first is read), read once, in order, in memory that
            does not grow with the rows.
        reference: features of the same samples from another model (a teacher), array or path.
        corrupted: features of the same samples from the same model after a corruption of its input, array or path; adds a
            table of drift with paired intervals.
        labels: one label per row, whole numbers or text, array or path.
        groups: one group per row, likewise, where rows of a group depend on each other (frames of a video, tokens of a
            text): intervals and corrections then count them for less (see `estimate`).
        normalize: "l2" scales rows to unit length before centring, for every spectral measure except RankMe.
        name: heading of the report; the path, or "features".
        thresholds: {rule: (warn, fail)}, overriding `repgeom.auditing.rules.RULES`; None for never.
        drop_nonfinite: go on without rows that hold NaN or infinity; the report says how many.
        k: neighbours for mutual kNN and kNN accuracy.
        max_pair_rows: what needs all pairs (uniformity, both kNN) reads at most so many rows, drawn with `seed`.
        seed: of that sample.
        progress: show a progress bar on standard error, with the time left.
        checkpoint: a folder that keeps what was read of files; the same audit, given again after an interruption, goes on from
            there. Removed at the end.
        distributed: every process of `torch.distributed`'s default group reads its part of the rows, and all get the same
            report. The second pass for labels, groups or a reference is made by the first process.

    Returns:
        A `Report`, with values of the population and their 95 % intervals where they are known (see `estimate`; where there
        are more than 16,384 rows, intervals rest on the influence of so many). It has `.to_frame()`, `.to_dict()`,
        `.to_json()`, `.to_html()` and `.plot()`, and printing it shows a table.

    Raises:
        ValueError: NaN or infinity (counted, first place named) unless `drop_nonfinite`; fewer than 2 rows; no
            variance; labels or a reference of another length; unknown thresholds; a checkpoint of other or changed files; of a
            stream, anything that needs its rows again.
        TypeError: complex, text, sparse or masked data.
        FileNotFoundError: a path that is not there.
        RuntimeError: `distributed` without a process group.

    >>> import repgeom as rg
    >>> report = rg.audit(rg.testing.features_with_spectrum([1.0] * 16, n_samples=400))
    >>> report.level, round(report["effective_rank"].value, 6)
    ('ok', 16.0)
    """
    check_normalize(normalize)
    most = max(SCORED_ROWS, max_pair_rows)
    if is_stream(features):
        asked = {
            "reference": reference, "corrupted": corrupted, "labels": labels, "groups": groups, "checkpoint": checkpoint,
            "drop_nonfinite": drop_nonfinite or None, "distributed": distributed or None,
        }  # fmt: skip
        if refused := [key for key, value in asked.items() if value is not None]:
            raise ValueError(
                f"`features` is a stream of batches, which can be read once; {', '.join(f'`{key}`' for key in refused)} "
                f"need{'s' * (len(refused) == 1)} rows that can be read again. Save them and pass the path."
            )
        source, mine = streamed(features, normalize, "features", most, seed, progress)
        given = _Given(source, None, None, None, None, None)
        _check_size(given)
        return _report(given, mine, None, normalize, name, thresholds, k, max_pair_rows, seed)
    team = Team(distributed)
    given = team.agreed(lambda: _given(features, reference, corrupted, labels, groups, drop_nonfinite))
    kept = None if checkpoint is None else team.agreed(lambda: Checkpoint(checkpoint, team))

    def read(source: Source, what: str) -> Decomposition:
        return decomposed(
            source,
            normalize,
            what,
            whole=what == "features",
            team=team,
            most=most,
            seed=seed,
            progress=progress,
            checkpoint=kept,
        )

    mine = read(given.source, "features")
    theirs = None if given.reference is None else read(given.reference, "reference")
    report = team.by_first(lambda: _report(given, mine, theirs, normalize, name, thresholds, k, max_pair_rows, seed))
    if kept is not None:
        kept.remove()
    return report


def _report(
    given: _Given,
    mine: Decomposition,
    theirs: Decomposition | None,
    normalize: str | None,
    name: str | None,
    thresholds: Mapping[str, Any] | None,
    k: int,
    max_pair_rows: int,
    seed: int,
) -> Report:
    """What is left to do once the rows were added up: at most one more pass, for labels or a reference."""
    source, other, found = given.source, given.reference, mine.collected
    assert found.cloud is not None
    assert found.sample is not None
    sums, cosine, classes = _second_pass(given, mine, theirs, normalize)
    population = _population(given, source, mine)
    rows, sample = found.sample.drawn(max_pair_rows)
    sample, k = sample.double(), min(k, len(rows) - 1)
    against = None
    if other is not None and theirs is not None and sums is not None:
        assert theirs.collected.sample is not None
        against = _reference_evidence(
            mine, theirs, sums, cosine, other.name, theirs.collected.sample.drawn(max_pair_rows)[1].double()
        )
        against = _retained(against, population, _population(given, other, theirs))
    contributions = _contributions(population)
    evidence = Evidence(
        n_samples=source.n_samples,
        n_features=source.n_features,
        spectrum=mine.spectrum,
        raw_spectrum=mine.raw,
        health=_whole_health(found.cloud.health(), given),
        cloud=found.cloud,
        sample=sample,
        neighbours=k,
        independent=None if given.groups is None or population is None else population.independent,
        estimates=_estimates(contributions, against),
        labels=_label_evidence(given, rows, classes, normalize, seed),
        reference=against,
        drift=_drift_evidence(given, normalize, k, max_pair_rows, seed),
    )
    return Report.of(
        evidence,
        judge(evidence, thresholds),
        name=name or source.name,
        dtype=str(source.dtype).removeprefix("torch."),
        notes=_notes(given, rows, evidence, population, found.cloud.kept),
        seed=seed,
        contributions={m: c.compact() for m, c in contributions.items()},
        scored_rows=scored_rows(population),
    )


def _contributions(population: Sample | None) -> dict[str, Contributions]:
    """Every measure that can be estimated, with what each row adds to it; nothing where rows are too few."""
    if population is None:
        return {}
    return {m: contributions_of(population, m, 0.95) for m in names_of_estimable()}


def _estimates(contributions: Mapping[str, Contributions], against: ReferenceEvidence | None) -> dict[str, Estimate]:
    """Of the population, by the name of the measure."""
    found = {m: c.estimate for m, c in contributions.items()}
    if against is not None and against.retained is not None:
        found["reference_effective_rank"] = against.retained.first
        found["rank_retained"] = ratio_estimate(against.retained)
    return found


@dataclasses.dataclass(frozen=True)
class _Given:
    """What is audited: sources and labels whose rows belong together, after rows were dropped."""

    source: Source
    reference: Source | None
    corrupted: Source | None
    codes: np.ndarray | None  # of the labels: whole numbers from 0
    names: np.ndarray | None  # the label of each code
    groups: np.ndarray | None  # whole numbers from 0
    dropped: int = 0
    before: Health | None = None  # of the features with the rows that were dropped
    kept: np.ndarray | None = None  # which rows remain; None for all


def _given(features: Any, reference: Any, corrupted: Any, labels: Any, groups: Any, drop_nonfinite: bool) -> _Given:
    source = _open(features, "features")
    other = None if reference is None else _open(reference, "reference")
    moved = None if corrupted is None else _open(corrupted, "corrupted")
    for second, name in ((other, "reference"), (moved, "corrupted")):
        if second is not None:
            mine, theirs = ((s.n_samples, s.n_features) for s in (source, second))
            check_pair(mine, theirs, True, name == "corrupted", ("features", name))
    codes, names = (None, None) if labels is None else files.labels_of(labels, source.n_samples)
    clusters = None if groups is None else files.labels_of(groups, source.n_samples, "groups")[0]
    given = _Given(source, other, moved, codes, names, clusters)
    if drop_nonfinite:
        keep = np.logical_and.reduce([_finite_rows(s) for s in (source, other, moved) if s is not None])
        if not keep.all():
            given = _Given(
                source.select(keep),
                None if other is None else other.select(keep),
                None if moved is None else moved.select(keep),
                None if codes is None else codes[keep],
                names,
                None if clusters is None else np.unique(clusters[keep], return_inverse=True)[1],
                int((~keep).sum()),
                health(source),
                np.flatnonzero(keep),
            )
    _check_size(given)
    return given


def _population(given: _Given, source: Source, found: Decomposition) -> Sample | None:
    """What the population's values and their intervals are read from."""
    n, codes = source.n_samples, given.groups
    if n < FEWEST_ROWS:
        return None
    rank.effective_rank(found.spectrum)  # refuses rows that are all equal
    assert found.collected.sample is not None
    if codes is None:
        chosen, rows = found.collected.sample.drawn(SCORED_ROWS)
        chunks: Iterable[Tensor] = torch.split(rows, source.chunk_rows)
    else:  # of groups, a sample would hold parts
        chosen, chunks = np.arange(n), source.chunks()
    sample = scored(found.as_directions(), source, chunks, names_of_estimable(), codes)
    known = chosen if given.kept is None else given.kept[chosen]
    return dataclasses.replace(sample, rows=None if len(chosen) == n and given.kept is None else known)


def _retained(found: ReferenceEvidence, mine: Sample | None, theirs: Sample | None) -> ReferenceEvidence:
    if mine is None or theirs is None:
        return found
    retained = comparison_of(theirs, mine, "effective_rank", True, 0.95, ("reference", "features"))
    return dataclasses.replace(found, retained=retained)


def _drift_evidence(
    given: _Given, normalize: str | None, k: int, max_pair_rows: int, seed: int
) -> DriftEvidence | None:
    if given.corrupted is None:
        return None
    rows = _sample_rows(given.source.n_samples, DRIFT_ROWS, seed)
    labels = None if given.codes is None or given.names is None else given.names[given.codes[rows]]
    clean, moved = (_shaped(s.rows(rows), normalize) for s in (given.source, given.corrupted))
    error = nonfinite_error(moved, "corrupted")
    if error is not None:
        raise error
    readings = Clean(clean, labels, k=max(1, min(k, len(rows) - 2)), max_pair_rows=max_pair_rows, seed=seed).compared(
        moved
    )
    return DriftEvidence(given.corrupted.name, {r.measure: r for r in readings})


def _label_evidence(
    given: _Given, rows: np.ndarray, classes: ClassSums | None, normalize: str | None, seed: int
) -> LabelEvidence | None:
    """`rows`: which ones were sampled."""
    if given.codes is None or given.names is None or classes is None:
        return None
    ranks = class_effective_rank(given.source, given.names[given.codes], normalize=normalize, seed=seed)
    sizes = np.bincount(given.codes)
    return LabelEvidence(ranks, classes, sizes[sizes > 0], given.codes[rows])


def _second_pass(
    given: _Given, mine: Decomposition, theirs: Decomposition | None, normalize: str | None
) -> tuple[PairSums | None, float | None, ClassSums | None]:
    """What needs the means: sums over pairs of rows, their mean cosine, and sums of each class."""
    source, other, codes, names = given.source, given.reference, given.codes, given.names
    classes = None if names is None else ClassSums(len(names), mine.mean)
    sums, cosine, step = None, 0.0, source.chunk_rows
    if other is not None and theirs is not None:
        step = min(step, other.chunk_rows)
        few = source.n_samples <= max(source.n_features, other.n_features)
        if few:  # columns can be reduced to as many as rows, which the one-array form does
            x, y = (_shaped(s.read(0, s.n_samples), normalize) for s in (source, other))
            sums = pair_sums(x, y)
        else:
            zero = torch.zeros((), dtype=torch.float64)
            square_x, square_y = mine.scatter(), theirs.scatter()
            sums = PairSums(zero, zero if square_x is None else square_x, zero if square_y is None else square_y)
    if classes is None and sums is None:
        return None, None, None
    same_width = other is not None and other.n_features == source.n_features
    pairs = other.chunks(step) if other is not None else None
    for start, x in zip(range(0, source.n_samples, step), source.chunks(step), strict=True):
        x = _shaped(x, normalize)
        if classes is not None and codes is not None:
            classes.update(x, codes[start : start + len(x)])
        if pairs is not None and sums is not None and theirs is not None:
            y = _shaped(next(pairs), normalize)
            if same_width:
                cosine += float((unit_rows(x) * unit_rows(y)).sum())
            if not few:
                sums.update(x - mine.mean, y - theirs.mean, own=False)
    return sums, cosine / source.n_samples if same_width else None, classes


def _shaped(rows: Tensor, normalize: str | None) -> Tensor:
    return unit_rows(rows.double()) if normalize else rows.double()


def _reference_evidence(
    mine: Decomposition, theirs: Decomposition, sums: PairSums, cosine: float | None, name: str, sample: Tensor
) -> ReferenceEvidence:
    captured = own = angles = None
    if len(mine.mean) == len(theirs.mean):
        directions = theirs.directions
        captured = captured_curve(mine.energy(directions), mine.total).numpy()
        own = captured_curve(theirs.energy(directions), theirs.total).numpy()
        if directions.shape[1] > 10:
            angles = subspace_angles(mine.directions[:, :10], directions[:, :10]).numpy()
    return ReferenceEvidence(
        name=name,
        spectrum=theirs.spectrum,
        sample=sample,
        captured=captured,
        own_curve=own,
        angles=angles,
        cosine=cosine,
        sums=sums,
    )


def _open(features: Any, name: str) -> Source:
    if isinstance(features, (str, os.PathLike)):
        return files.open_source(features)
    return as_source(features, name)


def _finite_rows(source: Source) -> np.ndarray:
    return torch.cat([torch.isfinite(rows).all(-1) for rows in source.chunks()]).numpy()


def _whole_health(rest: Health, given: _Given) -> Health:
    """Counts of the rows that were audited, with what was non-finite before rows were dropped."""
    if given.before is None:
        return rest
    return dataclasses.replace(rest, nan=given.before.nan, inf=given.before.inf, nonfinite_rows=given.dropped)


def _check_size(given: _Given) -> None:
    n, d = given.source.n_samples, given.source.n_features
    if n < 2:
        after = f" after {given.dropped:,} rows with NaN or infinity were dropped" if given.dropped else ""
        raise ValueError(
            f"`features` has {n} row{'s' * (n != 1)}{after} (shape {(n, d)}) and needs at least 2: rows are samples, "
            "columns are features."
        )


def _sample_rows(n: int, most: int, seed: int) -> np.ndarray:
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, max(2, most), replace=False))


def _notes(given: _Given, rows: np.ndarray, e: Evidence, population: Sample | None, kept: int) -> tuple[str, ...]:
    source, notes = given.source, list(given.source.notes)
    if kept < source.n_samples:
        notes.append(
            f"Repeated rows, extreme norms and the median norm are read from {kept:,} of {source.n_samples:,} rows."
        )
    if given.dropped:
        notes.append(f"{given.dropped:,} rows with NaN or infinity were left out; {source.n_samples:,} remain.")
    if len(rows) < source.n_samples:
        notes.append(
            f"Uniformity and kNN are read from {len(rows):,} of {source.n_samples:,} rows, drawn with a fixed seed."
        )
    if given.corrupted is not None and source.n_samples > DRIFT_ROWS:
        notes.append(f"Drift is read from {DRIFT_ROWS:,} of {source.n_samples:,} rows, drawn with a fixed seed.")
    if e.labels is not None and (e.labels.ranks.n_samples.sum() < source.n_samples):
        notes.append("Ranks of large classes are read from 16 rows per feature, drawn with a fixed seed.")
    if population is not None and len(population.scores.squares) < source.n_samples:
        used = len(population.scores.squares)
        notes.append(f"Intervals are worked out from {used:,} of {source.n_samples:,} rows, drawn with a fixed seed.")
    if population is None:
        notes.append(f"Nothing is said of the population: that needs {FEWEST_ROWS} rows.")
    else:
        notes += [f"Population: {warning}." for warning in e.estimates["effective_rank"].warnings]
    return tuple(notes)
