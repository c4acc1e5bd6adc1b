"""The report's files, and what they say."""

import dataclasses
import html
import re

import numpy as np
import pandas as pd
import pytest

from repgeom.terminal import Screen
from repgeom_examples.distillation.claims.verdicts import NOT_RUN, Claim, Entry, Row, Test
from repgeom_examples.distillation.reporting import (
    charts,
    findings,
    report,
    report_markdown,
    report_text,
    table_text,
    tables,
)
from repgeom_examples.distillation.settings.configs import Config, Setting
from repgeom_examples.distillation.settings.grid import cells_of

from ..planted_details import detailed
from ..planted_results import CLIP, CONFIG, DINO, failed, kept, older, planted, row_of, student


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The report of a run in which one model failed in one seed."""
    config = dataclasses.replace(CONFIG, settings=(dataclasses.replace(CLIP, variants=("mse",)), DINO))
    cells = failed(planted(config, n=40), lambda cell: cell == student(CLIP, 2, seed=123), "the loss became nan")
    folder = kept(tmp_path_factory.mktemp("run"), config, detailed(cells))
    found = findings.read(folder)
    return found, report.write(found, folder / "report"), folder / "report"


def read(file):
    """Its text as a browser shows it."""
    return html.unescape(file.read_text(encoding="utf-8"))


def marked(found):
    return report_markdown.markdown(found, report.figures_of(found))


def test_report_writes_every_file(written):
    _, paths, folder = written
    names = {"report.html", "report.md", "ledger.csv", *(f"{name}.csv" for name in findings.TABLES)}
    pictures = {f"{name}.png" for name in charts.FIGURES}
    assert {path.name for path in paths} == names | pictures
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


def test_csv_files_are_the_tables(written):
    found, _, folder = written
    for name, table in found.tables.items():
        back = pd.read_csv(folder / f"{name}.csv")
        assert list(back.columns) == list(table.columns)
        for column in table.select_dtypes("number").columns:
            assert np.allclose(back[column], table[column].astype(float), equal_nan=True)
    n_tests = sum(len(e.rows) + len(e.preconditions) for e in found.entries)
    assert len(pd.read_csv(folder / "ledger.csv")) == n_tests


def test_page_has_nothing_to_load(written):
    page = (written[2] / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"<(?:link|iframe|object|img)\b|@import|url\(|https?://|\bsrc=", page)
    assert page.count("<script>") == 1


@pytest.mark.parametrize("form", ["html", "md", "text"])
def test_report_says_what_was_run(form, written):
    found, _, folder = written
    text = report_text.text(found, details=True) if form == "text" else read(folder / f"report.{form}")
    assert "clip-cifar10: pretrained (512 features), real images, 10 classes, 5,000 to train, 40 to test" in text
    assert "EMBEDDED" not in text
    assert "3 seeds (42, 123, 456)" in text
    assert f"{len(cells_of(found.config)) - 1} of {len(cells_of(found.config))} models" in text  # one has failed
    assert "cnn-w2-cosine, seed 123: the loss became nan" in text
    for e in found.entries:
        assert e.claim.text in text
        assert all(table_text.value_of(row) in text and row.test.published in text for row in e.rows)


@pytest.mark.parametrize("form", ["html", "md"])
def test_report_says_where_the_papers_record_disagrees_with_itself(form, written):
    text = read(written[2] / f"report.{form}")
    for n, published in (("811,264", "0.5 M"), ("1,405,440", "2 M"), ("2,732,032", "8 M")):
        assert f"{n} parameters; the paper says {published}" in text
    for words in (
        "rank of the mean spectrum",
        "rank from σ²",
        "rank from σ",
        "captured, student not centred",
        "ddof 0",
    ):
        assert words in text
    assert "the paper's figure centres the teacher only" in text
    assert "σ = 0.1 after normalisation is 0.027 in pixels" in text
    assert "draws it afresh" in text


def test_parameters_are_told_whatever_the_objective(tmp_path):
    config = dataclasses.replace(CONFIG, objectives=("infonce",), settings=(CLIP,))
    assert "811,264 parameters" in marked(findings.read(kept(tmp_path, config, planted(config, n=40))))


def test_embedded_is_said_plainly(tmp_path):
    config = Config("small", (Setting("tiny-clip", "shapes10"),), widths=(1,), seeds=(42,))
    lines = report_text.heading(findings.read(kept(tmp_path, config, planted(config, n=40))))
    assert "EMBEDDED teacher, trained here" in lines[0]
    assert "EMBEDDED procedural images" in lines[0]
    assert "pretrained" not in lines[0]
    assert "do not settle what it says of CLIP on CIFAR-10" in lines[1]
    assert "1 seed (42)" in lines[2]


def test_report_of_a_run_that_has_just_begun(tmp_path):
    found = findings.read(kept(tmp_path, CONFIG, {}))
    written = report.write(found, tmp_path / "report")
    assert {path.suffix for path in written} == {".csv", ".md", ".html"}
    assert "Nothing to draw in clip-cifar10, dinov2-cifar100." in read(tmp_path / "report" / "report.md")
    assert "nothing is finished yet" in report_text.text(found)
    assert {e.verdict for e in found.entries} == {NOT_RUN}


def test_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run; `repgeom-distill run --out"):
        findings.read(tmp_path)


def test_a_damaged_cell_is_named_and_missing(tmp_path, capsys):
    folder, cell = kept(tmp_path, CONFIG, planted(n=40)), student(CLIP, 1)
    file = folder / "cells" / f"{cell.name}.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"accuracy"', '"accurate"'), encoding="utf-8")
    found = findings.read(folder)
    assert cell not in found.cells
    assert f"{cell.name}.json is damaged" in capsys.readouterr().err
    assert row_of(found.tables["table1"], CLIP.name, "cnn-w1-cosine")["note"] == "1 not run"


NASTY = "<b>loss</b> & |x|\nnan"


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A run whose name and reasons would break a page or a table."""
    config = dataclasses.replace(CONFIG, name="<script>alert(1)</script>", settings=(CLIP,), widths=(1, 2))
    cells = failed(planted(config, n=40), lambda cell: cell.objective == "cosine+infonce", NASTY)
    return findings.read(kept(tmp_path_factory.mktemp("nasty"), config, cells))


def test_names_and_reasons_are_escaped_in_the_page(nasty):
    page = report.html(nasty, report.figures_of(nasty))
    assert "<script>alert" not in page
    assert page.count("<script") == 1
    assert "<b>" not in page
    assert "&lt;b&gt;loss&lt;/b&gt; &amp; |x|" in page


def test_a_reason_keeps_a_markdown_table_whole(nasty):
    text = marked(nasty)
    for block in re.split(r"\n\n", text.strip()):
        rows = block.split("\n")
        if rows[0].startswith("|"):
            columns = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
            assert len(set(columns)) == 1, rows[columns.index(max(columns))]


def test_intervals_are_shown_beside_their_values():
    table = pd.DataFrame({"setting": ["s"], "model": ["m"], "seeds": [3], "x": [0.5], "x low": [0.4], "x high": [0.6], "note": [""]})  # fmt: skip
    assert table_text.shown(table) == [["setting", "model", "seeds", "x"], ["s", "m", "3", "0.50 ±0.10"]]
    assert table_text.shown(table.assign(**{"x low": np.nan, "x high": np.nan}))[1][-1] == "0.500"
    assert table_text.shown(table.assign(x=np.nan))[1][-1] == "–"


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (47.0735, 1.780, "47.1 ±1.8"),
        (7.6534, 0.2924, "7.65 ±0.29"),
        (101.079, 14.9, "101.1 ±14.9"),
        (0.9301, 0.00538, "0.930 ±0.005"),
        (-0.679, 0.0279, "−0.679 ±0.028"),
        (1.0, 0.0, "1.000 ±0.000"),
    ],
)
def test_a_value_has_as_many_decimals_as_its_interval(value, half, text):
    table = pd.DataFrame({"x": [value], "x low": [value - half], "x high": [value + half]})
    assert table_text.shown(table)[1] == [text]


def test_a_shown_interval_is_the_interval():
    """A rank's interval comes from logarithms: 20 with 10 to 40 is not 20 ± 15."""
    cells = planted(change=lambda cell: {"effective_rank": {42: 14.0, 123: 20.0, 456: 28.0}.get(cell.seed, 100.0)})
    table = tables.geometry_table(CONFIG, cells)
    row = row_of(table, CLIP.name, "cnn-w1-cosine")
    names, *rows = table_text.shown(table)
    shown = next(r for r in rows if r[:2] == [CLIP.name, "cnn-w1-cosine"])[names.index("effective rank")]
    ends = [float(x) for x in re.findall(r"[\d.]+", shown)]
    low, high = (ends[0] - ends[1], ends[0] + ends[1]) if "±" in shown else ends[-2:]
    assert (low, high) == pytest.approx((row["effective rank low"], row["effective rank high"]), abs=0.1)


@pytest.mark.parametrize("width", [40, 80, 100, 120, 200])
def test_the_text_fits_a_terminal_and_numbers_stay_whole(written, width):
    found = written[0]
    text = report_text.text(found, Screen(width, wraps=True), details=True)
    assert all(len(line) <= width for line in text.splitlines())
    table = text[text.index("Table 1") : text.index("Table 2")].splitlines()[1:]
    rows = [line for line in table if line.strip() and line != "  embeddings"]  # the end of the title
    assert len(rows) == 1 + len(found.tables["table1"])
    wide = report_text.text(found, Screen(1000), details=True)
    numbers = set(wide.split())
    shown = re.findall(r"(?<= )[−±]?[\d,]+\.\d+(?= |$)", "\n".join(rows[1:]), re.MULTILINE)
    assert len(shown) >= len(rows) - 2  # one model has failed, of one number at least there is always room
    assert set(shown) <= numbers


def test_numbers_of_things_are_spelled_out(written):
    line = next(line for line in report_text.heading(written[0]) if "begun" in line)
    assert ", 2 cores, 1 thread a process, torch 2," in line


def test_notes_are_of_the_columns_that_fit(written):
    """A narrow terminal has no room for the last columns, so their meaning is not told either."""
    for width, expected in (
        (60, ["Predictable"]),
        (110, ["Predictable", "Explained"]),
        (200, ["Predictable", "Explained", "Captured"]),
    ):
        text = report_text.text(written[0], Screen(width, wraps=True), details=True)
        assert [name for name in ("Predictable", "Explained", "Captured") if f"{name}: " in text] == expected


def test_the_text_is_one_screen_unless_details_are_asked_for(written):
    found = written[0]
    short = report_text.text(found, Screen(100, wraps=True)).splitlines()
    assert len(short) <= 40
    assert short[0].startswith("By cosine a student uses 20.0 dimensions where its teacher uses 100.0, with InfoNCE 48")
    assert len(report_text.text(found, Screen(100, wraps=True), details=True).splitlines()) > 150


def test_tests_that_decide_nothing_and_what_must_hold_first_are_marked():
    def row(text, **more):
        return Row(Test(text, None, 0, 1, **more), None, NOT_RUN, "not there")

    entry = Entry(
        Claim(1, "A claim.", None), CLIP, NOT_RUN, [row("asked"), row("shown", beside=True)], [row("collapsed")]
    )
    assert [name for name, _ in table_text.named_tests(entry)] == ["given: collapsed", "asked", "beside: shown"]
    table = tables.ledger_table([entry])
    assert list(table["role"]) == ["precondition", "test", "beside"]
    assert list(table["asked by"]) == ["paper"] * 3


def test_older_records_have_a_report_with_dashes(tmp_path):
    found = findings.read(kept(tmp_path, CONFIG, older(planted(n=40))))
    text = marked(found)
    assert "singular values were not kept" in text
    assert "![Over training" not in text
    overview = found.tables["overview"]
    assert overview["predictable"].isna().all()
    assert "–" in table_text.shown(overview)[1]
