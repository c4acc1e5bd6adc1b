"""Draws the README's picture of how many samples a rank needs: `python -m repgeom_examples.sample_sizes sample_sizes.png`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

import repgeom as rg


def curves_drawn(features: Any, *, draws: int = 40, sizes: Sequence[int] | None = None) -> Figure:
    """Effective rank of ever more rows of some features, from σ² on the left and from σ on the right."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    measures = ("effective_rank", "effective_rank_sigma")
    for ax, measure in zip(figure.subplots(1, 2), measures, strict=True):
        rg.plot_sample_size_curve(rg.sample_size_curve(features, measure, draws=draws, sizes=sizes), ax=ax)
        ax.set_title(measure)
    return figure


def main() -> None:
    healthy = rg.demo.digit_features()[0]["contrastive"]
    curves_drawn(healthy).savefig(sys.argv[1], dpi=120)


if __name__ == "__main__":
    main()
