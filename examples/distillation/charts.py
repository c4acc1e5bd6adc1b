"""The charts of the page, one of each kind for a setting. They show what the figures show, and fit any window."""

from __future__ import annotations

import numpy as np

from repgeom.pages import DotChart, LineChart, Series

from .configs import Config
from .evaluation import accuracy_key
from .figures import mean_shares, of_the_grid
from .summaries import Cells, ModelRow, models, summary_of


def charts_of(config: Config, cells: Cells) -> tuple[list[LineChart], list[DotChart]]:
    """Spectra and accuracy under noise, and effective ranks, of the settings in which a model is finished."""
    lines, dots = [], []
    for setting in (setting.name for setting in config.settings):
        grid = of_the_grid(config, cells, setting)
        if grid:
            lines += [_spectra(grid, cells, setting), _noise(config, grid, cells, setting)]
            dots.append(_ranks(config, cells, setting))
    return lines, dots


def _spectra(grid: list[ModelRow], cells: Cells, setting: str) -> LineChart:
    """Figure 1: share of variance along each direction, mean over seeds."""
    series = [Series(m.model, mean_shares(m, cells), compared=_is_teacher(m)) for m in grid]
    n = max(len(s.values) for s in series)
    return LineChart(f"Spectra, {setting}", np.arange(1, n + 1), "direction", "share of variance", series, log=True)


def _noise(config: Config, grid: list[ModelRow], cells: Cells, setting: str) -> LineChart:
    """Figure 3: probe accuracy against noise in the paper's space, with intervals."""
    levels = (0.0, *config.evaluation.sigmas)
    keys = [accuracy_key(None), *(accuracy_key((sigma, "normalized")) for sigma in config.evaluation.sigmas)]
    series = [_summaries(m, cells, keys) for m in grid]
    title = f"Accuracy under noise, {setting}"
    label = "σ of noise after the teacher's normalisation"
    return LineChart(title, levels, label, "probe accuracy", series, limits=(0, 1.02), marked=True)


def _ranks(config: Config, cells: Cells, setting: str) -> DotChart:
    """Figure 2: effective rank of every model with its interval."""
    shown = [m for m in models(config, cells) if m.setting == setting and m.done]
    found = [summary_of(m, cells, "effective_rank") for m in shown]
    rows = [(m.model, s) for m, s in zip(shown, found, strict=True) if s is not None]
    values, low, high = np.array([(s.value, s.low, s.high) for _, s in rows], dtype=float).reshape(-1, 3).T
    series = Series("mean over seeds, 95 % as a bar", values, low, high)
    return DotChart(f"Effective rank, {setting}", [name for name, _ in rows], "dimensions", [series])


def _summaries(m: ModelRow, cells: Cells, keys: list[str]) -> Series:
    """One model's summaries of these keys; NaN for one that is not there."""
    found = [summary_of(m, cells, key) for key in keys]
    known = [(None, None, None) if s is None else (s.value, s.low, s.high) for s in found]
    values, low, high = np.array(known, dtype=float).T
    return Series(m.model, values, low, high, compared=_is_teacher(m))


def _is_teacher(m: ModelRow) -> bool:
    return m.cell.kind == "teacher"
