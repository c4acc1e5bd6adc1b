"""The one expensive state: the singular values of centred features, from memory or from a stream.

Three routes, tried in this order until the result holds 1e-6 for every measure (see `climb`):

1. float32 product: rows times rows in float32, summed in float64. Half the cost of 2; only for many float32 rows
   whose spectrum is not steep.
2. float64 product: a product squares the condition number, so singular values below about 3e-6 of the largest are
   not exact to 1e-6. That is enough for every measure of the variances.
3. QR (streams) or SVD (stacks, gradients, few samples): nothing is squared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repgeom.accumulate import STEEPEST, SpectrumAccumulator, eigenvalues, known_zeros, triangular_root
from repgeom.features import (
    CHUNK_VALUES,
    Source,
    as_features,
    centred,
    check_normalize,
    finite_rows,
    give_back,
    nonfinite_error,
    row_chunks,
    unit_rows,
)
from repgeom.spectra import Spectrum


class CenteredSVD(NamedTuple):
    """`features - mean = U @ diag(S) @ Vh`."""

    U: Any
    S: Any
    Vh: Any
    mean: Any


def spectrum(features: Any, *, center: bool = True, normalize: str | None = None) -> Spectrum:
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
    return _spectrum(features, center=center, normalize=normalize)


def _spectrum(
    features: Any, *, center: bool = True, normalize: str | None = None, tail: bool = True, name: str = "features"
) -> Spectrum:
    """`spectrum`, which may stop at the float64 product where the reader does not need the tail."""
    check_normalize(normalize)
    x = as_features(features, name)
    if x.requires_grad or x.shape[-2] <= x.shape[-1]:
        found = dense_spectrum(x, center, normalize, tail, name)
    else:
        _, (found,) = climb(x, lambda: row_chunks(x), normalize, (center,), tail, name)
    if isinstance(features, Tensor):
        return found
    return dataclasses.replace(found, singular_values=found.singular_values.numpy(), mean=found.mean.numpy())


def centered_svd(features: Any, *, center: bool = True, normalize: str | None = None) -> CenteredSVD:
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
    rows, mean = _centred(x, center, normalize, "features")
    U, S, Vh = torch.linalg.svd(rows, full_matrices=False)
    dtype = torch.promote_types(x.dtype, torch.float32)
    give = give_back(features)
    return CenteredSVD(*(give(part.to(dtype)) for part in (U, S, Vh, mean)))


def _float32_is_whole() -> bool:
    """Whether torch multiplies float32 in float32, and not in TF32 or bfloat16 as its user may have set."""
    try:
        whole = torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # the user has set it through the newer interface, and reading the old one is refused
        return False
    newer = getattr(torch.backends.mkldnn, "matmul", None)
    return whole and getattr(newer, "fp32_precision", "none") in ("none", "ieee")


def climb(
    x: Tensor | Source,
    chunks: Callable[[], Iterable[Tensor]],
    normalize: str | None,
    centers: tuple[bool, ...],
    tail: bool,
    name: str,
) -> tuple[SpectrumAccumulator, list[Spectrum]]:
    """Goes through the rows by ever more exact methods until every spectrum asked for is exact."""
    size = x.n_samples * x.n_features if isinstance(x, Source) else x.numel()
    on_cpu = isinstance(x, Source) or x.device.type == "cpu"
    narrow = x.dtype == torch.float32 and on_cpu and size >= 4 * CHUNK_VALUES and _float32_is_whole()
    for method in ("float32", "float64", "qr") if narrow else ("float64", "qr"):
        acc = _accumulated(chunks(), normalize, method, may_stop=tail)
        if acc is None:
            continue
        if acc.mean is not None and not torch.isfinite(acc.mean).all():
            error = nonfinite_error(x, name)
            if error:
                raise error
        if acc._factor is None or not torch.isfinite(acc._factor).all():
            continue  # squares overflowed; the next method has more room
        found = [acc._spectrum(center) for center in centers]
        if all(s.exact_tail if tail else exact for s, exact in found):
            return acc, [s for s, _ in found]
    raise ValueError(
        f"`{name}` holds values too large to be squared or added in float64; divide them by their largest."
    )


def _accumulated(
    chunks: Iterable[Tensor], normalize: str | None, method: str, may_stop: bool
) -> SpectrumAccumulator | None:
    """All chunks by one method; None if the first one shows that the rest would be in vain."""
    acc = SpectrumAccumulator(normalize=normalize)
    acc.method = method
    for i, rows in enumerate(chunks):
        acc._absorb(rows)
        if i == 0 and may_stop and method == "float32" and acc._is_steep():
            return None
    return acc


def _centred(x: Tensor, center: bool, normalize: str | None, name: str) -> tuple[Tensor, Tensor]:
    rows = finite_rows(x, name)
    if normalize:
        rows = unit_rows(rows)
    mean = rows.mean(-2)
    return (centred(rows), mean) if center else (rows, torch.zeros_like(mean))


def dense_spectrum(x: Tensor, center: bool, normalize: str | None, tail: bool, name: str) -> Spectrum:
    """All rows at once: for gradients, and for fewer samples than features."""
    rows, mean = _centred(x, center, normalize, name)
    n, d = rows.shape[-2:]
    largest = rows.detach().abs().amax((-2, -1), keepdim=True)
    scale = torch.where(largest > 0, largest, 1)  # so that squares stay in range
    rows = rows / scale
    moving = (rows != 0).any(-2).sum(-1).clamp(max=min(n - center, d))
    squares = eigenvalues(rows @ rows.mT if n < d else rows.mT @ rows)
    squares, steepness = known_zeros(squares, moving)
    # The square root has no gradient at zero, so zeros go round it.
    sigma = torch.where(squares > 0, torch.where(squares > 0, squares, 1).sqrt(), 0)
    steep = (steepness < STEEPEST["float64"][1]) & tail
    if steep.any():
        rows = torch.where(steep[..., None, None], rows, 0)
        # QR has no gradient at low rank, the SVD has; but without one it is the faster way there.
        exact = torch.linalg.svdvals(rows if x.requires_grad else triangular_root(rows.mT if n < d else rows))
        exact = torch.where(torch.arange(exact.shape[-1], device=x.device) < moving[..., None], exact, 0)
        sigma = torch.where(steep[..., None], exact, sigma)
    sigma = sigma * scale[..., 0]
    dtype = str(x.dtype).removeprefix("torch.")
    method = "svd" if bool(steep.any()) else "float64 product"
    exact_tail = tail or bool((steepness >= STEEPEST["float64"][1]).all())
    return Spectrum(sigma, n, d, mean, center, normalize, dtype, method, exact_tail)
