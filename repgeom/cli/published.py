"""`repgeom published`: does a published set of corrupted images equal our own corruption of the clean ones?"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from repgeom.cli.delivering import Delivery, check_no_input
from repgeom.cli.output import check_writable

DIFFERS_STATUS = 1
MOST = 1000


def add_parser(commands: Any) -> None:
    """Add the command and its options to the parser's `commands`."""
    parser = commands.add_parser(
        "published",
        help="compare CIFAR-10-C, ImageNet-C and the like with our own corruptions",
        description="Reads a published set of corrupted images from its files, corrupts the clean images here, and compares the two, "
        "corruption by corruption: pixel by pixel where nothing is drawn, in mean, variance and power by frequency elsewhere. Exit "
        "status: 0 if compared; 1 with --fail-on-difference where one differs; 2 for an error.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "name", metavar="NAME", help="CIFAR-10-C, CIFAR-100-C, Tiny-ImageNet-C, ImageNet-C or ImageNet-C-bar"
    )
    parser.add_argument("folder", metavar="FOLDER", help="where the set was unpacked")
    parser.add_argument(
        "--clean",
        required=True,
        metavar="PATH",
        help="the clean images in the set's order: an .npy (n, h, w, 3) uint8, or of folders CLASS/FILE of the same names",
    )
    parser.add_argument(
        "--corruptions", nargs="+", default=["all"], metavar="NAME", help='"all" (default), "mCE", or names'
    )
    parser.add_argument(
        "--severities", nargs="+", type=int, default=[1, 2, 3, 4, 5], metavar="S", help="1 to 5 (default: all)"
    )
    parser.add_argument(
        "--most",
        type=int,
        default=MOST,
        metavar="N",
        help=f"compare so many images, evenly spread over the set (default: {MOST})",
    )
    parser.add_argument(
        "--n-images",
        type=int,
        metavar="N",
        help="images of each corruption and severity, where it is a part of the set",
    )
    parser.add_argument("--frost-images", metavar="FOLDER", help="the script's photographs of frost, for frost")
    parser.add_argument("--seed", type=int, default=0, help="of our draws (default: 0)")
    parser.add_argument("--json", metavar="PATH", help="also write the table as JSON; - prints it in place of the text")
    parser.add_argument("--csv", metavar="PATH", help="also write the table as .csv")
    parser.add_argument(
        "--fail-on-difference", action="store_true", help="exit with status 1 where a corruption differs"
    )
    parser.add_argument("--progress", action="store_true", help="show a progress bar on standard error")


def run(args: argparse.Namespace) -> int:
    """Compare the set, print and write what was found, and return the exit status: 0 or 1."""
    for path in (args.json, args.csv):
        check_writable(path)
    check_no_input([args.json, args.csv], [args.clean])
    # These imports are heavy, so they wait until the command runs: `repgeom --help` stays quick.
    from repgeom.data.saving import write_whole
    from repgeom.presenting.published import comparison_of_set
    from repgeom.presenting.screen import screen_of
    from repgeom.robustness.published_comparison import DIFFERS, compare_published

    opened = _opened(args)
    photographs = None
    if args.frost_images is not None:
        photographs = _photographs(args.frost_images)
    table = compare_published(
        opened, severities=args.severities, frost_images=photographs, seed=args.seed, progress=args.progress
    )
    delivery = Delivery()
    as_json = table.to_json(orient="records", indent=1, force_ascii=False, double_precision=10)
    delivery.file(args.csv, lambda path: write_whole(path, table.to_csv(index=False)))
    if args.json == "-":
        delivery.json(as_json)
    else:
        delivery.file(args.json, lambda path: write_whole(path, as_json + "\n"))
        delivery.text(comparison_of_set(opened, table, screen_of(sys.stdout)))
    differs = int((table.conclusion == DIFFERS).sum())
    status = 0
    if args.fail_on_difference and differs:
        status = DIFFERS_STATUS
        sentence = f"Exit status 1 by --fail-on-difference: {differs} of {len(table)} differ."
        delivery.reason(sentence, beside_json=args.json == "-")
    return delivery.status(status)


def _opened(args: argparse.Namespace) -> Any:
    """Open the set at rows that are evenly spread over it."""
    import numpy as np

    from repgeom.robustness.published_layouts import layout_named
    from repgeom.robustness.published_set import published

    if args.most < 2:
        raise ValueError(f"--most must be at least 2, got {args.most}.")
    n = args.n_images or layout_named(args.name).n
    rows = np.unique(np.linspace(0, n - 1, min(n, args.most)).round().astype(int))
    named = [_corruption_named(name) for name in args.corruptions]
    corruptions = named[0] if len(named) == 1 else named
    return published(
        args.name, args.folder, clean=args.clean, corruptions=corruptions, rows=rows, n_images=args.n_images
    )


def _corruption_named(said: str) -> str:
    """A corruption's own name, "all" or "mCE": capitals, hyphens and spaces do not matter."""
    name = said.strip().lower().replace("-", "_").replace(" ", "_")
    if name == "mce":
        return "mCE"
    return name


def _photographs(folder: str) -> list[Any]:
    """Return the photographs of a folder, in the order of their names."""
    from repgeom.models.inputs import images_from

    inputs = images_from(folder)
    return [inputs.item(i) for i in range(inputs.n)]
