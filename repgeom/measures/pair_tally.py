"""What two representations of the same samples share, from one pass over both: cross products and lengths of rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from repgeom.data.arrays import unit_rows
from repgeom.measures.pair_sums import PairSums, pair_sums
from repgeom.reading.tally import Piece, State, Tally


@dataclasses.dataclass
class _Sums:
    """Sums over rows u_i and v_i of the two, each taken about a fixed origin; p_i = ‖u_i‖², q_i = ‖v_i‖²."""

    origin_x: Tensor
    origin_y: Tensor
    n: int
    cross: Tensor  # Σ u vᵀ
    u: Tensor  # Σ u, and so on
    v: Tensor
    p: Tensor
    q: Tensor
    pp: Tensor
    qq: Tensor
    pq: Tensor
    pu: Tensor
    pv: Tensor
    qu: Tensor
    qv: Tensor

    @classmethod
    def none(cls, origin_x: Tensor, origin_y: Tensor) -> _Sums:
        zero = origin_x.new_zeros(())
        u, v = torch.zeros_like(origin_x), torch.zeros_like(origin_y)
        cross = origin_x.new_zeros(len(u), len(v))
        return cls(origin_x, origin_y, 0, cross, u, v, zero, zero, zero, zero, zero, u, v, u, v)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add rows (n, d1) and (n, d2), float64."""
        u, v = x - self.origin_x, y - self.origin_y
        p, q = u.square().sum(1), v.square().sum(1)
        self.n += len(u)
        self.cross = self.cross.addmm_(u.mT, v)
        self.u, self.v = self.u + u.sum(0), self.v + v.sum(0)
        self.p, self.q = self.p + p.sum(), self.q + q.sum()
        self.pp, self.qq, self.pq = self.pp + p @ p, self.qq + q @ q, self.pq + p @ q
        self.pu, self.qu = self.pu + p @ u, self.qu + q @ u
        self.pv, self.qv = self.pv + p @ v, self.qv + q @ v

    def merge(self, other: _Sums) -> None:
        """Add sums about the same origins."""
        for field in dataclasses.fields(self):
            if not field.name.startswith("origin"):
                setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def about(self, origin_x: Tensor, origin_y: Tensor, squares_x: Tensor, squares_y: Tensor) -> _Sums:
        """The same sums about other origins. `squares_x`, `squares_y`: Σ u uᵀ and Σ v vᵀ about today's.

        With u' = u − s and v' = v − t, every sum follows from expanding p' = p − 2 u·s + s² and q' = q − 2 v·t + t².
        """
        s, t, n = origin_x - self.origin_x, origin_y - self.origin_y, self.n
        ss, tt = s @ s, t @ t
        su, tv = s @ self.u, t @ self.v
        squares_xs, squares_yt = squares_x @ s, squares_y @ t
        crossed_t, crossed_s = self.cross @ t, s @ self.cross
        cross = self.cross - torch.outer(self.u, t) - torch.outer(s, self.v) + n * torch.outer(s, t)
        u, v = self.u - n * s, self.v - n * t
        p, q = self.p - 2 * su + n * ss, self.q - 2 * tv + n * tt
        pp = self.pp + 4 * s @ squares_xs + n * ss**2 - 4 * s @ self.pu + 2 * ss * self.p - 4 * ss * su
        qq = self.qq + 4 * t @ squares_yt + n * tt**2 - 4 * t @ self.qv + 2 * tt * self.q - 4 * tt * tv
        pq = (
            self.pq - 2 * t @ self.pv - 2 * s @ self.qu + 4 * s @ crossed_t + tt * self.p + ss * self.q
            - 2 * tt * su - 2 * ss * tv + n * ss * tt
        )  # fmt: skip
        # Σ p' u' = Σ (p − 2 u·s + s²)(u − s), and so on.
        pu = self.pu - 2 * squares_xs + ss * self.u - p * s
        qv = self.qv - 2 * squares_yt + tt * self.v - q * t
        pv = self.pv - 2 * crossed_s + ss * self.v - p * t
        qu = self.qu - 2 * crossed_t + tt * self.u - q * s
        return _Sums(origin_x, origin_y, n, cross, u, v, p, q, pp, qq, pq, pu, pv, qu, qv)


class PairTally(Tally):
    """Sums over pairs of rows, from which linear CKA, Procrustes' distance and the mean cosine are read.

    No more rows than either has features are held as they are. Memory is O(d1 d2).

    Args:
        normalize: "l2" scales each row to unit length first.
    """

    def __init__(self, normalize: str | None = None) -> None:
        self.normalize = normalize
        self.sums: _Sums | None = None
        self.held: list[tuple[Tensor, Tensor]] = []
        self.cosines = 0.0  # sum over rows of their cosine, where the widths are the same
        self.n = 0
        self._origins: tuple[Tensor, Tensor] | None = None

    def prepare(self, first: Piece) -> None:
        x, y = self._rows(first)
        # Near the means of all rows: about zero, fourth powers of a large mean would leave no digits for the spread.
        self._origins = x.mean(0), y.mean(0)

    def plan(self) -> State:
        origins = self._origins
        if self.sums is not None:
            origins = self.sums.origin_x, self.sums.origin_y
        return {"origins": None if origins is None else list(origins)}

    def follow(self, plan: State) -> None:
        if plan["origins"] is not None:
            self._origins = plan["origins"][0], plan["origins"][1]

    def _rows(self, piece: Piece) -> tuple[Tensor, Tensor]:
        assert piece.reference is not None
        x, y = piece.rows.double(), piece.reference.double()
        if self.normalize:
            x, y = unit_rows(x), unit_rows(y)
        return x, y

    def update(self, piece: Piece) -> None:
        if not len(piece):
            return
        x, y = self._rows(piece)
        self.n += len(x)
        if x.shape[1] == y.shape[1]:
            units = (x, y) if self.normalize else (unit_rows(x), unit_rows(y))
            self.cosines += float((units[0] * units[1]).sum())
        self._add(x, y)

    def _add(self, x: Tensor, y: Tensor) -> None:
        held = sum(len(rows) for rows, _ in self.held)
        if self.sums is None and held + len(x) <= max(x.shape[1], y.shape[1]):
            self.held.append((x, y))
            return
        if self.sums is None:
            self.sums = _Sums.none(*(self._origins or (x.mean(0), y.mean(0))))
            for rows in self.held:
                self.sums.add(*rows)
            self.held = []
        self.sums.add(x, y)

    def merge(self, other: PairTally) -> None:
        """Add all pairs that `other` has seen; its sums must be about the same origins (see `move`)."""
        self.n += other.n
        self.cosines += other.cosines
        if self.sums is None and other.sums is not None:
            held, self.held, self.sums = self.held, [], other.sums
            for rows in held:
                self.sums.add(*rows)
        elif self.sums is not None and other.sums is not None:
            self.sums.merge(other.sums)
        for x, y in other.held:
            self._add(x, y)

    def move(self, other: PairTally, scatter_x: Tensor | None, scatter_y: Tensor | None) -> None:
        """Take the sums about the origins of another tally. `scatter_x`, `scatter_y`: this one's, about the means."""
        if self.sums is None or other.sums is None or scatter_x is None or scatter_y is None:
            return
        # Moving costs digits and time, so sums that fit stay.
        if torch.equal(self.sums.origin_x, other.sums.origin_x) and torch.equal(
            self.sums.origin_y, other.sums.origin_y
        ):
            return
        squares = self._squares(scatter_x, scatter_y)
        self.sums = self.sums.about(other.sums.origin_x, other.sums.origin_y, *squares)

    def _squares(self, scatter_x: Tensor, scatter_y: Tensor) -> tuple[Tensor, Tensor]:
        """Σ u uᵀ and Σ v vᵀ about the origins, of sums of squares about the means."""
        assert self.sums is not None
        u, v, n = self.sums.u, self.sums.v, self.sums.n
        return scatter_x + torch.outer(u, u) / n, scatter_y + torch.outer(v, v) / n

    def state(self) -> State:
        sums: dict[str, Any] | None = None
        if self.sums is not None:
            sums = {field.name: getattr(self.sums, field.name) for field in dataclasses.fields(self.sums)}
        return {
            "normalize": self.normalize, "sums": sums, "held": [list(rows) for rows in self.held], "cosines": self.cosines,
            "n": self.n,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> PairTally:
        made = cls(state["normalize"])
        if state["sums"] is not None:
            made.sums = _Sums(**state["sums"])
        made.held = [(x, y) for x, y in state["held"]]
        made.cosines, made.n = state["cosines"], state["n"]
        return made

    # What is read at the end -----------------------------------------------------------------------------------------

    def mean_cosine(self) -> float:
        """Mean over rows of the cosine of row i of both."""
        return self.cosines / self.n

    def pair_sums(self, scatter_x: Tensor | None, scatter_y: Tensor | None) -> PairSums:
        """Sums about the two means. `scatter_x`, `scatter_y`: sums of squares and products about them, where there are any."""
        if self.sums is None:
            x, y = (torch.cat(rows) for rows in zip(*self.held, strict=True))
            return pair_sums(x, y)
        assert scatter_x is not None
        assert scatter_y is not None
        sums = self.sums
        means = sums.origin_x + sums.u / sums.n, sums.origin_y + sums.v / sums.n
        s = sums.about(*means, *self._squares(scatter_x, scatter_y))
        return PairSums(s.cross, scatter_x, scatter_y, s.n, s.p, s.q, s.pp, s.qq, s.pq)
