"""The audit: the same numbers from memory, files and shards; verdicts on planted troubles; the report's forms."""

import json
import math
import re

import numpy as np
import pytest
import torch
from conftest import oracle

import repgeom as rg
from repgeom.auditing.catalogue import MEASURES
from repgeom.auditing.rules import RULES
from repgeom.data import arrays as gate


def healthy(n=600, d=24, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def finding(report, name):
    return next(f for f in report.findings if f.name == name)


@pytest.fixture(scope="module")
def everything():
    """Features, a teacher, labels, and the audit of all three."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 600)
    teacher = rng.standard_normal((600, 24)) + 3 * np.eye(24)[labels]
    student = teacher @ np.diag(np.arange(24, 0, -1) ** 0.5) + 0.5 * rng.standard_normal((600, 24)) + 1
    return student, teacher, labels, rg.audit(student, reference=teacher, labels=labels)


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
    assert set(expected) == {m.name for m in MEASURES}
    for name, value in expected.items():
        assert report[name].value == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_every_value_lies_in_its_range(everything):
    for report in (everything[3], rg.audit(np.eye(5)), rg.audit(healthy(4, 3), reference=healthy(4, 9))):
        for v in report.values:
            low, high = v.range
            assert v.value is None or low * (1 - 1e-9) - 1e-9 <= v.value <= high * (1 + 1e-9) + 1e-9, v.name
            assert v.value is not None or v.note, f"{v.name} is missing without a reason"


@pytest.mark.parametrize("n", [12, 600])
@pytest.mark.parametrize("normalize", [None, "l2"])
def test_small_chunks_and_few_rows_read_the_same(n, normalize, everything, monkeypatch):
    x, y, labels = (part[:n] for part in everything[:3])
    whole = rg.audit(x, reference=y, labels=labels, normalize=normalize)
    monkeypatch.setattr(gate, "CHUNK_VALUES", 24 * 7)
    pieces = rg.audit(x, reference=y, labels=labels, normalize=normalize)
    for v in whole.values:
        expected = None if v.value is None else pytest.approx(v.value, rel=1e-8, abs=1e-10)
        assert pieces[v.name].value == expected, v.name
    assert pieces.health == whole.health
    if normalize:
        assert whole["effective_rank"].value == pytest.approx(rg.effective_rank(x, normalize="l2"), rel=1e-9)
        assert whole["rankme"].value == pytest.approx(rg.rankme(x), rel=1e-9)
        units = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y)]
        assert whole["linear_cka"].value == pytest.approx(rg.linear_cka(*units), rel=1e-8)
        assert whole["captured_variance"].value == pytest.approx(
            rg.captured_variance(*units)[min(20, len(rg.captured_variance(*units))) - 1], rel=1e-8
        )


def test_a_pass_given_up_after_one_chunk_counts_nothing_twice(monkeypatch):
    monkeypatch.setattr("repgeom.spectral.decompose.CHUNK_VALUES", 1 << 10)
    x = (healthy(3000, 16) * np.where(np.arange(16) < 4, 1, 1e-3)).astype(np.float32)
    x[::2] = x[1::2]
    whole = rg.audit(x)
    monkeypatch.setattr(gate, "CHUNK_VALUES", 16 * 100)
    pieces = rg.audit(x)
    assert pieces.spectrum.method == "float64 product"
    assert pieces.health == whole.health
    assert pieces.health.duplicate_rows == 1500
    for v in whole.values:
        assert v.value is None or pieces[v.name].value == pytest.approx(v.value, rel=1e-6, abs=1e-9), v.name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_kinds_read_as_their_values(dtype):
    x = torch.tensor(healthy() + 2).to(dtype)
    narrow, wide = rg.audit(x), rg.audit(x.double())
    assert narrow.dtype == str(dtype).removeprefix("torch.")
    for v in wide.values:
        assert narrow[v.name].value == pytest.approx(v.value, rel=1e-5, abs=1e-5), v.name


def test_pairs_are_sampled_where_rows_are_many_and_it_says_so():
    report = rg.audit(healthy(), max_pair_rows=100, labels=np.arange(600) % 3)
    assert "Uniformity and kNN are read from 100 of 600 rows" in report.notes[0]
    assert report["uniformity"].note == "from 100 rows"
    assert report["uniformity"].value == rg.audit(healthy(), max_pair_rows=100)["uniformity"].value
    assert report["uniformity"].value != rg.audit(healthy(), max_pair_rows=100, seed=1)["uniformity"].value
    assert report["uniformity"].value == pytest.approx(report["uniformity"].baseline, rel=0.05)


def test_isotropic_features_read_their_baseline():
    report = rg.audit(healthy(2000, 40), reference=healthy(2000, 40, seed=1), labels=np.arange(2000) % 5)
    assert report.level == "ok"
    for v in report.values:
        if v.baseline is not None and not v.name.startswith(("power", "condition", "knn")):
            assert v.value == pytest.approx(v.baseline, rel=0.06, abs=0.03), v.name


# --- verdicts ----------------------------------------------------------------------------------------------------


def test_collapse_fails_with_the_number_and_a_way_out():
    x = rg.testing.features_with_spectrum([1.0] * 2 + [1e-3] * 62, 2000)
    report = rg.audit(x)
    f = finding(report, "rank_share")
    assert (report.level, f.level) == ("fail", "fail")
    assert re.search(r"uses 2\.00\d dimensions of 64 \(95 % interval [12]\.\d+ to 2\.\d+; share 0\.01", report.headline)
    assert "contrastive" in f.advice
    assert "2603.06698" in f.source


@pytest.mark.parametrize(("n", "d"), [(5000, 1), (5000, 2), (5000, 3), (2, 20), (3, 20)])
def test_narrow_or_few_is_not_mistaken_for_a_leading_direction(n, d):
    report = rg.audit(healthy(n, d))
    assert all(f.level == "ok" for f in report.findings if f.name == "leading_direction")
    assert report.level == ("ok" if n > d else "warn")


def test_labels_that_are_all_different_are_said_to_be(recwarn):
    report = rg.audit(healthy(50, 4), labels=np.arange(50))
    assert report["class_rank_median"].note == "every class has one row"


def test_a_report_shows_itself_in_a_notebook():
    report = rg.audit(healthy(), name="<b>")
    assert repr(report).startswith("<Report <b>: ok, uses")
    assert report._repr_html_().startswith("<pre>&lt;b&gt;: 600 samples")


@pytest.mark.parametrize(("n", "level"), [(40, "warn"), (64, "warn"), (130, "warn"), (160, "ok")])
def test_too_few_samples_for_the_width_is_said_and_collapse_is_not(n, level):
    report = rg.audit(healthy(n, 64))
    assert finding(report, "samples_per_feature").level == level
    assert finding(report, "rank_share").level == "ok"
    if level == "warn":
        assert f"too few samples for this width: {n} rows for 64 features" in str(report)


def _troubles():
    x = healthy(1000, 16)
    yield "leading_direction", x * np.where(np.arange(16) == 0, 10, 1), {}
    yield "mean_cosine", x + 30, {}
    yield "zero_rows", np.where(np.arange(1000)[:, None] < 20, 0, x), {}
    yield "duplicate_rows", np.concatenate([x, x[:900], x[:900]]), {}
    yield "constant_features", np.where(np.arange(16) < 9, 1.0, x), {}
    yield "extreme_norms", np.where(np.arange(1000)[:, None] < 150, 1e3, 1) * x, {}
    yield "directions_that_vary", x[:, :8] @ healthy(8, 16), {}
    yield "rank_retained", x * np.where(np.arange(16) < 3, 1, 1e-2), {"reference": x}
    yield "corrupted_drift", x, {"corrupted": x[::-1]}
    yield "corrupted_rank_ratio", x, {"corrupted": x * np.where(np.arange(16) < 5, 1, 1e-2)}
    collapsed = np.where(np.arange(1000)[:, None] % 2 == 0, x[:, :1], x)
    yield "collapsed_classes", collapsed, {"labels": np.arange(1000) % 2}


@pytest.mark.parametrize(("rule", "x", "more"), list(_troubles()), ids=lambda v: v if isinstance(v, str) else "")
def test_each_planted_trouble_is_found_and_absent_from_healthy_features(rule, x, more):
    assert finding(rg.audit(x, **more), rule).level in ("warn", "fail")
    clean = rg.audit(healthy(1000, 16), **{k: v if k == "labels" else healthy(1000, 16) for k, v in more.items()})
    assert finding(clean, rule).level == "ok"


def test_thresholds_can_be_set_and_say_so():
    x = healthy()
    f = finding(rg.audit(x, thresholds={"rank_share": (2, 1.5)}), "rank_share")
    assert (f.level, f.source) == ("fail", "set by the caller")
    assert finding(rg.audit(np.r_[x, x], thresholds={"duplicate_rows": (None, None)}), "duplicate_rows").level == "ok"
    with pytest.raises(ValueError, match=r"names rank, which no rule has. The rules are: rank_share"):
        rg.audit(x, thresholds={"rank": (1, 1)})
    for bad in ((0.1, 0.2), (float("nan"), 0.1)):
        with pytest.raises(ValueError, match="fail the stricter one: this rule warns below"):
            rg.audit(x, thresholds={"rank_share": bad})
    with pytest.raises(ValueError, match=r"two numbers \(warn, fail\).*got 3"):
        rg.audit(x, thresholds={"rank_share": 3})


def test_nonfinite_rows_stop_the_audit_or_are_counted():
    x = healthy()
    x[[3, 7], 2] = np.nan, np.inf
    y = healthy(seed=1)
    y[9, 0] = np.nan
    with pytest.raises(ValueError, match="`features` has 2 non-finite values; the first is nan at row 3, column 2"):
        rg.audit(x)
    with pytest.raises(ValueError, match="`reference` has 1 non-finite value"):
        rg.audit(healthy(), reference=y)
    report = rg.audit(x, reference=y, labels=np.arange(600) % 2, drop_nonfinite=True)
    kept = np.delete(np.arange(600), [3, 7, 9])
    assert report.n_samples == 597
    assert "3 rows with NaN or infinity were left out; 597 remain" in report.notes[0]
    assert report["effective_rank"].value == pytest.approx(rg.effective_rank(x[kept]), rel=1e-12)
    assert report["linear_cka"].value == pytest.approx(rg.linear_cka(x[kept], y[kept]), rel=1e-9)
    assert report["knn_accuracy"].value == rg.knn_accuracy(x[kept], (np.arange(600) % 2)[kept])
    assert finding(report, "nonfinite_rows").level == "warn"
    assert "3 rows (0.50%) hold NaN or infinity" in str(report)
    assert report.health.nonfinite_rows == 3


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: rg.audit(x, labels=[1, 2, 3]), ValueError, "`labels` has 3 entries and `features` 600 rows"),
        (lambda x: rg.audit(x, reference=x[:-1]), ValueError, "`features` has 600 rows and `reference` 599"),
        (lambda x: rg.audit(x, corrupted=x[:-1]), ValueError, "`features` has 600 rows and `corrupted` 599"),
        (lambda x: rg.audit(x, corrupted=x[:, 1:]), ValueError, "`features` has 24 columns and `corrupted` 23"),
        (lambda x: rg.audit(x, corrupted=x * np.inf), ValueError, "`corrupted` has 14,400 non-finite"),
        (lambda x: rg.audit(x[None]), ValueError, r"got shape \(1, 600, 24\)"),
        (lambda x: rg.audit(x[:1]), ValueError, "has 1 row "),
        (lambda x: rg.audit(np.ones((9, 3))), ValueError, "zero variance"),
        (lambda x: rg.audit(np.full((9, 3), np.nan), drop_nonfinite=True), ValueError, "0 rows after 9 rows with NaN"),
        (lambda x: rg.audit(x, reference=np.ones((600, 3))), ValueError, "zero variance"),
        (lambda x: rg.audit(x, normalize="l1"), ValueError, "got 'l1'"),
        (lambda x: rg.audit("no/such.npy"), FileNotFoundError, "no/such.npy"),
    ],
)
def test_refusals(call, kind, message):
    with pytest.raises(kind, match=message):
        call(healthy())


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


def test_every_form_shows_the_drift(tmp_path):
    x = healthy()
    np.save(tmp_path / "noisy.npy", x + 0.1)
    report = rg.audit(x, corrupted=tmp_path / "noisy.npy", name="mine")
    row = json.loads(report.to_json())["corrupted"]["drift"][2]
    assert row["measure"] == "relative_l2_drift"
    assert row["low"] < row["value"] < row["high"]
    for form in (str(report), report.to_html()):
        assert "mine against" in form
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
    monkeypatch.setattr("repgeom.auditing.audit.DRIFT_ROWS", 100)
    x = healthy()
    report = rg.audit(x, corrupted=x + 1)
    assert set(report.drift.n) == {100}
    assert "Drift is read from 100 of 600 rows" in str(report)


# --- forms -------------------------------------------------------------------------------------------------------


def test_json_has_what_others_rely_on(everything, tmp_path):
    report = everything[3]
    text = report.to_json(tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    assert found == json.loads(text)
    assert found["schema_version"] == 2
    assert found["convention"]["centered"] is True
    assert found["verdict"]["level"] == report.level
    for v in report.values:
        entry = found["measures"][v.name]
        assert entry["value"] == pytest.approx(v.value)
        assert len(entry["range"]) == 2
        assert "baseline" in entry
    assert found["measures"]["condition_number"]["range"] == [1.0, "Infinity"]
    assert [row["label"] for row in found["classes"]] == [0, 1, 2, 3]
    assert len(found["reference"]["captured_variance"]) == 24


def test_each_number_is_shown_once_with_its_other_names(everything):
    report = everything[3]
    assert len({v.name for v in report.values}) == len(report.values)
    assert any("NESum" in a for a in report["stable_rank"].aliases)
    assert any("IsoScore" in a for a in report["participation_ratio"].aliases)


def test_frame_has_a_row_per_measure(everything):
    frame = everything[3].to_frame()
    assert frame.loc["effective_rank", "value"] == everything[3]["effective_rank"].value
    assert list(frame.columns[:4]) == ["value", "corrected", "low", "high"]
    assert len(frame) == len(MEASURES)
    with pytest.raises(KeyError, match=r"no measure named 'rank'.*effective_rank"):
        everything[3]["rank"]


def test_html_is_one_whole_page_and_escapes_names(tmp_path):
    report = rg.audit(healthy(), name="<script>alert(1)</script>")
    report.to_html(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "<svg" in page
    assert all(v.label.strip() in page for v in report.values)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        rg.audit(healthy()).to_json(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_text_names_value_baseline_range_and_formula():
    text = str(rg.audit(healthy()))
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.strip().startswith("effective rank "))
    assert "exp entropy of σ² of centred features" in lines[at]
    assert re.search(r"\d \[\d+\.\d+, \d+\.?\d*\]", lines[at])
    assert lines[at + 1].strip().startswith("in these rows")
    assert "1 to 24" in lines[at + 1]


def test_rules_and_measures_have_distinct_names_and_words():
    assert len({r.name for r in RULES}) == len(RULES)
    assert len({m.name for m in MEASURES}) == len(MEASURES)
    assert all(r.causes and r.advice and r.source for r in RULES)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (math.inf, "∞"), (0.0, "0"), (12345.0, "12,345"), (11.4812, "11.48"), (-0.00111, "−0.00111"),
     (1e-9, "1.00e−09"), (123456.7, "123,457"), (float("nan"), "–"), (0.99996, "1.0000")],
)  # fmt: skip
def test_numbers_as_a_person_reads_them(value, text):
    from repgeom.presenting.text import number

    assert number(value) == text


def test_a_second_pass_of_one_of_two_spectra_does_not_confuse_them(monkeypatch):
    """Rows of unit length turn out steep where the rows as they are do not."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((20_000, 16)) * np.linspace(1, 0.3, 16)
    x[:, 0] = 0
    x *= 8 / np.linalg.norm(x, axis=1, keepdims=True)
    x[:, 0] = 1 + 6e-3 * rng.standard_normal(len(x))
    for module in ("data.arrays", "spectral.decompose"):
        monkeypatch.setattr(f"repgeom.{module}.CHUNK_VALUES", 1 << 12)
    x = x.astype(np.float32)
    report = rg.audit(x, normalize="l2")
    assert report["effective_rank"].value == pytest.approx(
        oracle(x / np.linalg.norm(x, axis=1)[:, None])["effective_rank"], rel=1e-5
    )
    assert report["rankme"].value == pytest.approx(rg.rankme(x), rel=1e-6)
    assert report.spectrum.normalize == "l2"
