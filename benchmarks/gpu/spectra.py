"""The effective rank of features that lie on the device: beside torch's own decompositions, the floor, and float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

import repgeom as rg
from benchmarks import timing
from benchmarks.answer import ERROR_LIMIT
from benchmarks.gpu.measuring import LONG, Number, Setting, profile, seconds_of
from benchmarks.inside import centred, rank_of
from benchmarks.page import error

FASTER, FLOORS = 20.0, 1.5  # than svdvals; times the floor
# (leading, rows, features), of a try.
SHAPES = {
    "50k": ((50_000, 1_024), (3_000, 128)),
    "narrow": ((2_000, 8_192), (60, 256)),
    "4096": ((20_000, 4_096), (800, 160)),
    "8192": ((20_000, 8_192), (900, 192)),
    "stack": ((24, 50_000, 1_024), (3, 3_000, 128)),
    "small stack": ((1_000, 256, 64), (20, 64, 16)),
}
MOST_LAYERS = 2  # of a stack that torch decomposes one after the other; the rest is worked out


def features(shape: tuple[int, ...], device: str, dtype: torch.dtype) -> Tensor:
    """A power-law spectrum and a small mean."""
    generator = torch.Generator(device).manual_seed(0)
    scale = torch.arange(1, shape[-1] + 1, device=device, dtype=torch.float32) ** -0.5
    x = torch.randn(shape, generator=generator, device=device, dtype=torch.float32)
    return (x * scale + 0.1 * scale).to(dtype)


def problem(setting: Setting, which: str) -> Iterator[Number]:
    """All numbers of one shape and type."""
    what, _, dtype = which.rpartition(" ")
    if dtype not in ("float32", "bfloat16"):
        what, dtype = which, "float32"
    shape = SHAPES[what][setting.tiny]
    x = features(shape, setting.device, getattr(torch, dtype))
    yield Number("shape", list(shape))
    functions = {"effective_rank": lambda: rg.effective_rank(x), "spectrum": lambda: rg.spectrum(x)}
    took = {}
    for name, function in functions.items():
        took[name] = seconds_of(function)
        yield Number(f"seconds of rg.{name}", took[name])
    own = rg.spectrum(x)
    yield Number("method", own.method)
    known = truth(x)
    yield Number("error of rg.effective_rank", error(rg.effective_rank(x).tolist(), known), most=ERROR_LIMIT)
    yield Number("error of rg.spectrum", error(rank_of(own.singular_values), known), most=ERROR_LIMIT)
    parts = floor(x, own.method)
    for name, function in parts.items():
        took[name] = seconds_of(function)
        yield Number(f"seconds of {name}", took[name])
    least = sum(took[name] for name in parts if name.startswith("floor"))
    yield Number("times the floor", took["effective_rank"] / least, most=FLOORS)
    yield from profile(setting, "rg.effective_rank", functions["effective_rank"], took["effective_rank"])
    yield from beside(setting, x, took["effective_rank"])
    if setting.left > 10 and x.numel() < 1 << 28:
        here = x.cpu()
        yield Number("seconds of rg.effective_rank on this CPU", timing.once(lambda: rg.effective_rank(here)))


def beside(setting: Setting, x: Tensor, own: float) -> Iterator[Number]:
    """What torch's own decompositions take."""
    whole = x.float()  # torch decomposes nothing in half precision
    times = 1.0
    if x.ndim == 3 and x[0].numel() > 1 << 20:
        times = len(x) / MOST_LAYERS
        whole = whole[:MOST_LAYERS]
    took = times * seconds_of(lambda: torch.linalg.svdvals(centred(whole)))
    yield Number("seconds of torch.linalg.svdvals", took)
    yield Number("times faster than svdvals", took / own, least=FASTER)
    if took / times < 2 * LONG:
        took = times * seconds_of(lambda: torch.linalg.svd(centred(whole), full_matrices=False))
        yield Number("seconds of torch.linalg.svd", took)


def product(x: Tensor) -> Tensor:
    """The smaller of the two products of the features with themselves."""
    if x.shape[-2] < x.shape[-1]:
        return x @ x.mT
    return x.mT @ x


def floor(x: Tensor, method: str) -> dict[str, Callable[[], Any]]:
    """The product in the precision that repgeom says it has multiplied in, and the eigenvalues; others beside it."""
    used = method.split()[0]
    if used not in ("float32", "float64"):
        used = str(x.dtype).removeprefix("torch.") if used == "half" else "float64"
    layers = x if x.ndim == 3 else x[None]
    scatter = torch.stack([product(layer.double()) for layer in layers])
    if x.ndim == 2:
        scatter = scatter[0]
    found = {
        "floor: eigvalsh": lambda: torch.linalg.eigvalsh(scatter),
        f"floor: product in {used}": _product_in(x, used),
        "one pass over the values": lambda: x.sum(),
    }
    for precision in ("float64", "float32", "bfloat16"):
        if precision != used:
            found[f"product in {precision}, alone"] = _product_in(x, precision)
    return found


def _product_in(x: Tensor, precision: str) -> Callable[[], Any]:
    dtype = getattr(torch, precision)
    if x.ndim == 3 and x.numel() > 1 << 28:
        # A stack in float64 would not lie beside the others in memory.
        one = x[0].to(dtype)
        return lambda: [product(one) for _ in x]
    return partial(product, x.to(dtype))


def truth(x: Tensor) -> Any:
    """One problem after the other, so that a stack needs no second stack in float64."""
    if x.ndim > 2:
        return [truth(rows) for rows in x]
    rows = centred(centred(x.double()))
    return rank_of(torch.linalg.eigvalsh(product(rows)).clamp(min=0).flip(-1).sqrt())
