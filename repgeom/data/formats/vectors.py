"""`.vec` and `.txt` of word2vec, GloVe and fastText: a word and its numbers a line, perhaps below a line "rows width"."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from repgeom.data.formats.forward import ForwardRows
from repgeom.data.formats.stored import StoredArray, damage_named
from repgeom.data.formats.text_lines import is_compressed, lines_of

LOOKED_AT = 100  # lines that show how many numbers one has: a word may have spaces, and numbers in it
PIECE_ROWS = 256


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How the lines are read: where they are split, how many numbers each ends in, and where in the file pieces begin."""

    separator: bytes
    width: int
    has_header: bool
    n_rows: int
    offsets: tuple[int, ...]  # of every piece of `PIECE_ROWS` lines; the first alone where the file is compressed


def open_vectors(path: str) -> dict[str, StoredArray]:
    with damage_named(path):
        first, separator = _first_lines(path)
        header = _header(first)
    if header is None and all(_begins_with_a_number(line) for line in first):
        raise ValueError(
            f"{path}: every line begins with a number, so that words cannot be told from features. If all are features, save "
            "them with `np.save('x.npy', np.loadtxt('x.txt'))`; if the first is a word, write a line with rows and width "
            "above."
        )
    with damage_named(path):
        layout = _layout(path, first, separator, header)

    def pieces(place: int) -> Iterator[np.ndarray]:
        return _pieces(path, layout, place)

    starts = range(0, len(layout.offsets) * PIECE_ROWS, PIECE_ROWS)
    rows = ForwardRows(pieces, starts, np.empty((0, layout.width)))
    return {"": StoredArray((layout.n_rows, layout.width), "float64", rows.read, release=rows.release)}


def _first_lines(path: str) -> tuple[list[list[bytes]], bytes]:
    """The tokens of the first lines, and what stands between them."""
    lines = [line.rstrip() for line in itertools.islice(lines_of(path), LOOKED_AT + 1)]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise ValueError("it has no lines with numbers")
    separator = b" "
    if b"\t" in lines[-1]:
        separator = b"\t"
    return [line.split(separator) for line in lines], separator


def _layout(path: str, first: list[list[bytes]], separator: bytes, header: tuple[int, int] | None) -> _Layout:
    if header is None:
        width = _width(first)
    else:
        width = header[1]
        _check_width(first[1], width)
    offsets, n_rows = _offsets(path, header is not None)
    if header is not None and header[0] != n_rows:
        raise ValueError(f"its first line says {header[0]} rows, and it has {n_rows}")
    if is_compressed(path):
        offsets = offsets[:1]
    return _Layout(separator, width, header is not None, n_rows, tuple(offsets))


def _header(tokens: list[list[bytes]]) -> tuple[int, int] | None:
    """Rows and width, where the first line says them: two whole numbers above longer lines."""
    if len(tokens) < 2 or len(tokens[0]) != 2 or len(tokens[1]) < 3:
        return None
    if not all(token.isdigit() for token in tokens[0]):
        return None
    return int(tokens[0][0]), int(tokens[0][1])


def _check_width(tokens: list[bytes], width: int) -> None:
    found = _numbers_at_the_end(tokens)
    if found < width:
        raise ValueError(f"its first line says {width} numbers a row, and line 2 ends in {found} after its word")


def _width(tokens: list[list[bytes]]) -> int:
    """How many numbers each of the first lines ends in, where no header says it."""
    counts = [_numbers_at_the_end(line) for line in tokens]
    if 0 in counts:
        i = counts.index(0)
        seen = b" ".join(tokens[i])[:60].decode(errors="replace")
        raise ValueError(f"line {i + 1} is {seen!r}, and each line needs a word and then its numbers")
    return min(counts)


def _begins_with_a_number(tokens: list[bytes]) -> bool:
    return _is_number(tokens[0]) and any(sign.isdigit() for sign in tokens[0].decode(errors="replace"))


def _numbers_at_the_end(tokens: list[bytes]) -> int:
    """How many numbers a line ends in. Its first token is a word, whatever it looks like."""
    count = 0
    for token in reversed(tokens[1:]):
        if not _is_number(token):
            break
        count += 1
    return count


def _is_number(token: bytes) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return b"_" not in token  # Python reads 1_000 as a thousand


def _offsets(path: str, has_header: bool) -> tuple[list[int], int]:
    """Where in the file every piece of lines begins, and how many lines with numbers there are."""
    offsets, n_rows, offset, n_empty = [0], 0, 0, 0
    for i, line in enumerate(lines_of(path)):
        offset += len(line)
        if i == 0 and has_header:
            offsets = [offset]
            continue
        if not line.strip():
            n_empty += 1
            continue
        if n_empty:
            raise ValueError(f"line {i} is empty, and lines with numbers follow it")
        n_rows += 1
        if n_rows % PIECE_ROWS == 0:
            offsets.append(offset)
    # The last piece may begin where the file ends.
    return offsets[: max(1, -(-n_rows // PIECE_ROWS))], n_rows


def _pieces(path: str, layout: _Layout, place: int) -> Iterator[np.ndarray]:
    lines = lines_of(path, layout.offsets[place])
    first_line = place * PIECE_ROWS + layout.has_header
    for start in itertools.count(first_line, PIECE_ROWS):
        piece = [line for line in itertools.islice(lines, PIECE_ROWS) if line.strip()]
        if not piece:
            return
        yield np.array([_numbers(line, layout, start + i + 1) for i, line in enumerate(piece)])


def _numbers(line: bytes, layout: _Layout, number: int) -> list[float]:
    tokens = line.rstrip().split(layout.separator)
    if len(tokens) <= layout.width:
        raise ValueError(f"line {number} has {len(tokens) - 1} numbers after its word, and {layout.width} are needed")
    numbers = tokens[-layout.width :]
    for token in numbers:
        if not _is_number(token):
            raise ValueError(f"line {number} has {token[:40].decode(errors='replace')!r} where a number is needed")
    return [float(token) for token in numbers]
