"""Cells of a terminal: as other libraries count them, and names that are cut to fit."""

import itertools
import unicodedata

import pytest

from repgeom.presenting.cells import broken, cells, clusters, shortened, to_left, to_right

NAMES = [
    "",
    "a",
    "runs/seed-1/features.npy",
    "x" * 240,
    "日本語のモデル.npy",
    "한국어" * 20,
    "\u1112\u1161\u11ab\u1100\u116e\u11a8",
    "cafe\u0301" * 10,
    "👩\u200d🔬 and 👍🏽 and ❤\ufe0f.npy",
    "🇩🇪🇫🇷" * 8,
    "می\u200cخواهم",
    "สวัสดี",
    "σ̄ ≈ ∞ × 10⁻⁶",
    "\u0301leading accent",
    "ａｂｃ",
]


@pytest.mark.parametrize("text", NAMES)
def test_cells_are_those_of_wcwidth_and_rich(text):
    judges = [
        pytest.importorskip("wcwidth", reason="wcwidth is not installed").wcswidth,
        pytest.importorskip("rich.cells", reason="rich is not installed").cell_len,
    ]
    assert cells(text) in {judge(text) for judge in judges}


def test_single_signs_of_all_scripts_are_those_of_wcwidth():
    """Over the characters that this Python's tables know; newer ones may be of another width there."""
    wcwidth = pytest.importorskip("wcwidth", reason="wcwidth is not installed")
    known = [
        chr(c)
        for c in itertools.chain(range(32, 0xD800), range(0xE000, 0x20000))
        if unicodedata.category(chr(c)) != "Cn"
    ]
    shown = [sign for sign in known if wcwidth.wcwidth(sign) >= 0]
    different = [sign for sign in shown if cells(sign) != wcwidth.wcwidth(sign)]
    assert len(different) < 0.01 * len(shown)
    # Where the tables are of different years, the more usual signs are the same.
    assert not [sign for sign in different if ord(sign) < 0x300 or 0x1100 > ord(sign) > 0x2000]


@pytest.mark.parametrize("most", [1, 2, 3, 5, 10, 22, 40])
@pytest.mark.parametrize("text", NAMES)
def test_a_shortened_name_fits_and_keeps_both_ends(text, most):
    found = shortened(text, most)
    assert cells(found) <= most
    if cells(text) <= most:
        assert found == text
        return
    start, end = found.split("…")
    assert text.startswith(start)
    assert text.endswith(end)
    # No sign is cut, and at most two cells stay empty before a wide one.
    assert [*clusters(start), "…", *clusters(end)] == clusters(found)
    assert cells(found) >= most - 2


@pytest.mark.parametrize("mark", ["…", "..."])
def test_the_mark_may_be_of_several_signs(mark):
    for most in range(1, 12):
        assert cells(shortened("abcdefghijklmnop", most, mark)) == most


@pytest.mark.parametrize("most", [2, 7, 30])
@pytest.mark.parametrize("text", NAMES)
def test_pieces_of_a_word_fit_and_are_the_word(text, most):
    pieces = broken(text, most)
    assert "".join(pieces) == text
    assert all(cells(piece) <= most for piece in pieces)


@pytest.mark.parametrize("text", [name for name in NAMES if cells(name) <= 30])
def test_columns_end_at_the_same_cell(text):
    assert cells(to_left(text, 30)) == cells(to_right(text, 30)) == 30
    assert to_left(text, 30).rstrip() == text.rstrip()
    assert to_right(text, 30).lstrip() == text.lstrip()
