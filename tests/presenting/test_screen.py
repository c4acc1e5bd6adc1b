"""What text is laid out for: width, colour and signs, as the environment and the stream say."""

import io

import pytest

from repgeom.presenting.cells import cells
from repgeom.presenting.screen import NARROWEST, PIPED, TERMINAL, Screen, screen_of

SENTENCES = [
    "",
    "Uses about 11.65 of 64 dimensions (95 %: 11.57 to 11.73), 300 × 20 features, p < 0.0001 [−1.696, −1.563].",
    "x" * 240 + ": 300 × 20 features",
    "日本語のモデル" * 20 + " and a word",
    "a b c",
]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("text", SENTENCES)
def test_a_sentence_fits_and_loses_no_word(text, width):
    lines = Screen(width, wraps=True).sentence(text, first="  FAIL ", further=" " * 7)
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(f"FAIL{text}".split())
    for together in ("95 %", "300 × 20", "p < 0.0001", "[−1.696, −1.563]"):
        if together in text:
            assert any(together in line for line in lines)
    assert len(Screen(width).sentence(text, first="  FAIL ", further=" " * 7)) == 1


@pytest.mark.parametrize(
    ("settings", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": ""}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
    ],
)
def test_colour_is_as_the_environment_wants(settings, terminal, coloured, monkeypatch):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if terminal else io.StringIO()
    assert screen_of(stream).colour == coloured
    assert not screen_of(stream, colour=False).colour


@pytest.mark.parametrize(
    ("columns", "terminal", "width"),
    [
        (None, False, PIPED),
        (None, True, TERMINAL),  # one that does not know its width
        ("100", False, 100),
        ("100", True, 100),
        ("7", True, NARROWEST),
        ("0", True, TERMINAL),
        ("wide", False, PIPED),
        ("-3", False, PIPED),
    ],
)
def test_the_width_is_what_is_said(columns, terminal, width, monkeypatch):
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    stream = Terminal() if terminal else io.StringIO()
    assert screen_of(stream).width == width
    assert screen_of(stream).wraps == (terminal or columns == "100")


@pytest.mark.parametrize("stream", [None, object(), io.StringIO()], ids=["closed", "odd", "text"])
def test_any_stream_has_a_screen(stream):
    if isinstance(stream, io.StringIO):
        stream.close()
    assert screen_of(stream) == Screen()


def test_what_the_encoding_lacks_is_spelled_out_before_it_is_measured():
    screen = Screen(40, wraps=True, encoding="ascii")
    text = "σ² of 300 × 20 features ≈ 11.65, λ₁ ≥ 3 " * 4
    for line in screen.sentence(text):
        assert line.isascii()
        assert len(line) <= 40
    assert screen.shown("a\x1b[2K") == "a\\x1b[2K"
    assert screen.mark == "..."


def test_only_the_verdict_is_coloured():
    screen = Screen(colour=True)
    assert screen.coloured("  Verdict: FAIL for FAIL", "fail") == "  Verdict: \x1b[1;31mFAIL\x1b[0m for FAIL"
    assert Screen().coloured("FAIL", "fail") == "FAIL"
    assert screen.coloured("FAIL", "other") == "FAIL"
