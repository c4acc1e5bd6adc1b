"""Random numbers that depend on a seed and an image's own number only: not on the batch, its order or the device.

A counter-based generator: value j of a stream is SplitMix64's mixing function (Steele, Lea & Flood 2014) of the stream's
key plus j times the golden gamma. Nothing is carried from one value to the next, so any part can be drawn anywhere.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch
from torch import Tensor

from repgeom.data.settings import own_settings

Params = dict[str, Tensor]  # the random parameters of a corruption by name, each with one row per image


def _signed(value: int) -> int:
    """A 64-bit pattern as the int64 that holds it."""
    value &= (1 << 64) - 1
    if value >> 63:
        value -= 1 << 64
    return value


# The constants of SplitMix64: the golden gamma 2^64 / φ, and its finaliser's shifts and factors (variant 13 of Stafford).
_GAMMA = _signed(0x9E3779B97F4A7C15)
_ROUNDS = ((30, _signed(0xBF58476D1CE4E5B9)), (27, _signed(0x94D049BB133111EB)), (31, 1))


def _mixed(z: Tensor) -> Tensor:
    """SplitMix64's finaliser, in place; int64 products wrap as unsigned ones do."""
    for shift, factor in _ROUNDS:
        # The mask makes a logical shift of int64's arithmetic one.
        z ^= (z >> shift).bitwise_and_((1 << (64 - shift)) - 1)
        if factor != 1:
            z *= factor
    return z


@own_settings
class Draws:
    """Random numbers for images, as the corruptions draw them: for a corruption or an augmentation of one's own.

    What image number i draws depends on the seed, on the name and on i alone: not on its batch, on the order of the images
    or on the device. Each call gives each image new numbers, independent of all others, so the calls of one object
    must come in a fixed order.

    Args:
        seed: whole number.
        indices: (b,), the images' own numbers; the draws lie on their device.
        name: of what is drawn; another name gives other numbers for the same seed.

    Raises:
        ValueError: `seed` is not a whole number.

    >>> shifts = Draws(0, torch.arange(4), "shift").below(3, 2)  # for each of four images two of {0, 1, 2}
    >>> shifts.shape
    torch.Size([4, 2])
    >>> torch.equal(Draws(0, torch.tensor([2]), "shift").below(3, 2), shifts[2:3])
    True
    """

    def __init__(self, seed: int, indices: Tensor, name: str) -> None:
        """A generator for images with these numbers (b,); another `seed` or `name` gives other numbers.

        Raises ValueError if the seed is not a whole number.
        """
        if not isinstance(seed, (int, np.integer)):
            raise ValueError(f"`seed` must be a whole number, got {seed!r}.")
        # The odd factors here and below only spread seeds and streams over the 64 bits; the mixing makes them independent.
        start = _signed(int(seed) * 0xD1342543DE82EF95 + zlib.crc32(name.encode()))
        self._keys = _mixed(_mixed(indices.long() * _GAMMA + start) + _GAMMA)
        self._stream = 0

    def _bits(self, n: int) -> Tensor:
        """The next stream's first n numbers for each image, (b, n) int64 whose 64 bits are random."""
        self._stream += 1
        key = _mixed(self._keys + _signed(self._stream * 0xA0761D6478BD642F))
        counter = torch.arange(1, n + 1, device=key.device) * _GAMMA
        return _mixed(key[:, None] + counter)

    def _halves(self, n: int) -> tuple[Tensor, Tensor]:
        """The upper and the lower 32 bits of enough numbers for n values: two blocks (b, ceil(n / 2)), below 2^32."""
        bits = self._bits((n + 1) // 2)
        return (bits >> 32).bitwise_and_(0xFFFFFFFF), bits.bitwise_and_(0xFFFFFFFF)

    def uniform(self, *shape: int) -> Tensor:
        """(b, *shape) float32 in [0, 1)."""
        n = math.prod(shape)
        both = torch.cat(self._halves(n), 1)[:, :n]
        # float32 holds 24 bits: more would round up to 1 now and then.
        return ((both >> 8).float() * 2.0**-24).reshape(len(self._keys), *shape)

    def uniform64(self, *shape: int) -> Tensor:
        """(b, *shape) float64 in [0, 1) with all its 53 bits."""
        bits = (self._bits(math.prod(shape)) >> 11).bitwise_and_((1 << 53) - 1)
        return (bits.double() * 2.0**-53).reshape(len(self._keys), *shape)

    def symmetric(self, *shape: int) -> Tensor:
        """(b, *shape) float32 in [−1, 1)."""
        return self.uniform(*shape).mul_(2).sub_(1)

    def normal(self, *shape: int) -> Tensor:
        """(b, *shape) float32 of mean 0 and variance 1, by Box and Muller (1958); none lies beyond 6.8."""
        n = math.prod(shape)
        first, second = self._halves(n)
        # Half a step above 0, whose logarithm is not finite; √(2 ln 2^33) = 6.8 is thus the largest radius.
        radius = (first.float() + 0.5).mul_(2.0**-32).log_().mul_(-2).sqrt_()
        turn = second.float().mul_(2 * math.pi * 2.0**-32)
        return torch.cat([radius * turn.cos(), radius * turn.sin_()], 1)[:, :n].reshape(len(self._keys), *shape)

    def below(self, limit: int, *shape: int) -> Tensor:
        """(b, *shape) int64 in {0, ..., limit − 1}, limit below 2^31; no number is favoured by more than limit / 2^32."""
        n = math.prod(shape)
        both = torch.cat(self._halves(n), 1)[:, :n]
        return (both * limit >> 32).reshape(len(self._keys), *shape)
