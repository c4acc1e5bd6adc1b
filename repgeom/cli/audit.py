"""`repgeom audit`: measure features from files, print a report, write it, and fail if it is bad enough."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from repgeom.cli.delivering import Delivery, check_no_input
from repgeom.cli.gate import Gate, Judged, add_drop_options
from repgeom.cli.joining import is_first_process, joined_processes
from repgeom.cli.output import check_writable
from repgeom.cli.results import add_result_files, check_result_files, deliver_result_files
from repgeom.cli.row_options import add_row_options, add_saying_options, names_of, row_options
from repgeom.cli.rule_list import ListRules
from repgeom.cli.thresholds import thresholds_of
from repgeom.presenting.screen import screen_of

if TYPE_CHECKING:
    from repgeom.auditing.report import Report
    from repgeom.data.processes import Processes


def add_parser(commands: Any) -> None:
    """Add the command and its options to the parser's `commands`."""
    parser = commands.add_parser(
        "audit",
        help="measure features from a file and say what is wrong with them",
        description="Measures features from a file (.npy .npz .pt .safetensors .parquet .csv .h5 .zarr and others), a "
        "URI or standard input and says what is wrong with them. Exit status: 0 if audited; 1 if --fail-on or --fail-on-drop "
        "was reached; 2 for anything else, such as memory that ran out or a report that was not written; 130 if interrupted. "
        "Started by torchrun, the processes share the rows and print one report; torchrun's own status is then 1 for either. "
        "REPGEOM_TRACEBACK=1 in the environment adds the traceback to an error.",
    )
    parser.set_defaults(run=run)
    add_rows(parser.add_argument_group("rows"))
    add_beside(parser.add_argument_group("what stands beside the rows"))
    add_verdict(parser.add_argument_group("verdict"))
    add_results(parser.add_argument_group("results"))


def add_rows(group: Any) -> None:
    """Options that say which rows and columns are read, and how."""
    add = group.add_argument
    add("features", nargs="+", metavar="FEATURES", help="file of n_samples x n_features, or a quoted pattern of shards "
        "('dump/part-*.npy'), or their folder, for one audit of them all; a URI (s3://, gs://, hf://, https://) of these; - for "
        "standard input; several arguments are audited side by side")  # fmt: skip
    add("--key", help="which array, where a file holds several ('*' joins those of one width, row after row), or which "
        "columns of a table")  # fmt: skip
    add("--format", metavar="KIND", help="what kind of file comes through standard input or from a URI (npy, csv, tsv, "
        "jsonl, parquet, npz, pt, ...), where neither its name nor its first bytes say so")  # fmt: skip
    add("--columns", metavar="NAMES", help="columns of a table that are features: names or patterns with commas ('f*')")
    add("--drop", metavar="NAMES", help="columns of a table that are not, such as id,label")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="the first line of a text table holds names, or does not",
    )
    add("--delimiter", metavar="SIGN", help="what stands between the cells of a text table: one character, or tab")
    add("--normalize", choices=["l2"], help="scale rows to unit length before centring")
    add_row_options(add)
    add("--drop-nonfinite", action="store_true", help="go on without rows that hold NaN or infinity")
    add("--checkpoint", metavar="FOLDER", help="keep what was read in this folder, so that the same command, given again after "
        "an interruption, goes on from there; removed at the end")  # fmt: skip
    add("--distributed", action="store_true", help="share the rows with the other processes that RANK, WORLD_SIZE, MASTER_ADDR "
        "and MASTER_PORT name, started by hand or by a scheduler; under torchrun this goes without saying")  # fmt: skip
    add("--seed", type=int, default=0, help="of the sample of rows where all pairs would be too many (default 0)")


def add_beside(group: Any) -> None:
    """Options that name what belongs to the rows: labels, groups, other features of the same samples."""
    add = group.add_argument
    add("--labels", metavar="FILE", help="one label per row: whole numbers or text")
    add("--labels-column", metavar="NAME", help="the column of FEATURES, a table, that holds the labels")
    add("--labels-key", metavar="KEY", help="which array or column of the labels file")
    add("--groups", metavar="FILE", help="one group per row, where rows depend on each other (frames of a video, tokens of a "
        "text): intervals count such rows for less")  # fmt: skip
    add("--groups-key", metavar="KEY", help="which array or column of the groups file")
    add("--reference", metavar="FILE", help="features of the same samples from another model, such as the teacher")
    add("--reference-key", metavar="KEY", help="which array of the reference file (default: as --key)")
    add("--row-ids", metavar="FILE", help="one id per row, of which the report keeps a checksum: a later report of the same rows "
        "is then known to be of the same samples (labels and groups serve as well)")  # fmt: skip
    add("--corrupted", metavar="FILE", help="features of the same samples and model after a corruption of its input: adds "
        "a table of drift with paired intervals")  # fmt: skip


def add_verdict(group: Any) -> None:
    """Options that say what the verdict speaks of and when the command fails."""
    add = group.add_argument
    add("--for", dest="purpose", default="transfer", choices=["transfer", "classify", "retrieve", "generate"], help="what "
        "the features are for, which decides what the verdict speaks of: other models are built on them (transfer, the "
        "default), they tell the classes of --labels (classify), their neighbours are looked up, or a decoder reads them")  # fmt: skip
    add("--threshold", action="append", default=[], metavar="RULE=WARN,FAIL", help="override a rule's thresholds, for "
        "example rank_share=0.2,0.1 or duplicate_rows=0.5,none; may be given more than once")  # fmt: skip
    add("--fail-on", choices=["warn", "fail"], help="exit with status 1 if the verdict is that bad or worse")
    add(
        "--baseline",
        metavar="FILE",
        help="an earlier report, as JSON: also says what changed since, measure by measure",
    )
    add(
        "--list-rules",
        action=ListRules,
        nargs=0,
        help="print every rule with its thresholds and what it reads, and exit",
    )
    add_drop_options(add)


def add_results(group: Any) -> None:
    """Options that say where the report goes."""
    add = group.add_argument
    add("--json", metavar="PATH", help="also write the report as JSON; - prints it in place of the table")
    add("--html", metavar="PATH", help="also write the report as a page")
    add_saying_options(add)
    add_result_files(add)
    add("--keep-scores", action="store_true", help="keep in the JSON what each row adds to a measure (0.2 MB), so that a later "
        "report of the same rows can be compared row by row")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Audit each of `args.features`, print and write the reports, and return the exit status: 0 or `FAILED_GATE`."""
    if args.html == "-":
        raise ValueError("--html needs the path of a file; only --json can print to standard output with -.")
    # Before any row is read: a mistyped path must not cost an hour of measuring.
    for path in (args.json, args.html):
        check_writable(path)
    check_result_files(args.json, args.junit, args.markdown)
    read = [*args.features, args.labels, args.groups, args.row_ids, args.reference, args.corrupted]
    check_no_input([args.json, args.html, args.junit, args.markdown], read)
    thresholds = thresholds_of(args.threshold)
    gate = Gate.of(args, len(args.features))
    judged = gate.judged(_audited(args, thresholds))
    # All processes of a group hold the same reports; one of them writes.
    if not is_first_process():
        return judged.status
    return _delivered(judged, args)


def _delivered(judged: Judged, args: argparse.Namespace) -> int:
    """Write the files that were asked for, print the table, or JSON in its place, and return the exit status."""
    from repgeom.data.saving import write_whole
    from repgeom.presenting.compared import comparison_table
    from repgeom.presenting.page import html
    from repgeom.presenting.report_text import headline_text, table

    reports = list(judged.reports)
    delivery = Delivery()
    print_json = args.json == "-"
    # Beside JSON, what is told goes to standard error.
    screen, every = screen_of(None if print_json else sys.stdout), args.measures == "all"
    if not print_json:
        delivery.file(args.json, lambda path: write_whole(path, _json(reports, args.keep_scores) + "\n"))
    delivery.file(args.html, lambda path: html(reports, path))
    deliver_result_files(delivery, judged, args.junit, args.markdown)
    if print_json:
        delivery.json(_json(reports, args.keep_scores))
    else:
        if args.quiet:
            delivery.text(headline_text(reports, screen))
        else:
            delivery.text(table(reports, screen, every=every, remarks=_remarks(reports)))
    if not args.quiet:
        for comparison in judged.comparisons:
            text = comparison_table(comparison, screen, every=every, title="Since the baseline: ")
            delivery.changes(text, beside_json=print_json)
    delivery.reason(judged.sentence, beside_json=print_json)
    return delivery.status(judged.status)


def _remarks(reports: Sequence[Report]) -> list[str]:
    if len(reports) <= 3:
        return []
    return [f"These are {len(reports)} audits. For one audit of many shards, put the pattern in quotes."]


def _audited(args: argparse.Namespace, thresholds: dict[str, tuple[float | None, float | None]]) -> list[Report]:
    """One report for each file or pattern of files in `args.features`."""
    # These imports are heavy, so they wait until the command runs: `repgeom --help` stays quick.
    from repgeom.auditing.audit import audit
    from repgeom.auditing.comparing import check_row_ids, with_row_ids
    from repgeom.data.files import read_labels
    from repgeom.data.places import shown_name
    from repgeom.data.processes import Processes

    row_ids = None
    if args.row_ids is not None:
        row_ids = read_labels(args.row_ids)
    asked = _beside(args) | {
        "purpose": args.purpose,
        "normalize": args.normalize,
        "thresholds": thresholds,
        "drop_nonfinite": args.drop_nonfinite,
        "seed": args.seed,
        "checkpoint": args.checkpoint,
        **row_options(args),
    }
    reports: list[Report] = []
    names = names_of(args)
    with joined_processes(args.distributed) as distributed:
        for path, name in zip(args.features, names, strict=True):
            try:
                rows = _rows(path, args, Processes(distributed))
                check_row_ids(row_ids, rows["features"].n_samples)
                report = audit(**asked | rows, name=name, distributed=distributed)
            except ValueError as error:
                # Of several files the message must name the one that it is about.
                if len(args.features) == 1:
                    raise
                raise ValueError(f"{shown_name(path)}: {error}") from None
            reports.append(with_row_ids(report, row_ids))
    return reports


def _beside(args: argparse.Namespace) -> dict[str, Any]:
    """What stands beside the rows, opened: once, since it serves every file."""
    from repgeom.data.files import labels_by, open_source, read_labels

    if args.labels is not None and args.labels_column is not None:
        raise ValueError("--labels names a file of labels and --labels-column a column of FEATURES: give one of them.")
    found: dict[str, Any] = {}
    if args.labels is not None:
        found["labels"] = read_labels(args.labels, key=args.labels_key)
    if args.groups is not None:
        found["groups"] = labels_by(args.groups, args.groups_key, "groups-key")
    if args.reference is not None:
        key = args.reference_key or args.key
        found["reference"] = open_source(args.reference, key=key, **_said_of(args.reference, args))
    if args.corrupted is not None:
        found["corrupted"] = open_source(args.corrupted, key=args.key, **_said_of(args.corrupted, args))
    return found


def _rows(path: str, args: argparse.Namespace, processes: Processes) -> dict[str, Any]:
    """The features of one file, opened, and the labels that stand in a column of it."""
    from repgeom.data.files import labels_by, open_source

    found: dict[str, Any] = {}
    if args.labels_column is not None:
        in_column = functools.partial(labels_by, path, args.labels_column, "labels-column", **_layout(args))
        found["labels"] = processes.agreed(in_column)
    opening = functools.partial(open_source, path, key=args.key, format=args.format, **_said(args))
    found["features"] = processes.agreed(opening)
    return found


def _layout(args: argparse.Namespace) -> dict[str, Any]:
    """What was said about how a text table is written."""
    return {name: getattr(args, name) for name in ("header", "delimiter") if getattr(args, name) is not None}


def _said(args: argparse.Namespace) -> dict[str, Any]:
    """What was said about the table FEATURES."""
    return {**_layout(args), "columns": args.columns, "drop": args.drop, "labels_column": args.labels_column}


def _said_of(path: str, args: argparse.Namespace) -> dict[str, Any]:
    """What was said about the table FEATURES, for a file beside it: it holds where that is a table of the same kind."""
    same_kind = os.path.splitext(path)[1] == os.path.splitext(args.features[0])[1]
    return _said(args) if same_kind else {}


def _json(reports: Sequence[Report], keep_scores: bool) -> str:
    """One report as an object, several as a list of objects, each after the first with its comparison to the first."""
    first, *others = reports
    if not others:
        return first.to_json(keep_scores=keep_scores)
    objects = [first.to_json(keep_scores=keep_scores)]
    objects += [report.to_json(against=first, keep_scores=keep_scores) for report in others]
    return "[\n" + ",\n".join(objects) + "\n]"
