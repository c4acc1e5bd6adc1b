"""Are the corruptions those of CIFAR-10-C and ImageNet-C?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.page import markdown, say
from benchmarks.references import corruption_reference, photographs
from repgeom import corruptions
from studies.study import Sizes, Study

TABLES = {32: "cifar", 64: "tiny", 224: "imagenet", 299: "inception"}  # published strengths by image size
SEVERITIES = range(1, 6)

ABOUT = """\
Against a slow NumPy and SciPy reference written from the published tables (tests/corruptions/corruption_reference.py), with its
draws replayed, over scikit-learn's two photographs and severities 1 to 5: largest difference in grey levels of 255, smallest
share of equal values, smallest PSNR. Differences of 1 are ties at whole grey levels, which the published cut to 8 bits
sends either way. Look at both side by side: `python -m studies.corruption_sheets FOLDER`.

Assumed: the reference is right; the tests hold it against imagecorruptions 1.1.2 where that is installed. Not tried: other
photographs, sizes between the published ones. Frost here takes stand-in photographs.
"""


def both(name: str, size: int, severity: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey levels (2, 3, size, size) of both photographs: ours, and the reference's with our draws."""
    x, table = photographs(size), TABLES[size]
    small, large = None, None
    if name == "frost":
        small, large = frost_photographs(size, severity, table)
    options: dict[str, Any] = {"strengths": table, "frost_images": large}
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
    times = round(1 / corruptions.strength("frost", severity, table)["asset_scale"])
    texture = corruptions.corrupt(torch.zeros(2, 3, size + 20, size + 20), "frost", 5, strengths="imagenet")
    small = [(photo * 255).to(torch.uint8).permute(1, 2, 0).numpy() for photo in texture]
    large = [np.repeat(np.repeat(photo, times, 0), times, 1).transpose(2, 0, 1).copy() for photo in small]
    return small, [torch.from_numpy(photo) for photo in large]


def fidelity(name: str, size: int, severities: range) -> list[str]:
    """Largest difference in grey levels, smallest share of equal values and smallest PSNR over the severities."""
    pairs = [both(name, size, severity) for severity in severities]
    away = [abs(ours - theirs) for ours, theirs in pairs]
    most = max(float(a.max()) for a in away)
    equal = min(float((a == 0).mean()) for a in away)
    return [f"{most:.0f}", f"{equal:.2%}", decibels(max(float((a**2).mean()) for a in away))]


def decibels(mean_square: float) -> str:
    if mean_square == 0:
        return "∞"
    return f"{10 * math.log10(255**2 / mean_square):.1f}"


def tables(sizes: Sizes) -> str:
    lines = []
    for name in corruptions.names():
        say(name)
        cells = [cell for size in sizes["pixels"] for cell in fidelity(name, size, sizes["severities"])]
        lines.append([name, *cells])
    head = [f"{size} px, {what}" for size in sizes["pixels"] for what in ("most", "equal", "PSNR, dB")]
    return markdown(["corruption", *head], lines)


STUDY = Study(
    name="corruptions",
    title="Corruptions against their published definition",
    about=ABOUT,
    minutes=2,
    sizes={"pixels": (32, 224), "severities": SEVERITIES},
    tiny={"pixels": (32,), "severities": range(3, 4)},
    tables=tables,
)
