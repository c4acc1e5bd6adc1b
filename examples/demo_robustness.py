"""What corruption does to the demo's two encoders of digits: a table, and the two pictures of examples/README.md.

python -m repgeom_examples.demo_robustness [FOLDER]      (a minute; FOLDER for the pictures and the whole table)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

import repgeom as rg

LOSSES = {"contrastive": rg.demo.info_nce, "alignment only": rg.demo.pull_together}
# The digits' 8 x 8 pixels are enlarged to it, because the published strengths are made for it.
SIZE = 32


def as_photographs(digits: Tensor) -> Tensor:
    """Grey digits (n, 8, 8) as colour images (n, 3, 32, 32) in [0, 1]."""
    large = F.interpolate(digits[:, None], (SIZE, SIZE), mode="bilinear", align_corners=False)
    return large.expand(-1, 3, -1, -1).contiguous()


def seen_through(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """An encoder of digits as one of photographs: it turns them grey and small before it encodes them."""
    return lambda images: network(F.adaptive_avg_pool2d(images.mean(1), 8))


def summary(table: pd.DataFrame) -> dict[str, float]:
    clean = table[table.corruption == "clean"].set_index("measure")["value"]
    hard = table[table.corruption != "clean"].groupby("measure")["value"].mean()
    return {
        "clean effective rank": clean["effective_rank"],
        "clean accuracy": clean["accuracy"],
        "mean corruption accuracy, 15": rg.robustness.mean_corruption_accuracy(table),
        "mean corruption accuracy, 15, kNN": rg.robustness.mean_corruption_accuracy(table, measure="knn_accuracy"),
        "centred relative L2 drift": hard["centred_relative_l2_drift"],
        "effective-rank ratio": hard["effective_rank_ratio"],
        "debiased linear CKA": hard["linear_cka"],
        "self-retrieval": hard["self_retrieval"],
    }


def tables_drawn(tables: dict[str, pd.DataFrame]) -> Figure:
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.subplots(1, len(tables), sharey=True)
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        rg.plot_robustness(table, ax=ax).set(title=name, xlim=(0, 1.02))
    for ax in axes[:-1]:
        ax.get_legend().remove()
    return figure


def maps_drawn(maps: dict[str, rg.types.FourierHeatmap]) -> Figure:
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    worst = max(float(np.max(heat.error)) for heat in maps.values() if heat.error is not None)
    for ax, (name, heat) in zip(figure.subplots(1, len(maps)), maps.items(), strict=True):
        rg.plot_fourier_heatmap(heat, ax=ax).set_title(f"{name}, clean error {heat.clean_error:.3f}")
        # One scale for all maps, so that colours can be compared.
        ax.images[0].set_clim(0, worst)
    return figure


def main(
    folder: Path | None = None,
    *,
    severities: Sequence[float] = (1, 2, 3, 4, 5),
    n_images: int | None = None,
    n_maps: int | None = None,
    steps: int = 300,
) -> None:
    """Prints the table, and writes it whole with its pictures to `folder`.

    `n_images` limits the images that are corrupted, `n_maps` those behind the heat maps, which take the most time; `steps`
    is how long the encoders are trained.
    """
    train, held_out, train_digits, digits = rg.demo.digit_halves()
    images, digits = as_photographs(held_out)[:n_images], digits[:n_images]
    tables, maps = {}, {}
    for name, loss in LOSSES.items():
        encoder = seen_through(rg.demo.train_encoder(train, loss, steps=steps))
        with torch.no_grad():
            probe = rg.probes.fit_linear_probe(encoder(as_photographs(train)), train_digits)
        tables[name] = rg.robustness.corruption_robustness(encoder, images, digits, probe=probe, severities=severities)
        maps[name] = rg.robustness.fourier_heatmap(encoder, images[:n_maps], labels=digits[:n_maps], probe=probe)
    print(pd.DataFrame({name: summary(table) for name, table in tables.items()}).round(3).to_string())
    if folder is not None:
        tables_drawn(tables).savefig(folder / "robustness.png", dpi=110)
        maps_drawn(maps).savefig(folder / "fourier.png", dpi=110)
        pd.concat(tables, names=["encoder"]).reset_index(0).to_csv(folder / "robustness.csv", index=False)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
