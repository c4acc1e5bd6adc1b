"""Columns and rows that hold most of the variance: which, how much, and what is left without them."""

import numpy as np
import pytest
from planted import finding, normal
from scipy.stats import ortho_group

import repgeom as rg
from repgeom.auditing import dominating
from repgeom.auditing.rules import RULES
from repgeom.reading.hashing import mixed

WARN = next(rule.warn for rule in RULES if rule.name == "dominating_rows")


def notes_on(report, what):
    return [note for note in report.notes if note.startswith(f"{what} ") and " of the variance; without " in note]


def said(note):
    """Share of the variance, effective rank without, and of how many, as a note says them."""
    words = note.replace(",", "").split()
    return float(words[words.index("of") - 1].rstrip("%")) / 100, float(words[-7]), int(words[-5])


def healthy(n=600, d=120):
    return normal(n, d) * np.arange(1, d + 1) ** -0.25


# Columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [[77], [3, 119]])
def test_dominating_columns_are_named_with_their_share_and_what_is_left(columns):
    x = healthy()
    x[:, columns] *= 60 / np.arange(1, len(columns) + 1)
    report = rg.audit(x)
    (note,) = notes_on(report, "Columns" if len(columns) > 1 else "Column")
    by_variance = sorted(columns, key=lambda j: -x[:, j].var())
    assert note.split(" hold")[0].split(" ", 1)[1] == ", ".join(map(str, by_variance))
    share, rank, width = said(note)
    assert share == pytest.approx(x[:, columns].var(0).sum() / x.var(0).sum(), abs=0.006)
    without = np.delete(x, columns, 1)
    assert width == 120 - len(columns)
    assert rank == pytest.approx(rg.estimate(without).value, rel=0.02)
    assert report.level == rg.audit(without).level == "ok"
    f, calm = finding(report, "rank_share"), finding(rg.audit(without), "rank_share")
    assert f.value == pytest.approx(calm.value, rel=0.03)


def test_what_is_left_without_columns_is_what_numpy_reads_of_the_others():
    x = healthy(20_000, 60)
    x[:, 11] *= 60
    _, rank, _ = said(*notes_on(rg.audit(x), "Column"))
    values = np.linalg.eigvalsh(np.cov(np.delete(x, 11, 1).T))
    shares = values / values.sum()
    assert rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=0.005)


def test_where_many_columns_are_large_none_is_named():
    for columns in (range(0, 120, 4), range(6)):
        x = healthy()
        x[:, list(columns)] *= 60
        assert not notes_on(rg.audit(x), "Columns")


def test_columns_of_a_narrow_layer_are_not_named():
    least = round(1 / dominating._MOST_COLUMNS)
    for d, named in ((least - 1, 0), (least, 1)):
        x = normal(400, d)
        x[:, 5] *= 60
        assert len(notes_on(rg.audit(x), "Column")) == named


def test_a_large_direction_that_is_no_column_is_not_named():
    x = healthy()
    x[:, 5] *= 60
    report = rg.audit(x @ ortho_group.rvs(120, random_state=0))
    assert not notes_on(report, "Column")
    assert report.level == "fail"
    assert finding(report, "leading_direction").level == "fail"


@pytest.mark.parametrize(("factor", "named"), [(0.97, 0), (1.03, 1)])
def test_a_column_dominates_from_a_share_of_the_variance_on(factor, named):
    d = 120
    x = normal(2000, d)
    x = (x - x.mean(0)) / x.std(0)
    share = dominating.FEWEST_SHARE * factor
    x[:, 9] *= np.sqrt(share * (d - 1) / (1 - share))
    assert len(notes_on(rg.audit(x), "Column")) == named


def test_the_rest_of_rogue_columns_may_still_have_collapsed():
    x = normal(600, 3) @ normal(3, 120, 1)
    x[:, 7] += 60 * normal(600, 1, 2)[:, 0]
    report = rg.audit(x)
    assert notes_on(report, "Column")
    assert finding(report, "rank_share").level == report.level == "fail"
    assert "without column 7: " in finding(report, "rank_share").reason


# Rows -------------------------------------------------------------------------------------------------------------


def with_corrupt_row(n, d, row, seed=0):
    x = normal(n, d, seed) * np.arange(1, d + 1) ** -0.25
    x[row] = 1e4 * normal(1, d, 9)
    return x


def check_corrupt(report, x, row):
    """One row holds everything: it warns, is named, and what is left is what the others read."""
    (note,) = notes_on(report, "Row")
    assert note.startswith(f"Row {row:,} holds ")
    squares = ((x - x.mean(0)) ** 2).sum(1)
    share, rank, width = said(note)
    assert share == pytest.approx(squares.max() / squares.sum(), abs=0.01)
    wanted = rg.estimate(np.delete(x, int(squares.argmax()), 0)).value
    assert rank == pytest.approx(wanted, rel=0.02)
    assert width == x.shape[1]
    assert report.level == finding(report, "dominating_rows").level == "warn"
    assert f"row {row:,} of {report.n_samples:,} holds " in finding(report, "dominating_rows").reason
    assert f"without row {row:,}: " in report.headline
    # What is wrong besides is that rows were left out.
    assert {f.name for f in report.findings if f.level != "ok"} <= {"dominating_rows", "nonfinite_rows"}


def test_one_corrupt_row_warns_and_is_named():
    x = with_corrupt_row(600, 64, 417)
    check_corrupt(rg.audit(x), x, 417)


def test_one_corrupt_row_is_named_by_its_number_among_all_rows_where_some_are_dropped():
    x = with_corrupt_row(600, 64, 417)
    holed = np.insert(x, [5, 9, 300], np.nan, axis=0)
    check_corrupt(rg.audit(holed, drop_nonfinite=True), x, 420)


def test_one_corrupt_row_is_named_where_rows_come_in_groups():
    x = with_corrupt_row(600, 64, 417)
    check_corrupt(rg.audit(x, groups=np.arange(600) // 3), x, 417)
    check_corrupt(rg.audit(x, groups=np.arange(600) % 200), x, 417)


def test_beside_the_class_of_a_corrupt_row_others_have_not_collapsed():
    labels = np.arange(600) % 3
    x = with_corrupt_row(600, 64, 417) + 2 * np.eye(64)[labels]
    check_corrupt(rg.audit(x, labels=labels), x, 417)


def numbered(n):
    """All rows, in the order in which a sample with seed 0 takes them."""
    return np.argsort(mixed(np.arange(n, dtype=np.uint64) ^ mixed(np.zeros(1, np.uint64))))


@pytest.mark.parametrize("place", [0, 499, 500, 1999])
def test_one_corrupt_row_is_named_whether_it_was_drawn_or_not(place, monkeypatch):
    monkeypatch.setattr("repgeom.auditing.audit.SCORED_ROWS", 500)
    row = int(numbered(2000)[place])
    x = with_corrupt_row(2000, 24, row)
    report = rg.audit(x, max_pair_rows=400)
    assert "Intervals are worked out from 500 of 2,000 rows, drawn with a fixed seed." in report.notes
    check_corrupt(report, x, row)


def test_one_corrupt_row_among_more_rows_than_are_held_is_named():
    row = int(numbered(9000)[-1])
    x = with_corrupt_row(9000, 16, row)
    report = rg.audit(x, max_pair_rows=100)
    assert "Intervals are worked out from 8,192 of 9,000 rows, drawn with a fixed seed." in report.notes
    check_corrupt(report, x, row)
    x[[row - 1, (row + 5) % 9000]] = np.nan
    report = rg.audit(x, max_pair_rows=100, drop_nonfinite=True)
    check_corrupt(report, x[np.isfinite(x).all(1)], row)
    assert report.n_samples == 8998


def test_a_row_that_is_long_but_holds_little_is_not_named():
    x = normal(600, 64)
    x[417] *= 10  # 100 of 700 parts of the variance
    assert not notes_on(rg.audit(x), "Row")


def test_rows_of_unit_length_cannot_dominate():
    report = rg.audit(with_corrupt_row(600, 64, 417), normalize="l2")
    assert not notes_on(report, "Row")
    assert report.level == "ok"


def test_massive_activations_are_named_and_leave_the_level_at_ok():
    x = healthy(800, 120)
    rows = np.arange(16) * 50
    x[rows, 17] = 40
    report = rg.audit(x)
    (note,) = notes_on(report, "Rows")
    squares = ((x - x.mean(0)) ** 2).sum(1)
    longest = [int(i) for i in np.argsort(-squares)[:5]]
    assert note.startswith("Rows " + ", ".join(map(str, longest)) + " and ")
    share = said(note)[0]
    assert dominating.FEWEST_SHARE < share < WARN
    assert report.level == "ok"


def test_where_many_rows_are_long_none_is_named():
    x = normal(600, 24)
    x[::4] *= 60
    assert not notes_on(rg.audit(x), "Rows")


@pytest.mark.parametrize("more", [0, 1])
def test_long_rows_are_named_up_to_a_share_of_all_rows(more):
    x = normal(1000, 24)
    most = round(1000 * dominating._MOST_ROWS)
    x[: most + more] *= 30
    assert len(notes_on(rg.audit(x), "Rows")) == 1 - more


def test_text_and_page_say_what_dominates():
    x = with_corrupt_row(600, 64, 417)
    report = rg.audit(x)
    (note,) = notes_on(report, "Row")
    assert f"  Note: {note}" in str(report)
    assert note in report.to_html()
    assert sum("row 417 holds" in note.lower() for note in report.notes) == 1
