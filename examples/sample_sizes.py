"""Draws the README's picture of how many samples a rank needs: `python -m repgeom_examples.sample_sizes sample_sizes.png`."""

from __future__ import annotations

import sys

from matplotlib.figure import Figure

import repgeom as rg
from repgeom.demo import digit_features


def main() -> None:
    healthy = digit_features()[0]["contrastive"]
    measures = ("effective_rank", "effective_rank_sigma")
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for ax, measure in zip(figure.subplots(1, 2), measures, strict=True):
        rg.plot_sample_size_curve(rg.sample_size_curve(healthy, measure, draws=40), ax=ax)
        ax.set_title(measure)
    figure.savefig(sys.argv[1], dpi=120)


if __name__ == "__main__":
    main()
