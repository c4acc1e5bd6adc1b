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
    """Names in at most so many cells each; of those that would then look the same, the number stands behind.

    >>> told_apart(["runs/a/epoch-1.npy", "runs/b/epoch-1.npy", "other.npy"], 12)
    ['runs….npy[1]', 'runs….npy[2]', 'other.npy']
    """
    short = [shortened(name, most, mark) for name in names]
    found = []
    for i, name in enumerate(names):
        if short.count(short[i]) > 1 and name.strip():
            number = f"[{i + 1}]"
            found.append(shortened(name, most - len(number), mark) + number)
        else:
            found.append(short[i])
    return found


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
