"""`repgeom schema`: the JSON Schema of a report."""

from __future__ import annotations

import argparse
from importlib import resources
from typing import Any

from repgeom.cli.output import print_text


def add_parser(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of a report",
        description="Prints the JSON Schema (draft 2020-12) of what `repgeom audit --json` writes. Its $id ends with the "
        "schema_version of the reports that it describes.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    print_text(resources.files("repgeom.auditing").joinpath("report.schema.json").read_text(encoding="utf-8").rstrip())
    return 0
