"""Which rows is something fitted on, and which are left to read what it does?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST_ROWS = 20  # of which each half still has ten


def fitted_half(n: int, seed: int, groups: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Which of n rows are in the half to fit on, (n,) bool, drawn with a seed; rows of a group (codes from 0) go together.

    Raises ValueError for fewer than 20 rows, and for a single group.
    """
    if n < FEWEST_ROWS:
        raise ValueError(
            f"`features` has {n} rows; one half is fitted on and the other read, which takes {FEWEST_ROWS} or more."
        )
    n_drawn = n if groups is None else int(groups.max()) + 1
    if n_drawn < 2:
        raise ValueError("all rows are of one group, so there are no two halves that do not depend on each other.")
    fitted = np.random.default_rng(seed).permutation(n_drawn) % 2 == 0
    if groups is None:
        return fitted
    return np.asarray(fitted[groups])
