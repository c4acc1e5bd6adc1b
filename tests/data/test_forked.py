"""A copy of the process finds out whether a library survives a file."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stored_files import rows, write

from repgeom.data.files import open_source
from repgeom.data.formats import forked, hdf5


def spin() -> None:
    while True:
        pass


@pytest.mark.parametrize("work", [spin, os.abort, lambda: ctypes.string_at(0), lambda: time.sleep(60)])
def test_what_does_not_survive_is_an_error(work: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "MOST_SECONDS", 1)
    if work is not spin:
        monkeypatch.setattr(forked.signal, "alarm", lambda _: forked.signal.setitimer(forked.signal.ITIMER_REAL, 1))
    with pytest.raises(ValueError, match=r"the library crashes on it or does not return \(signal \d+\)"):
        forked.check_survival(work, "the library")


def test_what_survives_leaves_nothing_behind(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []
    forked.check_survival(lambda: seen.append(1), "the library")
    forked.check_survival(lambda: 1 / 0, "the library")  # type: ignore[arg-type, return-value]
    assert seen == []
    assert capfd.readouterr() == ("", "")


def test_hdf5_is_looked_through_in_a_copy_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(work: Callable[[], None], library: str) -> None:
        raise ValueError(f"{library} crashes on it")

    path = write(tmp_path / "x.h5", rows())
    np.testing.assert_array_equal(open_source(path).read(0, 3).numpy(), rows()[:3])
    monkeypatch.setattr(hdf5, "check_survival", check)
    with pytest.raises(ValueError, match=r"x\.h5 is not a \.h5 file or damaged: HDF5's library crashes on it"):
        open_source(path)
