"""Sick units and rows: dead, fading, saturated, repeated, padded or overflowed."""

from __future__ import annotations

from functools import partial

import numpy as np

from studies.verdict_sets import Array, Case, Drawn, Random, family, gaussian, plain, power_law


def healthy(alpha: float, d: int, n: int, relu: bool, random: Random) -> Array:
    rows = gaussian(power_law(alpha, d), n, random)
    if relu:
        return np.maximum(rows, 0)
    return rows


def fading(share: float, factor: float, d: int, n: int, relu: bool, random: Random) -> Drawn:
    """A share of the units has `factor` times the scale of the others."""
    rows = healthy(0.6, d, n, relu, random)
    rows[:, random.choice(d, round(share * d), replace=False)] *= factor
    return plain(rows)


def dead(share: float, value: float, d: int, n: int, relu: bool, random: Random) -> Drawn:
    rows = healthy(0.6, d, n, relu, random)
    rows[:, random.choice(d, round(share * d), replace=False)] = value
    return plain(rows)


def repeated(share: float, d: int, n: int, random: Random) -> Drawn:
    """A share of the rows are copies of the others, drawn at random."""
    rows = healthy(0.7, d, n, False, random)
    kept = n - round(share * n)
    rows[kept:] = rows[random.integers(kept, size=n - kept)]
    return plain(random.permutation(rows))


def one_row(share: float, value: float | None, d: int, n: int, random: Random) -> Drawn:
    """A share of the rows are one and the same: a row of the data, or all of one value."""
    rows = healthy(0.7, d, n, False, random)
    if value is None:
        rows[: round(share * n)] = rows[0].copy()
    else:
        rows[: round(share * n)] = value
    return plain(random.permutation(rows))


def saturated(inner: int, d: int, n: int, random: Random) -> Drawn:
    """tanh of a few inner numbers, multiplied until it gives signs alone."""
    rows = random.standard_normal((n, inner)) @ random.standard_normal((inner, d))
    return plain(np.tanh(100 * rows))


def stuck(share: float, d: int, n: int, random: Random) -> Drawn:
    """A share of the units stands at an end of tanh and hardly moves."""
    inner = healthy(0.6, d, n, False, random) / 0.3
    hit = random.choice(d, round(share * d), replace=False)
    inner[:, hit] = inner[:, hit] * 0.1 + 8 * random.choice([-1, 1], len(hit))
    return plain(np.tanh(inner))


def overflowed(share: float, d: int, n: int, random: Random) -> Drawn:
    """Values past half precision's range were clipped to its largest number."""
    rows = healthy(0.7, d, n, False, random)
    hit = random.choice(n, round(share * n), replace=False)
    rows[hit] = 65504 * random.choice([-1.0, 1.0], (len(hit), d))
    return plain(rows)


def coarse(step: float, d: int, n: int, random: Random) -> Drawn:
    """Quantised in steps so wide that nearly every value is zero."""
    rows = random.standard_normal((n, d))
    return plain(np.round(rows / step))


def units() -> list[Case]:
    def faded(shapes: tuple[tuple[float, float, int, int, bool], ...]) -> list[tuple[str, partial[Drawn]]]:
        return [
            (f"{s:.0%} at {f:g}, {n} × {d}{' ReLU' * relu}", partial(fading, s, f, d, n, relu))
            for s, f, d, n, relu in shapes
        ]

    def killed(shapes: tuple[tuple[float, float, int, int, bool], ...]) -> list[tuple[str, partial[Drawn]]]:
        return [
            (f"{s:.0%} at {v:g}, {n} × {d}{' ReLU' * relu}", partial(dead, s, v, d, n, relu))
            for s, v, d, n, relu in shapes
        ]

    why = "Most units are so weak that nothing downstream feels them."
    cases = family("fading units", "mild", why, faded(FADING)) + family("fading units", "severe", why, faded(FADED))
    why = "Most units never change."
    return cases + family("dead units", "mild", why, killed(DYING)) + family("dead units", "severe", why, killed(DEAD))


FADING = (
    (0.8, 1e-3, 256, 1024, True),
    (0.6, 1e-3, 384, 1500, False),
    (0.6, 0.01, 256, 2000, True),
    (0.8, 0.01, 512, 1000, False),
)
FADED = ((0.9, 1e-3, 384, 1500, True), (0.9, 0.01, 256, 1024, True), (0.95, 1e-3, 512, 1500, False))
DYING = (
    (0.5, 0.0, 256, 1024, True),
    (0.6, -0.5, 384, 1500, False),
    (0.75, 0.0, 512, 1500, True),
    (0.5, 0.2, 128, 1280, False),
)
DEAD = ((0.9, 0.0, 256, 1024, True), (0.95, 0.0, 384, 1500, True), (0.9, 1.0, 128, 640, False))


def rows() -> list[Case]:
    copies = "So many copies leave fewer samples than it seems, and point to a fault in loading."
    mild = [
        (f"{s:.0%}, {n} × {d}", partial(repeated, s, d, n))
        for s, d, n in ((0.3, 256, 1500), (0.5, 384, 1200), (0.4, 64, 1000))
    ]
    many = [
        (f"{s:.0%}, {n} × {d}", partial(repeated, s, d, n))
        for s, d, n in ((0.9, 256, 1500), (0.95, 128, 2000), (0.8, 384, 1500))
    ]
    cases = family("repeated rows", "mild", copies, mild) + family("repeated rows", "severe", copies, many)
    padding = "Rows without content stand among the others: failed inputs, or padding that was not masked."
    few = [(f"{s:.0%} {w}, {n} × {d}", partial(one_row, s, v, d, n)) for s, w, v, d, n in PADDED]
    most = [(f"{s:.0%} {w}, {n} × {d}", partial(one_row, s, v, d, n)) for s, w, v, d, n in MOSTLY]
    cases += family("empty rows", "mild", padding, few) + family("empty rows", "severe", padding, most)
    over = [
        (f"{s:.1%} of rows, {n} × {d}", partial(overflowed, s, d, n))
        for s, d, n in ((0.01, 256, 1500), (0.002, 384, 1500))
    ]
    return cases + family("overflow", "mild", "Some rows are at the end of half precision's range.", over)


PADDED = (
    (0.1, "zero", 0.0, 384, 1500), (0.15, "padding", None, 256, 1500), (0.3, "zero", 0.0, 128, 1280),
    (0.2, "padding", None, 768, 800),
)  # fmt: skip
MOSTLY = ((0.7, "zero", 0.0, 256, 1500), (0.9, "padding", None, 384, 1500))


def values() -> list[Case]:
    ends = [
        (f"{k} numbers, {n} × {d}", partial(saturated, k, d, n))
        for k, d, n in ((2, 256, 1500), (3, 384, 1200), (1, 128, 1280))
    ]
    severe = [(f"{s:.0%} stuck, {n} × {d}", partial(stuck, s, d, n)) for s, d, n in ((0.95, 256, 1500),)]
    mild = [(f"{s:.0%} stuck, {n} × {d}", partial(stuck, s, d, n)) for s, d, n in ((0.7, 384, 1500), (0.6, 128, 1280))]
    steps = [
        (f"steps of {s:g} σ, {n} × {d}", partial(coarse, s, d, n)) for s, d, n in ((7.5, 128, 1500), (6.5, 256, 1000))
    ]
    why = "Units stand at the ends of their activation."
    cases = family("saturation", "severe", why, ends + severe) + family("saturation", "mild", why, mild)
    return cases + family("coarse steps", "severe", "Quantised to nothing: nearly all rows are zero.", steps)


def cases() -> list[Case]:
    return [case for each in (units, rows, values) for case in each()]
