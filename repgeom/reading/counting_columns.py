"""Which columns count the rows? An index that was saved beside features rises by the same step from row to row."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeom.reading.tally import Piece, State, Tally

FEWEST_ROWS = 8  # any two numbers are a progression
_FIRST_ROWS = 64  # of a piece, which rule most columns out
_ROUNDINGS = 4  # of the largest value, by which a value may lie beside the line


class CountingColumns(Tally):
    """Columns whose value is a + b · (number of the row), b not 0.

    Most columns are ruled out by the first rows, so that this costs next to nothing.
    """

    def __init__(self) -> None:
        self.n = 0
        self._origin = 0  # the row that values are taken from
        self._columns: Tensor | None = None  # (c,), those that may still count
        self._first = torch.empty(0, dtype=torch.float64)  # (c,), their values at the origin
        self._step = torch.empty(0, dtype=torch.float64)  # (c,), NaN before a second row
        self._rounding = 0.0

    def update(self, piece: Piece) -> None:
        if not len(piece):
            return
        self.n += len(piece)
        self._rounding = max(self._rounding, torch.finfo(piece.rows.dtype).eps)
        if self._columns is None:
            self._columns = torch.arange(piece.rows.shape[1])
            self._origin = int(piece.places[0])
            self._first = piece.rows[0].detach().cpu().double()
            self._step = torch.full_like(self._first, torch.nan)
        if len(self._columns):
            away = torch.as_tensor(piece.places).double() - self._origin
            self._rule_out(piece.rows[:, self._columns.to(piece.rows.device)].detach(), away)
        if len(self._columns):
            self._follow(piece.rows[:, self._columns.to(piece.rows.device)].detach().cpu().double(), away)

    def _rule_out(self, rows: Tensor, away: Tensor) -> None:
        """Drop columns that `_follow` would drop for the first of these rows alone: the others need not leave their device."""
        furthest = int(away.abs().argmax())
        if away[furthest] == 0:
            return
        step = (rows[furthest].cpu().double() - self._first) / away[furthest]
        slack = _ROUNDINGS * self._rounding * torch.maximum(rows.abs().amax(0).cpu().double(), self._first.abs())
        few = rows[:_FIRST_ROWS].cpu().double()
        fits = ((self._first + away[:_FIRST_ROWS, None] * step - few).abs() <= slack).all(0) & (step != 0)
        self._keep(fits, self._step)

    def _follow(self, rows: Tensor, away: Tensor) -> None:
        """Leave the columns in which rows (n, c), so far from the origin, lie on a line."""
        furthest = int(away.abs().argmax())
        if away[furthest] == 0:
            return
        # From the row that is furthest away, where rounding moves the step least.
        step = (rows[furthest] - self._first) / away[furthest]
        slack = _ROUNDINGS * self._rounding * torch.maximum(rows.abs().amax(0), self._first.abs())
        fits = ((self._first + away[:, None] * step - rows).abs() <= slack).all(0) & (step != 0)
        known = ~self._step.isnan()
        fits &= ~known | ((step - self._step).abs() * away.abs().max() <= 2 * slack)
        self._keep(fits, step)

    def _keep(self, fits: Tensor, step: Tensor) -> None:
        assert self._columns is not None
        self._columns, self._first, self._step = self._columns[fits], self._first[fits], step[fits]

    def merge(self, other: CountingColumns) -> None:
        if other._columns is None:
            return
        if self._columns is None:
            self.__dict__.update(other.__dict__)
            return
        self.n += other.n
        self._rounding = max(self._rounding, other._rounding)
        both = torch.isin(self._columns, other._columns)
        theirs = torch.searchsorted(other._columns, self._columns[both])
        first, step = other._first[theirs], other._step[theirs]
        self._keep(both, self._step)
        alike = (step - self._step).abs() <= 1e-3 * self._step.abs()
        unknown = step.isnan() | self._step.isnan()
        self._keep(alike | unknown, torch.where(self._step.isnan(), step, self._step))
        # The other's origin is one more row.
        away = torch.tensor([float(other._origin - self._origin)], dtype=torch.float64)
        self._follow(first[alike | unknown][None], away)

    def columns(self) -> tuple[int, ...]:
        """Numbers of the columns that count the rows; none of fewer than eight rows."""
        if self._columns is None or self.n < FEWEST_ROWS:
            return ()
        return tuple(self._columns[~self._step.isnan()].tolist())

    def state(self) -> State:
        return {
            "n": self.n, "origin": self._origin, "columns": self._columns, "first": self._first, "step": self._step,
            "rounding": self._rounding,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> CountingColumns:
        made = cls()
        made.n, made._origin, made._columns = state["n"], state["origin"], state["columns"]
        made._first, made._step, made._rounding = state["first"], state["step"], state["rounding"]
        return made
