"""A report's forms: table, data frame, page, JSON and back; and how little of it is kept."""

import copy
import json
import math
import pickle
import re

import numpy as np
import pytest
from audited import audited_student, healthy

import repgeom as rg
from repgeom.auditing.report import Report
from repgeom.measures.measure import measures


@pytest.fixture(scope="module")
def everything():
    """Features, a teacher, labels, and the audit of all three."""
    return audited_student()


def test_json_has_what_others_rely_on(everything, tmp_path):
    report = everything[3]
    text = report.to_json(tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    assert found == json.loads(text)
    assert found["schema_version"] == 4
    assert found["convention"]["centered"] is True
    assert found["verdict"]["level"] == report.level
    for v in report.values:
        entry = found["measures"][v.name]
        for key in ("value", "low", "high", "in_these_rows"):
            assert entry[key] == (None if getattr(v, key) is None else pytest.approx(getattr(v, key))), key
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
    assert list(frame.columns[:4]) == ["value", "low", "high", "in_these_rows"]
    assert len(frame) == len(measures())
    with pytest.raises(KeyError, match=r"no measure named 'rank'.*effective_rank"):
        everything[3]["rank"]


def test_html_is_one_whole_page_and_escapes_names(tmp_path):
    report = rg.audit(healthy(), name="<script>alert(1)</script>")
    report.to_html(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert "<script>alert" not in page
    assert page.count("<script") == 1
    assert "http://" not in page
    assert "<svg" in page
    assert all(v.label.strip() in page for v in report.values)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        rg.audit(healthy()).to_json(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_text_names_value_baseline_range_and_formula():
    from repgeom.presenting.report_text import table
    from repgeom.presenting.screen import Screen

    lines = table([rg.audit(healthy())], Screen(200)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.strip().startswith("effective rank "))
    assert "exp entropy of σ² of centred features" in lines[at]
    assert re.search(r"\d \[\d+\.\d+, \d+\.?\d*\]", lines[at])
    assert "1 to 24" in lines[at]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (math.inf, "∞"), (0.0, "0"), (12345.0, "12,345"), (11.4812, "11.48"), (-0.00111, "−0.00111"),
     (1e-9, "1.00e−09"), (123456.7, "123,457"), (float("nan"), "–"), (0.99996, "1.0000")],
)  # fmt: skip
def test_numbers_as_a_person_reads_them(value, text):
    from repgeom.presenting.text import number

    assert number(value) == text


# --- back from JSON ----------------------------------------------------------------------------------------------


def _audits():
    x = healthy(300, 12)
    labels = np.arange(300) % 3
    holed = np.where(np.arange(300)[:, None] == 7, np.nan, x)
    yield "plain", rg.audit(x)
    yield "labels", rg.audit(x, labels=labels)
    yield "labels as text", rg.audit(x, labels=np.array(["NaN", "a|b", "c"])[labels])
    yield "a class of one row", rg.audit(x, labels=np.r_[labels[:-1], 9])
    yield "groups", rg.audit(x, groups=np.arange(300) // 2)
    yield "reference", rg.audit(x, reference=x + healthy(300, 12, 1))
    yield "reference of another width", rg.audit(x, reference=healthy(300, 30, 1))
    yield "corrupted", rg.audit(x, corrupted=x + 0.1 * healthy(300, 12, 1), labels=labels)
    yield "corrupted to a point", rg.audit(x, corrupted=np.ones((300, 12)))
    yield "stream", rg.audit(iter(np.array_split(x, 3)))
    yield "dropped rows", rg.audit(holed, reference=x, labels=labels, drop_nonfinite=True)
    yield "normalize", rg.audit(x.astype(np.float32), normalize="l2")
    yield "few rows", rg.audit(x[:3], reference=x[:3, :5], labels=[0, 0, 1])
    yield "fewer rows than features", rg.audit(x[:8])
    yield "no rank beyond rounding", rg.audit(np.c_[x, x])
    yield "thresholds", rg.audit(x, thresholds={"rank_share": (None, None)}, max_pair_rows=50, name="NaN")


@pytest.mark.parametrize(("kind", "report"), list(_audits()), ids=lambda v: v if isinstance(v, str) else "")
def test_a_report_comes_back_from_json(kind, report, tmp_path):
    text = report.to_json(tmp_path / "a.json")
    for back in (
        Report.from_json(text),
        Report.from_json(tmp_path / "a.json"),
        Report.from_json(str(tmp_path / "a.json")),
    ):
        assert back.to_json() == text
    assert str(back) == str(report)
    assert back.to_html() == report.to_html()
    assert back.to_frame().equals(report.to_frame())
    assert back.values == report.values
    assert back.findings == report.findings
    assert back.health == report.health
    for name in ("singular_values", "mean"):
        assert (getattr(back.spectrum, name) == getattr(report.spectrum, name)).all()
    if report.drift is not None:
        assert back.drift.equals(report.drift)
    if report.classes is not None:
        assert back.classes.labels.dtype == report.classes.labels.dtype


def test_a_report_read_back_does_not_compare_row_by_row():
    report = rg.audit(healthy())
    back = Report.from_json(report.to_json(against=rg.audit(healthy(seed=1))))
    assert back.compare(report) is report.compare(back) is None
    assert "compared" not in back.to_dict()
    assert back.to_json() == report.to_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[{}, {}]", "holds a list of 2 reports"),
        ("{}", "no report of schema version 3 or 4 .*None"),
        ('{"schema_version": 1}', "`schema_version` is 1"),
    ],
)
def test_what_is_no_report_is_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Report.from_json(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        Report.from_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        Report.from_json("nowhere.json")


# --- what is kept ------------------------------------------------------------------------------------------------


def test_a_pickled_report_is_small_and_compares_as_before():
    rng = np.random.default_rng(0)
    teacher = rng.standard_normal((17_000, 768), dtype=np.float32)
    student = teacher[:, :64] @ rng.standard_normal((64, 768), dtype=np.float32)
    first = rg.audit(teacher, max_pair_rows=100)
    second = rg.audit(student, reference=teacher, max_pair_rows=100)
    for report in (first, second):
        assert len(pickle.dumps(report)) < 300_000
    back = pickle.loads(pickle.dumps(second))
    assert back.to_json() == second.to_json()
    assert back.compare(first) == second.compare(first)
    assert second.compare(first).paired


def test_a_report_compares_any_measure_by_name_or_function():
    x = healthy(400, 12)
    first, second = rg.audit(x), rg.audit(x @ np.diag(np.arange(1, 13) ** -0.5))
    found = second.compare(first, rg.participation_ratio)
    wanted = rg.compare(x, x @ np.diag(np.arange(1, 13) ** -0.5), "participation_ratio", paired=True)
    assert (found.measure, found.paired) == ("participation_ratio", True)
    assert (found.low, found.high, found.p_value) == pytest.approx((wanted.low, wanted.high, wanted.p_value), rel=1e-5)
    assert second.compare(first, "n_components_90").low is None
    with pytest.raises(ValueError, match=r"`measure` must be one of effective_rank, .* got rankme"):
        second.compare(first, rg.rankme)


def test_a_copied_report_is_the_report():
    report = rg.audit(healthy(50, 4))
    assert copy.deepcopy(report).to_json() == copy.copy(report).to_json() == report.to_json()
