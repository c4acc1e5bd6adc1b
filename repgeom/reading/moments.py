"""Count, mean and spread of rows that come in pieces."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from repgeom.reading.tally import State


@dataclasses.dataclass
class Moments:
    """Count, mean and sum of squares about the mean of rows, float64, by the pairwise update of Chan et al. (1983)."""

    n: int = 0
    mean: Tensor = dataclasses.field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    squares: Tensor = dataclasses.field(default_factory=lambda: torch.zeros((), dtype=torch.float64))

    @classmethod
    def of(cls, rows: Tensor) -> Moments:
        """Of rows (n, ...)."""
        mean = rows.mean(0)
        return cls(len(rows), mean.double(), (rows - mean).square_().sum(0).double())

    def merge(self, other: Moments) -> None:
        """Adds all rows of `other`."""
        total = self.n + other.n
        if not other.n:
            return
        step = other.mean - self.mean
        self.squares = self.squares + other.squares + step.square() * (self.n * other.n / total)
        self.mean = self.mean + step * (other.n / total)
        self.n = total

    def state(self) -> State:
        return {"n": self.n, "mean": self.mean, "squares": self.squares}

    @classmethod
    def from_state(cls, state: State) -> Moments:
        return cls(**state)

    def scaled(self, factor: float) -> Moments:
        """Of the same rows times a factor."""
        return Moments(self.n, self.mean * factor, self.squares * factor**2)
