"""The gate for masks: which positions are there, and which are padding?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repgeom.data.arrays import as_tensor


def as_mask(values: Any, name: str = "mask") -> Tensor:
    """A mask of bools, True where there is something, from bools or from 0 and 1 of any type.

    Raises ValueError for any other number: an additive mask has 0 where there is something, so that it reads the wrong way round.
    """
    given = values if isinstance(values, Tensor) else as_tensor(values, name)
    if given.dtype == torch.bool:
        return given
    wrong = ~((given == 0) | (given == 1))  # NaN is neither
    if bool(wrong.any()):
        raise ValueError(
            f"`{name}` holds {given[wrong][0].item():g}; it must be bools, or 1 where a position counts and 0 where it is padding. An "
            f"additive mask (0 and a large negative number) becomes one by `{name} == 0`."
        )
    return given != 0
