"""One call from features to a report: reads the rows once, and a second time where the first was not exact enough."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

from repgeom.auditing.audit_tally import Asked, AuditTally
from repgeom.auditing.evidence_of import SCORED_ROWS, evidence_of
from repgeom.auditing.finding import Finding
from repgeom.auditing.given import beside_dask, chosen_by_key, paired_rows, refuse_of, streamed_rows
from repgeom.auditing.judging import judge
from repgeom.auditing.options import Options
from repgeom.auditing.preparation import (
    DROP,
    GROUP,
    KEEP,
    Preparation,
    check_duplicates,
    prepared,
)
from repgeom.auditing.purposes import TRANSFER, check_purpose
from repgeom.auditing.readings import notes_on_shape
from repgeom.auditing.readings_beside import notes_on_purpose
from repgeom.auditing.report import Report
from repgeom.auditing.row_identity import RowIdentity, row_marks, scored_rows
from repgeom.auditing.titles import Titles, beside_of, titles_of
from repgeom.data.arrays import check_normalize, too_large_error
from repgeom.data.kinds import ColumnNames, Features, Groups, Labels, Thresholds
from repgeom.data.processes import ALONE, Processes
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings
from repgeom.data.sources import is_stream
from repgeom.reading.checkpoint import Checkpoint
from repgeom.reading.dask_arrays import DaskRows, dask_rows, is_dask
from repgeom.reading.pieces import PairedRows, StreamedRows
from repgeom.reading.reader import read
from repgeom.reading.shared_rows import OWN, mode_of, shared_rows
from repgeom.reading.tally import Tallies
from repgeom.spectral.tally import STREAM_MARGIN


@own_settings
def audit(
    features: Features,
    *,
    reference: Features = None,
    corrupted: Features = None,
    labels: Labels = None,
    groups: Groups = None,
    key: str | None = None,
    purpose: str = TRANSFER,
    normalize: str | None = None,
    name: str | None = None,
    thresholds: Thresholds | None = None,
    drop_nonfinite: bool = False,
    drop_columns: ColumnNames | None = None,
    duplicates: str = KEEP,
    standardize: bool = False,
    k: int = 10,
    max_pair_rows: int = 4096,
    seed: int = 0,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    distributed: bool | str = False,
) -> Report:
    """Measures one set of features, compares it with what isotropic features would read, and says what is wrong.

    Rows are read once, and a second time where the first sums are not exact enough. A stream cannot be: where its smallest
    singular values are rounding, the measures that rest on them are missing in the report, with the reason.

    Args:
        features: (n_samples, n_features) of any array kind; the path or glob pattern of a file (see `open_source`); a table (a
            data frame of pandas or polars, an Arrow table, a Hugging Face data set or a column of one), whose columns are
            chosen as in `open_source`; a Dask array; or an iterable of batches (a generator, a DataLoader), read once, in order, in memory that does not grow
            with the rows. A batch is features (n, n_features), or a dict with "features" and any of "labels", "groups",
            "reference" and "corrupted". Of a tuple the first item is read, and the second as labels if they are "in_stream".
        reference: features of the same samples from another model (a teacher), array or path; beside a Dask array a NumPy or
            Dask array, as are `corrupted`, `labels` and `groups`.
        corrupted: features of the same samples from the same model after a corruption of its input, array or path; adds a
            table of drift with paired intervals.
        labels: one label per row, whole numbers or text, array or path; or "in_stream".
        groups: one group per row, likewise, where rows of a group depend on each other (frames of a video, tokens of a
            text): intervals and corrections then count them for less (see `estimate`).
        key: the array of a file or mapping that holds several, or the columns of a table, as `open_source`.
        purpose: what the features are for, which decides what the verdict speaks of: "transfer" (other models are built on
            them), "retrieve" (their neighbours are looked up), "generate" (a decoder reads them), or "classify" (they tell
            the classes of `labels`, for which K classes need K − 1 dimensions).
        normalize: "l2" scales rows to unit length before centring, for every spectral measure except RankMe.
        name: heading of the report; the path, or "features".
        thresholds: {rule: (warn, fail)}, overriding `repgeom.auditing.rules.RULES`; None for never.
        drop_nonfinite: go on without rows that hold NaN or infinity; the report says how many.
        drop_columns: columns to leave out of the features and of `corrupted`: numbers from 0, ranges such as "20-25", or names of
            a table's columns, in a list or one text with commas.
        duplicates: what becomes of rows that are equal bit for bit: "keep", "drop" (the first of each is kept; 16 bytes of memory
            a row, another reading) or "group" (they form a group; not with `groups`). Only of the features' own rows.
        standardize: bring each column to mean 0 and variance 1 (over n) before anything else is read, those of a reference
            likewise, `corrupted` by the features' means and variances; constant columns become zeros. Another reading.
            A stream can be neither standardised nor have its duplicates dropped.
        k: neighbours for mutual kNN and kNN accuracy.
        max_pair_rows: what needs all pairs (uniformity, both kNN) reads at most so many rows, drawn with `seed`.
        seed: of that sample.
        progress: show a progress bar on standard error, with the time left.
        checkpoint: a folder that keeps what was read of files; the same audit, given again after an interruption, goes on from
            there. Removed at the end. Where it cannot be written, or another run of the same audit holds it, a warning says
            so and the audit goes on without. Not with a stream or a Dask array.
        distributed: "same" (or True): every process of `torch.distributed`'s default group gives the same rows, and what stands
            beside them, and reads its part of them. "own": every process gives its own rows, at least two, with what stands beside
            these; they count as one set, in the order of the processes. All get the same report. What processes hold is compared
            first (all rows in memory, some of files). Not with a stream or a Dask array.

    Returns:
        A `Report`, with values of the population and their 95 % intervals where they are known (see `estimate`; where there
        are more than 8,192 rows, intervals rest on the influence of so many). It has `.to_frame()`, `.to_dict()`,
        `.to_json()`, `.to_html()` and `.plot()`, and printing it shows a table.

    Raises:
        ValueError: NaN or infinity (counted, first place named) unless `drop_nonfinite`; fewer than 2 rows; no
            variance; labels, groups, a reference or corrupted rows of another length, or given twice, in a stream and beside it;
            batches of different width, type or columns; unknown thresholds; a checkpoint of rows in memory, or of files that
            have changed; `checkpoint` or `distributed` with a stream or a Dask array; processes that hold other rows than `distributed`
            says.
        TypeError: complex, text, sparse or masked data.
        FileNotFoundError: a path that is not there.
        RuntimeError: `distributed` without a process group.

    >>> import repgeom as rg
    >>> report = rg.audit(rg.testing.features_with_spectrum([1.0] * 16, n_samples=400))
    >>> report.level, round(report["effective_rank"].value, 6)
    ('ok', 16.0)
    """
    check_normalize(normalize)
    mode = mode_of(distributed)
    options = Options(
        normalize, k, max_pair_rows, seed, drop_nonfinite, thresholds, check_purpose(purpose),
        check_duplicates(duplicates, groups), bool(standardize),
    )  # fmt: skip
    require_same_order(features, reference=reference, corrupted=corrupted, labels=labels, groups=groups)
    features = chosen_by_key(features, key)
    if is_dask(features):
        refuse_of("a Dask array, which its own workers read", checkpoint=checkpoint, distributed=mode)
        beside = beside_dask(features, reference, corrupted, labels, groups)
        blocks = dask_rows(features, **beside)
        return _audited(blocks, options.without(drop_columns, blocks.array.shape[1]), name=name)
    if is_stream(features):
        twice = {"standardize": standardize or None, "duplicates": "drop" if duplicates == DROP else None}
        refuse_of("a stream of batches, which can be read once", checkpoint=checkpoint, distributed=mode, **twice)
        # What is not finite in a column that is dropped does not matter; elsewhere it is refused at the end.
        keep = drop_nonfinite or drop_columns is not None
        streamed = streamed_rows(features, reference, corrupted, labels, groups, keep, progress)
        return _audited(streamed, options.without(drop_columns), name=name)
    processes = Processes(mode is not None)
    paired = processes.agreed(
        functools.partial(paired_rows, features, reference, corrupted, labels, groups, part=mode == OWN)
    )
    paired = shared_rows(paired, mode, processes)
    columns, width = paired.source.columns, paired.source.n_features
    options = options.without(drop_columns, width, columns.used if columns is not None else None)
    asked = (*options.of_sums(), paired.first, paired.total)
    with _kept_in(checkpoint, processes, asked) as kept:
        return _audited(paired, options, name=name, processes=processes, checkpoint=kept, progress=progress)


@contextlib.contextmanager
def _kept_in(
    folder: str | os.PathLike[str] | None, processes: Processes, asked: tuple[Any, ...]
) -> Iterator[Checkpoint | None]:
    """What keeps the sums of an audit that asks for these things, if the caller names a folder for it."""
    if folder is None:
        yield None
        return
    kept = processes.agreed(functools.partial(Checkpoint, folder, processes, *asked))
    try:
        yield kept
        # Only now: whatever fails before the report is there keeps what was read.
        kept.remove()
    finally:
        kept.close()


def _audited(
    rows: PairedRows | StreamedRows | DaskRows,
    options: Options,
    *,
    name: str | None,
    processes: Processes = ALONE,
    checkpoint: Checkpoint | None = None,
    progress: bool = False,
) -> Report:
    """Read the rows, and judge what they add up to."""
    again = not isinstance(rows, StreamedRows)
    asked = Asked(
        normalize=options.normalize,
        seed=options.seed,
        scored_rows=SCORED_ROWS,
        pair_rows=options.max_pair_rows,
        drop_nonfinite=options.drop_nonfinite,
        beside=beside_of(rows, options),
        n=_n_of_all(rows),
        # A stream is added up in float64 at least: it cannot be read again where float32 turns out not to do.
        method=None if again else "float64",
        margin=Asked.margin if again else STREAM_MARGIN,
    )
    titles = titles_of(rows, options)
    given = functools.partial(read, rows, processes=processes, checkpoint=checkpoint, progress=progress)
    asked = _with_preparation(asked, options, titles, given, processes)
    tally = given(AuditTally(asked))
    # Other processes ask the first what is to be read again: they know only their own part of the rows.
    more_exact = processes.by_first(functools.partial(_second_pass, tally, options, titles, again))
    if more_exact is not None:
        tally.adopt(given(more_exact, name="features-again"))
    said = functools.partial(report_of, name=name or titles.name, titles=titles, may_be_transposed=again)
    return processes.by_first(functools.partial(said, tally, options))


def _with_preparation(
    asked: Asked, options: Options, titles: Titles, given: Callable[..., Any], processes: Processes
) -> Asked:
    """What is asked, with all that must be known of the rows before they are audited."""
    preparation = prepared(
        Preparation(options.drop_columns, equal_are_groups=options.duplicates == GROUP),
        drop_repeats=options.duplicates == DROP,
        standardized=("rows", *({"reference"} & set(asked.beside))) if options.standardize else (),
        given=given,
        tally_of=lambda first, tallies: AuditTally(dataclasses.replace(asked, preparation=first), Tallies(tallies)),
        check=lambda tally: _refuse_unreadable(tally, options, titles),
        by_first=processes.by_first,
    )
    left = None if asked.n is None else asked.n - len(preparation.repeats)
    return dataclasses.replace(asked, preparation=preparation, n=left)


def _n_of_all(rows: PairedRows | StreamedRows | DaskRows) -> int | None:
    """How many rows there will be; None for a stream."""
    if isinstance(rows, StreamedRows):
        return None
    return rows.n_of_all if isinstance(rows, PairedRows) else rows.n_samples


def _second_pass(tally: AuditTally, options: Options, titles: Titles, again: bool) -> AuditTally | None:
    """What must be read again by a more exact method, if anything. Raises ValueError where nothing can be read at all."""
    _refuse_unreadable(tally, options, titles)
    return tally.more_exact() if again else None


def _refuse_unreadable(tally: AuditTally, options: Options, titles: Titles) -> None:
    """Raises ValueError for rows with NaN or infinity that may not be dropped, and for fewer than 2 rows."""
    if not options.drop_nonfinite:
        tally.refuse_nonfinite(titles.of_rows)
    if tally.n_samples < 2:
        raise _too_few(tally)


def report_of(
    tally: AuditTally, options: Options, *, name: str, titles: Titles, may_be_transposed: bool = False
) -> Report:
    """The report on rows that have been added up; `may_be_transposed`: they came as one array, not batch by batch."""
    _refuse_unreadable(tally, options, titles)
    overflow = tally.overflowed()
    if overflow is not None:
        raise too_large_error(overflow)
    evidence = evidence_of(tally, titles.reference, titles.corrupted, k=options.k)
    shape: tuple[str, ...] = ()
    if may_be_transposed:
        shape = notes_on_shape(evidence)
    return Report.of(
        evidence,
        _located(judge(evidence, options.thresholds, options.purpose), titles),
        purpose=options.purpose,
        name=name,
        dtype=str(tally.dtypes["rows"]).removeprefix("torch."),
        notes=(*titles.notes, *shape, *evidence.notes, *notes_on_purpose(evidence, options.purpose)),
        seed=options.seed,
        contributions={name: found.compact() for name, found in evidence.contributions.items()},
        rows=RowIdentity(
            scored=scored_rows(evidence.population),
            independent=float(evidence.independent or evidence.n_samples),
            marks=row_marks(tally),
        ),
        columns=titles.columns,
        prepared=options.convention(),
    )


def _located(findings: tuple[Finding, ...], titles: Titles) -> tuple[Finding, ...]:
    """The findings, with the file of each row that they name where there are several."""
    found = []
    for one in findings:
        places = tuple(titles.place_of(row) for row in one.rows)
        found.append(dataclasses.replace(one, row_places=places) if any(places) else one)
    return tuple(found)


def _too_few(tally: AuditTally) -> ValueError:
    n, d = tally.n_samples, tally.n_features.get("rows", 0)
    after = ""
    if tally.n_dropped:
        after = f" after {tally.n_dropped:,} rows with NaN or infinity were dropped"
    return ValueError(
        f"`features` has {n} row{'s' * (n != 1)}{after} (shape {(n, d)}) and needs at least 2: rows are samples, "
        "columns are features."
    )
