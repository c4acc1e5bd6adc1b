"""Runs the benchmarks, prints their pages, and writes them to README.md beside this file."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import distillation_page, estimates_page, robustness_page, spectra_page
from benchmarks.page import write_part

PAGES = {
    "spectra": spectra_page.report,
    "estimates": estimates_page.report,
    "robustness": robustness_page.report,
    "distillation": distillation_page.report,
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("pages", nargs="*", choices=[*PAGES, []], help="which pages; all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, a minute a page; README.md is left alone")
    parser.add_argument("--rivals", metavar="PYTHON", help="interpreter that has spectralyte and vecscope installed")
    parser.add_argument("--scratch", metavar="FOLDER", help="where to put 3.5 GB of data for the while")
    parser.add_argument("--runs", type=int, help="timed runs of each (default 5; 2 with --quick)")
    args = parser.parse_args()
    args.runs = args.runs or (2 if args.quick else 5)
    for name in args.pages or PAGES:
        with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
            text = PAGES[name](args, Path(folder))
        print(text)
        if not args.quick:
            write_part(text)


if __name__ == "__main__":
    main()
