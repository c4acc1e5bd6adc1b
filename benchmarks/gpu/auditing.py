"""An audit and an estimate of features that lie on the device, beside their spectrum."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import repgeom as rg
from benchmarks.gpu.measuring import Number, Setting, profile, seconds_of
from benchmarks.gpu.spectra import features

AUDIT, ESTIMATE = 2.0, 3.0  # times the spectrum


def audits(setting: Setting) -> Iterator[Number]:
    """Of 50,000 × 1,024 in float32, and what beside it is given."""
    x = features((setting.size(50_000, 600), setting.size(1_024, 16)), setting.device, torch.float32)
    generator = torch.Generator(setting.device).manual_seed(1)
    labels = torch.randint(10, (len(x),), generator=generator, device=setting.device)
    functions = {
        "rg.spectrum": lambda: rg.spectrum(x),
        "rg.audit": lambda: rg.audit(x),
        "rg.estimate": lambda: rg.estimate(x),
        "rg.influence": lambda: rg.influence(x),
        "rg.audit, labels": lambda: rg.audit(x, labels=labels),
        "rg.audit, reference": lambda: rg.audit(x, reference=x.flip(1)),
        "rg.compare, paired": lambda: rg.compare(x, x * torch.linspace(1, 0.5, x.shape[1], device=x.device), paired=True),
        "rg.health": lambda: rg.health(x),
        "rg.mean_cosine": lambda: rg.mean_cosine(x),
        "rg.uniformity": lambda: rg.uniformity(x[:10_000]),
        "rg.knn_accuracy": lambda: rg.knn_accuracy(x[:10_000], labels[:10_000]),
        "rg.linear_cka": lambda: rg.linear_cka(x, x.flip(1)),
    }  # fmt: skip
    took: dict[str, float] = {}
    for name, function in functions.items():
        took[name] = seconds_of(function)
        yield Number(f"seconds of {name}", took[name])
        if name == "rg.audit":
            yield Number("audit, times the spectrum", took[name] / took["rg.spectrum"], most=AUDIT)
            yield from profile(setting, name, function, took[name])
        if name == "rg.estimate":
            yield Number("estimate, times the spectrum", took[name] / took["rg.spectrum"], most=ESTIMATE)
            yield from profile(setting, name, function, took[name])
        if name in ("rg.audit, labels", "rg.audit, reference"):
            yield from profile(setting, name, function, took[name])
        if setting.left < 5:
            yield Number("left out", f"what comes after {name}")
            return
    values = {"gpu": rg.audit(x)["effective_rank"].value, "cpu": rg.audit(x.cpu())["effective_rank"].value}
    yield Number(
        "the audit's effective rank, relative difference to the CPU", abs(values["gpu"] / values["cpu"] - 1), most=1e-6
    )
