"""How many cells of a terminal a text takes, and how a long name is made to fit into fewer.

A letter takes one cell, a Chinese, Japanese or Korean sign and most emoji two, an accent none. Python's own tables of
characters say which is which, so that no further package is needed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_JOINER = "\u200d"  # draws what follows into the emoji before it
_AS_EMOJI = "\ufe0f"  # asks for the coloured form of the sign before it, which is two cells wide
_SKIN_TONES = range(0x1F3FB, 0x1F400)  # colour the emoji before them
_LATER_JAMO = range(0x1160, 0x1200)  # vowels and ends of a Korean syllable, drawn into its beginning


def cells(text: str) -> int:
    r"""How many cells of a terminal a text takes: here of a word, of two Japanese signs, of a joined emoji.

    >>> cells("student"), cells("\u65e5\u672c"), cells("\U0001f469\u200d\U0001f52c")
    (7, 4, 2)
    """
    return sum(_cells_of(cluster) for cluster in clusters(text))


def shortened(text: str, most: int, mark: str = "…") -> str:
    """A name in at most so many cells: its beginning and its end, with a mark between them.

    >>> shortened("runs/seed-1/features.npy", 14)
    'runs/s…res.npy'
    """
    if cells(text) <= most:
        return text
    room = most - cells(mark)
    if room < 1:
        return _beginning(clusters(mark), most)
    found = clusters(text)
    # Ends of paths differ more often than beginnings, so the odd cell is theirs.
    end = _beginning(found[::-1], room - room // 2, reverse=True)
    return _beginning(found, room - cells(end)) + mark + end


def told_apart(names: Sequence[str], most: int, mark: str = "…") -> list[str]:
    """Names in at most so many cells each, and no two of them alike.

    Of those that would look the same the beginning that they share goes first, then the end. Where that does not help, their
    number stands behind them.

    >>> told_apart(["encoder.layer.1.output.dense", "encoder.layer.2.output.dense", "output"], 12)
    ['…1.ou….dense', '…2.ou….dense', 'output']
    """
    short = [shortened(name, most, mark) for name in names]
    for text in {text for text in short if short.count(text) > 1}:
        alike = [i for i in range(len(names)) if short[i] == text]
        whole = [names[i] for i in alike]
        cut = [shortened(name, most, mark) for name in _without_start(whole, mark)]
        if len(set(cut)) < len(cut):
            cut = [shortened(name, most, mark) for name in _without_ends(whole, mark)]
        for i, name in zip(alike, cut, strict=True):
            short[i] = name
    found = []
    for i, text in enumerate(short):
        if short.count(text) > 1 and text.strip():
            number = f"[{i + 1}]"
            text = shortened(names[i], max(1, most - len(number)), mark) + number
        found.append(text)
    return found


def without_shared(names: Sequence[str]) -> tuple[list[str], str]:
    """What differs between names, and the frame around it; the names as they are where that says no less.

    Only whole parts go, between "/", ".", "_", "-" and spaces, and each name keeps at least one sign.

    >>> without_shared(["encoder.layer.1.output", "encoder.layer.12.output"])
    (['1', '12'], 'encoder.layer.*.output')
    """
    if len(set(names)) < 2:
        return list(names), ""
    start, end = _shared_ends(list(names))
    middles = [name[start : len(name) - end] for name in names]
    if start + end == 0 or not all(middles):
        return list(names), ""
    return middles, f"{names[0][:start]}*{names[0][len(names[0]) - end :]}"


def _shared_ends(names: list[str]) -> tuple[int, int]:
    """How many signs the names share at their beginning, and at the end of the rest."""
    start = _shared_start(names)
    # Read backwards, the end is a beginning.
    return start, _shared_start([name[start:][::-1] for name in names])


def _shared_start(names: list[str]) -> int:
    """How many signs the names share at their beginning, up to the last sign that parts words."""
    first, last = min(names), max(names)
    # What the first and the last in the order of the alphabet share, all others share too.
    n_shared = next((i for i in range(min(len(first), len(last))) if first[i] != last[i]), min(len(first), len(last)))
    return max(first.rfind(sign, 0, n_shared) for sign in "/._- ") + 1


def _without_start(names: list[str], mark: str) -> list[str]:
    """The names without the parts at their beginning that they share; unchanged where they are equal or share none."""
    start = _shared_start(names)
    if start == 0 or len(set(names)) < len(names):
        return names
    return [mark + name[start:] for name in names]


def _without_ends(names: list[str], mark: str) -> list[str]:
    """The names without the parts that they share at their beginning and at their end; unchanged where one would be empty."""
    if len(set(names)) < len(names):
        return names
    start, end = _shared_ends(names)
    middles = [name[start : len(name) - end] for name in names]
    if not all(middles):
        return names
    before, after = mark if start else "", mark if end else ""
    return [before + middle + after for middle in middles]


def broken(word: str, most: int) -> list[str]:
    """A word that is wider than a line, in pieces of at most so many cells. None is cut within a sign."""
    pieces = [""]
    for cluster in clusters(word):
        if pieces[-1] and cells(pieces[-1]) + _cells_of(cluster) > most:
            pieces.append("")
        pieces[-1] += cluster
    return pieces


def to_left(text: str, width: int) -> str:
    """Text at the left of so many cells."""
    return text + " " * (width - cells(text))


def to_right(text: str, width: int) -> str:
    """Text at the right of so many cells."""
    return " " * (width - cells(text)) + text


def clusters(text: str) -> list[str]:
    """The signs that a reader sees: each character with the accents and joined emoji that are drawn into it."""
    if text.isascii():
        return list(text)
    found: list[str] = []
    for character in text:
        if found and (_takes_no_cell(character) or found[-1].endswith(_JOINER) or _colours(character, found[-1])):
            found[-1] += character
        else:
            found.append(character)
    return found


def _cells_of(cluster: str) -> int:
    first = cluster[0]
    if _takes_no_cell(first):
        return 0
    if unicodedata.east_asian_width(first) in "WF" or _AS_EMOJI in cluster:
        return 2
    return 1


def _takes_no_cell(character: str) -> bool:
    if character == "\u00ad":  # a soft hyphen is drawn by terminals
        return False
    return unicodedata.category(character) in ("Mn", "Me", "Cf") or ord(character) in _LATER_JAMO


def _colours(character: str, before: str) -> bool:
    return ord(character) in _SKIN_TONES and unicodedata.east_asian_width(before[0]) == "W"


def _beginning(found: list[str], most: int, *, reverse: bool = False) -> str:
    """As many of these signs as fit into so many cells."""
    kept: list[str] = []
    room = most
    for cluster in found:
        room -= _cells_of(cluster)
        if room < 0:
            break
        kept.append(cluster)
    if reverse:
        kept.reverse()
    return "".join(kept)
