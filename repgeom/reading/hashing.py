"""Numbers as good as random that every process works out alike: of row numbers, and of a row's bytes."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

# Words that are hashed together: few enough to stay in a processor's cache, enough to keep a GPU busy.
_WORDS_AT_ONCE = {"cpu": 1 << 18, "cuda": 1 << 25}
_ODD = 0x9E3779B97F4A7C15 - (1 << 64)  # 2⁶⁴ over the golden ratio, as a signed number


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Scramble numbers (uint64) one to one, each bit of the result as good as random (SplitMix64, Steele et al. 2014)."""
    z = numbers + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def unmixed(numbers: np.ndarray) -> np.ndarray:
    """The numbers that `mixed` scrambled."""
    z = numbers.copy()
    # Each step of `mixed` backwards; the factors are the inverses of its own modulo 2⁶⁴.
    z = z ^ (z >> np.uint64(31)) ^ (z >> np.uint64(62))
    z *= np.uint64(0x319642B2D24D8EC3)
    z = z ^ (z >> np.uint64(27)) ^ (z >> np.uint64(54))
    z *= np.uint64(0x96DE1B173F119089)
    z = z ^ (z >> np.uint64(30)) ^ (z >> np.uint64(60))
    return np.asarray(z - np.uint64(0x9E3779B97F4A7C15))


def row_hashes(rows: Tensor) -> np.ndarray:
    """Hash each row's bytes to 64 bits, (n,) uint64. Two different rows among a million agree with a chance of 3e-8.

    A sum of scrambled words times random numbers modulo 2⁶⁴ (multilinear hashing, Carter & Wegman 1979), the same in every
    process.
    """
    if not rows.numel():
        return np.zeros(len(rows), np.uint64)
    words = _words(rows)
    factors = torch.from_numpy(mixed(np.arange(words.shape[1], dtype=np.uint64)).view(np.int64)).to(words.device)
    sums = []
    for piece in words.split(max(1, _WORDS_AT_ONCE[words.device.type] // words.shape[1])):
        # A copy, because words share the memory of the rows.
        scrambled = piece.to(torch.int64, copy=True).mul_(_ODD)
        # A product carries bits upwards only; this brings the upper half down.
        scrambled ^= scrambled >> 32
        sums.append(scrambled.mul_(factors).sum(1))
    return mixed(torch.cat(sums).cpu().numpy().view(np.uint64))


def _words(rows: Tensor) -> Tensor:
    """The bytes of each row as whole numbers, of 8 bytes where the row's length allows it: fewer words take less time."""
    rows = rows.detach().contiguous()
    if not rows.is_cuda:
        rows = rows.cpu()  # other devices lack some of the arithmetic
    width = rows.shape[1] * rows.element_size()
    for size, dtype in ((8, torch.int64), (4, torch.int32)):
        if width % size == 0 and rows.storage_offset() * rows.element_size() % size == 0:
            return rows.view(dtype)
    return rows.view(torch.int16)


def value_hashes(values: np.ndarray) -> np.ndarray:
    """Hash whole numbers or text (n,) to 64 bits, (n,) uint64: equal values have equal hashes in every process."""
    different, place = np.unique(values, return_inverse=True)
    if different.dtype.kind in "iub":
        hashes = mixed(different.astype(np.int64).view(np.uint64))
    else:
        # Python's own hash of a text differs from process to process.
        digests = [hashlib.blake2b(str(value).encode(), digest_size=8).digest() for value in different.tolist()]
        hashes = np.frombuffer(b"".join(digests), np.uint64)
    return np.asarray(hashes[place])
