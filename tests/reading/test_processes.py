"""One process alone."""

import pytest
from streamed import features

import repgeom as rg
from repgeom.data.processes import ALONE


def test_one_process_reads_all_and_several_need_a_group():
    assert (ALONE.part(10), ALONE.everyone(3), ALONE.by_first(lambda: 4)) == ((0, 10), [3], 4)
    with pytest.raises(ZeroDivisionError):
        ALONE.agreed(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="torchrun"):
        rg.audit(features(300), distributed=True)
