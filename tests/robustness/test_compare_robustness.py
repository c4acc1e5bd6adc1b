"""Two encoders: the difference of their tables, and its tests."""

import pytest
import scipy.stats
import torch
from encoders import IMAGES, LABELS, TWO, Counted, means, pixels

import repgeom as rg
from repgeom.corruptions import corrupt


@pytest.fixture(scope="module")
def compared(probe):
    mean_probe = rg.probes.fit_linear_probe(means(IMAGES), LABELS, C=100.0)
    settings = TWO | {"k": 3, "severities": [3, 5]}
    tables = [
        rg.robustness.corruption_robustness(e, IMAGES, LABELS, probe=p, **settings)
        for e, p in ((pixels, probe), (means, mean_probe))
    ]
    pair = rg.robustness.compare_robustness(pixels, means, IMAGES, LABELS, probes=(probe, mean_probe), **settings)
    turned = rg.robustness.compare_robustness(means, pixels, IMAGES, LABELS, probes=(mean_probe, probe), **settings)
    return pair, turned, tables, (probe, mean_probe)


def test_a_comparison_is_the_difference_of_two_tables(compared):
    pair, turned, tables, _ = compared
    keys = ["corruption", "severity", "measure"]
    for column, table in zip(("first", "second"), tables, strict=True):
        both = pair.merge(table, on=keys, suffixes=("", "_alone"), validate="1:1")
        assert len(both) == len(pair) == len(table)
        assert both[column].tolist() == pytest.approx(both.value.tolist(), abs=1e-12)
    assert pair.difference.tolist() == pytest.approx((pair.second - pair["first"]).tolist())
    back = pair[keys].merge(turned, on=keys)
    assert back.difference.tolist() == pytest.approx((-pair.difference).tolist())
    assert back.low.tolist() == pytest.approx((-pair.high).tolist(), nan_ok=True)
    assert back.p_value.tolist() == pytest.approx(pair.p_value.tolist(), nan_ok=True)


def test_accuracies_are_compared_by_mcnemars_test(compared):
    pair, probes = compared[0], compared[3]
    accuracy = pair[pair.measure == "accuracy"].set_index(["corruption", "severity"])
    for cell in (("contrast", 5), ("gaussian_noise", 3)):
        moved = corrupt(IMAGES, *cell)
        mine, theirs = (p.correct(e(moved), LABELS) for p, e in zip(probes, (pixels, means), strict=True))
        better, worse = int((theirs & ~mine).sum()), int((mine & ~theirs).sum())
        assert better + worse > 0
        row = accuracy.loc[cell]
        assert row.p_value == pytest.approx(scipy.stats.binomtest(better, better + worse).pvalue)
        assert (row.test, row.n, row.difference) == ("McNemar, exact", 24, pytest.approx((better - worse) / 24))


def test_p_values_are_corrected_over_the_corrupted_cells_of_a_measure(compared):
    pair = compared[0]
    for measure, rows in pair[pair.corruption != "clean"].groupby("measure"):
        p = rows.p_value.to_numpy()
        slow = [max(min(1, (p > q).sum() * q + (p == q).sum() * q) for q in p if q <= v) if v == v else v for v in p]
        assert rows.p_holm.tolist() == pytest.approx(slow, nan_ok=True), measure


def test_both_encoders_see_the_same_draws_and_equal_ones_do_not_differ():
    one, other = Counted(), Counted(means)
    rg.robustness.compare_robustness(one, other, IMAGES, batch_size=7, **TWO)
    assert all(torch.equal(a, b) for a, b in zip(one.seen, other.seen, strict=True))
    table = rg.robustness.compare_robustness(pixels, pixels, IMAGES, LABELS, **TWO)
    assert (table.difference == 0).all()
    assert (table.p_value.dropna() == 1).all()
    assert {"knn_accuracy", "cosine_drift", "self_retrieval"} <= set(table.dropna().measure)


def test_a_measure_that_only_one_encoder_has_is_left_out(probe):
    table = rg.robustness.compare_robustness(pixels, means, IMAGES, LABELS, probes=(probe, None), **TWO)
    assert "knn_accuracy" in set(table.measure)
    assert not {"accuracy", "probe_drift"} & set(table.measure)
