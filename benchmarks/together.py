"""Students of one width and several seeds, stepped together (as one model with a further dimension) or one after the other.

python -m benchmarks.together [SEEDS]     on this CPU, at 32 pixels, widths 1, 2 and 4

On one thread of a Xeon of two cores (torch 2.13, 2026-11-27, a busy machine, calls in turns) three students take 2.2, 1.9 and
2.3 times as long together as one by one at widths 1, 2 and 4, six of width 1 2.0 times. So runs train one at a time.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from benchmarks import timing
from repgeom_examples.distillation.students.networks import make_student

BATCH, OUT = 64, 512
Problem = tuple[list[nn.Module], Tensor, Tensor]


def problem(width: int, n_seeds: int, device: str, side: int = 32) -> Problem:
    """Students, a batch of images for each, and what each shall give."""
    students = [make_student("cnn", width, OUT, seed).to(device) for seed in range(n_seeds)]
    draws = torch.Generator().manual_seed(0)
    images = torch.randn(n_seeds, BATCH, 3, side, side, generator=draws).to(device)
    return students, images, torch.randn(n_seeds, BATCH, OUT, generator=draws).to(device)


def cosine(found: Tensor, target: Tensor) -> Tensor:
    return 1 - F.cosine_similarity(found, target).mean()


def one_by_one(made: Problem) -> Callable[[], list[Tensor]]:
    """A step of each in turn; gives the gradients of the first layer."""
    students, images, targets = made
    students = [student.to(memory_format=torch.channels_last).train() for student in students]
    seen = [part.contiguous(memory_format=torch.channels_last) for part in images]
    optimizers = [torch.optim.Adam(student.parameters(), lr=1e-3, fused=True) for student in students]

    def step() -> list[Tensor]:
        found = []
        for student, optimizer, x, target in zip(students, optimizers, seen, targets, strict=True):
            optimizer.zero_grad(set_to_none=True)
            cosine(student(x), target).backward()
            found.append(next(student.parameters()).grad)
            optimizer.step()
        return found

    return step


def together(made: Problem) -> Callable[[], list[Tensor]]:
    """A step of all at once, by `torch.func`; gives the gradients of the first layer."""
    students, images, targets = made
    base = copy.deepcopy(students[0]).train()
    # Each keeps its own statistics, so that a batch of one student does not count in another.
    parameters, buffers = stack_module_state(students)
    # `grad` differentiates by what it is given; that these ask for gradients too would record every step once more.
    parameters = {name: weight.detach() for name, weight in parameters.items()}
    leaves = list(parameters.values())
    optimizer = torch.optim.Adam(leaves, lr=1e-3, fused=True)

    def loss(weights: dict[str, Tensor], state: dict[str, Tensor], x: Tensor, target: Tensor) -> Tensor:
        return cosine(functional_call(base, (weights, state), (x,)), target)

    def step() -> list[Tensor]:
        gradients = vmap(grad(loss))(parameters, buffers, images, targets)
        for leaf, name in zip(leaves, parameters, strict=True):
            leaf.grad = gradients[name]
        optimizer.step()
        return list(leaves[0].grad)

    return step


def compared(width: int, n_seeds: int, device: str, runs: int = 7) -> dict[str, float]:
    """Seconds of a step of all students both ways, in turns, and the largest difference of gradients over their size."""
    steps = {
        "one by one": one_by_one(problem(width, n_seeds, device)),
        "together": together(problem(width, n_seeds, device)),
    }
    first, second = (step() for step in steps.values())
    apart = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(first, second, strict=True))
    return {**timing.in_turns(steps, runs), "difference": apart}


if __name__ == "__main__":
    for w in (1, 2, 4):
        print(json.dumps({"width": w, **compared(w, int((sys.argv[1:] or ["3"])[0]), "cpu")}))
