"""Every public function on every numerical set: a finite answer, a named reason for what is not, or an error that names it."""

import dataclasses
import inspect
import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numerical_sets import numerical_sets
from public_calls import CALLS, Rows, public

import repgeom as rg

SETS = numerical_sets()
# They are given images or tables, not rows.
OF_IMAGES = {name for name in CALLS if name.startswith(("corruptions.", "robustness.", "demo.", "testing."))}
OF_IMAGES -= {"robustness.feature_robustness", "demo.info_nce", "demo.pull_together"}
OF_IMAGES |= {"plot_robustness", "plot_fourier_heatmap", "open_source"}
# One call serves a function and the class that it returns.
OF_ROWS = sorted({CALLS[name]: name for name in sorted(CALLS.keys() - OF_IMAGES)}.values())
# These take most of the time, and call what the others call: each sees every sixth set, other ones than the next.
SLOW = (
    "AuditAccumulator", "Report", "audit", "compare", "compare_reports", "estimate", "plot_sample_size_curve",
    "robustness.feature_robustness", "sample_size_curve", "plot_reports",
)  # fmt: skip
# Where an answer that is not finite is a value like others, and words of the documentation that say so.
DOCUMENTED = {
    "condition_number": (rg.condition_number, "infinity where the smallest singular value is rounding"),
    "class_effective_rank": (rg.types.ClassRanks, "NaN where a class has one row"),
    "plot_class_ranks": (rg.types.ClassRanks, "NaN where a class has one row"),
    "Spectrum": (rg.Spectrum.variance_ratio, "NaN if there is none"),
    "plot_cumulative_variance": (rg.Spectrum.variance_ratio, "NaN if there is none"),
    "linear_cka": (rg.linear_cka, "NaN, with"),
    "compare_reports": (rg.types.Change, ""),
    "distance_concentration": (rg.types.Concentration, "Infinite where every row has a copy"),
    "repair.standardize": (rg.repair.standardize, "values near its largest overflow in it to infinity"),
    "token_geometry": (rg.types.TokenGeometry, "NaN where no text has one"),
    "token_geometry_by_layer": (rg.token_geometry_by_layer, "NaN where no text has one"),
}


def unexplained(answer, path=""):
    """Places in an answer that are not finite and have no reason beside them."""
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().double().numpy()
    if isinstance(answer, np.ndarray):
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            yield path
    elif isinstance(answer, pd.DataFrame):
        reasons = answer.get("note", pd.Series("", answer.index)).astype(bool) | bool(answer.attrs.get("no_interval"))
        numbers = answer.select_dtypes("number")
        yield from (f"{path}.{column}" for column in numbers if (numbers[column].isna() & ~reasons).any())
    elif isinstance(answer, dict):
        for key, value in answer.items() if not answer.get("note") else ():
            yield from unexplained(value, f"{path}.{key}")
    elif isinstance(answer, (list, tuple)):
        for i, value in enumerate(answer):
            yield from unexplained(value, f"{path}[{i}]")
    elif dataclasses.is_dataclass(answer):
        yield from unexplained(vars(answer), path)
    elif (isinstance(answer, float) and not math.isfinite(answer)) or (answer == "NaN" and ".classes" not in path):
        yield path


def seen_by(name):
    """The sets that a function is called on."""
    if name not in SLOW:
        return list(SETS.items())
    return list(SETS.items())[SLOW.index(name) % 6 :: 6]


@pytest.mark.parametrize("name", OF_ROWS)
def test_answers_are_finite_or_say_why(name):
    wrong = []
    for kind, x in seen_by(name):
        rows = Rows(x, x[:, ::-1].copy(), np.arange(len(x)) % 2)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                places = list(unexplained(CALLS[name](rows)))
            except (ValueError, TypeError) as error:
                places = []
                if not ("`" in str(error) or "features" in str(error)):
                    wrong.append(f"{kind}: no argument is named in {str(error)!r}")
            except Exception as error:
                wrong.append(f"{kind}: {error!r}")
                continue
        stray = [
            str(w.message) for w in caught if w.category is not UserWarning or w.filename != inspect.getfile(public)
        ]
        if places and name not in DOCUMENTED and not caught:
            wrong.append(f"{kind}: not finite at {places[:3]}")
        if stray:
            wrong.append(f"{kind}: warns {stray[0]!r}")
    assert not wrong, "\n".join(wrong)


def test_there_are_enough_sets():
    assert len(SETS) >= 90


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_is_not_finite_is_documented(name):
    member, words = DOCUMENTED[name]
    assert words in " ".join(inspect.getdoc(member).split())


# Single answers that were wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e6, 1e9, 1e12])
@pytest.mark.parametrize("rows", [[3], [3, 7]])
def test_cka_of_a_set_with_itself_is_one_whatever_one_row_is(factor, rows):
    x = np.random.default_rng(0).standard_normal((60, 8))
    x[rows] *= factor
    assert rg.linear_cka(x, x) == pytest.approx(1, abs=1e-9)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((8, 8)))[0]
    assert rg.linear_cka(x, 3 * x @ turn) == pytest.approx(1, abs=1e-2)


def test_cka_without_structure_is_nan_with_a_reason():
    with pytest.warns(UserWarning, match="equally far apart"):
        assert math.isnan(rg.linear_cka(np.eye(12), np.eye(12)))


def test_participation_at_the_end_of_float32_is_that_of_the_same_rows_scaled():
    signs = np.sign(np.random.default_rng(0).standard_normal((200, 8))).astype(np.float32)
    extreme = signs * np.float32(3.4e38)
    for measure in ("participation_ratio", "effective_rank"):
        expected, found = rg.estimate(signs, measure), rg.estimate(extreme, measure)
        assert found.value == pytest.approx(expected.value, rel=1e-2)
        assert found.low == pytest.approx(expected.low, rel=1e-2)
        assert np.allclose(rg.influence(extreme, measure), rg.influence(signs, measure), rtol=1e-3, atol=1e-3)


def test_rows_that_differ_have_a_numerical_rank_of_one():
    x = np.ones((50, 4))
    x[0, 0] += 1e-15
    assert rg.numerical_rank(x) == 1
    assert rg.effective_rank(x) == pytest.approx(1)


def test_neighbours_that_tie_are_shared_fairly():
    rng = np.random.default_rng(0)
    codes = (rng.standard_normal((200, 6)) > 0) * 1.0
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    assert rg.mutual_knn(codes, codes @ turn) == pytest.approx(1, abs=1e-12)
    order = rng.permutation(200)
    other = (rng.standard_normal((200, 6)) > 0) * 1.0
    assert rg.mutual_knn(codes, other) == pytest.approx(rg.mutual_knn(other, codes), abs=1e-12)
    assert rg.mutual_knn(codes[order], other[order]) == pytest.approx(rg.mutual_knn(codes, other), abs=1e-12)


def test_shared_places_by_hand():
    # Rows 1 and 2 tie for the one place beside row 0 in x; in y row 1 alone is nearest: (1/2 · 1) / √(2 · 1/4).
    x = [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    y = [[1.0, 0.0], [1.0, 0.1], [1.0, -0.9]]
    nearest_of_0, nearest_of_1, nearest_of_2 = 0.5**0.5, 1.0, 1.0
    assert rg.mutual_knn(x, y, k=1) == pytest.approx((nearest_of_0 + nearest_of_1 + nearest_of_2) / 3)


@pytest.mark.parametrize("constant", [np.ones((30, 4)), np.arange(1.0, 31)[:, None] * np.ones(4), np.zeros((30, 4))])
def test_rows_that_point_one_way_have_no_neighbours(constant):
    other = np.random.default_rng(0).standard_normal((30, 4))
    for pair in ((constant, constant), (other, constant), (constant, other)):
        with pytest.raises(ValueError, match="point one way"):
            rg.mutual_knn(*pair, k=5)


def test_many_float32_rows_are_compared_in_float32(monkeypatch):
    """As in float64 where no two cosines nearly tie; rows of one direction, equal to float32's rounding, are refused there too."""
    monkeypatch.setattr("repgeom.measures.drawn_rows.MOST_ROWS", 100)
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2, 300, 5)).astype(np.float32)
    expected = rg.mutual_knn(x.astype(float), y.astype(float), k=7)
    assert rg.mutual_knn(x, y, k=7) == pytest.approx(expected, rel=1e-12)
    assert rg.mutual_knn(x.astype(np.float16), y, k=7) == pytest.approx(expected, abs=0.05)
    one_way = (random.uniform(1, 2, (300, 1)) * [1.0, 0.3, 0.7]).astype(np.float32)
    with pytest.raises(ValueError, match="all rows of `reference` point one way"):
        rg.mutual_knn(x, one_way)


@pytest.mark.parametrize(("n", "d", "k"), [(20, 4, 4), (20, 6, 3), (5, 8, 4), (7, 7, 3)])
@pytest.mark.parametrize("same", [False, True])
def test_principal_angles_have_a_gradient(n, d, k, same):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, dtype=torch.float64, generator=draw).requires_grad_()
    y = 2 * x.detach() + 1 if same else torch.randn(n, d, dtype=torch.float64, generator=draw)
    assert torch.autograd.gradcheck(lambda z: rg.principal_angles(z, y, k=k), (x,))
