"""The one expensive state: the singular values of centred features, from memory or from a stream.

The routes, tried in this order until the result holds 1e-6 for every measure (see `climb`). The first rows decide for all,
and what all rows show is checked at the end:

1. half (GPU, half-precision rows): multiplied on the matrix units, added up in float32. Products of half-precision numbers
   are exact in float32. Only where the mean is not large, since it is taken off afterwards.
2. float32: rows times rows in float32, each piece added up in float64. Half the cost of 4; only for many rows whose spectrum
   is not steep.
3. apart: the same for steep spectra, after 32 leading directions were taken out of the rows; a fifth more work.
4. float64: a product squares the condition number, so singular values below about 3e-6 of the largest are not exact to
   1e-6. That is enough for every measure of the variances.
5. QR (streams) or SVD (stacks, gradients, few samples): nothing is squared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repgeom.data.arrays import (
    CHUNK_VALUES,
    Source,
    as_features,
    centred,
    check_normalize,
    chunk_rows,
    finite_rows,
    give_back,
    nonfinite_error,
    refuse_nonfinite,
    row_chunks,
    unit_rows,
)
from repgeom.spectral.accumulator import RUNGS, STEEPEST, SpectrumAccumulator, eigenvalues, known_zeros, triangular_root
from repgeom.spectral.spectrum import Spectrum

# A stack of matrices with fewer values each is worked out in one go, not one by one.
SMALL_VALUES = 1 << 18
# From so many features on it pays to take leading directions out.
WIDE = 128
_METHODS = (
    "half product", "float32 product", "float32 product, leading directions apart", "float64 product", "qr", "svd"
)  # fmt: skip


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
    found = _spectrum_of(x, center, normalize, tail, name)
    if isinstance(features, Tensor):
        return found
    return dataclasses.replace(found, singular_values=found.singular_values.numpy(), mean=found.mean.numpy())


def _spectrum_of(x: Tensor, center: bool, normalize: str | None, tail: bool, name: str) -> Spectrum:
    n, d = x.shape[-2:]
    if x.ndim > 2 and n * d < SMALL_VALUES and not x.requires_grad and x.device.type == "cpu":
        return _of_small(x, center, normalize, tail, name)
    if x.requires_grad or n <= d or (x.ndim > 2 and n * d < SMALL_VALUES):
        return dense_spectrum(x, center, normalize, tail, name)
    if x.ndim > 2:  # one by one: each is large enough to keep all cores busy
        refuse_nonfinite(x, name)
        return _joined([_spectrum_of(item, center, normalize, tail, name) for item in x.unbind(0)], torch.stack)
    _, (found,) = climb(x, lambda: row_chunks(x), normalize, (center,), tail, name)
    return found


def _of_small(x: Tensor, center: bool, normalize: str | None, tail: bool, name: str) -> Spectrum:
    """A stack of small matrices (..., n_samples, n_features): some at a time, which stay in the cache."""
    refuse_nonfinite(x, name)  # here, where the error can say which matrix
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


def _float32_is_whole(device: str = "cpu") -> bool:
    """Whether torch multiplies float32 in float32, and not in TF32 or bfloat16 as its user may have set."""
    try:
        whole = torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # the user has set it through the newer interface, and reading the old one is refused
        return False
    backend = torch.backends.cuda if device == "cuda" else torch.backends.mkldnn
    newer = getattr(backend, "matmul", None)
    return whole and getattr(newer, "fp32_precision", "none") in ("none", "ieee")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Spectra that one sum of squares serves."""

    normalize: str | None = None
    centers: tuple[bool, ...] = (True,)


Sums = dict[str, SpectrumAccumulator]


def climb(
    x: Tensor | Source,
    chunks: Callable[[], Iterable[Tensor]],
    normalize: str | None,
    centers: tuple[bool, ...],
    tail: bool,
    name: str,
) -> tuple[SpectrumAccumulator, list[Spectrum]]:
    """All rows by ever more exact methods, until every spectrum asked for is exact; the sums, and the spectra."""
    n, d = (x.n_samples, x.n_features) if isinstance(x, Source) else x.shape
    guess = tail and n > chunk_rows(d)  # where the first rows are all rows, the end shows as much and as soon
    wanted = {name: Wanted(normalize, centers)}
    found = climb_all(lambda rungs: added_up(chunks(), begun(rungs, wanted, guess)), wanted, cheapest(x), tail, x, name)
    return found[name]


def climb_all(
    add_up: Callable[[Mapping[str, str]], Sums],
    wanted: Mapping[str, Wanted],
    first: str,
    tail: bool,
    x: Tensor | Source,
    name: str,
) -> dict[str, tuple[SpectrumAccumulator, list[Spectrum]]]:
    """For each of `wanted`, the sums and its spectra, once exact. `add_up`: a pass over all rows by methods at least these."""
    found, rungs = {}, dict.fromkeys(wanted, first)
    while rungs:
        for key, acc in add_up(rungs).items():
            spectra = exact_spectra(acc, wanted[key].centers, tail)
            if spectra:
                found[key] = acc, spectra
                del rungs[key]
                continue
            error = nonfinite_error(x, name) if acc.mean is not None and not torch.isfinite(acc.mean).all() else None
            if error:
                raise error
            if acc.rung == "qr":
                raise ValueError(
                    f"`{name}` holds values too large to be squared or added in float64; divide them by their largest."
                )
            rungs[key] = RUNGS[RUNGS.index(acc.rung) + 1]
    return found


def exact_spectra(acc: SpectrumAccumulator, centers: tuple[bool, ...], tail: bool) -> list[Spectrum]:
    """The spectra, if all are exact; else none."""
    if not acc._is_finite():
        return []  # squares overflowed; the next method has more room
    found = [acc._spectrum(center) for center in centers]
    return [s for s, _ in found] if all(s.exact_tail if tail else exact for s, exact in found) else []


def cheapest(x: Tensor | Source) -> str:
    """The first of `RUNGS` that is worth a try for these rows."""
    n, d = (x.n_samples, x.n_features) if isinstance(x, Source) else x.shape[-2:]
    size = n * d if isinstance(x, Source) else x.numel()
    device = "cpu" if isinstance(x, Source) else x.device.type
    # BLAS adds up narrow products one row after the other, whose rounding in float32 reached 6e-6 where values repeat.
    if size < 4 * CHUNK_VALUES or (d < WIDE and device == "cpu") or not _float32_is_whole(device):
        return "float64"
    if device == "cuda":
        return "half" if x.dtype.itemsize == 2 else "float32" if x.dtype == torch.float32 else "float64"
    return "float32" if x.dtype == torch.float32 else "float64"


def begun(
    rungs: Mapping[str, str], wanted: Mapping[str, Wanted], tail: bool, margin: float = 0.1
) -> Callable[[Tensor], Sums]:
    """How sums begin with their first rows: each by its method, or by the next that these rows do not show to be in vain."""
    return lambda rows: {key: _begun(rows, rung, wanted[key], tail, margin) for key, rung in rungs.items()}


def _begun(rows: Tensor, rung: str, wanted: Wanted, tail: bool, margin: float) -> SpectrumAccumulator:
    acc = None
    for method in RUNGS[RUNGS.index(rung) :]:
        # Rows of unit length are not of half precision any more; of few features the leading ones would be most.
        if (method == "half" and wanted.normalize) or (method == "apart" and rows.shape[-1] < WIDE):
            continue
        if method != "apart" or acc is None:
            acc = empty_sums(wanted.normalize, method)
            acc._absorb(rows)
        if method == "apart":
            acc._set_apart()
            acc._absorb(rows)
        if method == "qr" or not tail or not any(acc._is_steep(margin, center) for center in wanted.centers):
            break
    assert acc is not None
    return acc


def empty_sums(normalize: str | None, rung: str) -> SpectrumAccumulator:
    """Sums by any of `RUNGS`, of no rows yet."""
    acc = SpectrumAccumulator(normalize=normalize)
    acc.method = "float32" if rung == "apart" else rung
    return acc


def added_up(chunks: Iterable[Tensor], begin: Callable[[Tensor], Sums]) -> Sums:
    """All chunks, of which the first decides by which methods."""
    chunks = iter(chunks)
    sums = begin(next(chunks))
    for rows in chunks:
        for acc in sums.values():
            acc._absorb(rows)
    return sums


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
    low, high = rows.detach().flatten(-2).aminmax(dim=-1)
    largest = torch.maximum(-low, high)[..., None, None]
    scale = torch.where(largest > 0, largest, 1)  # so that squares stay in range
    if bool(((scale > 1e-100) & (scale < 1e100)).all()):  # as they do almost always
        scale = torch.ones_like(scale)
    else:
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
