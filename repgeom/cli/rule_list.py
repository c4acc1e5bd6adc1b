"""`repgeom audit --list-rules`: which rules a verdict goes by, without a file to audit."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from repgeom.cli.output import print_text


class ListRules(argparse.Action):
    """Prints the rules and ends the command, as `--help` does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print the rules and raise SystemExit."""
        from repgeom.presenting.rules_text import rules_text
        from repgeom.presenting.screen import screen_of

        print_text(rules_text(screen_of(sys.stdout)))
        parser.exit()
