"""Students that were trained in float32 and in bfloat16, from the same weights on the same batches: what is measured of them.

python -m benchmarks.precisions [TEACHER] [DEVICE]     on scikit-learn's digits, twelve students

With efficientnet-lite0 on one thread of a Xeon with AMX (torch 2.13, 2026-11-27), seeds 42, 123 and 456 in float32 | bfloat16:

* cosine: rank 7.7 7.7 7.7 | 7.6 7.5 7.5; captured .925 .929 .932 | .923 .930 .932; probe .932 .932 .925 | .925 .933 .930.
  Embeddings of the same seed have a cosine of .998.
* cosine+infonce: rank 27.9 27.6 27.1 | 28.0 27.8 27.1; captured .770 .768 .766 | .768 .766 .768; probe within .004. Cosine .97 to .98.

Under cosine the rank in bfloat16 is lower by .05 to .2, which is more than these seeds differ (.03). All else differs as seeds do.
bfloat16 took 0.75 of the processor time.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import torch

from repgeom_examples.distillation.running.preparing import Place
from repgeom_examples.distillation.running.run import results, run
from repgeom_examples.distillation.settings.configs import PRECISIONS, Setting
from repgeom_examples.distillation.settings.presets import PACKAGED, PUBLISHED

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
