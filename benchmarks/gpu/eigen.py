"""Which eigensolver for which shape? All that torch has, on the device and on the CPU, for symmetric matrices of d × d."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.measuring import Number, Setting, seconds_of
from benchmarks.gpu.spectra import features
from repgeom.spectral.products import eigvalsh_in_threads

SIZES, COUNTS = (16, 32, 33, 64, 128, 256), (1_000, 24, 1)
DRIVERS = ("gesvdj", "gesvda")
EXACT = (
    "eigvalsh",
    "eigvalsh by NumPy in threads",
    "eigvalsh of torch on the CPU",
)  # to float64, without squaring twice
SLOW = 1_500.0  # milliseconds after which a solver is not asked for more columns


def scatters(count: int, d: int, device: str, dtype: torch.dtype = torch.float64) -> Tensor:
    """Products of features with themselves, (count, d, d)."""
    x = features((count, 2 * d, d), device, torch.float32).double()
    return (x.mT @ x).to(dtype)


def small(setting: Setting) -> Iterator[Number]:
    """Milliseconds of every solver for stacks of small matrices, by count and size, the longest stacks first."""
    counts, sizes = (COUNTS, SIZES) if not setting.tiny else ((4, 1), (16,))
    for count in counts:
        slow: set[str] = set()  # at this count, and at more columns then too
        for d in sizes:
            if setting.left < 6:
                yield Number("left out", f"from {count} x {d} x {d}")
                return
            scatter = scatters(count, d, setting.device)
            row: dict[str, Any] = {}
            for name, function in solvers(scatter).items():
                if name not in slow and setting.left > 4:
                    row[name] = milliseconds(function, 1)
                    if not isinstance(row[name], float) or row[name] > SLOW:
                        slow.add(name)
            row["largest relative difference to the CPU"] = difference(scatter[:8])
            yield Number(f"milliseconds, {count} x {d} x {d}", row)
            timed = {name: value for name, value in row.items() if isinstance(value, float) and name in EXACT}
            yield Number(f"fastest for {count} x {d} x {d}", min(timed, key=lambda name: timed[name]))


def solvers(scatter: Tensor) -> dict[str, Callable[[], Any]]:
    """Ways to the eigenvalues of a stack, by name."""
    single = scatter.float()
    found: dict[str, Callable[[], Any]] = {
        "eigvalsh": lambda: torch.linalg.eigvalsh(scatter),
        "eigvalsh by NumPy in threads": lambda: eigvalsh_in_threads(scatter),
        "eigvalsh of torch on the CPU": lambda: torch.linalg.eigvalsh(scatter.cpu()).to(scatter.device),
        "eigvalsh in float32": lambda: torch.linalg.eigvalsh(single),
        "svdvals": lambda: torch.linalg.svdvals(scatter),
    }
    if scatter.shape[-1] > 64:
        # torch's own threads stand in each other's way: with other work beside it, half a second a matrix.
        del found["eigvalsh of torch on the CPU"]
    if scatter.is_cuda:
        for driver in DRIVERS:
            found[f"svdvals, {driver}"] = lambda n=driver: torch.linalg.svdvals(scatter, driver=n)
    return found


def difference(scatter: Tensor) -> float:
    """Between the two devices' eigenvalues, in units of the largest."""
    here, there = torch.linalg.eigvalsh(scatter.cpu()), torch.linalg.eigvalsh(scatter).cpu()
    return float(((here - there).abs() / here.amax(-1, keepdim=True)).max())


def large(setting: Setting) -> Iterator[Number]:
    """Single matrices, and a stack of 24."""
    for d in (1_024, 2_048, 4_096) if not setting.tiny else (48,):
        yield Number(f"milliseconds, {d}", of_one(setting, d))
    d = setting.size(1_024, 48)
    stack = scatters(setting.size(24, 3), d, setting.device)
    yield Number(
        f"milliseconds, {len(stack)} x {d}",
        {
            "eigvalsh of the stack": milliseconds(lambda: torch.linalg.eigvalsh(stack)),
            "one by one": milliseconds(lambda: [torch.linalg.eigvalsh(one) for one in stack]),
            "on the CPU and back": milliseconds(lambda: torch.linalg.eigvalsh(stack.cpu()).to(stack.device)),
            "cholesky": milliseconds(lambda: torch.linalg.cholesky_ex(stack)),
            "in streams": milliseconds(lambda: in_streams(stack)),
        },
    )


def widest(setting: Setting) -> Iterator[Number]:
    """The same at d = 8,192, which a CPU takes minutes for."""
    d = setting.size(8_192, 64)
    yield Number(f"milliseconds, {d}", of_one(setting, d))


def of_one(setting: Setting, d: int) -> dict[str, Any]:
    """Milliseconds of a single matrix of d × d."""
    scatter = scatters(1, d, setting.device)[0]
    row: dict[str, Any] = {}
    for backend in ("default", "magma") if setting.device == "cuda" else ("default",):
        with preferred(backend) as there:
            if there and setting.left > 10:
                row[f"eigvalsh, {backend}"] = milliseconds(lambda: torch.linalg.eigvalsh(scatter))
    single = scatter.float()
    row["eigvalsh in float32"] = milliseconds(lambda: torch.linalg.eigvalsh(single))
    row["cholesky"] = milliseconds(lambda: torch.linalg.cholesky_ex(scatter))
    row["product of two in float64"] = milliseconds(lambda: scatter @ scatter)
    row["qr"] = milliseconds(lambda: torch.linalg.qr(scatter, mode="r"))
    row["eigh"] = milliseconds(lambda: torch.linalg.eigh(scatter))
    here = scatter.cpu()
    if d <= 4_096 or setting.left > 45:
        row["eigvalsh on the CPU and back"] = milliseconds(
            lambda: torch.linalg.eigvalsh(scatter.cpu()).to(scatter.device)
        )
    if d <= 4_096 and setting.left > 10:
        row["eigvalsh on the CPU in float32"] = milliseconds(lambda: torch.linalg.eigvalsh(here.float()))
    return row


def in_streams(stack: Tensor) -> None:
    """One by one, each in one of four streams."""
    if not stack.is_cuda:
        return
    streams = [torch.cuda.Stream() for _ in range(4)]
    for stream in streams:
        stream.wait_stream(torch.cuda.current_stream())
    for i, one in enumerate(stack):
        with torch.cuda.stream(streams[i % 4]):
            torch.linalg.eigvalsh(one)
    torch.cuda.synchronize()


def milliseconds(function: Callable[[], Any], runs: int = 3) -> float | str:
    """Of a call; what it said where it failed, which is an answer too."""
    try:
        return round(1e3 * seconds_of(function, runs), 4)
    except RuntimeError as error:
        if "CUDA error" in str(error):
            raise
        return f"failed: {str(error)[:120]}"


@contextlib.contextmanager
def preferred(backend: str) -> Iterator[bool]:
    """Whether torch has this library for linear algebra; within, it is the one that is used."""
    if backend == "default":
        yield True
        return
    before = torch.backends.cuda.preferred_linalg_library()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.backends.cuda.preferred_linalg_library(backend)
            there = True
        except RuntimeError:
            there = False
        try:
            yield there
        finally:
            torch.backends.cuda.preferred_linalg_library(before)
