"""`repgeom layers`: which layers a model has, and what "auto" takes of them."""

from __future__ import annotations

import argparse
from typing import Any

from repgeom.cli.model_options import add_model, opened, told_of_model
from repgeom.cli.output import print_text


def add_parser(commands: Any) -> None:
    """Add the command and its options to the parser's `commands`."""
    parser = commands.add_parser(
        "layers",
        help="show the layers of a model that give features",
        description="Sends one batch through a model and shows its layers in the order in which they run, with the shape of what "
        "they give. Those with a star are what `audit-model` takes by default.",
    )
    parser.set_defaults(run=run)
    add_model(parser)
    parser.add_argument(
        "--all", action="store_true", help="every module that gives features, not only those two dots deep"
    )


def run(args: argparse.Namespace) -> int:
    """Print the layers of `args.model`."""
    from repgeom.models.layers import layers

    checkpoint, inputs = opened(args)
    with told_of_model(args.model):
        batch = next(inputs.batches(min(args.batch_size, 8), checkpoint.collate))
        frame = layers(checkpoint.model, batch)
    shown = frame if args.all else frame[frame.auto | (frame.name.str.count(r"\.") < 2)]
    width = max(map(len, shown.name))
    lines = [f"{checkpoint.name}: {len(frame)} layers; * is what `audit-model` takes by default"]
    for row in shown.itertuples():
        shape = " × ".join(map(str, row.shape))
        times = f", ran {row.fires} times" if row.fires > 1 else ""
        lines.append(f"{'*' if row.auto else ' '} {row.name:<{width}}  {shape:<16}  {row.kind}{times}")
    if len(shown) < len(frame):
        lines.append(f"  and {len(frame) - len(shown)} deeper ones: --all shows them, `--layers 'PATH.**'` takes them")
    print_text("\n".join(lines))
    return 0
