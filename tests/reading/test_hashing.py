"""Hashes of rows."""

import numpy as np
import pytest
import torch

from repgeom.reading.hashing import row_hashes


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_hashes_tell_rows_apart_and_leave_them_alone(dtype):
    """Small whole numbers have long runs of zero bits, on which a plain sum of products collides."""
    x = torch.cartesian_prod(*[torch.arange(5.0)] * 6).to(dtype)
    before = x.clone()
    hashes = row_hashes(x)
    assert len(np.unique(hashes)) == len(x)
    assert torch.equal(x, before)
    assert (row_hashes(x.flip(0)) == hashes[::-1]).all()
    bits = (hashes[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / len(x) ** 0.5
