"""The audit: the same numbers from memory, files and shards, whatever the pieces, types and samples; drift."""

import json

import numpy as np
import pytest
import torch
from audited import audited_student, finding, healthy
from conftest import oracle

import repgeom as rg
from repgeom.data import arrays as gate
from repgeom.measures.measure import measures


@pytest.fixture(scope="module")
def everything():
    """Features, a teacher, labels, and the audit of all three."""
    return audited_student()


def test_every_measure_equals_its_function(everything):
    x, y, labels, report = everything
    expected = {
        "effective_rank": rg.effective_rank(x),
        "effective_rank_sigma": rg.effective_rank(x, of="singular_values"),
        "rankme": rg.rankme(x),
        "participation_ratio": rg.participation_ratio(x),
        "stable_rank": rg.stable_rank(x),
        "n_components_90": rg.n_components(x),
        "n_components_99": rg.n_components(x, variance=0.99),
        "numerical_rank": rg.numerical_rank(x),
        "condition_number": rg.condition_number(x),
        "power_law_exponent": rg.power_law(x).exponent,
        "power_law_r_squared": rg.power_law(x).r_squared,
        "mean_cosine": rg.mean_cosine(x),
        "uniformity": rg.uniformity(x),
        "feature_std": rg.feature_std(x),
        "norm_mean": rg.norms(x).mean,
        "norm_cv": rg.norms(x).cv,
        "class_rank_median": np.median(rg.class_effective_rank(x, labels).effective_rank),
        "between_class_variance": rg.between_class_variance(x, labels),
        "knn_accuracy": rg.knn_accuracy(x, labels),
        "reference_effective_rank": rg.effective_rank(y),
        "rank_retained": rg.effective_rank(x) / rg.effective_rank(y),
        "captured_variance": rg.captured_variance(x, y, k=20),
        "mean_principal_angle": rg.principal_angles(x, y).mean(),
        "linear_cka": rg.linear_cka(x, y),
        "procrustes_distance": rg.procrustes_distance(x, y),
        "mutual_knn": rg.mutual_knn(x, y),
        "cosine_alignment": rg.cosine_alignment(x, y),
    }
    assert set(expected) <= {m.name for m in measures()}  # slow definitions of all: tests/measures/test_registry.py
    for name, value in expected.items():
        assert report[name].in_these_rows == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_every_value_lies_in_its_range(everything):
    reports = [everything[3], rg.audit(np.eye(5)), rg.audit(healthy(4, 3), reference=healthy(4, 9))]
    # Fewer rows than columns: the population's rank lies above what so many rows can read.
    reports += [rg.audit(healthy(30, 90), reference=healthy(30, 70)), rg.audit(healthy(150, 90))]
    for report in reports:
        for v in report.values:
            low, high = v.range
            for number in (v.value, v.low, v.high, v.in_these_rows):
                assert number is None or low * (1 - 1e-9) - 1e-9 <= number <= high * (1 + 1e-9) + 1e-9, v.name
            assert v.in_these_rows is not None or v.note, f"{v.name} is missing without a reason"


@pytest.mark.parametrize("n", [12, 600])
@pytest.mark.parametrize("normalize", [None, "l2"])
def test_small_chunks_and_few_rows_read_the_same(n, normalize, everything, monkeypatch):
    x, y, labels = (part[:n] for part in everything[:3])
    whole = rg.audit(x, reference=y, labels=labels, normalize=normalize)
    monkeypatch.setattr(gate, "CHUNK_VALUES", 24 * 7)
    pieces = rg.audit(x, reference=y, labels=labels, normalize=normalize)
    for v in whole.values:
        expected = None if v.in_these_rows is None else pytest.approx(v.in_these_rows, rel=1e-8, abs=1e-10)
        assert pieces[v.name].in_these_rows == expected, v.name
    assert pieces.health == whole.health
    if normalize:
        assert whole["effective_rank"].in_these_rows == pytest.approx(rg.effective_rank(x, normalize="l2"), rel=1e-9)
        assert whole["rankme"].in_these_rows == pytest.approx(rg.rankme(x), rel=1e-9)
        units = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y)]
        assert whole["linear_cka"].in_these_rows == pytest.approx(rg.linear_cka(*units), rel=1e-8)
        assert whole["captured_variance"].in_these_rows == pytest.approx(
            rg.captured_variance(*units)[min(20, len(rg.captured_variance(*units))) - 1], rel=1e-8
        )


def test_a_pass_given_up_after_one_chunk_counts_nothing_twice(monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 12)
    x = (healthy(3000, 16) * np.where(np.arange(16) < 4, 1, 1e-3)).astype(np.float32)
    x[::2] = x[1::2]
    whole = rg.audit(x)
    monkeypatch.setattr(gate, "CHUNK_VALUES", 16 * 100)
    pieces = rg.audit(x)
    assert pieces.spectrum.method == "float64 product"
    assert pieces.health == whole.health
    assert pieces.health.duplicate_rows == 1500
    for v in whole.values:
        assert v.in_these_rows is None or pieces[v.name].in_these_rows == pytest.approx(
            v.in_these_rows, rel=1e-6, abs=1e-9
        ), v.name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_kinds_read_as_their_values(dtype):
    x = torch.tensor(healthy() + 2).to(dtype)
    narrow, wide = rg.audit(x), rg.audit(x.double())
    assert narrow.dtype == str(dtype).removeprefix("torch.")
    for v in wide.values:
        assert narrow[v.name].in_these_rows == pytest.approx(v.in_these_rows, rel=1e-5, abs=1e-5), v.name


def test_pairs_are_sampled_where_rows_are_many_and_it_says_so():
    report = rg.audit(healthy(), max_pair_rows=100, labels=np.arange(600) % 3)
    assert "Uniformity and kNN are read from 100 of 600 rows" in report.notes[0]
    assert report["uniformity"].note.endswith("; from 100 rows")
    assert report["knn_accuracy"].note == "from 100 rows"
    assert report["uniformity"].in_these_rows == rg.audit(healthy(), max_pair_rows=100)["uniformity"].value
    assert report["uniformity"].in_these_rows != rg.audit(healthy(), max_pair_rows=100, seed=1)["uniformity"].value
    assert report["uniformity"].in_these_rows == pytest.approx(report["uniformity"].baseline, rel=0.05)


def test_isotropic_features_read_their_baseline():
    assert rg.audit(healthy(2000, 40)).level == "ok"
    report = rg.audit(healthy(2000, 40), reference=healthy(2000, 40, seed=1), labels=np.arange(2000) % 5)
    # Nothing in common with the reference or with the labels, and nothing else to say.
    assert {f.name for f in report.findings if f.level != "ok"} == {"alike", "agreement"}
    for v in report.values:
        if v.baseline is not None and not v.name.startswith(("power", "condition", "knn")):
            assert v.in_these_rows == pytest.approx(v.baseline, rel=0.06, abs=0.03), v.name


# --- corrupted features ------------------------------------------------------------------------------------------


def test_the_drift_table_is_that_of_feature_robustness(everything):
    x, _, labels, _ = everything
    moved = x + 0.3 * healthy(seed=5)
    report = rg.audit(x, corrupted=moved, labels=labels, normalize="l2")
    units = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, moved)]
    table = rg.robustness.feature_robustness(*units, labels)
    expected = table[table.corruption != "clean"].set_index("measure")
    found = report.drift.set_index("measure")
    assert list(found.index) == list(expected.index)
    for column in ("value", "low", "high", "n"):
        assert found[column].to_numpy() == pytest.approx(expected[column].to_numpy(), rel=1e-9, nan_ok=True)
    assert finding(report, "corrupted_rank_ratio").value == found.loc["effective_rank_ratio", "value"]


def test_every_form_shows_the_drift(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # wide enough for what a measure is
    x = healthy()
    np.save(tmp_path / "noisy.npy", x + 0.1)
    report = rg.audit(x, corrupted=tmp_path / "noisy.npy", name="mine")
    row = json.loads(report.to_json())["corrupted"]["drift"][2]
    assert row["measure"] == "relative_l2_drift"
    assert row["low"] < row["value"] < row["high"]
    for form in (str(report), report.to_html()):
        assert "orrupted, row by row: " in form
        assert "noisy.npy" in form
        assert "mean distance moved / mean norm of the clean features" in form
    assert rg.audit(x).drift is None
    assert "orrupted" not in str(rg.audit(x))


def test_rows_that_are_dropped_are_dropped_from_all():
    x, moved = healthy(), healthy(seed=1)
    x[3, 0], moved[7, 0] = np.nan, np.inf
    kept = np.delete(np.arange(600), [3, 7])
    report = rg.audit(x, corrupted=moved, drop_nonfinite=True)
    table = rg.robustness.feature_robustness(x[kept], moved[kept])
    assert report.n_samples == 598
    assert report.drift["value"].tolist() == pytest.approx(table.value[table.corruption != "clean"].tolist(), rel=1e-9)


def test_equal_corrupted_rows_are_a_collapse():
    report = rg.audit(healthy(), corrupted=np.ones((600, 24)))
    assert finding(report, "corrupted_rank_ratio").level == report.level == "fail"
    assert "all corrupted rows are equal" in str(report)


def test_drift_is_read_from_a_sample_where_rows_are_many(monkeypatch):
    monkeypatch.setattr("repgeom.auditing.evidence_of.DRIFT_ROWS", 100)
    x = healthy()
    report = rg.audit(x, corrupted=x + 1)
    assert set(report.drift.n) == {100}
    assert "Drift is read from 100 of 600 rows" in str(report)


def test_a_second_pass_of_one_of_two_spectra_does_not_confuse_them(monkeypatch):
    """Rows of unit length turn out steep where the rows as they are do not."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((20_000, 16)) * np.linspace(1, 0.3, 16)
    x[:, 0] = 0
    x *= 8 / np.linalg.norm(x, axis=1, keepdims=True)
    x[:, 0] = 1 + 6e-3 * rng.standard_normal(len(x))
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 1 << 12)
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 14)
    x = x.astype(np.float32)
    report = rg.audit(x, normalize="l2")
    assert report["effective_rank"].in_these_rows == pytest.approx(
        oracle(x / np.linalg.norm(x, axis=1)[:, None])["effective_rank"], rel=1e-5
    )
    assert report["rankme"].in_these_rows == pytest.approx(rg.rankme(x), rel=1e-6)
    assert report.spectrum.normalize == "l2"
