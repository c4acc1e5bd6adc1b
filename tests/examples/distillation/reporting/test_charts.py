"""The charts of a report, read back: the run's own numbers, and the published points where they belong."""

import dataclasses

import numpy as np
import pytest

from repgeom_examples.distillation.reporting import charts, own_charts, paper_charts, tables

from ..planted_details import detailed
from ..planted_results import CLIP, CONFIG, DINO, SEEDS, failed, older, planted, row_of, student

CLIP_ALONE = dataclasses.replace(CONFIG, settings=(CLIP,))


def series_of(chart):
    return {s.name: s for s in chart.series}


def test_spectra_are_singular_values_over_the_largest():
    cells = planted()
    (chart,) = paper_charts.spectra(CONFIG, cells, CLIP)
    assert set(series_of(chart)) == {
        "teacher",
        *(f"{size}, {o}" for size in ("S (w1)", "M (w2)", "L (w4)") for o in CONFIG.objectives),
    }
    shares = np.mean([cells[student(CLIP, 1, seed=s)].record["variance_ratio"] for s in SEEDS], 0)
    assert series_of(chart)["S (w1), cosine"].values == pytest.approx(np.sqrt(shares / shares[0]))
    assert chart.log


def test_what_is_below_the_axis_does_not_run_along_its_edge():
    cells = planted(CLIP_ALONE)
    for found in cells.values():
        found.record["variance_ratio"] = [0.9, 0.1, 1e-12]
    (chart,) = paper_charts.spectra(CLIP_ALONE, cells, CLIP)
    assert chart.series[1].values == pytest.approx([1, 1 / 3, np.nan], nan_ok=True)


def test_ranks_are_table_1_with_the_published_beside_them():
    cells = planted(spread=0.5)
    (chart,) = paper_charts.ranks(CONFIG, cells, CLIP)
    ours, clip, dino = chart.series
    row = row_of(tables.geometry_table(CONFIG, cells), CLIP.name, "cnn-w2-cosine")
    at = chart.names.index("M (w2), cosine")
    assert (ours.values[at], ours.low[at], ours.high[at]) == pytest.approx(
        (row["effective rank"], row["effective rank low"], row["effective rank high"])
    )
    shown = dict(zip(chart.names, clip.values, strict=True))
    assert (shown["teacher"], shown["S (w1), cosine"], shown["L (w4), cosine"]) == (88.68, 15.91, 16.66)
    assert shown["S (w1), cosine+infonce"] == 38
    assert np.isnan(shown["M (w2), cosine+infonce"])
    assert sorted(dino.values[np.isfinite(dino.values)]) == [54, 82]
    assert (clip.points, dino.points, ours.points) == (True, True, False)


def test_accuracy_by_size_is_table_2_and_the_paper_has_its_own_points():
    cells = planted(scatter=0.02)
    (chart,) = paper_charts.noise_by_size(CONFIG, cells, CLIP)
    row = row_of(tables.noise_table(CONFIG, cells), CLIP.name, "cnn-w4-cosine")
    large = series_of(chart)["L (w4), cosine"]
    values = dict(zip(chart.x, large.values, strict=True))
    assert (values[0], values[0.05], values[0.2]) == pytest.approx(
        (row["clean"], row["normalized 0.05"], row["normalized 0.2"])
    )
    published = series_of(chart)["published, L (w4), cosine"]
    assert dict(zip(chart.x, published.values, strict=True)) == {0: 0.7294, 0.05: 0.6909, 0.1: 0.4376, 0.2: 0.1405}
    assert published.points
    assert published.look == large.look
    assert dict(zip(chart.x, series_of(chart)["published, teacher"].values, strict=True))[0.2] == 0.8412
    assert not any("infonce" in name for name in series_of(chart))


@pytest.mark.parametrize("make", [paper_charts.noise_by_size, paper_charts.noise_by_objective])
def test_accuracy_has_the_same_axes_everywhere(make):
    cells = planted(change=lambda cell: {"accuracy": 0.2} if cell.setting == CLIP.name else {})
    (one,), (other,) = make(CONFIG, cells, CLIP), make(CONFIG, cells, DINO)
    assert one.limits == other.limits == (0, 1.02)
    assert list(one.x) == list(other.x)


def test_captured_variance_is_drawn_as_published_where_it_was_kept():
    old, new = planted(), detailed(planted())
    expected = new[student(CLIP, 1)].record["captured_curve_student_not_centred"]
    (chart,) = paper_charts.captured(CONFIG, new, CLIP)
    curves = series_of(chart)
    assert curves["S (w1), cosine, not centred"].values == pytest.approx(expected[: paper_charts.N_CAPTURED])
    centred = new[student(CLIP, 1)].record["captured_curve"]
    assert curves["S (w1), cosine, centred"].values == pytest.approx(centred[: paper_charts.N_CAPTURED])
    published = series_of(chart)["published, CLIP on CIFAR-10"].values
    assert {i + 1: v for i, v in enumerate(published) if np.isfinite(v)} == {1: 0.29, 20: 0.861, 28: 0.9, 100: 0.978}
    assert paper_charts.captured(CONFIG, old, CLIP) == []


def test_infonce_and_uniformity_are_shown_by_both_definitions():
    cells = detailed(planted(scatter=0))
    infonce, uniformity = paper_charts.contrast(CONFIG, cells, CLIP)
    by_batches, over_all, published = infonce.series
    assert by_batches.values - over_all.values == pytest.approx(0.006)
    assert published.values.tolist() == [3.3117, 3.2996, 3.2738]
    assert uniformity.series[2].values.tolist() == [-0.4061, -0.4153, -0.4285]
    assert len(paper_charts.contrast(CONFIG, older(planted()), CLIP)[0].series) == 2  # no means of batches were kept


def test_why_has_every_curve_and_its_ranks():
    cells = detailed(planted(scatter=0))
    (chart,) = own_charts.why(CONFIG, cells, CLIP)
    curves = series_of(chart)
    places = np.arange(1, 161)
    variances, predicted = 0.4 / places**1.3, 0.9 / (1 + places / 5) ** 1.1
    assert curves["λ, the teacher's variance"].values == pytest.approx(variances)
    assert curves["R², predicted from pixels"].values == pytest.approx(predicted)
    assert curves["λ R², from the student"].values == pytest.approx(variances * predicted)
    assert curves["the student's own variance"].values == pytest.approx(variances * predicted)
    assert (chart.log, chart.x_log) == (True, True)
    assert "rank 100.0 of the teacher, 20.0 of the student; 9.0 predictable from pixels" in chart.title
    assert own_charts.why(CONFIG, planted(), CLIP) == []


def test_training_is_followed_by_step_for_each_number_of_epochs():
    setting = dataclasses.replace(
        CLIP, variants=("cosine@epochs=20", "cosine+infonce@epochs=20@temperature=0.2", "mse")
    )
    config = dataclasses.replace(CONFIG, settings=(setting,))
    cells = detailed(planted(config, scatter=0))
    for cell in cells:
        if cell.objective == "cosine@epochs=20":
            del cells[cell].record["curve"][-2]
    rank, captured, cone = own_charts.over_steps(config, cells, setting)
    assert set(series_of(rank)) == {"cosine, 5 epochs", "cosine+infonce, 5 epochs", "cosine, 20 epochs"}
    assert list(rank.x) == [1, 18, 36, 50, 72, 100, 144]
    assert series_of(rank)["cosine, 5 epochs"].values[-1] == pytest.approx(2 + 18 * (1 - np.exp(-144 / 30)))
    assert np.isnan(series_of(rank)["cosine, 20 epochs"].values).tolist() == [False] * 5 + [True, False]
    assert captured.y_label == "captured variance"
    assert series_of(cone)["cosine, 5 epochs"].values == pytest.approx([0.7] * 7)
    assert own_charts.over_steps(config, planted(config), setting) == []


def test_objectives_are_shown_where_there_are_several():
    setting = dataclasses.replace(CLIP, variants=("mse",))
    config = dataclasses.replace(CONFIG, settings=(setting, DINO))
    (chart,) = own_charts.objectives(config, detailed(planted(config)), setting)
    assert chart.names == ["(teacher)", "cosine", "cosine+infonce", "mse"]
    assert series_of(chart)["predictable rank"].values.tolist() == [9.0] * 4
    assert own_charts.objectives(config, planted(config), DINO) == []


def test_failed_models_are_absent_and_nothing_is_zero():
    cells = failed(planted(), lambda cell: cell.width == 4)
    (chart,) = paper_charts.ranks(CLIP_ALONE, cells, CLIP)
    assert not [name for name in chart.names if "w4" in name]
    assert min(chart.series[0].values) > 0
    assert len(chart.names) == 1 + 4


@pytest.mark.parametrize("name", charts.FIGURES)
def test_a_setting_with_nothing_finished_is_named(name):
    cells = {cell: found for cell, found in detailed(planted()).items() if cell.setting == CLIP.name}
    figure = charts.drawn(name, CONFIG, cells)
    assert DINO.name in figure.without
    assert f"Nothing to draw in {', '.join(figure.without)}." in figure.sentence
    assert not any(DINO.name in chart.title for chart in figure.charts)


def test_one_seed_has_no_intervals():
    config = dataclasses.replace(CLIP_ALONE, seeds=(42,))
    (chart,) = paper_charts.ranks(config, planted(config), CLIP)
    assert np.isfinite(chart.series[0].low).tolist() == [True] + [False] * 6  # the teacher's is over images
