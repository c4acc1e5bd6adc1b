"""Two reports, measure by measure: what is compared, row by row or not, and what is refused."""

import dataclasses
import json
import math

import numpy as np
import pytest
from audited import healthy

import repgeom as rg
from repgeom.auditing.comparing import with_row_ids
from repgeom.auditing.report import Report

N, D = 600, 12
LABELS = np.arange(N) % 3


def narrower(x):
    """The same samples with two directions all but gone."""
    return x * np.r_[np.ones(D - 2), 0.1, 0.1]


@pytest.fixture(scope="module")
def rows():
    return healthy(N, D)


@pytest.fixture(scope="module")
def old(rows):
    return rg.audit(rows, labels=LABELS, name="old")


@pytest.fixture(scope="module")
def new(rows):
    return rg.audit(narrower(rows), labels=LABELS, name="new")


def back(report, **options):
    return Report.from_json(report.to_json(**options))


# Row by row or not --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["effective_rank", "participation_ratio", "effective_rank_sigma"])
def test_kept_scores_say_what_the_rows_say(rows, old, new, measure):
    direct = rg.compare(rows, narrower(rows), measure, paired=True)
    for pair in (
        (old, new),
        (back(old, keep_scores=True), back(new, keep_scores=True)),
        (back(old, keep_scores=True), new),
    ):
        comparison = rg.compare_reports(*pair)
        assert comparison.paired
        change = comparison[measure]
        assert change.paired
        for key in ("difference", "low", "high", "p_value", "degrees", "ratio", "ratio_low", "ratio_high"):
            assert getattr(change, key) == pytest.approx(getattr(direct, key), rel=1e-3, abs=1e-12), key


def test_without_scores_errors_are_compared(rows, old, new):
    direct = rg.compare(rows, narrower(rows), "effective_rank")
    for pair in ((back(old), back(new)), (back(old), new), (old, back(new, keep_scores=False))):
        comparison = rg.compare_reports(*pair)
        assert not comparison.paired
        assert "--keep-scores" in comparison.rows
        change = comparison["effective_rank"]
        assert not change.paired
        for key in ("difference", "low", "high", "p_value", "degrees"):
            assert getattr(change, key) == pytest.approx(getattr(direct, key), rel=1e-3), key


def test_paths_texts_and_reports_are_taken(old, new, tmp_path):
    old.to_json(tmp_path / "old.json")
    expected = rg.compare_reports(back(old), new).to_dict()
    for given in (tmp_path / "old.json", str(tmp_path / "old.json"), old.to_json()):
        assert rg.compare_reports(given, new).to_dict() == expected


LIKE = {"labels": LABELS, "groups": np.arange(N) // 2}


@pytest.mark.parametrize(
    ("before", "now", "known"),
    [
        ({}, {}, False),
        ({"labels": LABELS}, {"labels": LABELS}, True),
        ({"labels": LABELS}, {"labels": LABELS.astype(str)}, True),
        ({"labels": LABELS}, {"labels": np.roll(LABELS, 1)}, False),
        ({"labels": LABELS}, {}, False),
        ({"groups": LIKE["groups"]}, {"groups": LIKE["groups"]}, True),
        ({"groups": LIKE["groups"]}, {"groups": np.arange(N) // 3}, False),
        (LIKE, LIKE, True),
        (LIKE, {**LIKE, "labels": np.roll(LABELS, 1)}, False),
        ({"labels": LABELS}, {"labels": LABELS, "seed": 1}, True),  # all rows are scored, whatever the seed
        ({"labels": LABELS}, {"labels": LABELS[:-1]}, False),
    ],
)
def test_a_pairing_is_claimed_only_where_it_is_known(rows, before, now, known):
    n = len(now.get("labels", rows))
    comparison = rg.compare_reports(rg.audit(rows, **before), rg.audit(rows[:n], **now))
    assert comparison.paired is known
    assert comparison["effective_rank"].paired is known


def test_ids_decide_where_there_are_any(rows):
    reports = [rg.audit(rows, labels=LABELS), rg.audit(rows)]
    ids = [f"img-{i}.png" for i in range(N)]
    same, other = (with_row_ids(reports[1], given) for given in (ids, ids[::-1]))
    assert rg.compare_reports(with_row_ids(reports[0], ids), same).paired
    assert not rg.compare_reports(with_row_ids(reports[0], ids), other).paired
    assert not rg.compare_reports(reports[0], same).paired
    for wrong, message in ((ids[:-1], "599 row ids for 600 rows"), (["a"] * N, "only 1 of 600 row ids")):
        with pytest.raises(ValueError, match=message):
            with_row_ids(reports[1], wrong)


def test_scored_rows_of_another_draw_are_not_paired():
    x, labels = healthy(9000, 6), np.arange(9000) % 2
    reports = [rg.audit(x, labels=labels, seed=seed) for seed in (0, 0, 1)]
    # Ids are of all rows, also of those that were not drawn.
    for given in (reports, [with_row_ids(report, range(9000)) for report in reports]):
        assert rg.compare_reports(given[0], given[1]).paired
        assert not rg.compare_reports(given[0], given[2]).paired


def test_rows_left_out_are_told_apart(rows):
    holed = [np.where(np.arange(N)[:, None] == row, np.nan, rows) for row in (7, 8)]
    reports = [rg.audit(x, groups=np.arange(N), drop_nonfinite=True) for x in (*holed, holed[0] * 2)]
    assert not rg.compare_reports(reports[0], reports[1]).paired
    assert rg.compare_reports(reports[0], reports[2]).paired


def test_the_user_may_know_more_or_want_less(rows, old, new):
    first, second = rg.audit(rows), rg.audit(narrower(rows))
    assert not rg.compare_reports(first, second).paired
    assert rg.compare_reports(first, second, paired=True)["effective_rank"].paired
    assert not rg.compare_reports(old, new, paired=False)["effective_rank"].paired


def test_a_pairing_that_cannot_be_is_refused(rows, old, new):
    with pytest.raises(ValueError, match=r"the old report \(old\) does not hold.*--keep-scores"):
        rg.compare_reports(back(old), new, paired=True)
    with pytest.raises(ValueError, match="the new report"):
        rg.compare_reports(old, back(new), paired=True)
    with pytest.raises(ValueError, match="600 rows and the new one of 599"):
        rg.compare_reports(old, rg.audit(rows[1:]), paired=True)


# What cannot be compared --------------------------------------------------------------------------------------------


def test_rows_scaled_and_not_are_refused(rows, old):
    with pytest.raises(
        ValueError, match=r"rows as they are and the new one of rows scaled to unit length.*--normalize"
    ):
        rg.compare_reports(old, rg.audit(rows, normalize="l2"))


def _pairs():
    x, teacher = healthy(N, D), healthy(N, D, 1)
    plain, labelled = rg.audit(x), rg.audit(x, labels=LABELS)
    yield "labels new only", plain, labelled, "knn_accuracy", "not in the old report"
    yield "labels old only", labelled, plain, "knn_accuracy", "not in the new report"
    yield "other classes", labelled, rg.audit(x, labels=LABELS + 1), "class_rank_median", "other classes"
    yield "other k", labelled, rg.audit(x, labels=LABELS, k=5), "knn_accuracy", "10 neighbours among 600 rows before, 5"
    yield "other n", labelled, rg.audit(x[1:], labels=LABELS[1:]), "knn_accuracy", "among 599 now"
    against = rg.audit(x, reference=teacher)
    yield "other teacher", against, rg.audit(x, reference=2 * teacher), "linear_cka", "another reference"
    yield (
        "no number",
        rg.audit(x, reference=healthy(N, 5)),
        rg.audit(x, reference=healthy(N, 5)),
        "cosine_alignment",
        ("no number in the old report"),
    )


@pytest.mark.parametrize(
    ("kind", "before", "now", "measure", "reason"), list(_pairs()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_is_not_one_thing_is_not_subtracted(kind, before, now, measure, reason):
    for pair in ((before, now), (back(before), back(now))):
        change = rg.compare_reports(*pair)[measure]
        assert change.difference is change.low is change.p_value is change.ratio is None
        assert reason in change.note


def test_a_reference_is_known_by_its_name_or_its_spectrum(rows, tmp_path):
    np.save(tmp_path / "t.npy", healthy(N, D, 1))
    np.save(tmp_path / "moved.npy", healthy(N, D, 1))
    first, second = (rg.audit(rows, reference=str(tmp_path / name)) for name in ("t.npy", "moved.npy"))
    for pair in ((first, second), (first, first)):
        assert rg.compare_reports(*pair)["linear_cka"].difference == 0


def test_what_differs_is_noted(rows, old):
    other = rg.audit(np.c_[rows, rows[::-1]][1:].astype(np.float32), purpose="retrieve")
    other = dataclasses.replace(other, repgeom_version="9.9")
    notes = " ".join(rg.compare_reports(old, other).notes)
    for words in (
        "transfer before, retrieve now",
        "12 features before, 24 now",
        "600 before, 599 now",
        "float64 before",
        "9.9 now",
    ):
        assert words in notes
    assert rg.compare_reports(old, old).notes == ()


@pytest.mark.parametrize("keep", [True, False])
def test_a_report_against_itself_has_no_difference(old, keep):
    comparison = rg.compare_reports(back(old, keep_scores=keep), back(old, keep_scores=keep))
    for change in comparison.changes:
        assert change.difference in (0, None)
        if change.low is not None:
            assert change.low <= 0 <= change.high
            assert change.p_value == 1
    assert comparison.new_findings == comparison.gone_findings == ()


def test_findings_that_came_and_went(rows):
    bad = rg.audit(rows[:, :1] * np.arange(1, D + 1.0))
    comparison = rg.compare_reports(rg.audit(rows), bad)
    worse = {f.name for f in bad.findings if f.level != "ok"}
    assert set(comparison.new_findings) == worse != set()
    assert set(rg.compare_reports(bad, rg.audit(rows)).gone_findings) == worse


def test_drift_is_compared_too(rows):
    reports = [rg.audit(rows, corrupted=rows + scale * healthy(N, D, 1)) for scale in (0.1, 0.5)]
    change = rg.compare_reports(*map(back, reports))["corrupted.cosine_drift"]
    assert change.difference > 0
    assert "no interval" in change.note
    assert rg.compare_reports(rg.audit(rows), reports[0])["corrupted.cosine_drift"].note == "not in both reports"


# Forms --------------------------------------------------------------------------------------------------------------


def test_every_form_has_every_measure(old, new, tmp_path):
    comparison = rg.compare_reports(old, new)
    text, frame = str(comparison), comparison.to_frame()
    found = json.loads(comparison.to_json(tmp_path / "c.json"))
    assert found == json.loads((tmp_path / "c.json").read_text())
    assert (found["paired"], found["old"]["level"], found["new"]["name"]) == (True, old.level, "new")
    for change in comparison.changes:
        assert change.label in text
        number = math.nan if change.new is None else change.new
        assert frame.loc[change.name, "new"] == pytest.approx(number, nan_ok=True)
        assert found["measures"][change.name]["difference"] == change.difference
    assert "−2." in comparison.to_markdown(tmp_path / "c.md") or "−1." in comparison.to_markdown()
    assert "<ReportComparison old -> new" in repr(comparison)
    with pytest.raises(KeyError, match="no measure named 'rank'"):
        comparison["rank"]


# Old and damaged reports --------------------------------------------------------------------------------------------


def version_3(report):
    found = report.to_dict()
    found["schema_version"] = 3
    del found["row_identity"]
    for one in found["measures"].values():
        if one["estimate"] is not None:
            del one["estimate"]["degrees"]
    return json.dumps(found)


def test_a_report_of_the_last_version_is_compared_without_intervals(old, new):
    comparison = rg.compare_reports(version_3(old), new)
    change = comparison["effective_rank"]
    assert change.difference == pytest.approx(new["effective_rank"].value - old["effective_rank"].value)
    assert change.low is None
    assert "stored no degrees of freedom" in change.note
    assert not comparison.paired


def _damaged():
    x = healthy(100, 4)
    report = rg.audit(x, labels=np.arange(100) % 2, groups=np.arange(100) // 2, reference=x + 1, corrupted=x + 0.1)
    whole = report.to_dict(keep_scores=True)
    for key in whole:
        yield f"without {key}", {k: v for k, v in whole.items() if k != key}
        for value in (None, 3, "text", [], {}, [1]):
            yield f"{key} {value}", {**whole, key: value}
    scores = whole["row_identity"]["scores"]["effective_rank"]
    for key, value in (("influence", "@"), ("influence", "AAA"), ("influence", "AAAA"), ("groups", "AAAA"), ("n", 3),
                       ("error", "x"), ("influence", base64_of([math.nan] * 100))):  # fmt: skip
        identity = {**whole["row_identity"], "scores": {"effective_rank": {**scores, key: value}}}
        yield f"scores {key} {value[:4] if isinstance(value, str) else value}", {**whole, "row_identity": identity}
    identity = {**whole["row_identity"], "scores": {"no_measure": scores}}
    yield "scores of nothing", {**whole, "row_identity": identity}


def base64_of(values):
    import base64

    return base64.b64encode(np.array(values, "<f4").tobytes()).decode()


def test_damaged_reports_are_refused_or_read_whole():
    """Whatever part is missing or of another kind: a ValueError that says so, or a report that shows and compares."""
    kinds, reasons, good = 0, [], rg.audit(healthy(100, 4))
    for kind, damaged in _damaged():
        kinds += 1
        try:
            report = Report.from_json(json.dumps(damaged))
        except ValueError as error:
            reasons.append(str(error))
            continue
        assert str(report)
        assert str(rg.compare_reports(report, good)), kind
    assert kinds > 70
    assert all("is not a whole report" in reason or "schema version" in reason for reason in reasons)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "\x00", '{"schema_version": 4}', '{"schema_version": true}', "[]", '["{}"]']
)
def test_what_is_no_report_is_a_valueerror(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="text_or_path"):
        rg.compare_reports(tmp_path / "a.json", rg.audit(healthy(100, 4)))
