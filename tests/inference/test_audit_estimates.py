"""Estimates as audits show them: in text, JSON, pages and on the command line."""

import html as markup
import json
import re

import numpy as np
import pytest
from estimate_reference import (
    assert_same,
    assert_sane,
    decaying,
    gaussian,
    likenesses,
    normal,
    on_sphere,
    power,
    rank_one,
)

import repgeom as rg
from repgeom.cli.main import main
from repgeom.measures.measure import names_of_estimable
from repgeom.presenting.page import html
from repgeom.presenting.report_text import table
from repgeom.presenting.text import estimated

AUDITED = {
    "healthy": normal(400, 12),
    "collapsed": normal(600, 12) * np.r_[1, np.full(11, 0.05)],
    "near a threshold": normal(150, 20) * np.exp(-1.2 * np.arange(20)),
    "wide": decaying(60, 100),
    "n = 2": normal(2, 3),
    "n = 3": normal(3, 3),
    "n = 4": normal(4, 3),
    "one column": normal(300, 1),
    "rank one": rank_one(300, 6),
    "repeats": np.repeat(normal(150, 10), 2, 0),
    "sphere": on_sphere(300, 20),
    "Cauchy": np.random.default_rng(0).standard_cauchy((300, 10)),
    "half": normal(300, 20).astype(np.float16),
    "huge": normal(300, 8) * 1e150,
    "tiny": normal(300, 8) * 1e-150,
}


def number_of(read):
    """A number as it stands in JSON, an attribute or a data frame."""
    return np.nan if read is None else float(read)


@pytest.fixture(scope="module")
def reports():
    return {name: rg.audit(x, name=name) for name, x in AUDITED.items()}


@pytest.mark.parametrize("name", AUDITED)
def test_an_audit_estimates_as_estimate_does(reports, name):
    for v in reports[name].values:
        if v.estimate is not None and v.name in names_of_estimable():
            assert_same(v.estimate, rg.estimate(AUDITED[name], v.name), 1e-3)
            assert v.estimate.in_these_rows == pytest.approx(v.in_these_rows, rel=1e-9)
            assert_sane(v.estimate, AUDITED[name].shape[1])
    assert (reports[name]["effective_rank"].estimate is None) == (len(AUDITED[name]) < 4)


def signs_of(page):
    """What a page's measures say, without spaces."""
    words = re.sub(r"<[^>]+>", " ", page[page.index("<h2>Measures") :])
    return without_spaces(markup.unescape(words))


def without_spaces(text):
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("name", AUDITED)
def test_dictionary_frame_text_and_page_say_the_same(reports, name):
    def refuse(constant):
        raise AssertionError(constant)

    r = reports[name]
    frame, text = r.to_frame(), str(r)
    page = signs_of(r.to_html())
    plain = json.loads(r.to_json(), parse_constant=refuse)
    assert plain == r.to_dict()
    for v in r.values:
        read, row = plain["measures"][v.name], frame.loc[v.name]
        for key in ("value", "low", "high", "in_these_rows"):
            assert number_of(read[key]) == pytest.approx(number_of(getattr(v, key)), rel=1e-15, nan_ok=True)
            assert row[key] == pytest.approx(number_of(getattr(v, key)), rel=1e-15, nan_ok=True)
        if v.estimate is None:
            assert read["estimate"] is read["low"] is read["high"] is None
            assert read["value"] == read["in_these_rows"]
            continue
        assert [read[key] for key in ("value", "low", "high")] == [
            read["estimate"][key] for key in ("value", "low", "high")
        ]
        words = estimated(v.estimate)
        assert ("[" in words) == (v.estimate.low is not None)
        assert re.search(rf"{re.escape(v.label)} +{re.escape(words)}", text)
        assert re.search(rf"{re.escape(without_spaces(v.label))}.*?{re.escape(without_spaces(words))}", page)


@pytest.mark.parametrize("name", AUDITED)
def test_a_threshold_is_crossed_where_the_whole_interval_lies_beyond(reports, name):
    for f in reports[name].findings:
        ends = [f.value] if f.low is None else [f.low, f.high]
        sign = 1 if f.worse == "above" else -1
        beyond = [level for level in ("warn", "fail") if getattr(f, level) is not None
                  and all(sign * end > sign * getattr(f, level) for end in ends)]  # fmt: skip
        assert f.level == ("fail" if "fail" in beyond else "warn" if beyond else "ok")
        assert min(ends) <= f.value <= max(ends)


def test_the_same_value_is_judged_by_how_sure_it_is():
    x = normal(3000, 20) * np.exp(-np.arange(20))
    share = next(f for f in rg.audit(x).findings if f.name == "rank_share")
    limit = (share.value + share.high) / 2  # above the value, inside the interval
    found = rg.audit(x, thresholds={"rank_share": (limit, None)}).findings
    doubted = next(f for f in found if f.name == "rank_share")
    assert doubted.level == "ok"
    assert "not sure enough for warn" in doubted.reason
    sure = rg.audit(x, thresholds={"rank_share": (share.high * 1.001, None)}).findings
    assert next(f for f in sure if f.name == "rank_share").level == "warn"


def test_groups_of_an_audit(tmp_path):
    x, codes = likenesses(150, 3), np.repeat(np.arange(150), 3)
    wanted = rg.estimate(x, groups=codes)
    np.save(tmp_path / "g.npy", codes)
    (tmp_path / "g.csv").write_text("clip\n" + "\n".join(f"clip {i}" for i in codes) + "\n")
    for groups in (codes, tmp_path / "g.npy", str(tmp_path / "g.csv"), [f"clip {i}" for i in codes]):
        assert_same(rg.audit(x, groups=groups)["effective_rank"].estimate, wanted, 1e-7)
    holed = np.insert(x, 7, np.nan, axis=0)
    dropped = rg.audit(holed, groups=np.insert(codes, 7, 999), drop_nonfinite=True)
    assert_same(dropped["effective_rank"].estimate, wanted, 1e-7)


def test_rank_retained_is_the_paired_comparison():
    x = normal(400, 12)
    student = x @ np.diag(np.arange(1, 13) ** -0.7)
    r, c = rg.audit(student, reference=x), rg.compare(x, student, paired=True)
    kept = r["rank_retained"].estimate
    assert (kept.value, kept.low, kept.high) == pytest.approx((c.ratio, c.ratio_low, c.ratio_high), rel=1e-6)
    assert kept.in_these_rows == pytest.approx(rg.effective_rank(student) / rg.effective_rank(x))
    assert_same(r["reference_effective_rank"].estimate, rg.estimate(x), 1e-7)
    f = next(f for f in r.findings if f.name == "rank_retained")
    assert (f.value, f.low, f.high) == (kept.value, kept.low, kept.high)


def test_reports_compare_by_row_where_they_have_as_many():
    x = decaying(400, 12)
    y = x + 0.1 * normal(400, 12, 4)
    first, second, short = rg.audit(x, name="one"), rg.audit(y, name="two"), rg.audit(y[:300], name="three")
    c = second.compare(first)
    wanted = rg.compare(x, y, paired=True)
    assert (c.difference, c.low, c.high) == pytest.approx((wanted.difference, wanted.low, wanted.high), rel=1e-5)
    assert c.paired
    assert not short.compare(first).paired
    assert rg.audit(normal(3, 3)).compare(first) is None
    text, page = table([first, second, short]), html([first, second, short])
    for words in ("Effective rank against one", "(row i of both taken for one sample)", "(not paired)"):
        assert words in text
        assert words in re.sub(r"</?bdi[^>]*>", "", page)


def test_reports_that_dropped_different_rows_are_not_paired_out_of_step():
    x = decaying(400, 10)
    first, second = (np.where(np.arange(400)[:, None] == row, np.nan, x) for row in (3, 300))
    c = rg.audit(second, drop_nonfinite=True).compare(rg.audit(first, drop_nonfinite=True))
    wide = rg.compare(x, x)
    assert not c.paired or c.high - c.low < 0.3 * (wide.high - wide.low)


def test_reports_of_which_one_knows_groups_compare_alike_both_ways():
    x, y = decaying(600, 10), likenesses(150, 4) * np.arange(1, 11) ** -0.7
    plain, grouped = rg.audit(x), rg.audit(y, groups=np.repeat(np.arange(150), 4))
    there, back = plain.compare(grouped), grouped.compare(plain)
    assert there.high - there.low == pytest.approx(back.high - back.low, rel=0.02)


@pytest.mark.parametrize("swapped", [False, True])
def test_collapsed_features_are_audited_against_a_reference(swapped):
    pair = [rank_one(300, 6), normal(300, 12)]
    x, reference = pair[::-1] if swapped else pair
    assert rg.audit(x, reference=reference).level in ("ok", "warn", "fail")


def test_collapsed_and_healthy_features_are_shown_side_by_side():
    assert "p < 0.0001" in table([rg.audit(normal(300, 6)), rg.audit(rank_one(300, 6))])


def test_command_line_with_groups_and_several_files(tmp_path, capsys):
    x, y = likenesses(150, 2), likenesses(150, 2, seed=1) * np.arange(1, 11) ** -0.5
    paths = [str(tmp_path / name) for name in ("x.npy", "y.npy", "g.npy")]
    for path, values in zip(paths, (x, y, np.repeat(np.arange(150), 2)), strict=True):
        np.save(path, values)
    assert main(["audit", *paths[:2], "--groups", paths[2]]) == 0
    out = capsys.readouterr().out
    assert estimated(rg.estimate(x, groups=np.repeat(np.arange(150), 2))) in out
    assert "Effective rank against" in out
    assert main(["audit", *paths[:2], "--reference", paths[0], "--groups", paths[2], "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["measures"]["rank_retained"]["estimate"]["value"] == 1


@pytest.mark.parametrize(
    "arguments", [["-"], ["/dev/stdin"], ["{x}", "--groups", "nowhere.csv"], ["{x}", "--groups", "{x}"]]
)
def test_command_line_errors_are_one_line(tmp_path, capsys, arguments):
    np.save(tmp_path / "x.npy", normal(30, 3))
    assert main(["audit", *(a.format(x=tmp_path / "x.npy") for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("repgeom: error: ")
    assert error.count("\n") == 1


def test_an_audit_estimates_as_the_function_does():
    x = gaussian(np.random.default_rng(13), 500, power(20, 1.0))
    report = rg.audit(x)
    for name in ("effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank", "n_components_90"):
        e, again = report[name].estimate, rg.estimate(x, name)
        assert (e.value, e.in_these_rows) == pytest.approx((again.value, again.in_these_rows), rel=1e-6)
        assert (e.low is None) == (again.low is None)
        if e.low is not None:
            assert (e.low, e.high) == pytest.approx((again.low, again.high), rel=1e-4)
    rank, row = report["effective_rank"], report.to_frame().loc["effective_rank"]
    assert rank.in_these_rows == pytest.approx(rg.effective_rank(x))
    e = rank.estimate
    assert (rank.value, rank.low, rank.high) == (e.value, e.low, e.high)
    assert row[["value", "low", "high", "in_these_rows"]].tolist() == [e.value, e.low, e.high, rank.in_these_rows]
    assert report.to_dict()["measures"]["effective_rank"]["estimate"]["low"] == e.low


def test_an_audit_of_many_rows_scores_a_sample_of_them():
    x = gaussian(np.random.default_rng(14), 40_000, power(16, 1.0)).astype(np.float32)
    report, whole = rg.audit(x, max_pair_rows=200), rg.estimate(x)
    e = report["effective_rank"].estimate
    assert e.value == pytest.approx(whole.value, rel=1e-3)
    assert e.high - e.low == pytest.approx(whole.high - whole.low, rel=0.05)
    assert any("8,192 of 40,000 rows" in note for note in report.notes)


def test_the_verdict_is_sure_of_what_it_says():
    rng = np.random.default_rng(15)
    x = gaussian(rng, 150, power(60, 2.2))  # a share near the threshold, and few rows
    sure = rg.audit(x, thresholds={"rank_share": (0.99, None)})
    f = next(f for f in sure.findings if f.name == "rank_share")
    assert (f.level, f.low < f.value < f.high) == ("warn", True)
    between = (f.value + f.high) / 2
    f = next(f for f in rg.audit(x, thresholds={"rank_share": (between, None)}).findings if f.name == "rank_share")
    assert f.level == "ok"
    assert "not sure enough for warn" in f.reason


def test_an_audit_compares_with_its_reference_by_row():
    rng = np.random.default_rng(16)
    teacher = gaussian(rng, 1000, power(16, 0.3))
    student = teacher[:, :4] @ rng.standard_normal((4, 16))
    report = rg.audit(student, reference=teacher)
    c = rg.compare(teacher, student, paired=True)
    e = report["rank_retained"].estimate
    assert (e.value, e.low, e.high) == pytest.approx((c.ratio, c.ratio_low, c.ratio_high), rel=1e-4)
    other = rg.audit(teacher)
    against = report.compare(other)
    assert against.paired
    assert (against.difference, against.low) == pytest.approx((c.difference, c.low), rel=1e-4)
    assert rg.audit(student[:500]).compare(other).paired is False
    assert rg.audit(student[:3]).compare(other) is None


def test_an_audit_takes_groups():
    rng = np.random.default_rng(17)
    codes = np.repeat(np.arange(120), 5)
    x = gaussian(rng, 120, power(10, 0.5))[codes] + 0.1 * rng.standard_normal((600, 10))
    told, untold = (rg.audit(x, groups=g)["effective_rank"].estimate for g in (codes, None))
    assert told.high - told.low > 1.8 * (untold.high - untold.low)
    assert told.value > untold.value


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_an_audit_bears_any_scale(scale):
    x = gaussian(np.random.default_rng(20), 400, power(12, 0.5))
    there, here = (rg.audit(y)["effective_rank"].estimate for y in (x * scale, x))
    assert (there.value, there.low) == pytest.approx((here.value, here.low))


def test_few_groups_are_too_few_samples_and_no_collapse():
    rng, codes = np.random.default_rng(21), np.repeat(np.arange(5), 400)
    x = rng.standard_normal((5, 64))[codes] + 0.05 * rng.standard_normal((2000, 64))
    report = rg.audit(x, groups=codes)
    found = {f.name: f for f in report.findings}
    assert "rank_share" not in found
    assert found["few_rows"].level == "warn"
    assert "independent rows" in found["few_rows"].reason
    assert report.summary.startswith("too few rows to say")
