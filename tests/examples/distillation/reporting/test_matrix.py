"""All verdicts at one glance, in every width of a terminal."""

import re

import pytest

from repgeom.terminal import Screen
from repgeom_examples.distillation.claims.verdicts import (
    CONTRADICTED,
    DOES_NOT_APPLY,
    NOT_RUN,
    SUPPORTED,
    UNDECIDED,
    Claim,
    Entry,
)
from repgeom_examples.distillation.reporting import matrix
from repgeom_examples.distillation.settings.configs import Setting

DIGITS, PHOTOS, CONE = (
    Setting("net", "digits"),
    Setting("net", "photos"),
    Setting("net", "digits", teacher_transform="cone=0.9"),
)
SETTINGS = (DIGITS, PHOTOS, CONE)
COLLAPSE = Claim(1, "Every student collapses to the same effective rank, whatever its size.", None, short="Collapse")
NOISE = Claim(2, "The largest student is the most brittle.", None)
OURS = Claim(1, "Does the wider student know more of its teacher?", None, ours=True)
ENTRIES = [
    Entry(OURS, DIGITS, CONTRADICTED, []),
    Entry(NOISE, PHOTOS, DOES_NOT_APPLY, []),
    Entry(COLLAPSE, DIGITS, SUPPORTED, []),
    Entry(COLLAPSE, PHOTOS, SUPPORTED, []),
    Entry(COLLAPSE, CONE, UNDECIDED, []),
    Entry(NOISE, DIGITS, NOT_RUN, []),
]
TABLE = {
    "Collapse": [SUPPORTED, SUPPORTED, UNDECIDED],
    "most brittle": [NOT_RUN, DOES_NOT_APPLY, "–"],
    "know more": [CONTRADICTED, "–", "–"],
}


def test_the_papers_claims_come_first_and_each_setting_has_its_column():
    rows = matrix.claim_rows(ENTRIES, SETTINGS)
    assert [row.name for row in rows] == [
        "1. Collapse",
        "2. The largest student is the most brittle.",
        f"1. {OURS.text}",
    ]
    assert [row.verdicts for row in rows] == list(TABLE.values())


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_verdict_is_cut_and_every_line_fits(width):
    lines = matrix.matrix_lines(ENTRIES, SETTINGS, Screen(width, wraps=True))
    assert all(len(line) <= width for line in lines)
    words = matrix.BRIEF
    if any(line.endswith(DOES_NOT_APPLY) or f"{DOES_NOT_APPLY}  " in line for line in lines):
        words = {verdict: verdict for verdict in matrix.KINDS}
    rows = [line for line in lines if re.match(r"\d\. ", line)]
    for line, verdicts in zip(rows, TABLE.values(), strict=True):
        for verdict in verdicts:
            assert words.get(verdict, verdict) in line
    if words is matrix.BRIEF:
        assert any("yes: supported" in line for line in lines)
    assert any("our own questions" in line for line in lines)


def test_wide_screens_have_the_words():
    lines = matrix.matrix_lines(ENTRIES, SETTINGS, Screen(120))
    assert re.search(r"1\. Collapse +supported +supported +undecided", lines[1])
    assert lines[0].split() == ["A", "B", "C"]


def test_each_verdict_has_its_colour_and_colour_changes_nothing_else():
    plain = matrix.matrix_lines(ENTRIES, SETTINGS, Screen(120))
    colour = matrix.matrix_lines(ENTRIES, SETTINGS, Screen(120, colour=True))
    assert [re.sub(r"\x1b\[[\d;]*m", "", line) for line in colour] == plain
    assert colour[1].count("\x1b[1;32msupported\x1b[0m") == 2
    assert colour[1].count("\x1b[1;33mundecided\x1b[0m") == 1
    assert "\x1b[1;31mcontradicted\x1b[0m" in colour[-1]
    assert "\x1b" not in colour[2]  # does not apply, not run


def test_settings_have_letters_and_many_have_numbers():
    assert list(matrix.letters(SETTINGS).values()) == ["A", "B", "C"]
    many = [Setting("net", str(i)) for i in range(30)]
    assert list(matrix.letters(many).values())[-1] == "30"


def test_markdown_says_which_questions_are_ours():
    head, *rows = matrix.matrix_table(ENTRIES, SETTINGS)
    assert head == ["claim", "A: net-digits", "B: net-photos", "C: net-digits-cone=0.9"]
    assert rows[2] == [f"1. {OURS.text} (ours)", CONTRADICTED, "–", "–"]
