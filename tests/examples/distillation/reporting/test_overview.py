"""The tables of what was found, by hand."""

import dataclasses
import math

import numpy as np
import pytest

from repgeom_examples.distillation.reporting import explained, over_training, overview

from ..planted_details import STEPS, detailed
from ..planted_results import CLIP, CONFIG, DINO, N_IMAGES, failed, planted, row_of


def test_the_overview_has_a_row_for_each_setting():
    table = overview.overview_table(CONFIG, detailed(planted(scatter=0)))
    assert list(table["setting"]) == [CLIP.name, DINO.name]
    clip, dino = table.to_dict("records")
    assert (clip["teacher"], clip["cosine"], clip["with InfoNCE"]) == pytest.approx((100, 20, 48))
    assert (clip["times"], dino["times"]) == pytest.approx((2.4, 82 / 54))
    assert (clip["predictable"], clip["predictable low"], clip["predictable high"]) == (9, 8, 10)
    assert (clip["explained, cosine"], clip["captured by 20"]) == pytest.approx((0.5, 0.95))


def test_models_that_are_missing_leave_gaps():
    cells = failed(planted(), lambda cell: cell.objective == "cosine+infonce" or cell.setting == DINO.name)
    clip, dino = overview.overview_table(CONFIG, cells).to_dict("records")
    assert clip["with InfoNCE"] is None
    assert clip["times"] is None
    assert clip["cosine"] == pytest.approx(20, rel=0.01)
    assert all(value is None or math.isnan(value) for name, value in dino.items() if name != "setting")


def test_objectives_are_those_of_the_smallest_student():
    setting = dataclasses.replace(CLIP, variants=("mse", "cosine@epochs=20"))
    config = dataclasses.replace(CONFIG, settings=(setting,))
    table = overview.objectives_table(config, detailed(planted(config, scatter=0)))
    assert list(table["objective"]) == ["(teacher)", "cosine", "cosine+infonce", "mse", "cosine@epochs=20"]
    first = row_of(table.rename(columns={"objective": "model"}), setting.name, "cosine")
    assert (first["effective rank"], first["corrected for n"]) == pytest.approx((20, 22))
    assert (first["CKA"], first["mutual kNN"], first["predictable rank"]) == pytest.approx((0.78, 0.4, 9))
    assert (first["probe"], first["probe, σ = 0.2"]) == pytest.approx((0.71, 0.25))


def test_the_table_of_directions_is_the_panel():
    cells = detailed(planted(scatter=0))
    table = explained.explained_table(CONFIG, cells)
    clip = table[table["setting"] == CLIP.name]
    places = np.arange(1, 161)
    assert clip["teacher's variance"].to_numpy() == pytest.approx(0.4 / places**1.3)
    assert clip["predictable variance, from pixels"].to_numpy() == pytest.approx(
        (clip["teacher's variance"] * clip["R², from pixels"]).to_numpy()
    )
    assert list(clip["direction"]) == list(places)
    panel = explained.explained(CONFIG, cells, CLIP)
    sigma = next(record["singular_values"] for cell, (record, _) in cells.items() if cell.kind == "teacher")
    assert panel.teacher == pytest.approx(np.square(sigma) / N_IMAGES)
    assert explained.words(explained.explained(CONFIG, {}, CLIP)) == "teacher or student is not finished"


def test_readings_are_means_over_seeds_in_order_of_steps():
    cells = detailed(planted(scatter=0))
    for cell, (record, _) in cells.items():
        if cell.seed == 123 and cell.kind == "student":
            record["curve"][2] = {**record["curve"][2], "effective_rank": None}
            record["curve"][3] = {**record["curve"][3], "captured": 1.0}
    table = over_training.training_table(CONFIG, cells)
    rows = table[(table["setting"] == CLIP.name) & (table["model"] == "cnn-w1-cosine")]
    assert list(rows["step"]) == list(STEPS)
    assert set(rows["epochs"]) == {5}
    assert math.isnan(rows["effective_rank"].iloc[2])
    usual = 0.3 + 0.6 * (1 - math.exp(-50 / 30))
    assert rows["captured"].iloc[3] == pytest.approx((2 * usual + 1) / 3)
