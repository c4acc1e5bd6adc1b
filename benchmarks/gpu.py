"""Child program for the GPU's rows: data made on it, the truth by float64 products of the same values.

python -m benchmarks.gpu SIZES RUNS [DEVICE]     {"features": [n, d], "layers": k, "small": [m, ...]}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

import repgeom as rg
from benchmarks import timing
from benchmarks.answer import ERROR_LIMIT
from benchmarks.data import Values
from benchmarks.inside import centred, rank_of
from benchmarks.page import error, say

PRECISIONS = ("float64", "float32", "bfloat16")


def features(*shape: int, device: str) -> Tensor:
    generator = torch.Generator(device).manual_seed(0)
    return (
        torch.randn(shape, generator=generator, device=device) * torch.arange(1, shape[-1] + 1, device=device) ** -0.5
    )


def truth(x: Tensor) -> Any:
    """One problem after the other, so that a stack needs no second stack in float64."""
    if x.ndim > 2:
        return [truth(rows) for rows in x]
    rows = centred(x.double())
    return rank_of(torch.linalg.eigvalsh(rows.mT @ rows).clamp(min=0).flip(-1).sqrt())


def candidates(x: Tensor) -> dict[str, Callable[[], Any]]:
    whole = x.float()  # torch decomposes nothing in half precision
    return {
        "repgeom.effective_rank": lambda: rg.effective_rank(x).tolist(),
        "repgeom.spectrum": lambda: rank_of(rg.spectrum(x).singular_values),
        "torch.linalg.svdvals, centred": lambda: rank_of(torch.linalg.svdvals(centred(whole))),
        "torch.linalg.svd, centred": lambda: rank_of(torch.linalg.svd(centred(whole), full_matrices=False).S),
    }


def parts(x: Tensor) -> dict[str, Callable[[], Any]]:
    """Of the floor, with the product in every precision; which of them counts is known afterwards."""
    scatter = x.mT.double() @ x.double() if x.ndim == 2 else torch.stack([r.mT.double() @ r.double() for r in x])
    found: dict[str, Callable[[], Any]] = {
        "floor: eigvalsh": lambda: torch.linalg.eigvalsh(scatter),
        "floor: one pass": lambda: x.sum(),
    }
    for precision in PRECISIONS:
        found[f"floor: product in {precision}"] = partial(product, x.to(getattr(torch, precision)))
    return found


def product(x: Tensor) -> Tensor:
    return x.mT @ x


def problem(x: Tensor, runs: int) -> Values:
    """Rows of one problem; the floor multiplies in the precision that repgeom says it has multiplied in."""
    say(f"GPU: {tuple(x.shape)} {x.dtype}")
    functions, known = candidates(x), truth(x)
    rows: Values = {}
    for name, function in functions.items():
        value = function()
        rows[name] = {"value": value, "error": error(value, known), "threads": "GPU"}
        if name.startswith("repgeom") and not rows[name]["error"] <= ERROR_LIMIT:
            raise SystemExit(f"{name} of {tuple(x.shape)} {x.dtype} is off by {rows[name]['error']:.1e}.")
    pieces = parts(x)
    for function in pieces.values():
        function()
    for name, seconds in timing.in_turns(functions | pieces, runs).items():
        rows[name] = rows.get(name, {"threads": "GPU"}) | {"seconds": seconds}
    used = rg.spectrum(x).method.split()[0]
    used = used if used in PRECISIONS else str(x.dtype).removeprefix("torch.")
    for precision in PRECISIONS:
        row = rows.pop(f"floor: product in {precision}")
        if precision == used:
            rows["floor: product"] = row | {"precision": precision}
        else:
            rows[f"torch XᵀX in {precision}, alone"] = row
    return rows


def small(sizes: list[int], runs: int, device: str) -> Values:
    """torch's batched `eigvalsh`, whose libraries change their method with the size."""
    stacks = [features(1_000, 4 * m, m, device=device).double() for m in sizes]
    functions = {f"torch.linalg.eigvalsh, {m} x {m}": partial(torch.linalg.eigvalsh, product(x))
                 for m, x in zip(sizes, stacks, strict=True)}  # fmt: skip
    for function in functions.values():
        function()
    return {name: {"seconds": s, "threads": "GPU"} for name, s in timing.in_turns(functions, runs).items()}


def main(sizes: str, runs: str, device: str = "cuda") -> Values:
    wanted, found = json.loads(sizes), {}
    n, d = wanted["features"]
    for dtype in (torch.float32, torch.bfloat16):
        for layers in (1, wanted["layers"]):
            shape = (n, d) if layers == 1 else (layers, n, d)
            title = f"GPU: {f'{layers} x ' * (layers > 1)}{n:,} x {d:,} {str(dtype).removeprefix('torch.')}"
            found[title] = problem(features(*shape, device=device).to(dtype), int(runs))
    found["GPU: 1,000 small float64 problems"] = small(wanted["small"], int(runs), device)
    return found


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
