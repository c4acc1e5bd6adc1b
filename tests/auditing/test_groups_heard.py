"""An audit with groups: neighbours lie outside of a row's own group, whatever the rows come as."""

import numpy as np
import pytest

import repgeom as rg

ONE_GROUP = "all rows are of one group, so none has a neighbour outside of its own"
OWN_CLASS = "most rows have no row of their class outside of their own group"


def videos(n_videos=120, n_frames=10, width=16, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(n_videos), n_frames)
    return rng.standard_normal((n_videos, width))[codes] + 0.02 * rng.standard_normal((len(codes), width)), codes


def given():
    """Two unrelated models of the same videos, labels drawn per video, and a mild corruption."""
    x, codes = videos()
    labels = np.random.default_rng(5).integers(0, 5, 120)[codes]
    moved = x + 0.05 * np.random.default_rng(6).standard_normal(x.shape)
    return x, {"reference": videos(seed=1)[0], "labels": labels, "groups": codes, "corrupted": moved}


def as_stream(x, beside):
    return ({"features": x[i : i + 90], **{k: v[i : i + 90] for k, v in beside.items()}} for i in range(0, len(x), 90))


def reports():
    import dask.array as da

    x, beside = given()
    accumulator = rg.AuditAccumulator()
    for i in range(0, len(x), 500):
        accumulator.update(x[i : i + 500], **{name: values[i : i + 500] for name, values in beside.items()})
    return {
        "array": rg.audit(x, **beside),
        "stream": rg.audit(as_stream(x, beside)),
        "dask": rg.audit(da.from_array(x, (300, 16)), **beside),
        "accumulator": accumulator.report(),
    }


def test_every_entry_point_leaves_the_own_group_out():
    x, beside = given()
    codes = beside["groups"]
    accuracy = rg.knn_accuracy(x, beside["labels"], groups=codes)
    shared = rg.mutual_knn(x, beside["reference"], groups=codes)
    assert accuracy < 0.4
    assert shared < 0.1
    for name, report in reports().items():
        assert report["knn_accuracy"].value == pytest.approx(accuracy, rel=1e-12), name
        assert report["mutual_knn"].value == pytest.approx(shared, rel=1e-12), name
        drift = report.drift.set_index("measure")
        assert drift.value["self_retrieval"] == 1, name
        assert drift.value["mutual_knn"] == pytest.approx(rg.mutual_knn(x, beside["corrupted"], groups=codes)), name
    blind = rg.audit(x, **beside | {"groups": None})
    assert blind["knn_accuracy"].value > 0.9
    assert blind["mutual_knn"].value > 0.8


def test_chance_and_intervals_count_groups():
    x, beside = given()
    report = rg.audit(x, **beside)
    shared, accuracy = report["mutual_knn"], report["knn_accuracy"]
    assert shared.baseline == pytest.approx(10 / 1190)
    assert shared.low <= shared.value <= shared.high
    # 120 independent videos, not 1,200 rows.
    assert accuracy.high - accuracy.low > 2 * 1.96 * (accuracy.value * (1 - accuracy.value) / 300) ** 0.5
    few = rg.audit(x[:300], **{name: values[:300] for name, values in beside.items()})
    assert few["mutual_knn"].low is None
    assert "30 groups are too few" in few["mutual_knn"].note


def test_one_group_has_no_neighbours_and_says_so_without_a_nan():
    x, beside = given()
    report = rg.audit(x, **beside | {"groups": np.zeros(len(x), int)})
    assert (report["knn_accuracy"].value, report["knn_accuracy"].note) == (None, OWN_CLASS)
    assert (report["mutual_knn"].value, report["mutual_knn"].note) == (None, ONE_GROUP)
    drift = report.drift.set_index("measure")
    assert set(drift.note[["knn_overlap", "mutual_knn", "self_retrieval"]]) == {
        "no neighbours: all rows are of one group"
    }
    assert "agreement" not in [f.name for f in report.findings]


@pytest.mark.parametrize("n_classes", [5, 120])
@pytest.mark.parametrize("groups_are", ["the classes", "parts of some"])
def test_classes_within_one_group_are_no_mixed_up_labels(n_classes, groups_are):
    """Each speaker a class: without the own speaker's rows nobody has a neighbour of its class, in whatever order."""
    labels = np.repeat(np.arange(n_classes), 1200 // n_classes)
    x = np.random.default_rng(0).standard_normal((n_classes, 16))[labels]
    x = x + 0.3 * np.random.default_rng(1).standard_normal(x.shape)
    groups = labels if groups_are == "the classes" else np.where(labels == 0, n_classes + np.arange(1200) % 2, labels)
    for kind in (labels, np.char.add("speaker ", labels.astype(str))):
        report = rg.audit(x, labels=kind, groups=groups)
        assert report["knn_accuracy"].note == OWN_CLASS
        assert not {"agreement", "label_order"} & {finding.name for finding in report.findings}


def test_a_large_group_lowers_how_many_neighbours_are_asked():
    x, beside = given()
    codes = np.where(np.arange(len(x)) < len(x) - 4, 0, beside["groups"] + np.arange(len(x)))
    report = rg.audit(x, **beside | {"groups": codes})
    assert report.convention["neighbours"] == 4
    assert report["mutual_knn"].value == pytest.approx(rg.mutual_knn(x, beside["reference"], k=4, groups=codes))
