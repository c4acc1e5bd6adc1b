"""Text that comes from outside, as it can be shown: escaped where it would do more than be read, spelled out where signs lack."""

from __future__ import annotations

import codecs
import json
import re
import unicodedata

# Letters of Persian and of Indian scripts, and emoji, are joined and parted by these two; they draw nothing.
_JOINERS = "\u200c\u200d"

# What stands for a sign that an encoding lacks, row by row. All that this package prints beyond ASCII is here.
_SIGNS = (
    ("−–—×·±√∝≈∞≤≥≠∩½°…‖─▶↦∘⟨⟩", "- - - x * +- sqrt ~ ~ inf <= >= != & 1/2 deg ... || - > -> o < >"),
    ("“”‘’→�", "\" \" ' ' -> ?"),
    ("¹²³⁰⁴⁵⁶⁷⁸⁹⁻⁺ᵀ", "^1 ^2 ^3 ^0 ^4 ^5 ^6 ^7 ^8 ^9 ^- ^+ ^T"),
    ("ᵢⱼ₀₁₂₃", "_i _j _0 _1 _2 _3"),
    ("σΣλμεαθρφπδχΔτ", "sigma sum lambda mu eps alpha theta rho phi pi delta chi Delta tau"),
    ("\u0304\u0303", "_mean ~"),
)
SIGNS = {sign: word for signs, words in _SIGNS for sign, word in zip(signs, words.split(), strict=True)}

# The name under which Python's streams take `_spelled_out`: `stream.reconfigure(errors=SPELLED_OUT)`.
SPELLED_OUT = "repgeom-spelled-out"


def printable(text: str) -> str:
    r"""Text in which nothing moves a cursor, breaks a line, or reverses what follows.

    A file, column or class may have any name, and a name must not be able to draw a verdict.

    >>> print(printable("a.npy\nVerdict: OK\x1b[2K"))
    a.npy\nVerdict: OK\x1b[2K
    """
    if text.isprintable():
        return text
    return "".join(sign if _only_shows(sign) else _escaped(sign) for sign in text)


def printable_json(text: str, encoding: str) -> str:
    r"""JSON in which what a terminal would act on, or an encoding lacks, is written as \uXXXX: the same values.

    >>> print(printable_json('{"σ": "\x9b"}', "ascii"))
    {"\u03c3": "\u009b"}
    """

    def escaped(found: re.Match[str]) -> str:
        sign = found[0]
        if _only_shows(sign) and _encodable(sign, encoding):
            return sign
        return json.dumps(sign)[1:-1]

    return re.sub(r"[^\n\x20-\x7e]", escaped, text)


def _only_shows(sign: str) -> bool:
    return sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs"


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def _encodable(sign: str, encoding: str) -> bool:
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _spelled_out(error: UnicodeError) -> tuple[str, int]:
    """What a stream writes in place of signs that its encoding lacks; for Python's codecs."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    spelled = "".join(SIGNS.get(sign) or _escaped(sign) for sign in lacking)
    # Of 10⁻⁶ one sign says that what follows is raised.
    return re.sub(r"(?<=[-^\d])\^(?=\d)", "", spelled), error.end


codecs.register_error(SPELLED_OUT, _spelled_out)
