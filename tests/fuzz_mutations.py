"""Damage for the fuzzer: bytes changed, moved, repeated and cut, also within the members of a zip archive."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence

import numpy as np

Random = np.random.Generator
NUMBERS = (
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    32767,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    -(2**31),
    -(2**63),
)
WORDS = (
    b"nan", b"inf", b"1e999", b"-", b'"', b",", b"\n", b"\r", b"\t", b"\0", b"[", b"]", b"[1, 2", b"1" * 400, b"\xff\xfe",
    b"(-1, 3)", b"(99999999999, 3)", b"True", b"object", b"|O", b"<f8", b">i2", b"<U0", b"{", b"}", b"null", b"1_000", b"../",
    b"\x80\x04", b"cos\nsystem\n", b"\x85R.", b"#", b";", b"1,5", "é".encode(), b"'", b"0x10",
)  # fmt: skip


def damaged(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    """One to four damages in a row; in an archive, every other time, to what its members hold."""
    if content[:4] == b"PK\x03\x04" and random.random() < 0.6:
        return _within_members(content, seeds, random)
    for _ in range(int(random.integers(1, 5))):
        change = DAMAGES[int(random.integers(len(DAMAGES)))]
        content = change(content, seeds, random)
    return content


def _place(content: bytes, random: Random) -> int:
    """Anywhere, but more often near the beginning or the end, where formats keep what they say of themselves."""
    where = random.random()
    if where < 0.4:
        return int(random.integers(0, min(len(content), 300) + 1))
    if where < 0.6:
        return max(0, len(content) - int(random.integers(0, 300)))
    return int(random.integers(0, len(content) + 1))


def _put(content: bytes, at: int, new: bytes, over: int) -> bytes:
    return content[:at] + new + content[at + over :]


def _bit(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    at = _place(content, random)
    return _put(content, at, bytes(b ^ (1 << int(random.integers(8))) for b in content[at : at + 1]), 1)


def _byte(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    return _put(content, _place(content, random), bytes([int(random.integers(256))]), 1)


def _number(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    size = int(random.choice([1, 2, 4, 8]))
    value = int(NUMBERS[int(random.integers(len(NUMBERS)))]) % (1 << (8 * size))
    order = "little" if random.random() < 0.7 else "big"
    return _put(content, _place(content, random), value.to_bytes(size, order), size)  # type: ignore[arg-type]


def _cut(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    return _put(content, _place(content, random), b"", int(random.integers(1, 64)))


def _end(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    return content[: _place(content, random)]


def _repeat(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    at, length = _place(content, random), int(random.integers(1, 64))
    return _put(content, at, content[at : at + length] * int(random.integers(2, 20)), length)


def _word(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    word = WORDS[int(random.integers(len(WORDS)))]
    return _put(content, _place(content, random), word, int(random.choice([0, len(word)])))


def _splice(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    other = seeds[int(random.integers(len(seeds)))]
    at, length = _place(other, random), int(random.integers(1, 200))
    return _put(content, _place(content, random), other[at : at + length], int(random.choice([0, length])))


def _append(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    return content + seeds[int(random.integers(len(seeds)))][: int(random.integers(1, 500))]


DAMAGES: tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...] = (
    _bit, _byte, _byte, _number, _number, _cut, _end, _repeat, _word, _splice, _append,
)  # fmt: skip


def _within_members(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    """The archive again with right checksums, and one of its members damaged, renamed or there twice."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    chosen = int(random.integers(len(members)))
    name, inner = members[chosen]
    how = random.random()
    if how < 0.85:
        members[chosen] = name, damaged(inner, [inner, *seeds], random)
    elif how < 0.9:
        members.append((name, inner))
    elif how < 0.95:
        members[chosen] = f"{name}x", inner
    else:
        del members[chosen]
    new = io.BytesIO()
    kind = zipfile.ZIP_STORED if random.random() < 0.7 else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(new, "w", kind) as archive:
        for member, inner in members:
            archive.writestr(zipfile.ZipInfo(member), inner, kind)
    return new.getvalue()
