"""The three repairs, as scikit-learn transformers. It is loaded when the first of them is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repgeom.data.numbers import real_number, whole_from
from repgeom.data.settings import own_settings

if TYPE_CHECKING:
    from repgeom.repair.transformers import RemoveTop, Standardize, Whiten


@own_settings
def standardize() -> Standardize:
    """Subtract each column's mean and divide by its standard deviation: scikit-learn's `StandardScaler`, which
    here refuses NaN and infinity.

    Helps where a few columns hold most of the variance. A column that does not vary is only centred. Values
    beyond 1e150, or none above 1e-150, have no variance in float64: divide them by their largest first. Rows of float16 and float32 are
    computed in that type: values near its largest overflow in it to infinity.

    Raises:
        TypeError: a sparse matrix.
        ValueError: in `fit` and `transform`, rows that hold NaN or infinity; in `fit`, such large or small values.

    >>> standardize().fit_transform([[0.0, 10.0], [2.0, 30.0]])
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    from repgeom.repair.transformers import Standardize

    return Standardize()


@own_settings
def remove_top(k: int = 1) -> RemoveTop:
    """Subtract the mean, and what lies along the leading k principal directions (Mu & Viswanath 2018, "All-but-the-Top").

    Helps where all rows share a direction that says nothing of them. The authors take k of about a hundredth of the width.

    Args:
        k: directions, from 0 (subtract the mean alone) to fewer than there are features.

    Returns:
        A scikit-learn transformer: `fit`, `transform`; after `fit` it has `mean_` and `directions_` (k, n_features).

    Raises:
        ValueError: k is not a whole number of at least 0; in `fit`, k is not below the number of features, or rows vary along fewer
            directions.

    >>> remove_top(1).fit_transform([[3.0, 1.0], [-3.0, 1.0], [0.0, 2.0], [0.0, 0.0]]).round(12) + 0.0
    array([[ 0.,  0.],
           [ 0.,  0.],
           [ 0.,  1.],
           [ 0., -1.]])
    """
    number = whole_from(0, k, "k")
    from repgeom.repair.transformers import RemoveTop

    return RemoveTop(number)


@own_settings
def whiten(shrinkage: float | str = "ledoit-wolf") -> Whiten:
    """Turn the covariance into the identity, x ↦ (x − μ) Σ^(−½) (ZCA), with a covariance drawn in to a multiple of the identity.

    Σ = (1 − s) S + s tr(S)/d I. Without shrinkage, directions that hardly vary are blown up to as much as all others, and of few
    rows these are noise. A direction along which no row varies at all is set to 0.

    Args:
        shrinkage: s from 0 to 1; "ledoit-wolf" takes the one that Ledoit & Wolf (2004) estimate from the rows.

    Returns:
        A scikit-learn transformer: `fit`, `transform`; after `fit` it has `mean_`, `shrinkage_` and `whitening_` (n_features,
        n_features).

    Raises:
        ValueError: another shrinkage; in `fit`, rows that are all equal.

    >>> whiten(shrinkage=0).fit_transform([[3.0, 0.0], [-3.0, 0.0], [0.0, 0.1], [0.0, -0.1]]).round(3) + 0.0
    array([[ 1.414,  0.   ],
           [-1.414,  0.   ],
           [ 0.   ,  1.414],
           [ 0.   , -1.414]])
    """
    checked_shrinkage(shrinkage)
    from repgeom.repair.transformers import Whiten

    return Whiten(shrinkage)


def checked_shrinkage(shrinkage: Any) -> float | None:
    """`shrinkage` of `whiten` as a float, None for "ledoit-wolf"; raises ValueError where it is neither."""
    if isinstance(shrinkage, str) and shrinkage == "ledoit-wolf":
        return None
    number = real_number(shrinkage)
    if number is None or not 0 <= number <= 1:
        raise ValueError(f"`shrinkage` must be 'ledoit-wolf' or a number from 0 to 1, got {shrinkage!r}.")
    return float(number)
