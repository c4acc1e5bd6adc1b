"""Published numbers beside ours, by hand."""

import math

import numpy as np
import pytest

from repgeom_examples.distillation.claims import comparison, published
from repgeom_examples.distillation.claims.published import CLIP as OF_CLIP
from repgeom_examples.distillation.claims.published import POINTS
from repgeom_examples.distillation.reporting import table_text
from repgeom_examples.distillation.settings.configs import Setting

from ..planted_details import detailed
from ..planted_results import CLIP, CONFIG, DINO, SEEDS, failed, log_rank, older, planted, student


def point(quantity, objective="cosine", width=1, augmented=False):
    found = [
        p
        for p in POINTS
        if p.of == OF_CLIP and (p.quantity, p.objective, p.augmented) == (quantity, objective, augmented)
    ]
    return next(p for p in found if p.width == width or p.width is None)


def ours(cells, setting=CLIP, **which):
    return comparison.ours_of(CONFIG, cells, setting, point(**which))


def test_a_rank_as_published_is_of_sigma_averaged_over_seeds():
    cells = detailed(planted(scatter=0.05))
    for seed, factor in zip(SEEDS, (1.0, 0.5, 2.0), strict=True):
        sigma = cells[student(CLIP, 1, seed=seed)].record["singular_values"]
        cells[student(CLIP, 1, seed=seed)].record["singular_values"] = [
            s * factor ** (i > 3) for i, s in enumerate(sigma)
        ]
    found = ours(cells, quantity="effective_rank")
    sigma = np.mean([cells[student(CLIP, 1, seed=s)].record["singular_values"] for s in SEEDS], 0)
    assert found.as_published == pytest.approx(math.exp(log_rank(sigma**2)))
    ranks = [cells[student(CLIP, 1, seed=s)].record["effective_rank"] for s in SEEDS]
    assert found.sound == pytest.approx(np.mean(ranks))
    assert found.summary.low < found.sound < found.summary.high
    dimensions = ours(cells, quantity="n_components_90")
    assert dimensions.as_published == 1 + np.searchsorted(np.cumsum(sigma**2) / (sigma**2).sum(), 0.9)
    assert dimensions.sound == 20


def test_captured_variance_by_both_centrings():
    cells = detailed(planted())
    record = cells[student(CLIP, 1)].record
    one, twenty = ours(cells, quantity="captured/1"), ours(cells, quantity="captured/20")
    assert one.as_published == pytest.approx(record["captured_curve_student_not_centred"][0])
    assert one.sound == pytest.approx(record["captured_curve"][0])
    assert one.summary is None  # an interval is kept for 20 directions alone
    assert twenty.summary.low is not None
    reached = ours(cells, quantity="directions_to_90")
    curve = np.array(record["captured_curve"])
    assert reached.sound == 1 + np.argmax(curve >= 0.9)
    assert reached.as_published == 1 + np.argmax(curve - 0.05 >= 0.9)


def test_numbers_of_batches_and_accuracies():
    cells = detailed(planted(scatter=0))
    assert ours(cells, quantity="infonce").as_published == pytest.approx(3.3 - 0.02 + 0.006)
    assert ours(cells, quantity="infonce").sound == pytest.approx(3.3 - 0.02)
    noisy = ours(detailed(planted(scatter=0.02)), quantity="accuracy/normalized/0.2")
    assert noisy.scatter == pytest.approx(noisy.summary.scatter)
    assert ours(cells, quantity="accuracy", objective="teacher").scatter is None
    augmented = ours(cells, quantity="accuracy", width=4, augmented=True)
    assert augmented.sound == pytest.approx(0.74)


@pytest.mark.parametrize(
    ("which", "reason"),
    [
        ({"quantity": "effective_rank"}, "singular values were not kept"),
        ({"quantity": "infonce"}, "means of batches were not kept"),
        ({"quantity": "accuracy/normalized/0.1"}, "not measured here"),
        ({"quantity": "captured/1"}, "the curve was not kept with the student not centred"),
    ],
)
def test_what_older_records_lack_is_said(which, reason):
    found = ours(older(planted()), **which)
    assert found.reason == reason
    assert found.as_published is None


def test_models_that_are_not_there_are_said():
    narrow = Setting("random-relu", "digits", widths=(1,))
    config = CONFIG.__class__("narrow", (narrow,))
    assert comparison.ours_of(config, {}, narrow, point("accuracy", width=4)).reason == "no width 4 here"
    assert comparison.ours_of(config, {}, narrow, point("accuracy")).reason == "not run"
    assert "augmented" in comparison.ours_of(CONFIG, planted(), DINO, point("accuracy", width=4, augmented=True)).reason
    lost = failed(planted(), lambda cell: cell.width == 1, "the loss became nan")
    assert "seed 42: the loss became nan" in ours(lost, quantity="accuracy").reason


def test_the_table_has_every_number_in_every_setting_and_its_text():
    table = comparison.published_table(CONFIG, detailed(planted(scatter=0.02)))
    assert len(table) == len(CONFIG.settings) * len(POINTS)
    names, *rows = table_text.published_rows(table, CLIP.name)
    assert len(rows) == len(POINTS)
    row = next(dict(zip(names, r, strict=True)) for r in rows if r[:2] == ["probe accuracy, clean, %", "S, cosine"])
    assert row["published"] == "71.11 ±0.44"
    assert " to " in row["95 % interval"]
    assert "±" in row["ours as published"]
    about = next(dict(zip(names, r, strict=True)) for r in rows if r[1] == "cosine+infonce")
    assert about["published"] == "about 38"
    assert any(r[3] == "above 0.9000" for r in rows)


def test_published_numbers_are_those_of_the_papers_tables():
    assert len(POINTS) == len({(p.where, p.of, p.quantity, p.objective, p.width, p.augmented) for p in POINTS}) == 42
    assert point("effective_rank", "teacher", None).value == 88.68
    assert point("accuracy/normalized/0.1", width=2).scatter == 0.0752


def test_which_settings_are_the_papers_is_said():
    assert published.comparability((CLIP, DINO)).endswith("and so are ours.")
    digits = Setting("efficientnet-lite0", "digits")
    assert "none of ours is either" in published.comparability((digits,))
    assert "only clip-cifar10 is that" in published.comparability((CLIP, digits))
    assert published.is_published(Setting("clip", "cifar10", n_train=100)) is None
