"""`repgeom audit-model`: from a model and its input to the audit of its layers, in one pass."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from repgeom.cli.delivering import Delivery
from repgeom.cli.gate import FAILED_GATE, FAILING_LEVELS
from repgeom.cli.model_options import add_model, opened, told_of_model
from repgeom.cli.output import check_writable, say
from repgeom.cli.row_options import add_measures
from repgeom.presenting.screen import screen_of

if TYPE_CHECKING:
    from repgeom.models.profile import LayerProfile


def add_parser(commands: Any) -> None:
    """Add the command and its options to the parser's `commands`."""
    parser = commands.add_parser(
        "audit-model",
        help="audit the layers of a model on texts or images",
        description="Sends texts or images through a model once and audits its layers: how many dimensions each uses, and what is "
        "wrong with it. Nothing is stored unless --save-features says so. Exit status: 0 if audited; 1 if --fail-on was reached; 2 for "
        "an error; 130 if interrupted.",
    )
    parser.set_defaults(run=run)
    add_model(parser.add_argument_group("model and input"))
    add_layers(parser.add_argument_group("layers"))
    add_results(parser.add_argument_group("verdict and results"))


def add_layers(group: Any) -> None:
    """Options that say which layers are audited and how positions become rows."""
    add = group.add_argument
    add("--layers", action="append", metavar="PATTERN", help="module path or pattern ('encoder.layer.*'; * stops at a dot, ** "
        "crosses); may be given more than once (default: embeddings, blocks, final norm, pooler, output)")  # fmt: skip
    add("--pool", default="auto", choices=["auto", "mean", "cls", "last", "patches", "tokens"], help="how positions become rows "
        "(default auto: the class token of an image model that has one, else the mean over what is not padding)")  # fmt: skip
    add("--max-samples", type=int, metavar="N", help="read so many samples at most")
    add(
        "--labels",
        metavar="WHAT",
        help="'folders' takes the folder of each image as its label; else a file with one label per sample",
    )
    add("--labels-column", metavar="NAME", help="the column of --texts that holds labels")
    add("--normalize", choices=["l2"], help="scale rows to unit length before centring")
    add("--seed", type=int, default=0, help="of the rows that are kept for intervals and pairs (default 0)")


def add_results(group: Any) -> None:
    """Options that say what the verdict speaks of and where results go."""
    add = group.add_argument
    add("--for", dest="purpose", default="transfer", choices=["transfer", "classify", "retrieve", "generate"], help="what the "
        "features are for (default transfer)")  # fmt: skip
    add("--fail-on", choices=["warn", "fail"], help="exit with status 1 if the verdict is that bad or worse: of the model's output, "
        "or of every layer that --layers names")  # fmt: skip
    add("--save-features", metavar="FOLDER", help="also write the rows of each layer as a .npy there")
    add("--json", metavar="PATH", help="also write the profile as JSON; - prints it in place of the table")
    add("--html", metavar="PATH", help="also write the profile as a page: rank against depth, then each layer's audit")
    add_measures(add)
    add(
        "--quiet", action="store_true", help="print no table and no progress bar: one line with the verdict, and errors"
    )


def run(args: argparse.Namespace) -> int:
    """Profile `args.model`, write and print the profile, and return the exit status."""
    from repgeom.presenting.profile_text import profile_headline, profile_text

    if args.html == "-":
        raise ValueError("--html needs the path of a file; only --json can print to standard output with -.")
    for path in (args.json, args.html):
        check_writable(path)
    profile = _profiled(args)
    delivery = Delivery()
    if args.json == "-":
        delivery.json(profile.to_json())
    else:
        delivery.file(args.json, profile.to_json)
    delivery.file(args.html, profile.to_html)
    if args.json != "-":
        screen = screen_of(sys.stdout)
        text = (
            profile_headline(profile, screen)
            if args.quiet
            else profile_text(profile, screen, every=args.measures == "all")
        )
        delivery.text(text)
    status, sentence = _gated(profile, args)
    delivery.reason(sentence, beside_json=args.json == "-")
    return delivery.status(status)


def _profiled(args: argparse.Namespace) -> LayerProfile:
    from repgeom.models.profile import layer_profile

    checkpoint, inputs = opened(args)
    labels = inputs.labels
    if args.labels is not None and args.labels != "folders":
        from repgeom.data.files import read_labels

        labels = read_labels(args.labels)
        if len(labels) != inputs.n:
            raise ValueError(f"{args.labels} has {len(labels):,} labels and there are {inputs.n:,} samples.")
    n = inputs.n if args.max_samples is None else min(inputs.n, args.max_samples)
    with told_of_model(args.model):
        profile = layer_profile(
            checkpoint.model,
            _batches(args, inputs.batches(args.batch_size, checkpoint.collate, n), -(-n // args.batch_size)),
            layers=args.layers or "auto",
            pool=args.pool,
            labels=None if labels is None else labels[:n],
            normalize=args.normalize,
            purpose=args.purpose,
            seed=args.seed,
            name=checkpoint.name,
            features_to=args.save_features,
            say=None if args.quiet else say,
        )
    return profile.with_notes(*inputs.notes, *checkpoint.notes)


def _batches(args: argparse.Namespace, batches: Any, n: int) -> Any:
    """The batches, with a bar in a terminal."""
    if args.quiet:
        return batches
    from tqdm import tqdm

    return tqdm(batches, total=n, unit="batch", leave=False, disable=None)


def _gated(profile: LayerProfile, args: argparse.Namespace) -> tuple[int, str]:
    """The exit status, and why it is that; empty without `--fail-on`."""
    if args.fail_on is None:
        return 0, ""
    judged = list(profile) if args.layers else [layer for layer in profile if layer == "output"] or [list(profile)[-1]]
    missing = [layer for layer in profile.unmeasured if args.layers or layer == "output"]
    failing = [
        f"{layer} reads {profile[layer].level}"
        for layer in judged
        if profile[layer].level in FAILING_LEVELS[args.fail_on]
    ]
    failing += [f"{layer} is the same for all samples" for layer in missing]
    status = FAILED_GATE if failing else 0
    why = ", ".join(failing) or f"{', '.join(judged[:4])} {'read' if len(judged) > 1 else 'reads'} no {args.fail_on}"
    return status, f"Exit status {status} by --fail-on {args.fail_on}: {why}."
