"""`repgeom layers`: which layers a model has, and what "auto" takes of them."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from repgeom.cli.model_options import add_model, opened, told_of_model
from repgeom.cli.output import print_text
from repgeom.presenting.columns import Column, table_lines
from repgeom.presenting.screen import screen_of


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
    screen = screen_of(sys.stdout)
    lines = screen.sentence(
        f"{checkpoint.name}: {len(frame)} layers; * is what `audit-model` takes by default", further="  "
    )
    times = ["" if row.fires == 1 else f"ran {row.fires} times" for row in shown.itertuples()]
    starred = zip(shown.auto, shown.name, strict=True)
    names = [f"{'*' if auto else ' '} {screen.shown(name)}" for auto, name in starred]
    columns = [
        Column("", names, left=True, fewest=12),
        Column("", [screen.shown(" × ".join(map(str, shape))) for shape in shown["shape"]], left=True, goes=2),
        Column("", [screen.shown(kind) for kind in shown.kind], left=True, goes=0),
        Column("", times, left=True, goes=1),
    ]
    lines += table_lines(columns, screen) or []
    if len(shown) < len(frame):
        deeper = f"and {len(frame) - len(shown)} deeper ones: --all shows them, `--layers 'PATH.**'` takes them"
        lines += screen.sentence(deeper, first="  ", further="    ")
    print_text("\n".join(lines))
    return 0
