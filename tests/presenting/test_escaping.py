"""Names are shown as they are and never obeyed; signs that an encoding lacks are spelled out; pages of any two reports."""

import itertools
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

import repgeom as rg
from repgeom.measures.classes import ClassRanks
from repgeom.presenting.escaping import SIGNS, SPELLED_OUT, printable, printable_json
from repgeom.presenting.page import html
from repgeom.presenting.report_text import table
from repgeom.spectral.spectrum import Spectrum

EVIL = [
    "$\\frac{$",
    "a_$1_$2",
    "_hidden",
    "a\nb",
    "\x1b[2K",
    "\x9b2K",
    "\u202eabc",
    "\udcff",
    "\x00",
    "日本",
    "$x$ & <b>",
]


@pytest.mark.parametrize(
    "sign", [chr(code) for code in (*range(32), 127, 0x85, 0x9B, 0x2028, 0x202E, 0x2066, 0xFEFF, 0xDCFF)]
)
def test_what_does_more_than_show_is_escaped(sign):
    found = printable(f"a{sign}b")
    assert found.isascii()
    assert found.isprintable()
    assert found.startswith("a\\")


@pytest.mark.parametrize(
    "text", ["", "a b", "σ² ≈ ∞", "日本 語", "\u3000", "می\u200cخواهم", "👩\u200d🔬", "C:\\n", "\xa0"]
)
def test_what_only_shows_stays(text):
    assert printable(text) == text


def test_every_sign_of_this_package_has_words():
    """All that a table, an error or a note can hold, taken from the sources themselves."""
    root = Path(rg.__file__).parent
    used = {sign for path in root.rglob("*.py") for sign in path.read_text(encoding="utf-8") if not sign.isascii()}
    letters = {sign for sign in used if re.match(r"[^\W\d_]", sign) and ord(sign) < 0x370}  # é and ö of names
    lacking = used - letters - SIGNS.keys()
    assert not lacking, lacking
    for words in SIGNS.values():
        assert words.isascii()
        assert words


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "koi8-r", "utf-8", "utf-16"])
def test_any_text_can_be_written_in_any_encoding(encoding):
    text = "".join([*SIGNS, *EVIL, "é 10⁻⁶ x¹²"])
    read = text.encode(encoding, SPELLED_OUT).decode(encoding)
    assert read.count("?") <= 1  # the word for a replacement sign
    if encoding == "ascii":
        assert read.endswith("\\xe9 10^-6 x^12")
    assert "10^-6".encode(encoding) == "10^-6".encode(encoding, SPELLED_OUT)
    values = {"σ\x9b": [text.replace("\udcff", ""), "\U0001f600"]}
    found = printable_json(json.dumps(values, ensure_ascii=False, indent=1), encoding)
    assert json.loads(found.encode(encoding).decode(encoding)) == values
    assert all(sign.isprintable() or sign == "\n" for sign in found)


# Plots ----------------------------------------------------------------------------------------------------------------


def spectra(names):
    return {name: Spectrum.from_variances([3.0, 2.0, 1.0], n_samples=9) for name in names}


def class_ranks(labels):
    n = len(labels)
    return ClassRanks(np.array(labels), np.full(n, 5), np.linspace(1, 3, n), np.full(n, 3.0))


def robustness(names):
    # pandas refuses half a character.
    rows = [(name, 1, "$measure_{$", 0.5, 0.4, 0.6) for name in names if name != "\udcff"]
    return pd.DataFrame(rows, columns=["corruption", "severity", "measure", "value", "low", "high"])


def sizes(names):
    frame = pd.DataFrame({"n_samples": [5, 9], "value": [1, 2], "in_these_rows": [1, 2], "low": [1, 1], "high": [2, 3]})
    frame.attrs["measure"] = "$measure_{$"
    return dict.fromkeys(names, frame)


DRAWN = {
    "spectrum": lambda names: rg.plot_spectrum(spectra(names)),
    "cumulative": lambda names: rg.plot_cumulative_variance(spectra(names)),
    "captured": lambda names: rg.plot_captured_variance({name: [0.5, 1.0] for name in names}),
    "classes": lambda names: rg.plot_class_ranks({name: class_ranks(names) for name in names}),
    "robustness": lambda names: rg.plot_robustness(robustness(names), measure="$measure_{$"),
    "sizes": lambda names: rg.plot_sample_size_curve(sizes(names)),
}


@pytest.mark.filterwarnings(r"ignore:Glyph \d+")
@pytest.mark.parametrize("plot", DRAWN)
def test_names_in_plots_are_drawn_as_they_are(plot):
    ax = DRAWN[plot](EVIL)
    ax.figure.canvas.draw()  # as a formula most of them cannot be drawn
    texts = [*ax.get_legend().get_texts(), *ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label, ax.yaxis.label]
    shown = [text for text in texts if "$" in text.get_text() and not re.match(r"\$\\mathdefault", text.get_text())]
    assert shown
    assert not any(text.get_parse_math() or text.get_usetex() for text in shown)
    words = "\n".join(text.get_text() for text in texts)
    if plot != "robustness":  # which reads "_" as a space
        assert "_hidden" in words
    assert "a\\nb" in words
    assert "\x1b" not in words
    plt.close(ax.figure)


# Pages ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reports():
    x = np.random.default_rng(0).standard_normal((60, 6))
    beside = {
        "labels": np.arange(60) % 3,
        "reference": x[:, :3] + 0.1,
        "corrupted": x + 0.1,
        "groups": np.arange(60) // 2,
    }
    found = []
    for chosen in itertools.product([False, True], repeat=4):
        given = {key: value for (key, value), use in zip(beside.items(), chosen, strict=True) if use}
        found.append(rg.audit(x, name=" ".join(given) or "alone", **given))
    found.append(rg.audit(x[:2], name="two rows"))
    found.append(rg.audit(x[:, :1], name="one column"))
    found.append(rg.audit(x, labels=[f"$\\frac{{{i % 5}" for i in range(60)], name="other labels"))
    return found


def test_any_two_reports_make_a_page_and_a_table(reports):
    for first, second in itertools.product(reports, repeat=2):
        page, text = html([first, second]), table([first, second])
        names = {v.label.strip() for r in (first, second) for v in r.values}
        assert all(str(escape(name)) in page and name in text for name in names), (first.name, second.name)
    assert len(html(reports)) > len(html(reports[:2]))


@pytest.mark.parametrize("others", [(0, 8), (8, 0), (8, 18), (18, 15), (4, 16)])
def test_reports_with_and_without_labels_stand_in_one_figure(reports, others):
    page = html([reports[i] for i in others])
    assert page.count("</section>") == 2
    assert ("Rank within each class" in page) == any(reports[i].classes is not None for i in others)
