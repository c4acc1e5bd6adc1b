"""Students that were trained in float32 and in bfloat16, from the same weights on the same batches: what is measured of them.

python -m benchmarks.precisions [TEACHER] [DEVICE]     on scikit-learn's digits, in a minute or two
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import torch

from repgeom_examples.distillation.configs import PRECISIONS, Setting
from repgeom_examples.distillation.preparing import Place
from repgeom_examples.distillation.presets import PACKAGED, PUBLISHED
from repgeom_examples.distillation.running import results, run

MEASURED = ("effective_rank", "captured", "cosine", "accuracy", "accuracy/normalized/0.1")


def measured(teacher: str, device: str, precision: str, out: Path) -> dict[str, dict[str, list[float]]]:
    """By objective each number of three seeds, of students of width 1 trained as in the default run."""
    config = dataclasses.replace(
        PUBLISHED,
        settings=(Setting(teacher, "digits", student_input="native"),),
        widths=(1,),
        training=dataclasses.replace(PACKAGED.training, precision=precision),
        evaluation=dataclasses.replace(PUBLISHED.evaluation, sigmas=(0.1,), spaces=("normalized",)),
    )
    run(config, Place(out / precision, out / "cache", torch.device(device), bar=False))
    found: dict[str, dict[str, list[float]]] = {}
    for cell, stored in results(config, out / precision):
        if cell.kind == "student":
            for key in MEASURED:
                found.setdefault(cell.objective, {}).setdefault(key, []).append(round(stored.record[key], 4))
    return found


def main(teacher: str = "random-relu", device: str = "cpu") -> None:
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            print(json.dumps({precision: measured(teacher, device, precision, Path(folder))}, indent=1), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
