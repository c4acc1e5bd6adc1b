"""`repgeom compare`: what changed between two reports, measure by measure."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from repgeom.cli.gate import Gate, add_drop_options, read_reports
from repgeom.cli.output import print_text
from repgeom.cli.results import add_result_files, check_result_files, write_result_files


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
    add_result_files(group.add_argument)


def run(args: argparse.Namespace) -> int:
    """Compare the reports, print and write what changed, and return the exit status: 0 or 1."""
    check_result_files(args.json, args.junit, args.markdown)
    new = read_reports(args.new)
    args.baseline, args.fail_on = args.old, None
    judged = Gate.of(args, len(new)).judged(new)
    write_result_files(judged, args.junit, args.markdown)
    comparisons = judged.comparisons
    text = ",\n".join(c.to_json() for c in comparisons)
    if len(comparisons) > 1:
        text = f"[\n{text}\n]"
    if args.json not in (None, "-"):
        from repgeom.data.saving import write_whole

        write_whole(args.json, text + "\n")
    if args.json == "-":
        print_text(text)
    else:
        print_text("\n\n".join(map(str, comparisons)))
    if judged.sentence and args.json == "-":
        print(judged.sentence, file=sys.stderr)
    elif judged.sentence:
        print_text(judged.sentence)
    return judged.status
