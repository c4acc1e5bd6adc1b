"""What does a row of a robustness table hold? The columns, in their order, and the data frame that rows become."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from repgeom.robustness.conditions import Key

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["corruption", "severity", "measure", "value", "low", "high", "n", "note"]
Row = dict[str, Any]


def row_of(key: Key, row: Row) -> Row:
    """Return a measurement's row with the corruption and severity that it belongs to; what it lacks is NaN."""
    blank = {"value": math.nan, "low": math.nan, "high": math.nan, "note": ""}
    return {"corruption": key[0], "severity": float(key[1]), **blank, **row}


def frame_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as the data frame that every table of robustness is."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=COLUMNS)
