"""The page of the distillation experiments: `python -m benchmarks distillation`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import files
from benchmarks.page import Bar, Row, bars, markdown, say, setting

FULL = {"cpu": (256, 5, 3), "cuda": (10_000, 5, 3)}
QUICK = {"cpu": (64, 2, 1), "cuda": (512, 2, 1)}
PAPER = 2 * 3 * 2 * 3  # settings × widths × objectives × seeds
INTRODUCTION = """\
# Distillation

    python -m benchmarks distillation{quick}

One cell of the paper's grid: CLIP ViT-B/32 with random weights, random images of CIFAR's shape, the student of width 1 at
224 px, cosine distillation. The notebook's way resizes each image by Pillow and asks the teacher in every batch of every
epoch. Ours asks the teacher once per image and keeps its features; every further cell of the grid reads them. Both in one
process, each student from the same weights in the same order of images; "agreement" is the mean cosine between the two
students' embeddings after training.

"""


def report(args: argparse.Namespace, folder: Path) -> str:
    sizes = QUICK if args.quick else FULL
    about = files.child(sys.executable, "-m", "benchmarks.robustness", "about")
    text = INTRODUCTION.format(quick=" --quick" * args.quick) + setting(about)
    promises: list[Bar] = []
    for device in ["cpu", *(["cuda"] if about["gpu"] else [])]:
        say(f"one cell, {device}")
        found = files.child(sys.executable, "-m", "benchmarks.distillation", *map(str, sizes[device]), device)
        text += part(found, device)
        promises += cell_bars(found, device)
    if not about["gpu"]:
        text += "\nGPU: no GPU at hand: not measured.\n"
    return text + bars(promises)


def part(found: Row, device: str) -> str:
    n, epochs = found["n"], found["epochs"]
    cells = found["cells"]
    further = min(cells)
    rows = [
        ["notebook's way, one cell", f"{found['notebook']:.1f}", "1.0"],
        ["ours, the first cell, with the teacher's features", *_row(found, found["features"] + cells[0])],
        ["ours, a further cell", *_row(found, further)],
        ["ours, mean of the 18 cells of a setting", *_row(found, found["features"] / 18 + further)],
    ]
    text = f"\n## {n:,} images, {epochs} epochs, {device}\n\n" + markdown(["what", "seconds", "times faster"], rows)
    text += f"\nAgreement {found['agreement']:.4f}. Teacher's features: {found['features']:.1f} s.\n"
    return text + projection(found)


def projection(found: Row) -> str:
    """What the paper's 36 cells on 50,000 images would cost at these rates, had all the width of 1."""
    scale = 50_000 / found["n"] * 5 / found["epochs"]
    theirs = PAPER * found["notebook"] * scale / 3600
    mine = (2 * found["features"] * 50_000 / found["n"] + PAPER * min(found["cells"]) * scale) / 3600
    return (
        f"\nAt these rates training the paper's {PAPER} cells on 50,000 images would take {theirs:,.0f} hours the notebook's "
        f"way and {mine:,.1f} hours ours, were every student as small as this one.\n"
    )


def cell_bars(found: Row, device: str) -> list[Bar]:
    least = 10 if device == "cpu" else 20
    return [Bar(f"A cell of the grid on {device} against the notebook's way, at least {least}x (mean of a setting's 18)", found["notebook"] / (found["features"] / 18 + min(found["cells"])), least, at_least=True)]  # fmt: skip


def _row(found: Row, seconds: float) -> list[str]:
    return [f"{seconds:.1f}", f"{found['notebook'] / seconds:.1f}"]
