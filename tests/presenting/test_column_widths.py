"""Tables fit any width: columns go in their order, names lose their middle, numbers stay whole and names differ."""

import itertools
import re

import pytest

from repgeom.presenting.cells import cells, told_apart
from repgeom.presenting.columns import Column, table_lines
from repgeom.presenting.screen import Screen

NAMES = [
    ["a"],
    ["encoder.layer.1.attention.output", "encoder.layer.11.attention.output", "embeddings"],
    ["x" * 240, "x" * 239 + "y", "x" * 240],
    ["日本語のモデル" * 5, "日本語のモデル" * 6, "👩\u200d🔬" * 20],
    [f"runs/seed-{i}/features.npy" for i in range(12)],
    ["", " ", "same", "same"],
]


def columns(names):
    numbers = [f"{1.5 * i:.3f} [{i}, {2 * i}]" for i in range(len(names))]
    return [
        Column("", names, left=True, fewest=8),
        Column("value", numbers, brief=[n.split()[0] for n in numbers], shortens=2),
        Column("range", ["0 to 64"] * len(names), goes=1),
        Column("formula", ["exp entropy of σ² of centred features"] * len(names), left=True, goes=0),
        Column("verdict", ["warn"] * len(names), left=True),
    ]


@pytest.mark.parametrize("names", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200, 1000])
@pytest.mark.parametrize("indent", [0, 2])
def test_every_line_fits_and_numbers_stay_whole(names, width, indent):
    lines = table_lines(columns(names), Screen(width), indent=indent)
    assert len(lines) == len(names) + 1
    assert all(cells(line) <= width for line in lines)
    for i, line in enumerate(lines[1:]):
        value = re.search(rf" {1.5 * i:.3f}( \[.*?\])?", line)
        assert value[1] in (None, f" [{i}, {2 * i}]")
        assert "warn" in line


def test_columns_go_in_the_stated_order_and_come_back_with_room():
    there = []
    for width in range(40, 140):
        lines = table_lines(columns(["a name of usual length"]), Screen(width))
        there.append([" [0, 0]" in lines[1], "range" in lines[0], "formula" in lines[0]])
    assert there[0] == [False, False, False]
    assert there[-1] == [True, True, True]
    for narrow, wide in itertools.pairwise(there):
        # Nothing that was there goes where there is more room, and what goes last comes back first.
        assert all(not before or after for before, after in zip(narrow, wide, strict=True))
        assert wide == sorted(wide, reverse=True)


def test_names_are_cut_before_any_column_goes_and_get_the_room_that_is_left():
    lines = table_lines(columns(["x" * 240]), Screen(120))
    assert "formula" in lines[0]
    assert "…" in lines[1]
    assert 110 < cells(lines[1]) <= 120


def test_a_table_that_cannot_fit_says_so():
    assert table_lines([Column("a", ["x" * 50]), Column("b", ["y" * 50])], Screen(80)) is None


@pytest.mark.parametrize("names", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("most", [8, 12, 22, 40])
def test_no_two_names_look_the_same(names, most):
    found = told_apart(names, most)
    assert all(cells(name) <= most for name in found)
    shown = [name for name in found if name.strip()]
    assert len(set(shown)) == len(shown)
    for name, short in zip(names, found, strict=True):
        if cells(name) <= most and names.count(name) == 1:
            assert short == name


@pytest.mark.parametrize("most", [14, 22, 40])
def test_names_that_differ_between_a_long_beginning_and_end_show_where(most):
    names = [f"a class with a very long name, kind_{i}_of_all_that_there_are" for i in (3, 14, 15)]
    checkpoints = [f"runs of last week/wrote_epoch=0{i}-val_loss=0.12345.npy" for i in (3, 14, 15)]
    for names_of_a_kind in (names, checkpoints):
        shown = told_apart(names_of_a_kind, most)
        assert all(str(i) in short and "[" not in short for i, short in zip((3, 14, 15), shown, strict=True))


def test_headings_stand_above_the_rows_of_their_group():
    rows = [Column("", ["a", "b", "c"], left=True), Column("n", ["1", "2", "3"])]
    lines = table_lines(rows, Screen(colour=True), indent=2, groups=["One", "One", "Two"])
    assert lines == ["     n", "\x1b[1mOne\x1b[0m", "  a  1", "  b  2", "\x1b[1mTwo\x1b[0m", "  c  3"]
