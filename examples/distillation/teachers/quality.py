"""How good is a teacher? Effective rank of its features, and its linear probe beside one on the pixels themselves."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

import repgeom as rg

from ..data.load import load_dataset
from ..settings.configs import Setting
from .features import BATCH, encoded
from .teacher import Teacher

# Chosen on held-out rows, for pixels as for features.
PROBE_C = (1.0, 10.0, 100.0, 1000.0)


def about(teacher: Teacher, setting: Setting, device: torch.device) -> str:
    """For a person: a line for each set of labels of the setting's images."""
    lines = []
    for data in ("shapes10", "shapes100") if setting.data.startswith("shapes") else (setting.data,):
        measured = quality(teacher, dataclasses.replace(setting, data=data), device)
        lines.append(
            f"{teacher.name} on the test images of {data}: effective rank {measured['effective_rank']:.1f} of "
            f"{teacher.width}, linear probe {measured['probe']:.1%}, linear probe on pixels {measured['pixels']:.1%}"
        )
    return "\n".join(lines)


def quality(teacher: Teacher, setting: Setting, device: torch.device) -> dict[str, float]:
    """Effective rank (unit rows, centred), and accuracy on the test images of probes on features and on pixels."""
    dataset = load_dataset(setting)
    train, test = dataset.train.to(device), dataset.test.to(device)
    features = [_features(teacher, images.pixels) for images in (train, test)]
    pixels = [images.pixels.flatten(1).float() / 255 for images in (train, test)]
    found = {
        name: rg.probes.fit_linear_probe(x, train.labels, C=PROBE_C, normalize="l2").accuracy(y, test.labels)
        for name, (x, y) in {"probe": features, "pixels": pixels}.items()
    }
    return {"effective_rank": float(rg.effective_rank(features[1], normalize="l2")), **found}


def _features(teacher: Teacher, pixels: Tensor) -> Tensor:
    return torch.cat([encoded(teacher, teacher.preprocessing(part)) for part in pixels.split(BATCH)])
