"""`repgeom demo`: two encoders of handwritten digits, one of them collapsed, audited side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from repgeom.cli.output import check_writable, print_text


def add_parser(commands: Any) -> None:
    """Add the command and its options to the parser's `commands`."""
    parser = commands.add_parser(
        "demo",
        help="train a healthy and a collapsed encoder of handwritten digits and audit both",
        description="Trains a healthy and a collapsed encoder of scikit-learn's handwritten digits, audits both side by "
        "side, and writes the features, the labels and the report. Takes seconds, downloads nothing.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--out", default="repgeom-demo", metavar="DIR", help="where to write (default: repgeom-demo)")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> int:
    """Train both encoders, write their features, labels and report into `args.out`, and print what to see in them."""
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    check_writable(str(out / "report.html"))
    print_text("Training two encoders of 8 x 8 scans of handwritten digits, on half of them ...")

    # These imports are heavy, so they wait until the command runs: `repgeom --help` stays quick.
    import numpy as np

    from repgeom.auditing.audit import audit
    from repgeom.demo import digit_features
    from repgeom.presenting.page import html
    from repgeom.presenting.report_text import table
    from repgeom.presenting.screen import screen_of

    features, digits = digit_features(args.seed)
    reports = []
    np.save(out / "digits.npy", digits)
    for name, x in features.items():
        np.save(out / f"{name.replace(' ', '-')}.npy", x)
        reports.append(audit(x, labels=digits, name=name))
    # Files first: a reader of the table may go away.
    html(reports, out / "report.html")
    print_text(table(reports, screen_of(sys.stdout), every=False))
    print_text(_what_to_see(reports, out))
    return 0


def _what_to_see(reports: list[Any], out: Path) -> str:
    from repgeom.presenting.escaping import printable
    from repgeom.presenting.text import quoted

    lines = ["", "What to see: both are the same network on the same images; only the loss differs."]
    for report in reports:
        rank = quoted(report["effective_rank"])
        accuracy = report["knn_accuracy"].value
        lines.append(f"  {report.name}: {rank} of {report.n_features} dimensions in use, kNN accuracy {accuracy:.2f}")
    lines += [
        "Accuracy hardly tells them apart; the spectrum does.",
        "",
        f"The page with plots: {out / 'report.html'}",
        f"Audit one of them yourself: repgeom audit {out / 'alignment-only.npy'} --labels {out / 'digits.npy'}",
    ]
    return "\n".join(map(printable, lines))
