"""How the cost of `repgeom.spectrum` grows with rows and with features, beside the floor.

    python -m benchmarks.growth PNG SIZES     measures, draws, and prints JSON

SIZES: {"rows": [n, ...], "width": d, "features": [d, ...], "height": n}.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from torch import Tensor

import repgeom as rg
from benchmarks import speed, timing
from benchmarks.page import ERROR_BAR, error, say
from benchmarks.speed_data import exact

RUNS = 3
LONG = 2.0  # seconds above which a first call is the measurement


def rows_of(n: int, d: int) -> Tensor:
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    return x.mul_(torch.arange(1, d + 1).pow(-0.5))


def floor(x: Tensor) -> None:
    scatter = speed.product(x).double()
    torch.linalg.eigvalsh(scatter)
    x.sum()


def point(x: Tensor) -> dict[str, Any]:
    """Seconds of one size. Its answer is compared with a float64 SVD first where that is quick."""
    n, d = x.shape
    say(f"growth: {n:,} x {d:,}")
    if x.numel() <= 5e6 and d <= 1_024:
        found, truth = rg.effective_rank(rg.spectrum(x)), exact(x.numpy())["effective_rank"]
        if not error(float(found), truth) <= ERROR_BAR:
            raise SystemExit(f"repgeom.spectrum of {n:,} x {d:,} is off by {error(float(found), truth):.1e}.")
    functions = {"own": partial(rg.spectrum, x), "floor": partial(floor, x)}
    seconds = {name: timing.once(function) for name, function in functions.items()}
    if max(seconds.values()) < LONG:
        seconds = timing.in_turns(functions, RUNS)
    return {"n": n, "d": d, **seconds}


def measure(sizes: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    point(rows_of(2_000, 64))  # warms up
    most = rows_of(max(sizes["rows"]), sizes["width"])
    by_rows = [point(most[:n]) for n in sizes["rows"]]
    del most
    return {"rows": by_rows, "features": [point(rows_of(sizes["height"], d)) for d in sizes["features"]]}


def draw(found: dict[str, list[dict[str, Any]]]) -> Figure:
    figure = Figure(figsize=(9, 3.8), layout="constrained", dpi=150)
    panels = figure.subplots(1, 2)
    panel(panels[0], found["rows"], "n", f"rows, with {found['rows'][0]['d']:,} features")
    panel(panels[1], found["features"], "d", f"features, with {found['features'][0]['n']:,} rows")
    panels[0].set_ylabel("seconds")
    panels[0].legend(frameon=False)
    return figure


def panel(ax: Any, points: list[dict[str, Any]], along: str, label: str) -> None:
    sizes = [p[along] for p in points]
    ax.loglog(sizes, [p["own"] for p in points], "o-", color="#1f6f8b", label="repgeom.spectrum")
    ax.loglog(sizes, [p["floor"] for p in points], "s--", color="#555555", markersize=4, label="floor")
    for p in points:
        ratio = f"{p['own'] / p['floor']:.2f}"
        ax.annotate(ratio, (p[along], p["own"]), (-6, 6), textcoords="offset points", ha="center", fontsize=8)
    ax.set_xlabel(label)
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=30)
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_ylim(min(p["floor"] for p in points) / 2, max(p["own"] for p in points) * 2.5)
    ax.margins(x=0.1)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def main(png: str, sizes: str) -> dict[str, Any]:
    found = measure(json.loads(sizes))
    draw(found).savefig(Path(png))
    return found


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
