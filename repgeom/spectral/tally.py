"""The spectrum of rows that are read piece by piece: which arithmetic adds them up, and whether it was exact enough."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from repgeom.data.arrays import unit_rows
from repgeom.reading.tally import Piece, State, Tally
from repgeom.spectral.dense import dense_decomposition, dense_spectrum
from repgeom.spectral.methods import METHODS, cheapest, next_method
from repgeom.spectral.spectrum import Spectrum
from repgeom.spectral.sums import SpectrumRead, Sums

# Eigenvalues of the first rows spread wider than those of all rows will: a tenth of what would not do is still tried.
FIRST_ROWS_MARGIN = 0.1
# A stream cannot be read again by a more exact method, so its first rows must be far from needing one.
STREAM_MARGIN = 100.0


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Spectra that one sum of squares serves.

    Attributes:
        normalize: None, or "l2" to scale rows to unit length first.
        centers: about the mean (True), about zero (False), or both.
    """

    normalize: str | None = None
    centers: tuple[bool, ...] = (True,)


class SpectrumTally(Tally):
    """Sums from which spectra of one set of rows are read.

    No more rows than features are held as they are, because what n rows span is read from products of n × n. More rows
    are added up by the cheapest of `METHODS` that the first rows do not rule out.

    Args:
        wanted: the spectra, by name.
        method: the least exact method that may be used; by default the cheapest that suits the rows.
        of: which rows of a piece: "rows" or "reference".
        tail: whether the smallest singular values are to be exact as well.
        margin: of the check by the first rows, see `Sums.will_not_do`.
        n: how many rows there will be; None where that is not known.
        vectors: whether directions of spectra about the mean will be asked for.
        name: what errors call the rows.
    """

    def __init__(
        self,
        wanted: Mapping[str, Wanted],
        *,
        method: str | None = None,
        of: str = "rows",
        tail: bool = True,
        margin: float = FIRST_ROWS_MARGIN,
        n: int | None = None,
        vectors: bool = False,
        name: str = "features",
    ) -> None:
        self.wanted, self.method, self.of, self.tail, self.margin, self.n = dict(wanted), method, of, tail, margin, n
        self.vectors, self.name = vectors, name
        self.sums: dict[str, Sums] = {}
        self._read: dict[tuple[str, bool], SpectrumRead] = {}
        self.held: list[Tensor] = []
        self._absorbed: Piece | None = None  # the piece that `prepare` has added already

    @property
    def n_held(self) -> int:
        return sum(len(rows) for rows in self.held)

    def prepare(self, first: Piece) -> None:
        rows = getattr(first, self.of)
        if len(rows) > rows.shape[-1] and not self.sums:
            self._begin(rows)
            self._absorbed = first

    def plan(self) -> State:
        methods = {}
        for name, sums in self.sums.items():
            directions = None if sums.deflation is None else sums.deflation.directions
            methods[name] = {"method": "deflated" if sums.is_deflated else sums.method, "directions": directions}
        return {"methods": methods}

    def follow(self, plan: State) -> None:
        for name, chosen in plan["methods"].items():
            self.sums[name] = Sums(chosen["method"], self.wanted[name].normalize, chosen["directions"])

    def update(self, piece: Piece) -> None:
        if piece is self._absorbed:
            self._absorbed = None
            return
        self._add(getattr(piece, self.of))

    def _add(self, rows: Tensor) -> None:
        if not len(rows):
            return
        if not self.sums:
            if self.n_held + len(rows) <= rows.shape[-1]:
                self.held.append(rows)
                return
            # From here on sums of d × d take less memory than the rows.
            self._begin(torch.cat([*self.held, rows]))
            self.held = []
            return
        for sums in self.sums.values():
            sums.absorb(rows)

    def _begin(self, rows: Tensor) -> None:
        """Add the first rows up, each spectrum by the cheapest method that these rows do not rule out."""
        # Of a stream of unknown length, only the first rows are sure to come.
        n_values = (self.n or len(rows)) * rows.shape[-1]
        first = self.method or cheapest(n_values, rows.shape[-1], rows.dtype, rows.device.type)
        for name, wanted in self.wanted.items():
            self.sums[name] = self._begun(rows, first, wanted)

    def _begun(self, rows: Tensor, method: str | None, wanted: Wanted) -> Sums:
        if method == "half" and wanted.normalize:
            method = "float32"  # rows of unit length are not of half precision any more
        sums: Sums | None = None
        while method is not None:
            directions = None
            if method == "deflated":
                before = sums or self._begun_by("float32", rows, wanted)
                directions = before.leading()
            sums = self._begun_by(method, rows, wanted, directions)
            if not sums.will_not_do(wanted.centers, self.tail, self.margin):
                break
            method = next_method(method, rows.shape[-1])
        assert sums is not None
        return sums

    @staticmethod
    def _begun_by(method: str, rows: Tensor, wanted: Wanted, directions: Tensor | None = None) -> Sums:
        sums = Sums(method, wanted.normalize, directions)
        sums.absorb(rows)
        return sums

    def merge(self, other: SpectrumTally) -> None:
        if other.sums and not self.sums:
            held, self.held, self.sums = self.held, [], other.sums
            for rows in held:
                self._add(rows)
            return
        for name, sums in other.sums.items():
            self.sums[name].merge(sums)
        for rows in other.held:
            self._add(rows)

    def state(self) -> State:
        wanted = {name: {"normalize": w.normalize, "centers": list(w.centers)} for name, w in self.wanted.items()}
        return {
            "wanted": wanted, "method": self.method, "of": self.of, "tail": self.tail, "margin": self.margin, "n": self.n, "vectors": self.vectors, "name": self.name,
            "sums": {name: sums.state() for name, sums in self.sums.items()}, "held": list(self.held),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> SpectrumTally:
        wanted = {name: Wanted(w["normalize"], tuple(w["centers"])) for name, w in state["wanted"].items()}
        options = {name: state[name] for name in ("method", "of", "tail", "margin", "n", "vectors", "name")}
        made = cls(wanted, **options)
        made.sums = {name: Sums.from_state(s) for name, s in state["sums"].items()}
        made.held = state["held"]
        return made

    # What is read at the end -----------------------------------------------------------------------------------------

    def rows_held(self) -> Tensor | None:
        """All rows, where there are no more of them than features; None where they were added up."""
        return torch.cat(self.held) if self.held else None

    def read(self, name: str, *, center: bool = True, vectors: bool = False) -> SpectrumRead:
        """The spectrum of this name in tensors, whether it is exact for measures of variances, and its directions."""
        rows = self.rows_held()
        if rows is None:
            return self._spectrum(name, center, vectors)
        normalize = self.wanted[name].normalize
        if not vectors:
            return SpectrumRead(dense_spectrum(rows, center, normalize, self.tail, self.name), True, None)
        known = self._read.get((name, center))
        if known is None:
            found, directions = dense_decomposition(rows, center, normalize, self.tail, self.name)
            known = self._read[name, center] = SpectrumRead(found, True, directions)
        return known

    def _spectrum(self, name: str, center: bool, vectors: bool = False) -> SpectrumRead:
        """The same of sums; what was read once is kept, because a decomposition takes long."""
        known = self._read.get((name, center))
        if known is None or (vectors and known.directions is None):
            # Directions that will be asked for are read now, which saves a second decomposition.
            known = self.sums[name].read_spectrum(center, vectors=vectors or (self.vectors and center))
            self._read[name, center] = known
        return known

    @staticmethod
    def about_mean(rows: Tensor, normalize: str | None, center: bool) -> Tensor:
        """Rows as the spectrum takes them, float64: of unit length if asked for, and less their mean."""
        x = rows.double()
        if normalize:
            x = unit_rows(x)
        return x - x.mean(0) if center else x

    def inexact(self) -> list[str]:
        """The names of spectra that were added up by a method which turned out not to be exact enough."""
        names = []
        for name, sums in self.sums.items():
            # Sums that overflowed have no spectrum to be judged by; a more exact method has a wider range.
            if not sums.is_finite():
                names.append(name)
                continue
            found = [self._spectrum(name, center) for center in self.wanted[name].centers]
            if not all(s.spectrum.exact_tail if self.tail else s.exact for s in found):
                names.append(name)
        return names

    def more_exact(self, names: list[str]) -> SpectrumTally:
        """A tally without rows for a second pass, in which these spectra are exact whatever the rows are."""
        method = "float64"
        if self.tail:
            # All names share the second pass, so the most demanding one decides.
            method = max((self.sums[name].next_exact(self.wanted[name].centers) for name in names), key=METHODS.index)
        elif any(self.sums[name].method == "float64" for name in names):
            method = "qr"  # even float64 products left their range
        wanted = {name: self.wanted[name] for name in names}
        return SpectrumTally(
            wanted,
            method=method,
            of=self.of,
            tail=self.tail,
            margin=self.margin,
            n=self.n,
            vectors=self.vectors,
            name=self.name,
        )

    def adopt(self, other: SpectrumTally) -> None:
        """Take the sums of a second pass in place of the first's."""
        self.sums |= other.sums
        for name in other.sums:
            # What was read from the first pass's sums holds no longer.
            for center in (True, False):
                self._read.pop((name, center), None)


def as_arrays(spectrum: Spectrum) -> Spectrum:
    """The same spectrum in NumPy arrays."""
    mean = spectrum.mean
    return dataclasses.replace(
        spectrum,
        singular_values=spectrum.singular_values.cpu().numpy(),
        mean=None if mean is None else mean.cpu().numpy(),
    )
