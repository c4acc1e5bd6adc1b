"""The picture in the README: the spectra of the demo's two encoders, and rank within each digit.

python -m repgeom_examples.demo_picture examples/demo.png
"""

from __future__ import annotations

import sys

from matplotlib.figure import Figure

import repgeom as rg


def demo_figure() -> Figure:
    features, digits = rg.demo.digit_features()
    spectra = {name: rg.spectrum(x) for name, x in features.items()}
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    rg.plot_spectrum(spectra, ax=left)
    rg.plot_cumulative_variance(spectra, ax=middle)
    rg.plot_class_ranks({name: rg.class_effective_rank(x, digits) for name, x in features.items()}, ax=right)
    return figure


if __name__ == "__main__":
    demo_figure().savefig(sys.argv[1], dpi=110)
