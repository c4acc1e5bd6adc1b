"""A small encoder in a loop that trains it, of the kinds that a monitor meets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 8


class Encoder(nn.Module):
    """Two blocks and a head; dropout and batch norm, so that modes matter."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True)) for _ in range(2)])
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(self.drop(self.norm(x)))


def encoder(seed: int = 0, width: int = WIDTH) -> Encoder:
    torch.manual_seed(seed)
    return Encoder(width)


def batches(n: int, size: int = 64, width: int = WIDTH, seed: int = 1) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return list(torch.randn(n, size, width, generator=random))


def hooks_on(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def train(model, monitor, data, learning_rate=0.05):
    """Plain training; `monitor` may be None."""
    import contextlib

    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    for batch in data:
        with contextlib.nullcontext() if monitor is None else monitor.step():
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
