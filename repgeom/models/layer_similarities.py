"""Each measure of likeness between two layers: what is worked out of a layer once, and what of a pair of them."""

from __future__ import annotations

import dataclasses
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import unit_rows
from repgeom.data.numbers import real_number, whole_from
from repgeom.inference.neighbours import Neighbours
from repgeom.measures.canonical import pwcca, svcca
from repgeom.measures.dissimilarities import PairOrder, ceiling_of, centred_ranks, correlation_without
from repgeom.measures.kernel_similarity import angle_of
from repgeom.measures.kernels import (
    alignment_without,
    has_structure,
    linear_kernel,
    rbf_kernel,
    row_products,
    without_diagonal,
)
from repgeom.measures.nearest_rows import agreement, neighbour_counts, refuse_one_direction
from repgeom.measures.pair_sums import varying
from repgeom.measures.pairs import procrustes_distance
from repgeom.models.kept_rows import KeptRows
from repgeom.robustness.measurement import Measurement
from repgeom.robustness.tails import heavy_tails, slow_tails

HELD_BYTES = 1 << 28  # of what is worked out of layers and held at once
FEWEST_ROWS = 20  # from which leaving out one row says how far off a value may be
# Two rules on the lengths of rows: so many times √n rows must carry their variance, and their tail index must be 4, as the error
# of a mean of squares rests on fourth powers. Of 300 rows of Student's t with 5 degrees both leave intervals to 67 % of samples, of
# which 93 % hold, and with 2.5 degrees to 2 %. √n rows alone would leave a fifth with 5 degrees, the samples whose heavy rows did
# not come, and 86 % hold.
_CARRYING, _TAIL_INDEX = 0.25, 4.0
_GROUPED = "no interval: rows come in groups that depend on each other (tokens of a text), which leaving out one row does not see"


@dataclasses.dataclass(frozen=True)
class Similarity(ABC):
    """A measure of two layers. Settings are those of `cka_map`."""

    k: int
    bandwidth: float
    distance: str
    seed: int

    name = ""

    def layers_at_once(self, n: int) -> int:
        """How many layers may be held prepared: of a matrix of n × n each."""
        return HELD_BYTES // (8 * n * n)

    @abstractmethod
    def prepared(self, x: Tensor, name: str, groups: Tensor | None) -> Any:
        """What is worked out of one layer's rows. `name` is for errors."""

    @abstractmethod
    def measured(self, a: Any, b: Any) -> Measurement:
        """The measure of two prepared layers."""

    def interval(self, m: Measurement, confidence: float) -> tuple[float, float]:
        return m.interval(confidence)


@dataclasses.dataclass(frozen=True)
class _Kernel:
    centred: Tensor
    products: Tensor  # with itself, row by row
    known: bool
    lengths: Tensor
    grouped: bool


@dataclasses.dataclass(frozen=True)
class LinearCKA(Similarity):
    """Debiased linear CKA, and the jackknife of its rows."""

    name = "linear_cka"

    def kernel(self, x: Tensor) -> Tensor:
        return linear_kernel(x)

    def prepared(self, x: Tensor, name: str, groups: Tensor | None) -> _Kernel:
        x = varying(x.double(), name)
        kernel = self.kernel(x)
        centred = without_diagonal(kernel)
        known = bool(has_structure(centred, kernel))
        centred = centred / centred.abs().max().clamp(min=torch.finfo(centred.dtype).tiny)
        return _Kernel(centred, row_products(centred, centred), known, self.lengths(x), groups is not None)

    def lengths(self, x: Tensor) -> Tensor:
        return x.square().sum(1)

    def read(self, cosine: Tensor) -> Tensor:
        return cosine

    def measured(self, a: _Kernel, b: _Kernel) -> Measurement:
        n = len(a.products)
        if not (a.known and b.known):
            return Measurement(self.name, math.nan, n, note="all rows of a layer lie equally far apart")
        both = row_products(a.centred, b.centred.to(a.centred.device))
        whole, without = alignment_without(both, a.products, b.products.to(both))
        lengths = (a.lengths, b.lengths.to(both))
        found = jackknifed(self.name, float(self.read(whole)), self.read(without), self.kind, lengths, a.grouped)
        # As two random vectors with one entry for each pair of rows err; of alike ones less, as in Fisher's z.
        apart = max(0.0, 1 - float(whole) ** 2)
        return _counted_once(found, 2 / (n * (n - 1)) * self.stretch(apart))

    def stretch(self, apart: float) -> float:
        """The variance of the value over that of unrelated kernels, where the cosine's square is 1 − `apart`."""
        return apart**2

    @property
    def kind(self) -> str:
        return "similarity"


@dataclasses.dataclass(frozen=True)
class AngularCKA(LinearCKA):
    """The angle whose cosine that is."""

    name = "angular_cka"

    def read(self, cosine: Tensor) -> Tensor:
        return angle_of(cosine)

    def stretch(self, apart: float) -> float:
        # d arccos c = −dc / √(1 − c²).
        return apart

    @property
    def kind(self) -> str:
        return "mean"


@dataclasses.dataclass(frozen=True)
class RBFCKA(LinearCKA):
    """The same of Gaussian kernels, which no row dominates."""

    name = "rbf_cka"

    def __post_init__(self) -> None:
        number = real_number(self.bandwidth)
        if number is None or not 0 < number < math.inf:
            raise ValueError(f"`bandwidth` must be a positive number of median distances, got {self.bandwidth!r}.")

    def kernel(self, x: Tensor) -> Tensor:
        return rbf_kernel(x, float(self.bandwidth))

    def lengths(self, x: Tensor) -> Tensor:
        return torch.arange(len(x), dtype=x.dtype, device=x.device)


@dataclasses.dataclass(frozen=True)
class RSA(Similarity):
    """Spearman's correlation of distances, and the jackknife of its rows."""

    name = "rsa"

    def layers_at_once(self, n: int) -> int:
        return HELD_BYTES // (28 * n * n)

    def prepared(self, x: Tensor, name: str, groups: Tensor | None) -> tuple[PairOrder, Tensor, bool]:
        pairs = PairOrder.of(centred_ranks(x.double(), self.distance, name))
        return pairs, pairs.products_without(pairs), groups is not None

    def measured(self, a: tuple[PairOrder, Tensor, bool], b: tuple[PairOrder, Tensor, bool]) -> Measurement:
        whole, without = correlation_without(a[0], b[0].to(a[1].device), (a[1], b[1].to(a[1].device)))
        return jackknifed(self.name, float(whole), without, "similarity", (), a[2])


@dataclasses.dataclass(frozen=True)
class MutualKNN(Similarity):
    """Shared nearest rows by cosine, with errors from halves of the rows."""

    name = "mutual_knn"

    def __post_init__(self) -> None:
        whole_from(1, self.k, "k")

    def layers_at_once(self, n: int) -> int:
        return HELD_BYTES // (8 * n * (n + 4 * self.k + 16))

    def prepared(self, x: Tensor, name: str, groups: Tensor | None) -> tuple[Neighbours, Tensor]:
        units = unit_rows(x.double())
        refuse_one_direction(units, name)
        found = Neighbours(units, self.k, self.seed, None if groups is None else groups.to(x.device))
        return found, neighbour_counts(units, units, 0, found.k, found.groups)

    def measured(self, a: tuple[Neighbours, Tensor], b: tuple[Neighbours, Tensor]) -> Measurement:
        # Lists of neighbours name one of several rows that tie; counts share the place among them.
        value = float(agreement(a[1], b[1].to(a[1].device)).mean())
        found = a[0].shared_between(b[0])
        note = "" if found.error is not None else f"no interval: {found.few} are too few to be split into halves"
        return _WithError(self.name, value, found.n, note=note, error=found.error)

    def interval(self, m: Measurement, confidence: float) -> tuple[float, float]:
        from repgeom.inference.neighbours import NeighbourMean

        assert isinstance(m, _WithError)
        found = NeighbourMean(m.value, m.error, m.n).estimate(confidence)
        return (math.nan, math.nan) if found.low is None or found.high is None else (found.low, found.high)


@dataclasses.dataclass(frozen=True)
class _WithError(Measurement):
    """A value with its error, of which single rows' contributions are not known."""

    error: float | None = None


class Fitted(Similarity):
    """A measure that is fitted to the rows: its value alone."""

    why = "no interval: correlations are fitted to the same rows"

    @abstractmethod
    def value(self, x: Tensor, y: Tensor) -> float:
        """The measure of two sets of rows."""

    def layers_at_once(self, n: int) -> int:
        return 1 << 30  # rows lie in memory as they are

    def prepared(self, x: Tensor, name: str, groups: Tensor | None) -> Tensor:
        return x.double()

    def measured(self, a: Tensor, b: Tensor) -> Measurement:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = self.value(a, b)
        note = self.why
        if caught:
            note = f"{note}; {str(caught[0].message).rstrip('.')}"
        return Measurement(self.name, value, len(a), note=note)


class SVCCA(Fitted):
    """`svcca`."""

    name = "svcca"

    def value(self, x: Tensor, y: Tensor) -> float:
        return svcca(x, y)


class PWCCA(Fitted):
    """`pwcca`."""

    name = "pwcca"

    def value(self, x: Tensor, y: Tensor) -> float:
        return pwcca(x, y)


class Procrustes(Fitted):
    """`procrustes_distance`."""

    name = "procrustes_distance"
    why = "no interval: the rotation is fitted to the same rows"

    def value(self, x: Tensor, y: Tensor) -> float:
        return float(procrustes_distance(x, y))


def jackknifed(
    name: str, value: float, without: Tensor, kind: str, lengths: Sequence[Tensor], grouped: bool
) -> Measurement:
    """A measurement from the values without each row (n,): its contributions are the pseudo-values, centred on the value."""
    n = len(without)
    if grouped:
        return Measurement(name, value, n, note=_GROUPED)
    if n < FEWEST_ROWS:
        return Measurement(name, value, n, note=f"no interval: fewer than {FEWEST_ROWS} rows")
    if not bool(torch.isfinite(without).all()):
        return Measurement(name, value, n, note="no interval: single rows decide it")
    pseudo = value + (n - 1) * (without.mean() - without)
    found = Measurement(name, value, n, pseudo.cpu(), kind)
    if not lengths:
        return found
    note = heavy_tails(*lengths, times=_CARRYING) or slow_tails(*lengths, least=_TAIL_INDEX)
    return found.without_interval(note) if note else found


def _counted_once(found: Measurement, second_order: float) -> Measurement:
    """The same with contributions drawn in: a jackknife counts twice what is of second order (Efron & Stein 1981).

    Of kernels without anything in common that is all there is: their alignment has the variance `second_order`.
    """
    if found.contributions is None:
        return found
    variance = float(found.contributions.var()) / found.n
    factor = math.sqrt(max(variance - second_order, variance / 2) / variance) if variance > 0 else 1.0
    return dataclasses.replace(found, contributions=found.value + factor * (found.contributions - found.value))


MEASURES: dict[str, type[Similarity]] = {
    one.name: one for one in (LinearCKA, AngularCKA, RBFCKA, MutualKNN, Procrustes, RSA, SVCCA, PWCCA)
}


def ceilings(first: KeptRows, repeats: Sequence[KeptRows], distance: str) -> np.ndarray:
    """(layers, 2): the lower and upper noise ceiling of each layer, from it and its repeats."""
    found = []
    for layer, x in first.rows.items():
        missing = [one.name for one in repeats if layer not in one.rows]
        if missing:
            raise ValueError(f"`repeats` has no layer {layer!r} in {missing[0]}.")
        every = [x, *(one.rows[layer] for one in repeats)]
        found.append(ceiling_of([centred_ranks(z.double(), distance, f"layer {layer!r}") for z in every]))
    return np.array(found)
