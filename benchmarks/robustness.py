"""Corruptions and probes beside the other tools, in this process and in turns.

    python -m benchmarks.robustness speed SIZE IMAGES RUNS DEVICE   images a second of every corruption, severity 3
    python -m benchmarks.robustness fidelity SIZE                   against the slow reference in tests/, draws replayed
    python -m benchmarks.robustness probe ROWS FEATURES RUNS        a path of 20 strengths beside scikit-learn's
    python -m benchmarks.robustness suite IMAGES                    the whole family at five severities, with its memory
    python -m benchmarks.robustness coverage REPLICATES             how often intervals of drift hold the population's value

Each prints JSON as its last line. The fastest other package, imagecorruptions, is measured where it is installed.
"""

from __future__ import annotations

import itertools
import json
import math
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info
from torch import Tensor

import repgeom as rg
from repgeom import corruptions
from repgeom.corruptions import strengths
from repgeom.probes.linear import DEFAULT_C
from repgeom.probes.logistic import LogisticPath
from repgeom.robustness.drift import Clean
from repgeom.robustness.measurement import Measurement

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "corruptions"))
import corruption_reference
import incumbent
from conftest import photographs

Values = dict[str, Any]
TABLES = {32: "cifar", 64: "tiny", 224: "imagenet", 299: "inception"}
CLASSES = 10
PAUSE = 0.05  # other libraries' threads spin for a while after their work


def seconds(function: Callable[[], Any], device: str = "cpu") -> float:
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


# Corruptions ---------------------------------------------------------------------------------------------------------


def speed(size: int, n_images: int, runs: int, device: str) -> Values:
    """Seconds an image, ours in one batch and the other package's one by one, both at ImageNet strengths."""
    x = photographs(size).repeat(n_images // 2, 1, 1, 1)
    few = [image.permute(1, 2, 0).numpy() for image in x[: 4 if size < 200 else 2]]
    there = x.to(device)
    found: Values = {}
    for name in corruptions.names():

        def ours(name: str = name) -> None:
            corruptions.corrupt(there, name, 3, strengths="imagenet")

        def theirs(name: str = name) -> None:
            for image in few:
                incumbent.shipped(name, image, 3)

        functions = {"repgeom": (ours, len(x))} | ({"imagecorruptions": (theirs, len(few))} if rival() else {})
        taken: dict[str, list[float]] = {tool: [] for tool in functions}
        for i in range(runs + 1):
            for tool, (function, images) in functions.items():
                time.sleep(PAUSE)
                one = seconds(function, device) / images
                if i:
                    taken[tool].append(one)
        found[name] = {tool: statistics.median(values) for tool, values in taken.items()}
    return found


def rival() -> str | None:
    try:
        return version("imagecorruptions")
    except PackageNotFoundError:
        return None


def fidelity(size: int) -> Values:
    """Over both photographs and all severities: largest difference in grey levels, equal share, least PSNR."""
    return {name: compared(name, size) for name in corruptions.names()}


def compared(name: str, size: int) -> Values:
    pairs = [both(name, size, severity) for severity in range(1, 6)]
    away = [abs(ours - theirs) for ours, theirs in pairs]
    return {
        "most": max(float(a.max()) for a in away),
        "equal": min(float((a == 0).mean()) for a in away),
        "psnr": min(10 * math.log10(255**2 / max(1e-10, float((a**2).mean()))) for a in away),
    }


def both(name: str, size: int, severity: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey levels (2, 3, size, size) of both photographs: ours, and the reference's with our draws."""
    x, table = photographs(size), TABLES[size]
    small, photos = frost_photographs(size, severity, table) if name == "frost" else (None, None)
    options: Values = {"strengths": table, "frost_images": photos}
    params = corruptions.draw(name, (size, size), severity, indices=[0, 1], seed=7, **options)
    ours = corruptions.apply(x, name, params, severity, **options).numpy().astype(float)
    theirs = []
    for i, image in enumerate(x):
        draws = {key: value[i].numpy() for key, value in params.items()}
        y = corruption_reference.reference(name, image.permute(1, 2, 0).numpy(), severity, table, draws, small)
        theirs.append(np.floor(y * 255).transpose(2, 0, 1))
    return ours, np.array(theirs)


def frost_photographs(size: int, severity: int, table: str) -> tuple[list[np.ndarray], list[Tensor]]:
    """Stand-ins for frost at the table's scale, and the large ones that scale down to them exactly."""
    times = round(1 / strengths.between("frost", severity, table)[2])
    texture = corruptions.corrupt(torch.zeros(2, 3, size + 20, size + 20), "frost", 5, strengths="imagenet")
    small = [(photo * 255).to(torch.uint8).permute(1, 2, 0).numpy() for photo in texture]
    large = [np.repeat(np.repeat(photo, times, 0), times, 1).transpose(2, 0, 1).copy() for photo in small]
    return small, [torch.from_numpy(photo) for photo in large]


# Probe ---------------------------------------------------------------------------------------------------------------


def labelled(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows with a power-law spectrum whose ten classes overlap."""
    rng = np.random.default_rng(0)
    scale = np.arange(1, d + 1) ** -0.5
    means = 0.15 * rng.standard_normal((CLASSES, d)) * scale
    y = rng.integers(0, CLASSES, n)
    x = means[y] + rng.standard_normal((n, d)) * scale
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), y


def probe(n: int, d: int, runs: int) -> Values:
    """A path of 20 strengths on the same rows, and how far both end from the best objective known."""
    x, y = labelled(n, d)
    rows, codes = torch.from_numpy(x), torch.from_numpy(y)
    taken: dict[str, list[float]] = {"repgeom": [], "scikit-learn": []}
    for i in range(runs + (runs > 1)):
        start = time.perf_counter()
        path = LogisticPath(rows, codes, CLASSES, DEFAULT_C, 1e-8, 2000).solve()
        ours = time.perf_counter() - start
        start = time.perf_counter()
        fits = [LogisticRegression(C=c, max_iter=2000).fit(x, y) for c in DEFAULT_C]
        theirs = time.perf_counter() - start
        if i or runs == 1:
            taken["repgeom"].append(ours)
            taken["scikit-learn"].append(theirs)
    best = LogisticPath(rows.double(), codes, CLASSES, DEFAULT_C, 1e-10, 5000).solve(path.found)
    mine = [objective(path.weight[i], path.bias[i], c, rows, codes) for i, c in enumerate(DEFAULT_C)]
    others = [objective(*map(torch.from_numpy, (f.coef_, f.intercept_)), f.C, rows, codes) for f in fits]
    truth = [objective(best.weight[i], best.bias[i], c, rows, codes) for i, c in enumerate(DEFAULT_C)]
    found = {tool: {"seconds": statistics.median(values)} for tool, values in taken.items()}
    for tool, values in (("repgeom", mine), ("scikit-learn", others)):
        found[tool]["error"] = max((v - t) / t for v, t in zip(values, truth, strict=True))
    return found | {"accuracy": {"train": float((path.scores(rows, codes)[0])[10])}}


def objective(weight: Tensor, bias: Tensor, c: float, rows: Tensor, codes: Tensor) -> float:
    """½ ‖W‖² + C Σ loss, in float64."""
    weight, total = weight.double(), 0.0
    for part, y in zip(rows.split(10_000), codes.split(10_000), strict=True):
        logits = torch.addmm(bias.double(), part.double(), weight.mT)
        total += float(torch.nn.functional.cross_entropy(logits, y, reduction="sum"))
    return float(weight.square().sum()) / 2 + c * total


# The whole suite -----------------------------------------------------------------------------------------------------


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
        start = time.perf_counter()
        table = rg.robustness.corruption_robustness(encoder, x, labels)
    taken = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": taken, "memory": memory, "cells": len(table.groupby(["corruption", "severity"])) - 1}


# Intervals -----------------------------------------------------------------------------------------------------------

SPECTRA = {"i^-1": lambda i: i**-1.0, "0.9^i": lambda i: 0.9**i}
COVERED = (
    "accuracy_drop", "cosine_drift", "centred_cosine_drift", "relative_l2_drift", "centred_relative_l2_drift",
    "effective_rank_ratio", "effective_rank_ratio_sigma", "participation_ratio_ratio", "linear_cka", "probe_drift",
    "drift_outside_probe", "drift_share_in_probe", "knn_overlap", "mutual_knn", "self_retrieval",
)  # fmt: skip


def drawn(rng: np.random.Generator, variances: np.ndarray, n: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Clean rows, corrupted ones that were shrunk, turned and made noisy, and labels that clean rows nearly decide."""
    d = len(variances)
    turn = 0.15 * np.random.default_rng(7).standard_normal((d, d)) / d**0.5 + 0.8 * np.eye(d)
    x = rng.standard_normal((n, d)) * variances**0.5 + 1
    y = x @ turn + 0.3 * variances.mean() ** 0.5 * rng.standard_normal((n, d))
    labels = (x[:, 0] + 0.5 * rng.standard_normal(n) > 1).astype(int)
    return torch.from_numpy(x), torch.from_numpy(y), labels


def coverage(replicates: int) -> list[Values]:
    """Share of 95 % intervals that hold the value of 50,000 rows; of neighbours, which depend on n, the mean."""
    found = []
    for d, (spectrum, law), times in itertools.product((16, 32), SPECTRA.items(), (16, 32)):
        rng, variances = np.random.default_rng(0), law(np.arange(1, d + 1.0))
        x, y, labels = drawn(rng, variances, 50_000)
        fitted = rg.probes.fit_linear_probe(x[:2000], labels[:2000], C=1.0)
        truth = {r.measure: r.value for r in Clean(x, labels, fitted, k=5, max_pair_rows=50).compared(y)}
        samples = [drawn(rng, variances, times * d) for _ in range(replicates)]
        read = [{r.measure: r for r in Clean(a, c, fitted).compared(b)} for a, b, c in samples]
        truth |= {name: statistics.mean(r[name].value for r in read) for name in COVERED[-3:]}
        held = {name: np.mean([holds(r[name], truth[name]) for r in read]) for name in COVERED}
        found.append({"width": d, "spectrum": spectrum, "samples per feature": times, **held})
    return found


def holds(measured: Measurement, value: float) -> bool:
    low, high = measured.interval(0.95)
    return low <= value <= high


def about() -> Values:
    names = ["repgeom", "torch", "numpy", "scikit-learn", *(["imagecorruptions"] if rival() else [])]
    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": str(max(pool["num_threads"] for pool in threadpool_info())),
        "versions": {name: version(name) for name in names},
    }


def main(action: str, *args: str) -> Any:
    if action == "speed":
        return speed(*map(int, args[:3]), args[3])
    if action == "fidelity":
        return fidelity(int(args[0]))
    if action == "probe":
        return probe(*map(int, args))
    if action == "coverage":
        return coverage(int(args[0]))
    if action == "suite":
        return suite(int(args[0]))
    return about()


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
