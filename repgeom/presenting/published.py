"""How the comparison of a published set with our own corruptions reads as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.presenting.cells import to_left
from repgeom.presenting.escaping import printable
from repgeom.robustness.published_comparison import DIFFERS, EQUAL, NEARLY, SAME, UNDECIDED, WITHIN_1

if TYPE_CHECKING:
    import pandas as pd

    from repgeom.robustness.published_set import PublishedImages

MEANINGS = {
    EQUAL: "every value of every image",
    WITHIN_1: "no value is more than one grey level off",
    NEARLY: "99 % of the values are equal, and at least 50 dB",
    SAME: "within 0.5 grey levels, 5 % of the variance and 10 % of each octave's power, with intervals",
    UNDECIDED: "an interval crosses these limits; more images would tell (--most)",
    DIFFERS: "an interval lies beyond these limits, or pixels where nothing is drawn",
}


def comparison_of_set(found: PublishedImages, table: pd.DataFrame) -> str:
    """The set, one line per corruption and severity, and how many came out how."""
    lines = [f"{found.layout.name}: {len(found):,} of {len(found.source.labels):,} images, theirs against ours", ""]
    rows = [("corruption", "severity", "conclusion", "seen")]
    rows += [(row.corruption, f"{row.severity}", row.conclusion, _seen(row)) for row in table.itertuples()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        cells = [to_left(text, width) for text, width in zip(row[:3], widths, strict=True)]
        lines.append("  ".join([*cells, row[3]]).rstrip())
    lines.append("")
    counts = table.conclusion.value_counts()
    for conclusion, meaning in MEANINGS.items():
        if conclusion in counts:
            lines.append(f"{counts[conclusion]:>3} {conclusion}: {meaning}")
    left_out = int((~table.conclusion.isin(list(MEANINGS))).sum())
    if left_out:
        lines.append(f"{left_out:>3} not compared: frost needs the script's photographs (--frost-images)")
    return "\n".join(map(printable, lines))


def _seen(row: Any) -> str:
    """What a conclusion rests on: shares of pixels where nothing is drawn, statistics with intervals elsewhere."""
    if row.conclusion not in MEANINGS or row.conclusion == EQUAL:
        return ""
    pixels = ""
    if np.isfinite(row.equal):
        pixels = f"{row.equal:.2%} equal, at most {row.largest:g} off, {row.psnr:.1f} dB"
    if row.conclusion in (WITHIN_1, NEARLY):
        return pixels
    said = [
        f"mean {row.mean:+.2f} [{row.mean_low:+.2f}, {row.mean_high:+.2f}]",
        f"variance × {row.variance:.3f} [{row.variance_low:.3f}, {row.variance_high:.3f}]",
    ]
    if isinstance(row.band, str):
        said.append(f"power × {row.power:.3f} [{row.power_low:.3f}, {row.power_high:.3f}] at {row.band} cycles")
    if pixels:
        said.insert(0, pixels)
    return "; ".join(said)
