"""The command line: `repgeom audit` and `repgeom demo`. Heavy imports wait until a command runs."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repgeom.auditing.report import Report

USAGE_ERROR = 2
FAILED_GATE = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 0, 1 if `--fail-on` was reached, 2 for an error."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if _is_first():
            print(f"repgeom: error: {text}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        kept = getattr(args, "checkpoint", None)
        way_on = f"; what was read is kept in {kept}: give the same command again" if kept else ""
        print(f"repgeom: interrupted{way_on}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("repgeom", description="Audits the geometry of a representation.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_audit(commands)
    _add_demo(commands)
    return parser


def _add_audit(commands: Any) -> None:
    audit = commands.add_parser(
        "audit",
        help="measure features from a file and say what is wrong with them",
        description="Measures features from a file (.npy .npz .pt .pth .safetensors .parquet .csv .tsv .h5) and says what "
        "is wrong with them. Exit status: 0 if audited; 1 if --fail-on was reached; 2 for an error. Started by torchrun, the "
        "processes share the rows and print one report; torchrun's own status is then 1 for either.",
    )
    audit.set_defaults(run=_audit)
    add = audit.add_argument
    add("features", nargs="+", metavar="FEATURES", help="file of n_samples x n_features, or a quoted pattern of shards "
        "('dump/part-*.npy') for one audit of them all; several arguments are audited side by side")  # fmt: skip
    add("--key", help="which array, where a file holds several")
    add("--reference", metavar="FILE", help="features of the same samples from another model, such as the teacher")
    add("--reference-key", metavar="KEY", help="which array of the reference file (default: as --key)")
    add("--corrupted", metavar="FILE", help="features of the same samples and model after a corruption of its input: adds "
        "a table of drift with paired intervals")  # fmt: skip
    add("--labels", metavar="FILE", help="one label per row: whole numbers or text")
    add("--labels-key", metavar="KEY", help="which array or column of the labels file")
    add("--groups", metavar="FILE", help="one group per row, where rows depend on each other (frames of a video, tokens of a "
        "text): intervals count such rows for less")  # fmt: skip
    add("--groups-key", metavar="KEY", help="which array or column of the groups file")
    add("--normalize", choices=["l2"], help="scale rows to unit length before centring")
    add("--drop-nonfinite", action="store_true", help="go on without rows that hold NaN or infinity")
    add("--threshold", action="append", default=[], metavar="RULE=WARN,FAIL", help="override a rule's thresholds, for "
        "example rank_share=0.2,0.1 or duplicate_rows=0.5,none; may be given more than once")  # fmt: skip
    add("--fail-on", choices=["warn", "fail"], help="exit with status 1 if the verdict is that bad or worse")
    add("--json", metavar="PATH", help="also write the report as JSON; - prints it in place of the table")
    add("--html", metavar="PATH", help="also write the report as a page")
    add("--checkpoint", metavar="FOLDER", help="keep what was read in this folder, so that the same command, given again after "
        "an interruption, goes on from there; removed at the end")  # fmt: skip
    add("--seed", type=int, default=0, help="of the sample of rows where all pairs would be too many (default 0)")


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="train a healthy and a collapsed encoder of handwritten digits and audit both",
        description="Trains a healthy and a collapsed encoder of scikit-learn's handwritten digits, audits both side by "
        "side, and writes the features, the labels and the report. Takes seconds, downloads nothing.",
    )
    demo.set_defaults(run=_demo)
    demo.add_argument("--out", default="repgeom-demo", metavar="DIR", help="where to write (default: repgeom-demo)")
    demo.add_argument("--seed", type=int, default=0)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"repgeom {version('repgeom')}")
        parser.exit()


def _is_first() -> bool:
    """Whether this is the only process of a command, or the first that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def _together() -> Iterator[bool]:
    """Joins the other processes that torchrun started, if it did; whether there are any."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield False
        return
    import torch.distributed as dist

    dist.init_process_group("gloo")
    try:
        yield True
    finally:
        dist.destroy_process_group()


def _audit(args: argparse.Namespace) -> int:
    if args.html == "-":
        raise ValueError("--html needs the path of a file; only --json can print to standard output with -.")
    for path in (args.json, args.html):
        _check_writable(path)
    thresholds = dict(_threshold(text) for text in args.threshold)

    from repgeom.auditing.audit import audit
    from repgeom.data.files import open_source, read_labels
    from repgeom.data.saving import write_whole
    from repgeom.presenting.page import html
    from repgeom.presenting.text import table

    labels = None if args.labels is None else read_labels(args.labels, key=args.labels_key)
    groups = None if args.groups is None else read_labels(args.groups, key=args.groups_key)
    reference = None
    if args.reference is not None:
        reference = open_source(args.reference, key=args.reference_key or args.key)
    corrupted = None if args.corrupted is None else open_source(args.corrupted, key=args.key)
    reports = []
    with _together() as distributed:
        for path in args.features:
            try:
                report = audit(
                    open_source(path, key=args.key),
                    reference=reference,
                    corrupted=corrupted,
                    labels=labels,
                    groups=groups,
                    normalize=args.normalize,
                    thresholds=thresholds,
                    drop_nonfinite=args.drop_nonfinite,
                    seed=args.seed,
                    progress=True,
                    checkpoint=args.checkpoint,
                    distributed=distributed,
                )
            except ValueError as error:
                raise error if len(args.features) == 1 else ValueError(f"{path}: {error}") from None
            reports.append(report)
    bad = {"warn": ("warn", "fail"), "fail": ("fail",), None: ()}[args.fail_on]
    status = FAILED_GATE if any(r.level in bad for r in reports) else 0
    if not _is_first():
        return status
    text = _json(reports) if args.json == "-" else table(reports)
    if args.json != "-" and len(reports) > 3:
        text += f"\nThese are {len(reports)} audits. For one audit of many shards, put the pattern in quotes."
    _show(text)
    if args.json not in (None, "-"):
        write_whole(args.json, _json(reports) + "\n")
    if args.html is not None:
        html(reports, args.html)
    return status


def _show(text: str) -> None:
    """Prints; a reader that has gone away (`| head`) is no error of the audit."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its exit


def _json(reports: Sequence[Report]) -> str:
    """One report as an object, several as a list of objects, each after the first with its comparison to it."""
    texts = [r.to_json(against=reports[0] if i else None) for i, r in enumerate(reports)]
    return texts[0] if len(texts) == 1 else "[\n" + ",\n".join(texts) + "\n]"


def _demo(args: argparse.Namespace) -> int:
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    _check_writable(str(out / "report.html"))
    print("Training two encoders of 8 x 8 scans of handwritten digits, on half of them ...", flush=True)

    import numpy as np

    from repgeom.auditing.audit import audit
    from repgeom.demo import digit_features
    from repgeom.presenting.page import html
    from repgeom.presenting.text import estimated, table

    features, digits = digit_features(args.seed)
    reports = []
    np.save(out / "digits.npy", digits)
    for name, x in features.items():
        np.save(out / f"{name.replace(' ', '-')}.npy", x)
        reports.append(audit(x, labels=digits, name=name))
    print(table(reports))
    html(reports, out / "report.html")
    print("\nWhat to see: both are the same network on the same images; only the loss differs.")
    for r in reports:
        rank, accuracy = estimated(r["effective_rank"].estimate), r["knn_accuracy"].value
        print(f"  {r.name}: {rank} of {r.n_features} dimensions in use, kNN accuracy {accuracy:.2f}")
    print("Accuracy hardly tells them apart; the spectrum does.")
    print(f"\nThe page with plots: {out / 'report.html'}")
    print(f"Audit one of them yourself: repgeom audit {out / 'alignment-only.npy'} --labels {out / 'digits.npy'}")
    return 0


def _threshold(text: str) -> tuple[str, tuple[float | None, float | None]]:
    name, _, values = text.partition("=")
    values = "none,none" if values.strip().lower() == "none" else values
    try:
        warn, fail = (None if v.strip().lower() == "none" else float(v) for v in values.split(","))
    except ValueError:
        raise ValueError(
            f"--threshold takes RULE=WARN,FAIL such as rank_share=0.2,0.1 (or none), got {text!r}."
        ) from None
    return name.strip(), (warn, fail)


def _check_writable(path: str | None) -> None:
    """Before any work: a report that cannot be written is an error now, not after an hour."""
    if path is None or path == "-":
        return
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"{path} is a folder; name the file to write, such as {target / 'report'}.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{path} cannot be written: the folder {target.parent} does not exist. Create it first."
        )
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"{path} cannot be written: no permission to write in {target.parent}.")
