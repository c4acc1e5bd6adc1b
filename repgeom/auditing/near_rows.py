"""How do rows of an audit lie beside their nearest? Intrinsic dimension and hubness, of some of its sampled rows."""

from __future__ import annotations

import dataclasses

from repgeom.inference.estimate import Estimate
from repgeom.inference.halves import SPLITS
from repgeom.inference.intrinsic_dimension import FAR_TOO_LOW, IntrinsicDimension, intrinsic_dimension
from repgeom.measures.drawn_rows import AUDITED_ROWS
from repgeom.measures.hubness import skewness_of
from repgeom.measures.nearest_rows import group_codes, most_neighbours
from repgeom.reading.sample import Drawn, RowSample


@dataclasses.dataclass(frozen=True)
class NearRows:
    """What nearest rows say of `n` rows that were drawn; None where it is not defined.

    Attributes:
        n: rows that were read.
        dimension: TwoNN, of rows as they are.
        hubness: skewness of how often a row is among the k nearest of others, by cosine.
    """

    n: int = 0
    dimension: IntrinsicDimension | None = None
    hubness: float | None = None

    @property
    def intrinsic_dimension(self) -> float | None:
        """The value alone."""
        return None if self.dimension is None else self.dimension.value

    def estimate(self) -> Estimate | None:
        """The intrinsic dimension with its interval, or why there is none."""
        found = self.dimension
        if found is None:
            return None
        warnings = found.warnings
        if found.se is not None and found.value > FAR_TOO_LOW:
            # An interval of chance alone would lend weight to a value that is wrong by more.
            warnings = (f"no interval: above {FAR_TOO_LOW:.0f} dimensions it reads far too low: take it for 'many'",)
        if found.se is None or found.value > FAR_TOO_LOW:
            return Estimate(found.value, found.value, None, None, None, found.n_used, "these rows", warnings)
        return Estimate(
            found.value, found.value, found.low, found.high, found.se, found.n_used, "half-samples", warnings, float(SPLITS)
        )  # fmt: skip


NO_NEAR_ROWS = NearRows()


def near_rows_of(sample: RowSample, k: int) -> NearRows:
    """Both measures of the first rows of the sample. `k`: neighbours that hubness asks, or as many as each row has."""
    drawn = sample.drawn(AUDITED_ROWS)
    return NearRows(len(drawn), _dimension(drawn), _hubness(drawn, k))


def _dimension(drawn: Drawn) -> IntrinsicDimension | None:
    try:
        return intrinsic_dimension(drawn.rows, groups=drawn.column("groups"))
    except ValueError:  # fewer than three different rows, or neighbours that all lie equally far
        return None


def _hubness(drawn: Drawn, k: int) -> float | None:
    # In float64: the order of rows that lie equally near decides who is counted.
    rows = drawn.rows.double()
    groups = group_codes(drawn.column("groups"), len(rows), rows.device)
    k = min(k, most_neighbours(len(rows), groups))
    if k < 1:
        return None
    try:
        return skewness_of(rows, k, groups)
    except ValueError:  # all rows point one way
        return None
