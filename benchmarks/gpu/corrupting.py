"""Corruptions of images that lie on the device, beside this machine's CPU and imagecorruptions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

import repgeom as rg
from benchmarks import timing
from benchmarks.gpu.measuring import Number, Setting, profile, seconds_of
from benchmarks.references import incumbent, photographs
from repgeom import corruptions

BATCH = {32: (1_024, 4), 224: (64, 2)}  # images at once; of a try
ON_CPU = {32: 256, 224: 16}
FASTER = 500.0  # than imagecorruptions, in total
SEVERITY = 3


def images(pixels: int, n: int, device: str) -> Tensor:
    return photographs(pixels).repeat(-(-n // 2), 1, 1, 1)[:n].to(device)


def family(setting: Setting, pixels: str) -> Iterator[Number]:
    """Images a second, each and in total."""
    side = int(pixels)
    x = images(side, BATCH[side][setting.tiny], setting.device)
    names = list(corruptions.names())
    own = {name: seconds_of(ours(x, name), 3) / len(x) for name in names}
    yield Number("images a second", {name: round(1 / seconds, 1) for name, seconds in own.items()})
    yield Number("images a second, all corruptions", 1 / sum(own.values()))
    slow = sorted(own, key=lambda name: -own[name])[: setting.size(4, 1)]
    yield Number("slowest", ", ".join(f"{name} {100 * own[name] / sum(own.values()):.0f} %" for name in slow))
    # With few images: how it is split between the other package and ours does not matter for its sum.
    few = images(side, setting.size(ON_CPU[side], 2), "cpu")
    if find_spec("imagecorruptions") is not None:
        yield from rival(few[0], own)
    for name in slow:
        yield from profile(setting, name, ours(x, name), own[name] * len(x))
    if setting.left > 8:
        cpu = {name: timing.once(ours(few, name)) / len(few) for name in names}
        yield Number("images a second on this CPU", 1 / sum(cpu.values()))
        yield Number("times faster than on this CPU", sum(cpu.values()) / sum(own.values()))
    if setting.left > 4:
        found = {name: differing(few, name, setting.device) for name in names}
        shares, most = ({name: pair[i] for name, pair in found.items()} for i in (0, 1))
        yield Number("share of values that differ from the CPU's, given the same draws", shares)
        yield Number("largest share of values that differ from the CPU's", max(shares.values()))
        yield Number("grey levels of the largest difference from the CPU's", most)
        yield Number("grey levels of the largest difference of all", max(most.values()))


def rival(image: Tensor, own: dict[str, float]) -> Iterator[Number]:
    """What imagecorruptions takes for an image, beside our seconds."""
    array = image.permute(1, 2, 0).numpy()
    theirs = {name: other(lambda name=name: incumbent.shipped(name, array, SEVERITY)) for name in own}
    yield Number("seconds an image of imagecorruptions", theirs)
    both = [name for name in own if isinstance(theirs[name], float)]
    yield Number("corruptions compared", len(both), least=len(own))
    if both:
        total = sum(theirs[name] for name in both)
        yield Number("images a second of imagecorruptions", 1 / total)
        yield Number("times faster than imagecorruptions", total / sum(own[name] for name in both), least=FASTER)


def ours(x: Tensor, name: str) -> Callable[[], Any]:
    return lambda: corruptions.corrupt(x, name, SEVERITY, strengths="imagenet")


def differing(x: Tensor, name: str, device: str) -> tuple[float, int]:
    """The share of values that differ between devices when both are given the same draws, and by how many grey levels at most."""
    options: dict[str, Any] = {"strengths": "imagenet"}
    params = corruptions.draw(name, (x.shape[2], x.shape[3]), SEVERITY, indices=range(len(x)), **options)
    here, there = (corruptions.apply(x.to(place), name, params, SEVERITY, **options).cpu() for place in ("cpu", device))
    return float((here != there).double().mean()), int((here.int() - there.int()).abs().max())


def other(function: Callable[[], Any]) -> float | str:
    """Seconds of the other package's call after a first one; what it said where it fails with these versions."""
    try:
        function()
        return timing.once(function)
    except Exception as error:
        return f"failed: {error!r}"[:200]


def suite(setting: Setting) -> Iterator[Number]:
    """`corruption_robustness` of images through a small encoder, end to end."""
    n = setting.size(10_000, 24)
    x = corruptions.corrupt(images(32, n, setting.device), "gaussian_noise", 5, seed=1)  # so that no two are equal
    encoder = small_encoder().to(setting.device)
    labels = np.arange(n) % 2
    options: dict[str, Any] = {"corruptions": ["contrast", "spatter"], "severities": [1, 3]} if setting.tiny else {}

    def run(**chosen: Any) -> None:
        rg.robustness.corruption_robustness(encoder, x, labels, **{"k": 5, **options, **chosen})

    run(corruptions=["contrast"], severities=[1])  # warms up
    took = timing.once(run)
    yield Number("seconds", took)
    cells = len(options.get("corruptions", corruptions.names())) * len(options.get("severities", range(5)))
    yield Number("images a second, corrupted, encoded and measured", n * cells / took)
    yield from profile(setting, "one cell", lambda: run(corruptions=["contrast"], severities=[1]), took / cells)
    start = time.perf_counter()
    for name in options.get("corruptions", corruptions.names()):
        corruptions.corrupt(x, name, SEVERITY)
    timing.wait()
    yield Number("seconds of one severity's corruptions alone", time.perf_counter() - start)


def small_encoder() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 5, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(32, 64, 5, stride=2), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(),
    )  # fmt: skip
