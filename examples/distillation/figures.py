"""Figures 1 to 3 of a run: they read results and compute nothing but means over seeds. To add one: a row of `FIGURES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .configs import Config
from .evaluation import accuracy_key
from .summaries import Cells, ModelRow, models, summary_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_spectra(config: Config, cells: Cells, setting: str, ax: Axes) -> Axes:
    """Figure 1: share of variance along each direction, mean over seeds, on a log scale."""
    for model, color in _shown(config, cells, setting):
        mean = mean_shares(model, cells)
        ax.plot(
            np.arange(1, len(mean) + 1),
            mean,
            color=color,
            linestyle=_look(config, model)[0],
            label=model.model,
            linewidth=1.3,
        )
    ax.set(yscale="log", xlabel="direction", ylabel="share of variance", title=setting, ylim=(1e-6, 1))
    _legend(ax)
    return ax


def plot_ranks(config: Config, cells: Cells, setting: str, ax: Axes) -> Axes:
    """Figure 2: effective rank of every model with its interval."""
    shown = [m for m in models(config, cells) if m.setting == setting and m.done]
    for place, (model, color) in enumerate(zip(shown, _colors(shown), strict=True)):
        rank = summary_of(model, cells, "effective_rank")
        if rank is None:
            continue
        ax.bar(place, rank.value, color=color, hatch=_look(config, model)[1], edgecolor="white", linewidth=0)
        if rank.low is not None and rank.high is not None:
            ends = [[rank.value - rank.low], [rank.high - rank.value]]
            ax.errorbar(place, rank.value, ends, color="0.2", capsize=2, linewidth=1)
        ax.annotate(f"{rank.value:.3g}", (place, rank.high or rank.value), ha="center", va="bottom", fontsize=7)
    ax.set_xticks(range(len(shown)), [m.model for m in shown], rotation=60, ha="right", fontsize=7)
    ax.set(ylabel="effective rank", title=setting)
    ax.margins(y=0.12)
    return ax


def plot_noise(config: Config, cells: Cells, setting: str, ax: Axes) -> Axes:
    """Figure 3: probe accuracy against noise in the paper's space, with intervals."""
    levels = (0.0, *config.evaluation.sigmas)
    keys = [accuracy_key(None), *(accuracy_key((sigma, "normalized")) for sigma in config.evaluation.sigmas)]
    for model, color in _shown(config, cells, setting):
        found = [summary_of(model, cells, key) for key in keys]
        there = [(sigma, s) for sigma, s in zip(levels, found, strict=True) if s is not None]
        x = [sigma for sigma, _ in there]
        ax.plot(
            x,
            [s.value for _, s in there],
            linestyle=_look(config, model)[0],
            marker=".",
            color=color,
            label=model.model,
            linewidth=1.3,
        )
        ends = [(s.low, s.high) for _, s in there if s.low is not None and s.high is not None]
        if len(ends) == len(x):
            ax.fill_between(x, *np.clip(np.transpose(ends), 0, 1), color=color, alpha=0.12, linewidth=0)
    ax.set(xlabel="σ of noise after the teacher's normalisation", ylabel="probe accuracy", title=setting)
    _legend(ax)
    return ax


FIGURES: dict[str, tuple[str, Callable[[Config, Cells, str, Axes], Axes]]] = {
    "figure1": ("Spectra of embeddings of the test images", plot_spectra),
    "figure2": ("Effective rank", plot_ranks),
    "figure3": ("Accuracy under noise", plot_noise),
}


def figure(name: str, config: Config, cells: Cells) -> Figure:
    """One of `FIGURES` with a panel for each setting."""
    from matplotlib.figure import Figure

    title, plot = FIGURES[name]
    settings = [setting.name for setting in config.settings]
    drawn = Figure(figsize=(5.5 * len(settings), 4.4), layout="constrained")
    drawn.suptitle(title)
    # A single panel comes alone, not in an array.
    for ax, setting in zip(np.atleast_1d(drawn.subplots(1, len(settings))), settings, strict=True):
        plot(config, cells, setting, ax)
    return drawn


def of_the_grid(config: Config, cells: Cells, setting: str) -> list[ModelRow]:
    """The published grid and the teacher; what is beside the grid has its place in the tables and in figure 2."""
    return [
        m
        for m in models(config, cells)
        if m.setting == setting and m.done and m.cell.architecture == "cnn" and not m.cell.augmented
    ]


def mean_shares(model: ModelRow, cells: Cells) -> np.ndarray:
    """(r,), the model's share of variance along each direction, mean over seeds."""
    shares = [np.asarray(cells[c].record["variance_ratio"]) for c in model.done]
    length = min(len(s) for s in shares)
    mean: np.ndarray = np.mean([s[:length] for s in shares], 0)
    return mean


def _shown(config: Config, cells: Cells, setting: str) -> list[tuple[ModelRow, str]]:
    grid = of_the_grid(config, cells, setting)
    return list(zip(grid, _colors(grid), strict=True))


def _colors(shown: list[ModelRow]) -> list[str]:
    """Black for the teacher; a colour for each width."""
    # Okabe and Ito's colours, which people with any colour vision can tell apart.
    palette = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00")
    widths = sorted({m.cell.width for m in shown if m.cell.kind != "teacher"})
    return ["0.1" if m.cell.kind == "teacher" else palette[widths.index(m.cell.width) % len(palette)] for m in shown]


def _look(config: Config, model: ModelRow) -> tuple[Any, str]:
    """Line style and hatch of an objective; solid and plain for the teacher and for the run's first objective."""
    looks = [
        ("-", ""),
        ("--", "///"),
        (":", "..."),
        ("-.", "xxx"),
        ((0, (5, 1, 1, 1, 1, 1)), "+++"),
        ((0, (1, 4)), "ooo"),
    ]
    objectives = config.objectives
    number = objectives.index(model.cell.objective) if model.cell.objective in objectives else 0
    return looks[number % len(looks)]


def _legend(ax: Axes) -> None:
    """Only where something is drawn."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7)
