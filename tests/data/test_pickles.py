"""Pickles are read without running what they ask for."""

from __future__ import annotations

import io
import os
import pickle

import pytest

from repgeom.files import Built, read_pickle

VALUES = [None, True, 3, -(2**70), 2.5, "text", b"bytes", [1, [2]], (1, 2, 3, 4), {"a": {"b": (1,)}}, "ü" * 300]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_come_back(protocol):
    values = [v for v in VALUES if protocol > 2 or not isinstance(v, bytes)]  # older ones ask for code to make bytes
    assert read_pickle(io.BytesIO(pickle.dumps(values, protocol)), {}) == values


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_asks_for_code_is_refused_and_named(protocol):
    class Evil:
        def __reduce__(self):
            return os.system, ("exit 3",)

    with pytest.raises(ValueError, match=r"it asks for (posix|nt|os)\.system"):
        read_pickle(io.BytesIO(pickle.dumps(Evil(), protocol)), {})


def test_a_call_that_is_handed_over_is_made_instead():
    class Made(Built):
        def build(self, state):
            self.state = state

    content = b"cmod\nf\n(I3\ntRI7\nb."
    made = read_pickle(io.BytesIO(content), {"mod.f": lambda n: Made()})
    assert made.state == 7


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"(", b"0.", b"I1", b"t.", b"\x80\x04\x95", b"u.", b"]a."])
def test_damage_is_one_kind_of_error(content):
    with pytest.raises(ValueError, match=r"its pickle is damaged|exhausted|no newline|not enough data"):
        read_pickle(io.BytesIO(content), {})
