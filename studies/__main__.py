"""Runs one study, prints its page, and writes it beside this file."""

from __future__ import annotations

import argparse
import sys

from studies import (
    comparisons,
    corruptions,
    estimates,
    fuzzing,
    groups,
    ledger,
    likeness,
    monitors,
    neighbour_intervals,
    predictable_rank,
    real,
    robustness,
    verdicts,
)
from studies.study import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        estimates.STUDY,
        real.STUDY,
        comparisons.STUDY,
        groups.STUDY,
        neighbour_intervals.STUDY,
        likeness.STUDY,
        predictable_rank.STUDY,
        monitors.STUDY,
        verdicts.STUDY,
        corruptions.STUDY,
        robustness.STUDY,
        ledger.STUDY,
        fuzzing.STUDY,
    )
}


def parser() -> argparse.ArgumentParser:
    minutes = ", ".join(f"{study.name} ({study.minutes} minutes)" for study in STUDIES.values())
    found = argparse.ArgumentParser("python -m studies", description=__doc__)
    found.add_argument("name", choices=STUDIES, metavar="NAME", help=f"{minutes}; on two cores")
    found.add_argument("--tiny", action="store_true", help="a few draws in seconds; the page on disk is left alone")
    return found


def main() -> int:
    arguments = parser().parse_args()
    study = STUDIES[arguments.name]
    page = study.page(arguments.tiny)
    print(page)
    if not arguments.tiny:
        study.path.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
