"""Reports as one HTML page that loads nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from repgeom.auditing.finding import numbers_named
from repgeom.data.saving import write_whole
from repgeom.presenting.escaping import printable
from repgeom.presenting.figure import drawing_of
from repgeom.presenting.text import (
    THESE_ROWS,
    compared,
    convention,
    drift_rows,
    interval,
    number,
    quoted,
    rows_of,
    threshold,
    verdict,
)

if TYPE_CHECKING:
    from repgeom.auditing.report import Report


def html(reports: Sequence[Report], path: str | os.PathLike[str] | None = None) -> str:
    """Reports side by side as one HTML page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from repgeom import __version__

    # Names and labels come from outside, so they are escaped. A name that the template misspells is an error, not a
    # gap.
    template = Environment(
        loader=PackageLoader("repgeom", "presenting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_shown,
    ).get_template("report.html.j2")
    groups = list(dict.fromkeys(v.group for r in reports for v in r.values))
    text = template.render(
        reports=reports,
        groups=[(g, [row for row in rows_of(reports) if row[0].group == g]) for g in groups],
        drifts=[(r, drift_rows(r)) for r in reports if r.drift is not None],
        number=number,
        interval=interval,
        quoted=quoted,
        compared=compared(reports),
        these_rows=THESE_ROWS,
        threshold=threshold,
        numbers_named=numbers_named,
        convention=convention,
        verdict=verdict,
        figure=drawing_of(reports),
        version=__version__,
    )
    if path is not None:
        write_whole(path, text)
    return text


def _shown(value: Any) -> Any:
    """What the template writes for a value: text without control characters. The figure is markup and stays as it is."""
    if type(value) is str:
        return printable(value)
    return value
