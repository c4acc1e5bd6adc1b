"""Contact sheets of every corruption at every severity, ours above the reference's, for a person to look at.

python -m studies.corruption_sheets FOLDER [SIZE ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.references import photographs
from repgeom import corruptions
from studies.corruptions import both

PER_SHEET = 5  # corruptions


def sheet(names: list[str], size: int, photo: int) -> Figure:
    """A row of ours and a row of the reference's for each corruption; the image itself on the left."""
    figure = Figure(figsize=(9.6, 3.2 * len(names)), layout="constrained")
    axes = figure.subplots(2 * len(names), 6, squeeze=False)
    clean = photographs(size)[photo].permute(1, 2, 0).numpy()
    for i, name in enumerate(names):
        for severity in range(1, 6):
            for j, images in enumerate(both(name, size, severity)):
                axes[2 * i + j, severity].imshow(images[photo].transpose(1, 2, 0).astype(np.uint8))
        for j, who in enumerate(("repgeom", "reference")):
            axes[2 * i + j, 0].imshow(clean)
            axes[2 * i + j, 0].set_ylabel(f"{name}\n{who}", fontsize=8)
    for ax, severity in zip(axes[0], ["clean", *range(1, 6)], strict=True):
        ax.set_title(severity, fontsize=8)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
    return figure


def main(folder: Path, sizes: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = list(corruptions.names())
    for size in sizes:
        for photo in (0, 1):
            for start in range(0, len(names), PER_SHEET):
                figure = sheet(names[start : start + PER_SHEET], size, photo)
                figure.savefig(folder / f"{size}px-photo{photo + 1}-{start // PER_SHEET + 1}.png", dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(size) for size in sys.argv[2:]] or [32, 224])
