"""Text of word vectors: words with spaces and numbers in them, with and without a first line of sizes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from stored_files import rows, whole, write_vectors

from repgeom.data.files import open_source, read_labels

EXTENSIONS = pytest.mark.parametrize("extension", [".vec", ".txt", ".vec.gz"])


def written(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@EXTENSIONS
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 3\nthe 1 2 3\nof 4 5 6\n", [[1, 2, 3], [4, 5, 6]]),  # word2vec
        ("the 1 2 3\nof 4 5 6\n", [[1, 2, 3], [4, 5, 6]]),  # GloVe
        ("2 3\nthe 1 2 3 \nof 4 5 6 \n", [[1, 2, 3], [4, 5, 6]]),  # fastText ends lines with a space
        ("the\t1\t2\nof\t4\t5\n", [[1, 2], [4, 5]]),
        ("the 1 2\r\nof 4 5\r\n", [[1, 2], [4, 5]]),
        ("the 1 2\nof 4 5", [[1, 2], [4, 5]]),
        ("the 1 2\nof 4 5\n\n\n", [[1, 2], [4, 5]]),
        ("new york 1 2\nof 4 5\n", [[1, 2], [4, 5]]),
        ("of 4 5\narea 51 1 2\n", [[4, 5], [1, 2]]),
        (". . . 4 5\nat me@x.com 1 2\n", [[4, 5], [1, 2]]),
        ("of 4 5\n7 1 2\n", [[4, 5], [1, 2]]),  # a number is a word among words
        ("2 2\n0 1 2\n1 4 5\n", [[1, 2], [4, 5]]),  # node2vec names its rows by numbers, and says the width
        ("nan 1 -2e-3\ninf .5 nan\n", [[1, -2e-3], [0.5, np.nan]]),
        ("a\u00a0b 1 2\n\u2028 4 5\n", [[1, 2], [4, 5]]),  # spaces of other kinds belong to words
    ],
)
def test_text_of_vectors(tmp_path: Path, extension: str, text: str, expected: list[list[float]]) -> None:
    source = open_source(written(tmp_path / f"x{extension}", text))
    np.testing.assert_array_equal(whole(source), expected)


@EXTENSIONS
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5 1 2\n0.25 4 5\n", r"every line begins with a number.*`np\.save\('x\.npy', np\.loadtxt\('x\.txt'\)\)`"),
        ("cat\ndog\n", r"line 1 is 'cat', and each line needs a word and then its numbers"),
        ("the 1 2\nof 4 x\n", r"line 2 is 'of 4 x'"),
        ("3 2\nthe 1 2\nof 4 5\n", r"its first line says 3 rows, and it has 2"),
        ("2 3\nthe 1 2\nof 4 5\n", r"its first line says 3 numbers a row, and line 2 ends in 2"),
        ("the 1 2\n\nof 4 5\n", r"line 2 is (empty|'')"),
    ],
)
def test_text_that_is_no_vectors(tmp_path: Path, extension: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"x\{extension}[: ].*{message}"):
        open_source(written(tmp_path / f"x{extension}", text))


@pytest.mark.parametrize("bad", ["the 1", "the 1 x 3", "the", "1 2 3", "the 1_0 2 3", "the 1,5 2 3"])
@pytest.mark.parametrize("has_header", [True, False])
def test_a_bad_line_far_down_is_named(tmp_path: Path, bad: str, has_header: bool) -> None:
    lines = ["400 3"] * has_header + ["word 1 2 3"] * 300 + [bad] + ["word 1 2 3"] * 99
    path = written(tmp_path / "x.vec", "\n".join(lines))
    with pytest.raises(ValueError, match=rf"x\.vec .*line {301 + has_header} has "):
        whole(open_source(path))


def test_a_line_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repgeom.data.formats.text_lines.LONGEST_LINE", 50)
    with pytest.raises(ValueError, match=r"x\.vec .*a line of more than 50 bytes"):
        open_source(written(tmp_path / "x.vec", "a " + "1 " * 100))


@EXTENSIONS
def test_pieces_in_any_order(tmp_path: Path, extension: str) -> None:
    x = rows("float64", n=2000)
    source = open_source(write_vectors(tmp_path / f"x{extension}", x))
    for start, stop in ((1990, 2000), (0, 3), (255, 257), (700, 1300), (256, 512)):
        np.testing.assert_array_equal(source.read(start, stop).numpy(), x[start:stop])


def test_lines_of_labels_stay_labels(tmp_path: Path) -> None:
    assert read_labels(written(tmp_path / "y.txt", "the 1 2\nof 4 5\n")).tolist() == ["the 1 2", "of 4 5"]
