"""Tables against hand computation."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from repgeom_examples.distillation.claims import comparison, ledger, published, summaries
from repgeom_examples.distillation.claims.verdicts import NOT_RUN
from repgeom_examples.distillation.reporting import table_text, tables
from repgeom_examples.distillation.settings.grid import Cell

from ..planted_results import CLIP, CONFIG, N_IMAGES, SEEDS, by_hand, failed, log_rank, planted, row_of, student


def test_tables_are_means_and_intervals_by_hand():
    cells = planted(scatter=0.05, spread=0.5)
    table, noise = tables.geometry_table(CONFIG, cells), tables.noise_table(CONFIG, cells)
    found = [cells[student(CLIP, 2, seed=s)] for s in SEEDS]
    for name, key, shown in [("captured", "captured", table), ("uniformity", "uniformity", table), ("clean", "accuracy", noise), ("normalized 0.2", "accuracy/normalized/0.2", noise), ("pixel 0.05", "accuracy/pixel/0.05", noise)]:  # fmt: skip
        row = row_of(shown, CLIP.name, "cnn-w2-cosine")
        expected = by_hand([c.record[key] for c in found], [c.arrays[key].double().numpy() for c in found])
        assert (row[name], row[f"{name} low"], row[f"{name} high"]) == pytest.approx(expected)
    row = row_of(table, CLIP.name, "cnn-w2-cosine")
    ranks = [c.record["effective_rank"] for c in found]
    logs = [c.arrays["log_effective_rank"].double().numpy() for c in found]
    expected = by_hand(ranks, [r * c for r, c in zip(ranks, logs, strict=True)])
    assert (row["effective rank"], row["effective rank low"], row["effective rank high"]) == pytest.approx(expected)
    assert row["parameters"] == 1_405_440
    assert row["seeds"] == 3
    assert row["dimensions for 90 %"] == 21


def test_both_tables_have_one_mean_effective_rank():
    """Per seed, then averaged: 10, 40 and 40 are 30 on average, in either table."""
    cells = planted(change=lambda cell: {"effective_rank": 10.0 if cell.seed == 42 else 40.0}, scatter=0)
    table, record = tables.geometry_table(CONFIG, cells), tables.record_table(CONFIG, cells)
    assert row_of(record, CLIP.name, "cnn-w1-cosine")["rank from σ²"] == pytest.approx(30)
    assert row_of(table, CLIP.name, "cnn-w1-cosine")["effective rank"] == pytest.approx(30)


def test_a_teachers_interval_is_over_images():
    cells = planted(spread=0.5)
    row = row_of(tables.noise_table(CONFIG, cells), CLIP.name, "teacher")
    found = cells[Cell(CLIP.name, "teacher")]
    half = 1.96 * float(found.arrays["accuracy"].double().std()) / math.sqrt(N_IMAGES)
    assert row["clean high"] - row["clean"] == pytest.approx(half, rel=1e-6)


def test_failed_and_missing_cells_are_rows_with_nothing_in_them():
    cells = failed(planted(), lambda cell: cell.width == 4 and cell.objective == "cosine" and not cell.augmented)
    cells = {cell: found for cell, found in cells.items() if cell.architecture != "residual" or cell.seed == 42}
    for make in (tables.geometry_table, tables.noise_table, tables.record_table):
        table = make(CONFIG, cells)
        row = row_of(table, CLIP.name, "cnn-w4-cosine")
        assert row["seeds"] == 0
        assert row["note"].count("the loss became nan in epoch 2 of 5") == 3
        assert all(pd.isna(v) for k, v in row.items() if k not in ("setting", "model", "seeds", "note"))
        shown = next(r for r in table_text.shown(table) if r[:2] == [CLIP.name, "cnn-w4-cosine"])
        assert set(shown[3:-1]) == {"–"}
        half = row_of(table, CLIP.name, "residual-w1-cosine")
        assert (half["seeds"], half["note"]) == (1, "2 not run")
    assert pd.isna(row_of(tables.geometry_table(CONFIG, cells), CLIP.name, "residual-w1-cosine")["effective rank low"])


def test_a_failed_seed_does_not_count_as_zero():
    cells = failed(planted(change=lambda cell: {"accuracy": 0.6}, scatter=0), lambda cell: cell.seed == 42)
    row = row_of(tables.noise_table(CONFIG, cells), CLIP.name, "cnn-w1-cosine")
    assert row["clean"] == pytest.approx(0.6)
    assert row["note"] == "seed 42: the loss became nan in epoch 2 of 5"


def test_a_teacher_has_no_seed_to_blame():
    cells = failed(planted(), lambda cell: cell.kind == "teacher", "out of memory")
    assert row_of(tables.noise_table(CONFIG, cells), CLIP.name, "teacher")["note"] == "out of memory"


def test_record_table_has_both_ways():
    cells = planted(scatter=0.05)
    row = row_of(tables.record_table(CONFIG, cells), CLIP.name, "cnn-w1-cosine")
    found = [cells[student(CLIP, 1, seed=s)].record for s in SEEDS]
    noisy = [r["accuracy/normalized/0.2"] for r in found]
    assert row["rank of the mean spectrum"] == pytest.approx(
        math.exp(log_rank(np.mean([r["variance_ratio"] for r in found], 0)))
    )
    assert row["rank from σ"] == pytest.approx(np.mean([r["effective_rank_sigma"] for r in found]))
    assert row["± over seeds, ddof 0"] == pytest.approx(np.std(noisy))
    assert row["± over seeds, ddof 1"] == pytest.approx(np.std(noisy, ddof=1))
    assert row["captured, student not centred"] == pytest.approx(0.861, abs=0.01)


def test_the_mean_spectrum_of_unequal_lengths():
    mean = np.array([0.55, 0.35, 0.1])
    assert summaries.rank_of_mean([[0.6, 0.4], [0.5, 0.3, 0.2]]) == pytest.approx(math.exp(log_rank(mean)))


def test_ledger_table_is_the_ledger():
    entries = ledger.ledger(CONFIG, failed(planted(), lambda cell: cell.augmented))
    table = tables.ledger_table(entries)
    assert len(table) == sum(len(e.rows) + len(e.preconditions) for e in entries)
    asked = table[table["role"] == "test"]
    last = asked[asked["claim"] == 8].to_dict("records")[0]
    assert (last["seeds"], last["verdict"]) == (0, NOT_RUN)
    assert pd.isna(last["value"])
    assert "failed" in last["reason"]
    first = asked.to_dict("records")[0]
    assert (first["value"], first["low"]) == (entries[0].rows[0].summary.value, entries[0].rows[0].summary.low)


def test_published_numbers_of_models_that_a_run_does_not_hold_are_named_and_not_listed():
    config = dataclasses.replace(CONFIG, settings=(dataclasses.replace(CLIP, augmented=False),), widths=(1, 2))
    table = comparison.published_table(config, planted(config))
    names, *rows = table_text.published_rows(table, CLIP.name)
    assert {row[1] for row in rows} == {"teacher", "S, cosine", "M, cosine", "cosine", "cosine+infonce"}
    assert table_text.models_without(table, CLIP.name).endswith("part of this run: L, cosine; L, cosine, augmented.")
    everything = comparison.published_table(CONFIG, planted())
    assert len(table_text.published_rows(everything, CLIP.name)) == 1 + len(published.POINTS)
    assert table_text.models_without(everything, CLIP.name) == ""
    places = {row[names.index("published in")] for row in rows}
    assert {"v1, table I", "v2, figure 2, DINOv2 on CIFAR-100"} < places


def test_an_interval_of_an_accuracy_ends_at_all_and_at_none():
    table = comparison.published_table(CONFIG, planted())
    row = table[(table["model"] == "S, cosine") & (table["quantity"] == "probe accuracy, clean")].head(1)
    wide = row.assign(**{"ours": 0.9, "ours low": -0.1, "ours high": 1.06})
    assert table_text.published_rows(wide, CLIP.name)[1][-1] == "0.00 to 100.00"
    # A rank may lie beyond 1.
    rank = table[(table["model"] == "S, cosine") & (table["quantity"] == "effective rank")].head(1)
    assert (
        table_text.published_rows(rank.assign(**{"ours low": 19.0, "ours high": 21.0}), CLIP.name)[1][-1] == "19 to 21"
    )
