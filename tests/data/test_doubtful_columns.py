"""Columns of ids and labels under names of features, or alone: asked about, and never measured in silence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from stored_files import BOTH, table

import repgeom as rg
from repgeom.data.files import open_source

N, D = 60, 10
RNG = np.random.default_rng(0)
E = RNG.standard_normal((N, D))
FAMILY = {f"c{i}": E[:, i] for i in range(D)}


@BOTH
@pytest.mark.parametrize(
    "cells",
    [RNG.permutation(N), RNG.permutation(N) + 5.0, np.arange(N), RNG.integers(0, 3, N), RNG.choice(10**6, N)],
    ids=["ids", "ids as floats", "rows", "labels", "large ids"],
)
def test_whole_numbers_in_a_family_of_fractions_are_asked_about(tmp_path, extension, cells):
    path = table(tmp_path / f"x{extension}", FAMILY | {"c10": cells})
    with pytest.raises(ValueError, match=r"beside c0, .* may be a feature or not: c10") as error:
        open_source(path)
    assert "--columns 'c*'" not in str(error.value)  # which would read it
    assert open_source(path, drop="c10").n_features == D
    with pytest.raises(ValueError, match="may be a feature or not: c10"):
        rg.audit(pd.DataFrame(FAMILY | {"c10": cells}))


@BOTH
def test_units_that_are_dead_constant_or_quantized_are_features(tmp_path, extension):
    for more in ({"c10": np.zeros(N)}, {"c10": np.ones(N)}, {f"c{i}": RNG.integers(-9, 9, N) for i in range(10, 14)}):
        assert open_source(table(tmp_path / f"x{extension}", FAMILY | more)).n_features == D + len(more)


@BOTH
def test_ids_in_another_order_beside_whole_numbers_are_left_out(tmp_path, extension):
    counts = {name: RNG.integers(0, 9, N) for name in ("red", "green", "blue")}
    source = open_source(table(tmp_path / f"x{extension}", {"user": RNG.permutation(N)} | counts))
    assert source.columns.left_out == {"user": "it counts the rows"}


@BOTH
def test_a_score_beside_text_is_no_representation(tmp_path, extension):
    text = {"text": ["a b"] * N, "label": RNG.integers(0, 3, N)}
    path = table(tmp_path / f"x{extension}", text | {"score": E[:, 0]})
    with pytest.raises(
        ValueError, match=r"1 column of numbers may be a feature or not: score.*`--columns 'score'` reads it"
    ):
        open_source(path)
    assert open_source(path, columns="score").n_features == 1
    assert open_source(table(tmp_path / f"y{extension}", text | {"f0": E[:, 0]})).n_features == 1


def test_spans_of_time_are_no_numbers(tmp_path):
    frame = pd.DataFrame(FAMILY | {"took": pd.to_timedelta(np.arange(N), unit="s")})
    frame.to_parquet(tmp_path / "x.parquet")
    for source in (open_source(tmp_path / "x.parquet"), rg.audit(frame)):
        assert source.columns.left_out == {"took": "no numbers"}
