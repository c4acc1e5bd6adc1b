"""Child program for corruptions and probes beside the other tools, in one process and in turns.

    python -m benchmarks.images corruptions PIXELS IMAGES RUNS DEVICE   seconds an image of the whole family, severity 3
    python -m benchmarks.images probe ROWS FEATURES RUNS                a path of 20 strengths beside scikit-learn's
    python -m benchmarks.images suite IMAGES                            the whole family at five severities, with its memory

Each prints JSON as its last line. The fastest other package, imagecorruptions, is measured where it is installed. It works
image by image and knows ImageNet strengths only, so both use those.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

import repgeom as rg
from benchmarks import timing
from benchmarks.references import incumbent, photographs
from repgeom import corruptions
from repgeom.probes.linear import DEFAULT_C
from repgeom.probes.logistic import LogisticPath

Values = dict[str, Any]
CLASSES = 10
PAUSE = 0.05  # other libraries' threads spin for a while after their work


def family(pixels: int, n_images: int, runs: int, device: str) -> Values:
    """Seconds for one image under every corruption: ours in one batch, the other package's one by one."""
    x = photographs(pixels).repeat(n_images // 2, 1, 1, 1)
    few = [image.permute(1, 2, 0).numpy() for image in x[:2]]
    x = x.to(device)

    def ours(name: str) -> None:
        corruptions.corrupt(x, name, 3, strengths="imagenet")

    def theirs(name: str) -> None:
        for image in few:
            incumbent.shipped(name, image, 3)

    found = {"seconds": sum(seconds_an_image(ours, name, len(x), runs) for name in corruptions.names())}
    if find_spec("imagecorruptions") is not None:
        found["imagecorruptions"] = sum(seconds_an_image(theirs, n, len(few), runs) for n in corruptions.names())
    return found


def seconds_an_image(function: Callable[[str], None], name: str, n_images: int, runs: int) -> float:
    function(name)  # warms up
    taken = []
    for _ in range(runs):
        time.sleep(PAUSE)
        taken.append(timing.once(lambda: function(name)))
    return statistics.median(taken) / n_images


def labelled(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows with a power-law spectrum whose ten classes overlap."""
    random = np.random.default_rng(0)
    scale = np.arange(1, d + 1) ** -0.5
    means = 0.15 * random.standard_normal((CLASSES, d)) * scale
    y = random.integers(0, CLASSES, n)
    x = means[y] + random.standard_normal((n, d)) * scale
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), y


def probe(n: int, d: int, runs: int) -> Values:
    """A path of 20 strengths on the same rows, and how far ours ends from the best objective known."""
    x, y = labelled(n, d)
    rows, codes = torch.from_numpy(x), torch.from_numpy(y)

    def ours() -> LogisticPath:
        return LogisticPath(rows, codes, CLASSES, DEFAULT_C, 1e-8, 2000).solve()

    def theirs() -> None:
        for c in DEFAULT_C:
            LogisticRegression(C=c, max_iter=2000).fit(x, y)

    path = ours()
    seconds = timing.in_turns({"repgeom": ours, "scikit-learn": theirs}, runs)
    best = LogisticPath(rows.double(), codes, CLASSES, DEFAULT_C, 1e-10, 5000).solve(path.found)
    away = [excess(path, best, i, c, rows, codes) for i, c in enumerate(DEFAULT_C)]
    return {"seconds": seconds["repgeom"], "scikit-learn": seconds["scikit-learn"], "error": max(away)}


def excess(path: LogisticPath, best: LogisticPath, i: int, c: float, rows: Tensor, codes: Tensor) -> float:
    """Relative excess of the objective at one strength."""
    own, least = (objective(p.weight[i], p.bias[i], c, rows, codes) for p in (path, best))
    return abs(own / least - 1)


def objective(weight: Tensor, bias: Tensor, c: float, rows: Tensor, codes: Tensor) -> float:
    """½ ‖W‖² + C Σ loss, in float64."""
    weight, total = weight.double(), 0.0
    for part, y in zip(rows.split(10_000), codes.split(10_000), strict=True):
        logits = torch.addmm(bias.double(), part.double(), weight.mT)
        total += float(torch.nn.functional.cross_entropy(logits, y, reduction="sum"))
    return float(weight.square().sum()) / 2 + c * total


def suite(n_images: int) -> Values:
    """19 corruptions at 5 severities over images of 32 px through a small convolutional encoder."""
    x = photographs(32).repeat(n_images // 2, 1, 1, 1)
    x = corruptions.corrupt(x, "gaussian_noise", 5, seed=1)  # so that no two images are equal
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 5, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(32, 64, 5, stride=2), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(),
    )  # fmt: skip
    labels = np.arange(len(x)) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seconds = timing.once(lambda: rg.robustness.corruption_robustness(encoder, x, labels))
    return {"seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def main(action: str, *rest: str) -> Values:
    if action == "corruptions":
        return family(*map(int, rest[:3]), rest[3])
    if action == "probe":
        return probe(*map(int, rest))
    return suite(int(rest[0]))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
