"""Contact sheets of every corruption at every severity, for a person to look at.

python -m studies.corruption_sheets FOLDER [SIZE ...]

The second row of each shows, at full brightness, the part of the public script's output that is stored.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.references import public_scripts, script_cases
from repgeom import corruptions

PER_SHEET = 5  # corruptions
RUNS = {script.shape[0]: run for run, script in script_cases.SCRIPTS.items() if run != "oblong"}


def sheet(names: list[str], run: str, photograph: int) -> Figure:
    """A row of ours and a row with the stored part of the script's in its place; the image itself on the left."""
    figure = Figure(figsize=(9.6, 3.2 * len(names)), layout="constrained")
    axes = figure.subplots(2 * len(names), 6, squeeze=False)
    images, frost = script_cases.photographs(run), script_cases.frost_photographs()
    for i, name in enumerate(names):
        with np.load(public_scripts.STORED) as stored:
            theirs = stored[f"{run}/{name}"]
        for severity in range(1, 6):
            ours = public_scripts.of_ours((name, run, severity), images, frost)[photograph]
            both = ours // 2
            both[script_cases.window(name, run, severity, photograph)] = theirs[severity - 1, photograph]
            axes[2 * i, severity].imshow(ours)
            axes[2 * i + 1, severity].imshow(both)
        for j, who in enumerate(("repgeom", "script's part")):
            axes[2 * i + j, 0].imshow(images[photograph])
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
        run = RUNS[size]
        for photograph in range(min(2, script_cases.SCRIPTS[run].n_photographs)):
            for start in range(0, len(names), PER_SHEET):
                figure = sheet(names[start : start + PER_SHEET], run, photograph)
                figure.savefig(folder / f"{size}px-photo{photograph + 1}-{start // PER_SHEET + 1}.png", dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(size) for size in sys.argv[2:]] or list(RUNS))
