"""Are there enough samples? A measure estimated from ever more of them, beside what they read themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from repgeom.data.kinds import Features, MeasureName
from repgeom.data.settings import own_settings
from repgeom.inference.estimate import estimate
from repgeom.inference.sample import FEWEST_ROWS, opened
from repgeom.measures.measure import estimable

if TYPE_CHECKING:
    import pandas as pd


@own_settings
def sample_size_curve(
    features: Features,
    measure: MeasureName = "effective_rank",
    *,
    sizes: Sequence[int] | None = None,
    draws: int = 10,
    center: bool = True,
    normalize: str | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """A measure of random subsets of the rows against their number: in the population with its interval, and in these rows.

    Takes rows for independent. Where `in_these_rows` still climbs at all rows, it says as much about n as about the
    representation; where `value` is level, it can be believed. `plot_sample_size_curve` draws it.

    Args:
        features: (n_samples, n_features) of any array kind, or the path of a file.
        measure: as `estimate`.
        sizes: numbers of rows, each from 4 to n_samples; by default ten from n_samples / 64 (at least 16) up to all, evenly
            on a log scale.
        draws: subsets of each size, without replacement; of all rows there is one.
        center, normalize, confidence: as `estimate`.
        seed: of the subsets.

    Returns:
        A data frame with one row per subset: n_samples, draw, value, low, high (NaN where none is
        known), in_these_rows. Names mean what they mean in an `Estimate`. `attrs["no_interval"]` lists why a size has none.

    Raises:
        ValueError: as `estimate`; sizes beyond the number of rows.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((400, 100))
    >>> curve = sample_size_curve(x, sizes=[100, 400], draws=4).groupby("n_samples").mean().round(1)
    >>> curve[["in_these_rows", "value"]].values.tolist()
    [[60.0, 98.5], [88.1, 100.0]]
    """
    import pandas as pd

    record = estimable(measure)
    source = opened(features)
    n, name = source.n_samples, source.name
    wanted = _sizes(n, name) if sizes is None else _checked(sizes, n, name)
    if not (isinstance(draws, (int, np.integer)) and draws >= 1):
        raise ValueError(f"`draws` must be a whole number of at least 1, got {draws!r}.")
    random, found = np.random.default_rng(seed), []
    reasons: dict[str, None] = {}  # a dict keeps the order
    for size in wanted:
        for draw in range(draws if size < n else 1):
            # Ascending, as `Source.rows` asks for: a file is read in one run forward.
            rows = np.sort(random.choice(n, size, replace=False))
            subset = source.rows(rows)
            try:
                e = estimate(subset, record.name, center=center, normalize=normalize, confidence=confidence)
            except ValueError as error:
                raise ValueError(f"of {size:,} rows drawn from `{name}`: {error} Try larger `sizes`.") from None
            if e.low is None:
                reasons[f"{size:,} rows: {e.warnings[-1]}"] = None
            ends = [np.nan if end is None else end for end in (e.low, e.high)]
            found.append((size, draw, e.value, *ends, e.in_these_rows))
    table = pd.DataFrame(found, columns=["n_samples", "draw", "value", "low", "high", "in_these_rows"])
    table.attrs["measure"] = record.name  # for the label of a plot
    table.attrs["no_interval"] = list(reasons)
    return table


def _checked(sizes: Sequence[int], n: int, name: str) -> list[int]:
    found = np.atleast_1d(np.asarray(sizes))
    whole = found.ndim == 1 and found.dtype.kind in "iu" and len(found) > 0
    if not whole or found.min() < FEWEST_ROWS or found.max() > n:
        raise ValueError(
            f"`sizes` must be whole numbers between {FEWEST_ROWS} and the {n:,} rows of `{name}`, got {sizes!r:.100}."
        )
    return sorted({int(size) for size in found})


def _sizes(n: int, name: str) -> list[int]:
    if n < 16:
        raise ValueError(f"`{name}` has {n} rows; a curve needs at least 16, or `sizes`.")
    return sorted({round(size) for size in np.geomspace(max(16, n / 64), n, 10)})
