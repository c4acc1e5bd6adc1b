"""From features to a `Spectrum`, or to a whole decomposition."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repgeom.data.arrays import as_features, check_normalize, give_back, refuse_nonfinite, too_large_error
from repgeom.data.kinds import Features
from repgeom.data.settings import own_settings
from repgeom.data.sources import Source, nonfinite_error_of, source_of
from repgeom.reading.pieces import PairedRows
from repgeom.reading.reader import read
from repgeom.spectral.dense import centred_rows, dense_spectrum
from repgeom.spectral.few_rows import float32_spectrum
from repgeom.spectral.spectrum import Spectrum
from repgeom.spectral.sums import SpectrumRead
from repgeom.spectral.tally import SpectrumTally, Wanted

# A stack of matrices with fewer values each is worked out in one go, not one by one.
SMALL_VALUES = 1 << 18
# From cheap to exact, as `Spectrum.method` says it.
_METHODS = (
    "half product", "float32 product", "float32 product, leading directions apart", "float64 product", "qr", "svd"
)  # fmt: skip


@own_settings
class CenteredSVD(NamedTuple):
    """`features - mean = U @ diag(S) @ Vh`."""

    U: Any
    S: Any
    Vh: Any
    mean: Any


@own_settings
def spectrum(features: Features, *, center: bool = True, normalize: str | None = None) -> Spectrum:
    """Singular values of the centred features: one decomposition that every spectral measure reads.

    Args:
        features: (..., n_samples, n_features), any array kind, at least 2 rows. Leading dimensions are a batch.
        center: subtract the mean row first.
        normalize: "l2" scales every row to unit length before centring (a row of zeros stays zero).

    Returns:
        A `Spectrum` whose values agree with a float64 SVD closely enough for 1e-6 in every measure. Differentiable
        where `features` is a tensor that requires a gradient.

    Raises:
        ValueError: NaN or infinity (counted, first place named), fewer than 2 rows, a 1-D array.
        TypeError: complex, text, sparse or masked data.

    >>> s = spectrum([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]])
    >>> s.variances * 3
    array([2. , 0.5])
    """
    return spectrum_of(features, center=center, normalize=normalize)


def spectrum_of(
    features: Any, *, center: bool = True, normalize: str | None = None, tail: bool = True, name: str = "features"
) -> Spectrum:
    """`spectrum`, which may stop at the float64 product where the reader does not need the tail."""
    check_normalize(normalize)
    x = as_features(features, name)
    found = _spectrum_in(x, center, normalize, tail, name)
    if isinstance(features, Tensor):
        return found
    return dataclasses.replace(found, singular_values=found.singular_values.numpy(), mean=found.mean.numpy())


def _spectrum_in(x: Tensor, center: bool, normalize: str | None, tail: bool, name: str) -> Spectrum:
    n, d = x.shape[-2:]
    if x.ndim > 2 and n * d < SMALL_VALUES and not x.requires_grad and x.device.type == "cpu":
        return _of_small(x, center, normalize, tail, name)
    if x.ndim == 2 and n < d:
        found = float32_spectrum(x, center, normalize, tail)
        if found is not None:
            return found
    # Held whole: rows with a gradient, no more rows than features, and stacks of small matrices on a GPU.
    if x.requires_grad or n <= d or (x.ndim > 2 and n * d < SMALL_VALUES):
        return dense_spectrum(x, center, normalize, tail, name)
    if x.ndim > 2:  # one by one: each is large enough to keep all cores busy
        refuse_nonfinite(x, name)
        return _joined([_spectrum_in(item, center, normalize, tail, name) for item in x.unbind(0)], torch.stack)
    source = source_of(x, name)
    return decomposed(source, normalize, center, tail=tail).spectrum


def _of_small(x: Tensor, center: bool, normalize: str | None, tail: bool, name: str) -> Spectrum:
    """A stack of small matrices (..., n_samples, n_features): some at a time, which stay in the cache."""
    refuse_nonfinite(x, name)  # here, where the error can say which matrix
    # 2²⁰ values are 8 MB in float64.
    pieces = x.flatten(0, -3).split(max(1, (1 << 20) // (x.shape[-2] * x.shape[-1])))
    found = _joined([dense_spectrum(piece, center, normalize, tail, name) for piece in pieces], torch.cat)
    lead = x.shape[:-2]
    return dataclasses.replace(
        found,
        singular_values=found.singular_values.unflatten(0, lead),
        mean=found.mean.unflatten(0, lead),
    )


def _joined(found: Sequence[Spectrum], join: Callable[[list[Tensor]], Tensor]) -> Spectrum:
    """Spectra as one, made by the most exact method among theirs."""
    return dataclasses.replace(
        found[0],
        singular_values=join([s.singular_values for s in found]),
        mean=join([s.mean for s in found]),
        method=max((s.method for s in found), key=_METHODS.index),
        exact_tail=all(s.exact_tail for s in found),
    )


@own_settings
def centered_svd(features: Features, *, center: bool = True, normalize: str | None = None) -> CenteredSVD:
    """Thin singular value decomposition of the centred features, computed in float64.

    Args:
        features: (..., n_samples, n_features), as for `spectrum`.
        center: subtract the mean row first; if False, `mean` is zero.
        normalize: "l2" scales rows to unit length before centring.

    Returns:
        `U` (..., n_samples, r), `S` (..., r) descending, `Vh` (..., r, n_features) and `mean` (..., n_features) with
        r = min(n_samples, n_features), in the features' own floating type (float32 for half precision).

    Raises:
        ValueError, TypeError: as `spectrum`.

    >>> U, S, Vh, mean = centered_svd([[2.0, 0.0], [0.0, 0.0]])
    >>> mean, S.round(6)
    (array([1., 0.]), array([1.414214, 0.      ]))
    """
    check_normalize(normalize)
    x = as_features(features)
    rows, mean = centred_rows(x, center, normalize, "features")
    U, S, Vh = torch.linalg.svd(rows, full_matrices=False)
    dtype = torch.promote_types(x.dtype, torch.float32)
    if bool((S.detach() > torch.finfo(dtype).max).any()):
        raise ValueError("`features` has singular values beyond the range of float32; give the rows as float64.")
    give = give_back(features)
    return CenteredSVD(*(give(part.to(dtype)) for part in (U, S, Vh, mean)))


def decomposed(
    source: Source, normalize: str | None, center: bool, *, tail: bool, vectors: bool = False
) -> SpectrumRead:
    """One spectrum of rows that can be read again, exact to 1e-6, and its directions if asked for.

    Rows are read once, and once more by a more exact method where the first turns out not to do. `tail` says whether the
    smallest singular values are to be exact as well. Raises ValueError for
    NaN, infinity, and values that cannot be added.
    """
    wanted = {"spectrum": Wanted(normalize, (center,))}
    rows = PairedRows(source)
    tally = read(
        rows, SpectrumTally(wanted, tail=tail, n=source.n_samples, vectors=vectors and center, name=source.name)
    )
    made_exact(rows, tally, source.name)
    return tally.read("spectrum", center=center, vectors=vectors)


def made_exact(rows: PairedRows, tally: SpectrumTally, name: str) -> None:
    """Read the rows again for the spectra that the first pass did not add up exactly enough, if there are any.

    Raises ValueError for NaN, infinity, and values that cannot be added.
    """
    names = tally.inexact()
    if not names:
        return
    refuse_nonfinite_sums(tally, rows.source, name)
    tally.adopt(read(rows, tally.more_exact(names)))
    if any(not tally.sums[name].is_finite() for name in names):
        raise too_large_error(name)


def refuse_nonfinite_sums(tally: SpectrumTally, source: Source, name: str) -> None:
    """Raises ValueError with count and place where NaN or infinity among the rows is why a mean is not finite."""
    for sums in tally.sums.values():
        if sums.mean is not None and not bool(torch.isfinite(sums.mean).all()):
            error = nonfinite_error_of(source, name)
            if error is not None:
                raise error
