"""The repairs as scikit-learn checks its own, against plain linear algebra, and where rows leave them nothing."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from repgeom.repair import remove_top, standardize, whiten
from repgeom.repair.transformers import fitted_together


@parametrize_with_checks([remove_top(1), remove_top(0), whiten(), whiten(0.1), standardize()])
def test_scikit_learn_takes_them_for_its_own(estimator, check):
    check(estimator)


@pytest.mark.parametrize("bad", [-1, 2.5, True, "1", None])
def test_a_k_that_is_set_later_is_refused_when_fitted(bad):
    with pytest.raises(ValueError, match=r"`k` must be a whole number of at least 0, got "):
        remove_top().set_params(k=bad).fit(rows())


@pytest.mark.parametrize("bad", [-0.1, 1.1, "oas", None, np.nan])
def test_a_shrinkage_that_is_set_later_is_refused_when_fitted(bad):
    with pytest.raises(ValueError, match=r"`shrinkage` must be 'ledoit-wolf' or a number from 0 to 1, got "):
        whiten().set_params(shrinkage=bad).fit(rows())


def rows(n=200, d=8, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 5).astype(dtype)


def slow_remove_top(x, new, k):
    """All but the k leading principal components of scikit-learn."""
    components = PCA().fit(x).components_[k:]
    return (new - x.mean(0)) @ components.T @ components


def slow_whiten(x, new, shrinkage):
    covariance = np.cov(x.T, bias=True)
    covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / len(covariance) * np.eye(
        len(covariance)
    )
    values, vectors = np.linalg.eigh(covariance)
    return (new - x.mean(0)) @ vectors @ np.diag(values**-0.5) @ vectors.T


@pytest.mark.parametrize("k", [0, 1, 3, 7])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_remove_top_equals_its_slow_definition(k, dtype, tolerance):
    x, new = rows(dtype=dtype), rows(30, dtype=dtype, seed=1)
    found = remove_top(k).fit(x).transform(new)
    assert found.dtype == dtype
    assert found == pytest.approx(slow_remove_top(x.astype(float), new.astype(float), k), abs=tolerance * 20)


@pytest.mark.parametrize("shrinkage", ["ledoit-wolf", 0, 0.3, 1])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-3)])
def test_whiten_equals_its_slow_definition(shrinkage, dtype, tolerance):
    x, new = rows(dtype=dtype), rows(30, dtype=dtype, seed=1)
    fitted = whiten(shrinkage).fit(x)
    expected = ledoit_wolf_shrinkage(x.astype(float)) if shrinkage == "ledoit-wolf" else shrinkage
    assert fitted.shrinkage_ == pytest.approx(expected, rel=1e-6 if dtype == np.float64 else 1e-4)
    assert fitted.transform(new) == pytest.approx(
        slow_whiten(x.astype(float), new, fitted.shrinkage_), abs=tolerance * 20
    )


def test_whitened_rows_have_the_identity_for_covariance():
    x = rows(500)
    assert np.cov(whiten(0).fit_transform(x).T, bias=True) == pytest.approx(np.eye(8), abs=1e-9)
    # Directions without variance are not blown up from rounding.
    flat = whiten(0).fit_transform(np.c_[x, x[:, :1] + x[:, 1:2]])
    assert np.linalg.matrix_rank(flat, tol=1e-6) == 8
    assert np.abs(flat).max() < 10


@pytest.mark.parametrize("scale", [1e-150, 1e-3, 1e140])
def test_the_unit_of_the_features_is_not_felt(scale):
    x = rows()
    assert whiten().fit_transform(x * scale) == pytest.approx(whiten().fit_transform(x), rel=1e-6, abs=1e-9)
    assert remove_top(2).fit_transform(x * scale) == pytest.approx(remove_top(2).fit_transform(x) * scale, rel=1e-6)


def test_repairs_stand_in_pipelines_and_are_cloned_and_pickled():
    x = rows()
    pipeline = make_pipeline(standardize(), remove_top(1), whiten(0.1))
    found = pipeline.fit_transform(x)
    assert (clone(pipeline).fit_transform(x) == found).all()
    assert (pickle.loads(pickle.dumps(pipeline)).transform(x) == found).all()
    assert isinstance(standardize(), StandardScaler)
    assert remove_top(2).fit(x).directions_.shape == (2, 8)
    assert list(whiten().fit(x).get_feature_names_out(list("abcdefgh"))) == list("abcdefgh")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: remove_top(-1), "`k` must be a whole number of at least 0, got -1"),
        (lambda: remove_top(1.5), "got 1.5"),
        (lambda: remove_top(8).fit(rows()), "`k=8` directions of 8 features leave nothing"),
        (lambda: remove_top(3).fit(np.outer(np.arange(9.0), np.ones(5))), "rows vary along 1 directions only"),
        (lambda: remove_top(1).fit(np.ones((5, 3))), "all rows are equal, so there is nothing that `remove_top`"),
        (lambda: whiten().fit(np.ones((5, 3))), "all rows are equal, so there is nothing that `whiten`"),
        (lambda: whiten("oas"), "`shrinkage` must be 'ledoit-wolf' or a number from 0 to 1, got 'oas'"),
        (lambda: whiten(1.5), "got 1.5"),
    ],
)  # fmt: skip
def test_what_cannot_be_repaired_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("scale", "words"), [(1e200, "too large"), (1e-200, "too small"), (1e140, ""), (1e-140, "")])
def test_values_without_a_variance_in_float64_are_refused_by_standardize(scale, words):
    x = rows()
    if words:
        with pytest.raises(ValueError, match=f"`X` holds values {words} to be squared in float64; divide them"):
            standardize().fit(x * scale)
    else:
        np.testing.assert_allclose(standardize().fit_transform(x * scale), standardize().fit_transform(x), atol=1e-9)


@pytest.mark.parametrize("made", [standardize, remove_top, whiten])
def test_all_repairs_refuse_nan_and_take_tensors_that_need_a_gradient(made):
    x = rows()
    wrong = x.copy()
    wrong[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        made().fit(wrong)
    with pytest.raises(ValueError, match="NaN"):
        made().fit(x).transform(wrong)
    tensor = torch.tensor(x, requires_grad=True)
    np.testing.assert_allclose(made().fit_transform(tensor), made().fit_transform(x))
    made().fit_transform(tensor.bfloat16())


@pytest.mark.parametrize("repair", [standardize(), remove_top(1), whiten()])
@pytest.mark.parametrize("shape", [(0, 6), (6, 0), (6,), ()])
def test_rows_that_are_none_are_refused_as_scikit_learn_does(repair, shape):
    with pytest.raises(ValueError, match=r"Found array with 0|Expected 2D array"):
        repair.fit(np.zeros(shape))


def test_repairs_that_are_fitted_together_are_those_that_are_fitted_alone():
    x = rows(60, 8, np.float32)
    alone = {
        "none": remove_top(0),
        "two": remove_top(2),
        "seven": remove_top(7),
        "white": whiten(),
        "scaled": standardize(),
    }
    together, left_out = fitted_together({name: clone(repair) for name, repair in alone.items()}, x)
    assert left_out == {}
    for name, repair in alone.items():
        expected = repair.fit(x).transform(x)
        assert together[name].n_features_in_ == 8
        assert together[name].transform(x) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    flat = np.outer(np.arange(9.0), np.ones(5))
    made, left_out = fitted_together({"one": remove_top(1), "two": remove_top(2)}, flat)
    assert set(made) == {"one"}
    assert "vary along 1 directions only" in left_out["two"]


def test_rows_in_pieces_are_changed_as_at_once(monkeypatch):
    x = rows(100)
    repairs = [standardize(), remove_top(2), whiten(0.1)]
    expected = [repair.fit(x).transform(x) for repair in repairs]
    monkeypatch.setattr("repgeom.repair.transformers.chunk_rows", lambda width: 7)
    for repair, at_once in zip(repairs, expected, strict=True):
        assert clone(repair).fit(x).transform(x) == pytest.approx(at_once, rel=1e-9, abs=1e-12)
