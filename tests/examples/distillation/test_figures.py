"""Figures read back from what they draw."""

import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from repgeom_examples.distillation import (
    figures,
    tables,
)

from .planted_results import CLIP, CONFIG, SEEDS, failed, planted, row_of, student


def axes():
    return Figure().subplots()


def test_figure_1_is_the_mean_spectrum():
    cells = planted()
    ax = figures.plot_spectra(CONFIG, cells, CLIP.name, axes())
    lines = {line.get_label(): line for line in ax.lines}
    assert set(lines) == {"teacher", *(f"cnn-w{w}-{o}" for w in (1, 2, 4) for o in CONFIG.objectives)}
    expected = np.mean([cells[student(CLIP, 1, seed=s)].record["variance_ratio"] for s in SEEDS], 0)
    assert lines["cnn-w1-cosine"].get_ydata() == pytest.approx(expected)
    assert lines["cnn-w1-cosine"].get_xdata().tolist() == list(range(1, 9))
    assert ax.get_yscale() == "log"


def test_figure_2_is_table_1():
    cells = planted(spread=0.5)
    ax = figures.plot_ranks(CONFIG, cells, CLIP.name, axes())
    names = [label.get_text() for label in ax.get_xticklabels()]
    table = tables.geometry_table(CONFIG, cells)
    for name, bar in zip(names, ax.patches, strict=True):
        assert bar.get_height() == pytest.approx(row_of(table, CLIP.name, name)["effective rank"])
    ends = [bars.lines[2][0].get_segments()[0][:, 1] for bars in ax.containers if not hasattr(bars, "patches")]
    for name, (low, high) in zip(names, ends, strict=True):
        row = row_of(table, CLIP.name, name)
        assert (low, high) == pytest.approx((row["effective rank low"], row["effective rank high"]))


def test_figure_3_is_table_2():
    cells = planted(scatter=0.02)
    ax = figures.plot_noise(CONFIG, cells, CLIP.name, axes())
    lines = {line.get_label(): line for line in ax.lines}
    row = row_of(tables.noise_table(CONFIG, cells), CLIP.name, "cnn-w4-cosine")
    assert lines["cnn-w4-cosine"].get_xdata().tolist() == [0, 0.05, 0.2]
    assert lines["cnn-w4-cosine"].get_ydata() == pytest.approx(
        [row["clean"], row["normalized 0.05"], row["normalized 0.2"]]
    )
    assert len(ax.collections) == len(lines)
    assert "cnn-w4-cosine-augmented" not in lines


def test_failed_models_are_absent_and_no_bar_of_zero():
    cells = failed(planted(), lambda cell: cell.width == 4)
    ax = figures.plot_ranks(CONFIG, cells, CLIP.name, axes())
    assert not [label.get_text() for label in ax.get_xticklabels() if "w4" in label.get_text()]
    assert all(bar.get_height() > 0 for bar in ax.patches)
    assert len(ax.patches) == 1 + 4 + 2


@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures_of_one_seed_have_no_intervals(name):
    config = dataclasses.replace(CONFIG, seeds=(42,), settings=(CLIP,))
    (ax,) = figures.figure(name, config, planted(config)).axes
    if name == "figure3":
        assert len(ax.collections) == 1  # the teacher's, over images
    assert ax.lines or ax.patches


@pytest.mark.parametrize("name", figures.FIGURES)
def test_a_setting_with_nothing_finished_has_an_empty_panel(name):
    cells = {cell: found for cell, found in planted().items() if cell.setting == CLIP.name}
    left, right = figures.figure(name, CONFIG, cells).axes
    assert left.lines or left.patches
    assert not right.lines
    assert not right.patches


@pytest.mark.parametrize("name", ["figure1", "figure3"])
def test_every_curve_can_be_told_from_the_others(name):
    config = dataclasses.replace(CONFIG, objectives=("cosine", "cosine+infonce", "mse"), settings=(CLIP,))
    (ax,) = figures.figure(name, config, planted(config)).axes
    looks = [(to_hex(line.get_color()), line.get_linestyle(), line.get_marker()) for line in ax.lines]
    assert len(set(looks)) == len(looks) == 10
