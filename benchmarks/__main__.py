"""Runs the benchmarks, prints their pages, and writes them to README.md beside this file."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import distillation_page, estimates_page, robustness_page, speed_page
from benchmarks.page import write_part

PAGES = {
    "speed": speed_page.report,
    "estimates": estimates_page.report,
    "robustness": robustness_page.report,
    "distillation": distillation_page.report,
}


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "pages",
        nargs="*",
        metavar="PAGE",
        choices=[*PAGES, "all", []],
        help=f"{', '.join(PAGES)} or all; speed by default",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, a minute a page; README.md is left alone")
    parser.add_argument(
        "--check", action="store_true",
        help="compare speed with benchmarks/stored.json: exit status 1 if a ratio grew by more than 1.5x; nothing is written",
    )  # fmt: skip
    parser.add_argument(
        "--rivals", metavar="PYTHON", help="interpreter with spectralyte, vecscope, effdim, scikit-dimension"
    )
    parser.add_argument("--scratch", metavar="FOLDER", help="where to put 8 GB of data for the while")
    parser.add_argument(
        "--runs", type=int, help="timed runs of each (default 5; with --quick 1, and 4 of what takes milliseconds)"
    )
    parser.set_defaults(failed=False)
    args = parser.parse_args()
    args.runs = args.runs or (1 if args.quick else 5)
    names = args.pages or ["speed"]
    if args.check and names != ["speed"]:
        parser.error("--check goes with the speed page alone: the others have no stored ratios.")
    for name in PAGES if "all" in names else names:
        with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
            text = PAGES[name](args, Path(folder))
        print(text)
        if not (args.quick or args.check):
            write_part(text)
    return int(args.failed)


if __name__ == "__main__":
    sys.exit(main())
