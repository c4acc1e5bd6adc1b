"""Questions about whole pipelines (corruptions, probes, distillation, profiles of models)."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from benchmarks import files
from benchmarks.answer import Answer
from benchmarks.page import say

CELLS = 18  # of one setting of the paper's grid: they share the teacher's features


def child(module: str, *command: Any) -> Any:
    say(" ".join((module, *map(str, command))))
    return files.child(sys.executable, "-m", f"benchmarks.{module}", *map(str, command))


def answers(runs: int) -> list[Answer]:
    found = [*corruption_answers(runs), probe_answer(runs), suite_answer(), *step_answers(runs)]
    if find_spec("transformers") is not None:
        found.append(distillation_answer())
        found.append(profile_answer("text", "BERT of 12 layers of width 384, 512 texts of 32 to 64 tokens", runs))
    if find_spec("efficientnet_lite_pytorch") is not None:
        found.append(profile_answer("images", "efficientnet-lite0, 256 images of 128 px", runs))
    return found


def corruption_answers(runs: int) -> list[Answer]:
    found = []
    for pixels, images in ((32, 512), (224, 64)):
        row = child("images", "corruptions", pixels, images, runs, "cpu")
        others = {name: row[name] for name in ("imagecorruptions",) if name in row}
        question = f"All 19 corruptions of one image of {pixels} px at severity 3, in batches of {images}"
        found.append(Answer(f"corruptions {pixels}", question, row["seconds"], others=others))
    return found


def probe_answer(runs: int) -> Answer:
    rows, features = 10_000, 256
    row = child("images", "probe", rows, features, runs)
    question = (
        f"A linear probe of {rows:,} × {features}, 10 classes, 20 strengths of regularisation (error: of the objective)"
    )
    return Answer("probe", question, row["seconds"], error=row["error"], others={"scikit-learn": row["scikit-learn"]})


def profile_answer(kind: str, what: str, runs: int) -> Answer:
    """The floor is the bare forward passes of the same batches."""
    row = child("models", kind, runs)
    question = f"`rg.models.layer_profile`, {row['layers']} layers of {what}"
    return Answer(f"profile {kind}", question, row["profile"], row["forward"], memory=row["memory"])


def suite_answer() -> Answer:
    images = 2_000
    row = child("images", "suite", images)
    question = f"`rg.robustness.corruption_robustness`, 19 × 5 over {images:,} images of 32 px, small encoder"
    return Answer("suite", question, row["seconds"], memory=row["memory"])


def distillation_answer() -> Answer:
    images, epochs = 128, 3
    row = child("distillation", images, epochs, 1, "cpu")
    own = row["features"] / CELLS + row["cells"][0]
    question = f"One of {CELLS} students distilled from CLIP ViT-B/32, {images} images, {epochs} epochs"
    others = {"teacher asked in every epoch, as in the paper's notebook,": row["notebook"]}
    return Answer("distillation", question, own, others=others)


def step_answers(runs: int) -> list[Answer]:
    """The floor is the student's own step."""
    found = []
    for pixels, images, epochs in ((32, 640, 5), (224, 128, 5)):
        row = child("steps", pixels, images, epochs, runs)
        question = f"{epochs} epochs of a student of width 1 on {images} images of {pixels} px (floor: its bare steps)"
        found.append(Answer(f"student {pixels}", question, row["ours"], row["bare"]))
    return found
