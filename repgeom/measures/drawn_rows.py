"""Which rows does a search over all pairs read, and in which precision?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import refuse_nonfinite
from repgeom.data.numbers import whole_number

MOST_ROWS = 16_384  # rows that are searched unless more are asked for: about a minute of one core at 768 features
AUDITED_ROWS = 1_024  # whose nearest rows an audit looks at: a tenth of a second, and a dimension is known to 5 %


def drawn_rows(x: Tensor, max_rows: int | None, seed: int) -> tuple[Tensor, np.ndarray]:
    """At most `max_rows` rows (..., m, d), drawn with a seed, in the precision of `as_searched`, and their numbers (m,)."""
    x = x.detach()
    refuse_nonfinite(x, "features")
    n = x.shape[-2]
    rows = np.arange(n)
    if max_rows is not None:
        most = whole_number(max_rows)
        if most is None or most < 2:
            raise ValueError(
                f"`max_rows` must be a whole number of at least 2, or None for all rows; got {max_rows!r}."
            )
        if n > most:
            rows = np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
            x = x[..., torch.as_tensor(rows, device=x.device), :]
    return as_searched(x), rows


def as_searched(x: Tensor) -> Tensor:
    """Rows (..., n, d) in float64; of more than `MOST_ROWS` in float32, unless they are float64: copies would take gigabytes."""
    if x.shape[-2] > MOST_ROWS and x.dtype != torch.float64:
        return x.float()
    return x.double()
