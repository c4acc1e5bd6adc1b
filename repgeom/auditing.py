"""One call from features to a report: collects the evidence in at most two passes over the rows, and a sample of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom import files, rank
from repgeom.accumulate import SpectrumAccumulator
from repgeom.catalogue import DriftEvidence, Evidence, LabelEvidence, ReferenceEvidence
from repgeom.classes import ClassSums, class_effective_rank
from repgeom.cloud import CloudAccumulator, Health, health
from repgeom.comparison import comparison_of
from repgeom.decompose import climb, dense_spectrum
from repgeom.estimates import FEWEST_ROWS, Sample, estimate_of, scored
from repgeom.features import Source, as_source, check_normalize, nonfinite_error, unit_rows
from repgeom.pairs import PairSums, captured_curve, check_pair, pair_sums, subspace_angles
from repgeom.probes.neighbours import knn_accuracy
from repgeom.report import Report
from repgeom.robustness.drift import Clean
from repgeom.scores import Directions, few_directions
from repgeom.spectra import Spectrum
from repgeom.verdict import judge

DRIFT_ROWS = 16_384  # rows that are compared with their corrupted ones, in memory
SCORED_ROWS = 16_384  # rows whose influence is worked out for intervals: they know a standard error to 1 %
ESTIMATED = (
    "effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank", "n_components_90", "n_components_99"
)  # fmt: skip


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
) -> Report:
    """Measures one set of features, compares it with what isotropic features would read, and says what is wrong.

    Args:
        features: (n_samples, n_features) of any array kind, or the path or glob pattern of a file (see `open_source`).
        reference: features of the same samples from another model (a teacher), array or path.
        corrupted: features of the same samples from the same model after a corruption of its input, array or path; adds a
            table of drift with paired intervals.
        labels: one label per row, whole numbers or text, array or path.
        groups: one group per row, likewise, where rows of a group depend on each other (frames of a video, tokens of a
            text): intervals and corrections then count them for less (see `estimate`).
        normalize: "l2" scales rows to unit length before centring, for every spectral measure except RankMe.
        name: heading of the report; the path, or "features".
        thresholds: {rule: (warn, fail)}, overriding `repgeom.verdict.RULES`; None for never.
        drop_nonfinite: go on without rows that hold NaN or infinity; the report says how many.
        k: neighbours for mutual kNN and kNN accuracy.
        max_pair_rows: what needs all pairs (uniformity, both kNN) reads at most so many rows, drawn with `seed`.
        seed: of that sample.
        progress: show a progress bar on standard error.

    Returns:
        A `Report`, with values of the population and their 95 % intervals where they are known (see `estimate`; where there
        are more than 16,384 rows, intervals rest on the influence of so many). It has `.to_frame()`, `.to_dict()`,
        `.to_json()`, `.to_html()` and `.plot()`, and printing it shows a table.

    Raises:
        ValueError: NaN or infinity (counted, first place named) unless `drop_nonfinite`; fewer than 2 rows; no
            variance; labels or a reference of another length; unknown thresholds.
        TypeError: complex, text, sparse or masked data.
        FileNotFoundError: a path that is not there.

    >>> import repgeom as rg
    >>> report = rg.audit(rg.features_with_spectrum([1.0] * 16, n_samples=400))
    >>> report.level, round(report["effective_rank"].value, 6)
    ('ok', 16.0)
    """
    check_normalize(normalize)
    given = _given(features, reference, corrupted, labels, groups, drop_nonfinite)
    source, other = given.source, given.reference
    mine = _Decomposition(source, normalize, "features", progress, whole=True)
    theirs = None if other is None else _Decomposition(other, normalize, "reference", progress, whole=False)
    sums, cosine, between = _second_pass(given, mine, theirs, normalize)
    chosen = _scored_rows(given, seed)
    population = _population(given, source, mine, chosen)
    rows = _sample_rows(source.n_samples, max_pair_rows, seed)
    sample, k = source.rows(rows).double(), min(k, len(rows) - 1)
    against = None
    if other is not None and theirs is not None and sums is not None:
        against = _reference_evidence(mine, theirs, sums, cosine, other.name, other.rows(rows).double())
        against = _retained(against, population, _population(given, other, theirs, chosen))
    evidence = Evidence(
        n_samples=source.n_samples,
        n_features=source.n_features,
        spectrum=mine.spectrum,
        raw=mine.raw,
        health=_whole_health(mine.cloud.health(), given),
        norms=mine.cloud.norms(),
        mean_cosine=mine.cloud.mean_cosine(),
        feature_std=mine.cloud.feature_std(),
        sample=sample,
        k=k,
        independent=None if given.groups is None or population is None else population.independent,
        estimates={} if population is None else {m: estimate_of(population, m, 0.95) for m in ESTIMATED},
        labels=_label_evidence(given, sample, rows, between, normalize, k, seed),
        reference=against,
        drift=_drift_evidence(given, normalize, k, max_pair_rows, seed),
    )
    return Report.of(
        evidence,
        judge(evidence, thresholds),
        name=name or source.name,
        dtype=str(source.dtype).removeprefix("torch."),
        notes=_notes(given, rows, evidence, population),
        seed=seed,
        population=population,
    )


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


def _scored_rows(given: _Given, seed: int) -> np.ndarray:
    """Rows whose influence is worked out: all where there are groups, of which a sample would hold parts."""
    n = given.source.n_samples
    return np.arange(n) if given.groups is not None else _sample_rows(n, SCORED_ROWS, seed)


def _population(given: _Given, source: Source, found: _Decomposition, rows: np.ndarray) -> Sample | None:
    """What the population's values and their intervals are read from."""
    n, codes = source.n_samples, given.groups
    if n < FEWEST_ROWS:
        return None
    rank.effective_rank(found.spectrum)  # refuses rows that are all equal
    directions = found.as_directions()
    chunks = source.chunks() if len(rows) == n else iter(torch.split(source.rows(rows), source.chunk_rows))
    sample = scored(directions, source, chunks, ESTIMATED, codes)
    known = rows if given.kept is None else given.kept[rows]
    return dataclasses.replace(sample, rows=None if len(rows) == n and given.kept is None else known)


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
    given: _Given, sample: Tensor, rows: np.ndarray, between: float, normalize: str | None, k: int, seed: int
) -> LabelEvidence | None:
    if given.codes is None or given.names is None:
        return None
    ranks = class_effective_rank(given.source, given.names[given.codes], normalize=normalize, seed=seed)
    majority = float(np.bincount(given.codes).max() / len(given.codes))
    return LabelEvidence(ranks, between, knn_accuracy(sample, given.codes[rows], k=k), majority)


class _Decomposition:
    """Spectrum and directions of one source, from products where rows are many and from the rows where they are few.

    `whole` adds what is asked of the features but not of a reference: the cloud, and the raw spectrum for RankMe.
    """

    def __init__(self, source: Source, normalize: str | None, name: str, progress: bool, *, whole: bool) -> None:
        self._rows: Tensor | None = None
        self._acc: SpectrumAccumulator | None = None
        chunks = _Passes(source, whole, name, progress)
        if source.n_samples <= source.n_features:
            rows = torch.cat(list(chunks()))
            spectrum = dense_spectrum(rows, True, normalize, True, name)
            raw = dense_spectrum(rows, False, None, True, name) if whole else spectrum
            units = unit_rows(rows.double()) if normalize else rows.double()
            self._rows = units - units.mean(0)
        else:
            both = whole and not normalize  # one pass serves the raw spectrum too
            self._acc, found = climb(source, chunks, normalize, (True, False) if both else (True,), True, name)
            if whole and normalize:
                found += climb(source, chunks, None, (False,), True, name)[1]
            spectrum, raw = found[0], found[-1]
        self.spectrum, self.raw = _numpy(spectrum), _numpy(raw)
        self.mean = torch.as_tensor(self.spectrum.mean)
        self.cloud = chunks.cloud
        self.total = torch.as_tensor(self.spectrum.singular_values).square().sum()

    def directions(self) -> Tensor:
        """Principal directions as columns, leading first."""
        if self._acc is None:
            assert self._rows is not None
            return torch.linalg.svd(self._rows, full_matrices=False).Vh.mT[:, : len(self._rows) - 1]
        unit = float(self.spectrum.singular_values[0]) or 1.0  # so that no square leaves the range of floats
        return torch.linalg.eigh(self._acc.scatter(unit)).eigenvectors.flip(-1)

    def as_directions(self) -> Directions:
        """What `scored` reads rows along."""
        s = self.spectrum
        sigma = torch.as_tensor(s.singular_values)
        vectors = few_directions(self._rows, len(self._rows) - 1) if self._rows is not None else self.directions()
        return Directions(dataclasses.replace(s, singular_values=sigma, mean=self.mean), self.mean, vectors)

    def energy(self, directions: Tensor) -> Tensor:
        """Sum of squares of the centred rows along each direction."""
        if self._acc is None:
            assert self._rows is not None
            return (self._rows @ directions).square().sum(0)
        return (directions * (self._acc.scatter() @ directions)).sum(0)

    def scatter(self) -> Tensor | None:
        return None if self._acc is None else self._acc.scatter()


class _Passes:
    """Chunks of a source; the first whole pass also fills the cloud, so that a file is not read once more for it."""

    def __init__(self, source: Source, with_cloud: bool, name: str, progress: bool) -> None:
        self.source, self.name, self.progress = source, name, progress
        self.cloud = CloudAccumulator(0)
        self._wanted = with_cloud

    def __call__(self) -> Iterator[Tensor]:
        from tqdm import tqdm

        total = -(-self.source.n_samples // self.source.chunk_rows)
        # disable=None switches the bar off where standard error is not a terminal; short audits never show one.
        off = None if self.progress else True
        bar = tqdm(self.source.chunks(), self.name, total, leave=False, delay=1.0, disable=off)
        cloud = CloudAccumulator(self.source.n_samples if self._wanted else 0)
        for rows in bar:
            if self._wanted:
                cloud.update(rows)
            yield rows
        if self._wanted:
            self.cloud, self._wanted = cloud, False


def _second_pass(
    given: _Given, mine: _Decomposition, theirs: _Decomposition | None, normalize: str | None
) -> tuple[PairSums | None, float | None, float]:
    """What needs the means: sums over pairs of rows, their mean cosine, and the share of variance between classes."""
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
        return None, None, 0.0
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
    return sums, cosine / source.n_samples if same_width else None, classes.between_share() if classes else 0.0


def _shaped(rows: Tensor, normalize: str | None) -> Tensor:
    return unit_rows(rows.double()) if normalize else rows.double()


def _reference_evidence(
    mine: _Decomposition, theirs: _Decomposition, sums: PairSums, cosine: float | None, name: str, sample: Tensor
) -> ReferenceEvidence:
    captured = own = angles = None
    if len(mine.mean) == len(theirs.mean):
        directions = theirs.directions()
        captured = captured_curve(mine.energy(directions), mine.total).numpy()
        own = captured_curve(theirs.energy(directions), theirs.total).numpy()
        if directions.shape[1] > 10:
            angles = subspace_angles(mine.directions()[:, :10], directions[:, :10]).numpy()
    return ReferenceEvidence(
        name=name,
        spectrum=theirs.spectrum,
        sample=sample,
        captured=captured,
        own_curve=own,
        angles=angles,
        cosine=cosine,
        cka=float(sums.linear_cka()) if sums.n >= 4 else None,
        procrustes=float(sums.procrustes_distance()),
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


def _numpy(s: Spectrum) -> Spectrum:
    return dataclasses.replace(s, singular_values=s.singular_values.cpu().numpy(), mean=s.mean.cpu().numpy())


def _notes(given: _Given, rows: np.ndarray, e: Evidence, population: Sample | None) -> tuple[str, ...]:
    source, notes = given.source, list(given.source.notes)
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
