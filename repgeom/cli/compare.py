"""`repgeom compare`: what changed between two reports, measure by measure."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from repgeom.cli.delivering import Delivery, check_no_input
from repgeom.cli.gate import Gate, add_drop_options, read_reports
from repgeom.cli.results import add_result_files, check_result_files, deliver_result_files
from repgeom.cli.row_options import add_measures
from repgeom.data.saving import write_whole
from repgeom.presenting.screen import screen_of


def add_parser(commands: Any) -> None:
    """Add the command and its options to the parser's `commands`."""
    parser = commands.add_parser(
        "compare",
        help="say what changed between two reports",
        description="Compares two reports that `repgeom audit --json` wrote, measure by measure, with intervals and tests. Rows "
        "that are known to be the same are compared one by one where both audits had --keep-scores; all else goes by the "
        "standard errors in the reports. Exit status: 0 if compared; 1 if --fail-on-drop was reached; 2 for an error.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("old", metavar="OLD", help="the earlier report, as JSON")
    parser.add_argument("new", metavar="NEW", help="the later report, as JSON")
    add_drop_options(parser.add_argument_group("what may be lost").add_argument)
    group = parser.add_argument_group("results")
    group.add_argument(
        "--json", metavar="PATH", help="also write the comparison as JSON; - prints it in place of the table"
    )
    add_measures(group.add_argument)
    add_result_files(group.add_argument)


def run(args: argparse.Namespace) -> int:
    """Compare the reports, print and write what changed, and return the exit status: 0 or 1."""
    from repgeom.presenting.compared import comparison_table

    check_result_files(args.json, args.junit, args.markdown)
    check_no_input([args.json, args.junit, args.markdown], [args.old, args.new])
    new = read_reports(args.new)
    args.baseline, args.fail_on = args.old, None
    judged = Gate.of(args, len(new)).judged(new)
    as_json = ",\n".join(c.to_json() for c in judged.comparisons)
    if len(judged.comparisons) > 1:
        as_json = f"[\n{as_json}\n]"
    delivery = Delivery()
    deliver_result_files(delivery, judged, args.junit, args.markdown)
    if args.json == "-":
        delivery.json(as_json)
    else:
        delivery.file(args.json, lambda path: write_whole(path, as_json + "\n"))
        screen, every = screen_of(sys.stdout), args.measures == "all"
        delivery.text("\n\n".join(comparison_table(c, screen, every=every) for c in judged.comparisons))
    delivery.reason(judged.sentence, beside_json=args.json == "-")
    return delivery.status(judged.status)
