"""Steps of training as a CUDA graph: a small student's kernels take less time than the CPU needs to launch them one by one.

A graph is the step's own kernels, recorded once and then replayed with other images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .objectives import Objective

# Terms that never make the CPU wait for a number, draw nothing and see one view: only these can be recorded.
CAPTURABLE = ("cosine", "mse", "centered-cosine", "whitened-mse", "infonce", "rkd-angle", "vicreg", "barlow")
# Steps that are run one kernel at a time before one is recorded: libraries choose their algorithms in these.
WARM_UP = 3

Step = Callable[..., Tensor]


def is_capturable(device: torch.device, objective: Objective, *, augmented: bool, own_student: bool) -> bool:
    """Whether a student's steps are replayed: on CUDA, of terms that can be recorded, on images as they are.

    A student from outside is not: what its layers do is not known.
    """
    known = all(name in CAPTURABLE for name in objective.names)
    return device.type == "cuda" and known and not augmented and not own_student


class Replayed:
    """A step, called as itself, that is recorded at its fourth call and then replayed."""

    def __init__(self, step: Step, device: torch.device) -> None:
        self.step = step
        self.stream = torch.cuda.Stream(device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.n_calls = 0
        self.rows: Tensor | None = None
        self.loss: Tensor | None = None

    def __call__(self, rows: Tensor, *others: Any) -> Tensor:
        """The loss of these images, which holds until the next call."""
        self.n_calls += 1
        if self.n_calls <= WARM_UP:
            return self._beside(rows, *others)
        if self.graph is None:
            self._record(rows, *others)
        assert self.graph is not None
        assert self.rows is not None
        assert self.loss is not None
        self.rows.copy_(rows)
        self.graph.replay()
        return self.loss

    def _beside(self, *arguments: Any) -> Tensor:
        """A step on the stream that the graph will be recorded on, so that nothing is bound to another one."""
        here = torch.cuda.current_stream()
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            loss = self.step(*arguments)
        here.wait_stream(self.stream)
        return loss

    def _record(self, rows: Tensor, *others: Any) -> None:
        """Records a step; recording trains nothing."""
        self.rows = rows.clone()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=self.stream):
            self.loss = self.step(self.rows, *others)
