"""Repairs that scikit-learn does not have, as its transformers: they stand in a `Pipeline`, are cloned and pickled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from repgeom.data.arrays import chunk_rows
from repgeom.data.numbers import whole_from
from repgeom.repair.made import checked_shrinkage

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # scikit-learn before 1.6

    def validate_data(estimator: Any, X: Any, **options: Any) -> Any:
        """Check X as scikit-learn does."""
        return estimator._validate_data(X, **options)


Array = NDArray[np.float64]
_TYPES = (np.float64, np.float32)
_LARGEST = 1e150  # whose square, times as many rows as there can be, is a float64


class _Moments:
    """Mean, covariance (divided by n) and mean fourth power of the length of rows about their mean, in float64."""

    def __init__(self, rows: NDArray[Any]) -> None:
        n, d = rows.shape
        # Entries are divided by the largest, so that fourth powers stay in range; products of rows are in units of its square.
        self.unit = max(float(rows.max()), -float(rows.min())) or 1.0
        self.mean = rows.mean(0, dtype=np.float64)
        self.covariance: Array = np.zeros((d, d))
        self.fourth = 0.0
        step = chunk_rows(d)
        for start in range(0, n, step):
            about = (rows[start : start + step] - self.mean) / self.unit
            self.covariance += about.T @ about / n
            self.fourth += float(np.square(np.square(about).sum(1)).sum()) / n
        if not np.isfinite(self.covariance).all():
            raise ValueError("`X` holds values too large to be added in float64; divide them by their largest.")
        self.decomposed: tuple[Array, Array] | None = None

    def decompose(self) -> None:
        """Find all directions at once, for repairs that take other numbers of them."""
        self.decomposed = self._largest(len(self.covariance))

    def directions(self, name: str, k: int | None = None) -> tuple[Array, Array]:
        """The largest k variances, descending, and directions as columns; raises ValueError where no row differs."""
        most = len(self.covariance) if k is None else k
        variances, vectors = self.decomposed or self._largest(most)
        if not variances[0] > 0:
            raise ValueError(f"all rows are equal, so there is nothing that {name} could be fitted to.")
        return variances[:most].clip(min=0), vectors[:, :most]

    def _largest(self, k: int) -> tuple[Array, Array]:
        from scipy.linalg import eigh

        d = len(self.covariance)
        variances, vectors = eigh(self.covariance, subset_by_index=(d - k, d - 1))
        return variances[::-1], vectors[:, ::-1]


def _as_array(X: Any) -> Any:
    """A tensor as an array, without its gradient; anything else as it is, for scikit-learn to check."""
    if not isinstance(X, Tensor):
        return X
    X = X.detach().cpu()
    return (X.float() if X.dtype == torch.bfloat16 else X).numpy()


def _dense(X: Any) -> Any:
    """The same where X is no sparse matrix and finite; raises TypeError or ValueError."""
    rows = _as_array(X)
    if scipy.sparse.issparse(rows):
        raise TypeError("Sparse data was passed for X, but dense data is required. Use '.toarray()' to convert it.")
    assert_all_finite(rows, input_name="X")
    return rows


def _refuse_squares_out_of_range(rows: NDArray[Any]) -> None:
    """Raises ValueError where variances would overflow to infinity, or all vanish; scikit-learn takes either as it comes."""
    if not rows.size or rows.dtype.kind != "f":
        return
    largest = max(float(rows.max()), -float(rows.min()))
    if largest > _LARGEST:
        raise ValueError("`X` holds values too large to be squared in float64; divide them by their largest.")
    if 0 < largest < 1 / _LARGEST:
        raise ValueError("`X` holds values too small to be squared in float64; divide them by their largest.")


class Standardize(StandardScaler):  # type: ignore[misc]
    """scikit-learn's `StandardScaler`, which refuses NaN as the other repairs do; made by `repgeom.repair.standardize`."""

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Standardize:
        """Add rows X (n_samples, n_features) to mean and variance; y is not read."""
        rows = _dense(X)
        if sample_weight is not None or not isinstance(rows, np.ndarray) or rows.ndim != 2:
            super().partial_fit(rows, y, sample_weight)
            return self
        _refuse_squares_out_of_range(rows)
        # In pieces, since it copies what it is given more than once.
        for piece in _pieces(rows):
            super().partial_fit(piece)
        return self

    def transform(self, X: Any, copy: bool | None = None) -> Any:
        """Rows X (n_samples, n_features) less the mean, over the standard deviation."""
        check_is_fitted(self)
        return super().transform(_dense(X), copy)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = False
        return tags

    def _more_tags(self) -> dict[str, bool]:
        """The same for scikit-learn before 1.6."""
        return {"allow_nan": False}


class _OfMoments(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A repair that is fitted to mean and covariance alone."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Fit to rows X (n_samples, n_features); y is not read."""
        rows = validate_data(self, _as_array(X), dtype=_TYPES, ensure_min_samples=2)
        return self._fitted(rows.shape, lambda: _Moments(rows))

    def fit_beside(self, rows: NDArray[Any], moments: Callable[[], _Moments]) -> Any:
        """The same where the moments of the rows serve other repairs too."""
        validate_data(self, rows, dtype=_TYPES, ensure_min_samples=2)
        return self._fitted(rows.shape, moments)

    def _fitted(self, shape: tuple[int, int], moments: Callable[[], _Moments]) -> Any:
        raise NotImplementedError


def fitted_together(repairs: Mapping[str, Any], rows: NDArray[Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Repairs fitted to the same rows, whose covariance is taken and decomposed once; and why others cannot be."""

    @functools.cache
    def moments() -> _Moments:
        found = _Moments(rows)
        found.decompose()
        return found

    made: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name, repair in repairs.items():
        try:
            made[name] = repair.fit_beside(rows, moments) if isinstance(repair, _OfMoments) else repair.fit(rows)
        except ValueError as error:
            left_out[name] = str(error)
    return made, left_out


class RemoveTop(_OfMoments):
    """Subtracts the mean and the leading k principal directions; made by `repgeom.repair.remove_top`."""

    def __init__(self, k: int = 1) -> None:
        self.k = k

    def _fitted(self, shape: tuple[int, int], moments: Callable[[], _Moments]) -> RemoveTop:
        n, d = shape
        k = whole_from(
            0, self.k, "k"
        )  # may have been set after the transformer was made, as a search over settings does
        if k >= max(2, d) and k > 0:
            raise ValueError(f"`k={k}` directions of {d} features leave nothing; take fewer than {d}.")
        found = moments()
        self.mean_ = found.mean
        self.directions_ = np.zeros((0, d))
        if k > 0:
            variances, vectors = found.directions("`remove_top`", k)
            n_varying = int((variances > variances[0] * max(n, d) * np.finfo(float).eps).sum())
            if n_varying < k:
                raise ValueError(f"`k={k}`, and the rows vary along {n_varying} directions only.")
            self.directions_ = vectors.T.copy()
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Rows X (n_samples, n_features) less the mean and what lies along the directions, in their own type."""
        check_is_fitted(self)
        rows = validate_data(self, _as_array(X), dtype=_TYPES, reset=False)
        mean, directions = self.mean_.astype(rows.dtype), self.directions_.astype(rows.dtype)

        def without(some: NDArray[Any]) -> NDArray[Any]:
            about: NDArray[Any] = some - mean
            about -= (about @ directions.T) @ directions
            return about

        return _in_pieces(without, rows)


class Whiten(_OfMoments):
    """Turns the covariance into the identity; made by `repgeom.repair.whiten`."""

    def __init__(self, shrinkage: float | str = "ledoit-wolf") -> None:
        self.shrinkage = shrinkage

    def _fitted(self, shape: tuple[int, int], moments: Callable[[], _Moments]) -> Whiten:
        shrinkage = checked_shrinkage(self.shrinkage)
        found = moments()
        variances, vectors = found.directions("`whiten`")
        self.mean_ = found.mean
        self.shrinkage_ = _ledoit_wolf(found, shape[0]) if shrinkage is None else shrinkage
        drawn_in = (1 - self.shrinkage_) * variances + self.shrinkage_ * variances.mean()
        # What is left of rounding is no variance.
        varies = drawn_in > drawn_in[0] * max(shape) * np.finfo(float).eps
        scales = np.where(varies, 1 / np.sqrt(np.where(varies, drawn_in, 1)), 0)
        self.whitening_ = (vectors * scales) @ vectors.T / found.unit
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Rows X (n_samples, n_features) whitened, in their own type."""
        check_is_fitted(self)
        rows = validate_data(self, _as_array(X), dtype=_TYPES, reset=False)
        mean, whitening = self.mean_.astype(rows.dtype), self.whitening_.astype(rows.dtype)
        return _in_pieces(lambda some: (some - mean) @ whitening, rows)


def _pieces(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    # Rows that scikit-learn is to refuse, such as none at all, or of no columns, are one piece.
    step = chunk_rows(max(1, rows.shape[1]))
    return (rows[start : start + step] for start in range(0, max(1, len(rows)), step))


def _in_pieces(change: Callable[[NDArray[Any]], NDArray[Any]], rows: NDArray[Any]) -> NDArray[Any]:
    """The changed rows, of the same shape: of many, no copy stands beside them."""
    found = np.empty_like(rows)
    start = 0
    for piece in _pieces(rows):
        changed = change(piece)
        if not np.isfinite(changed).all():
            raise ValueError(f"`X` holds values that leave the range of {rows.dtype}; divide them by their largest.")
        found[start : start + len(piece)] = changed
        start += len(piece)
    return found


def _ledoit_wolf(moments: _Moments, n: int) -> float:
    """The shrinkage with the least expected squared error (Ledoit & Wolf 2004)."""
    d = len(moments.covariance)
    squares = float(np.square(moments.covariance).sum())
    spread = (
        squares - float(np.trace(moments.covariance)) ** 2 / d
    )  # of the covariance about a multiple of the identity
    error = (moments.fourth - squares) / n
    if spread <= 0:
        return 1.0
    return min(1.0, max(0.0, error / spread))
