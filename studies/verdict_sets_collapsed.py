"""Sick clouds: collapsed to a point, to few directions, to a steep spectrum, or to few places."""

from __future__ import annotations

from functools import partial

import numpy as np

from studies.verdict_sets import (
    Array,
    Case,
    Drawn,
    Random,
    family,
    flat,
    gaussian,
    in_cone,
    noisy,
    plain,
    power_law,
    turned,
    unit,
)  # fmt: skip


def point(noise: float, d: int, n: int, random: Random) -> Drawn:
    """All rows at one vector, with isotropic noise of `noise` times its length."""
    mean = unit(random.standard_normal((1, d)))
    return plain(mean + noise * random.standard_normal((n, d)) / d**0.5)


def few_directions(rank: int, noise: float, d: int, n: int, random: Random) -> Drawn:
    rows = gaussian(flat(rank, d), n, random)
    return plain(rows + noise * random.standard_normal((n, d)))


def decaying(rank: float, d: int, n: int, random: Random) -> Drawn:
    """Variances e^(-i/rank)."""
    return plain(gaussian(np.exp(-np.arange(d) / rank), n, random))


def steep(alpha: float, d: int, n: int, random: Random) -> Drawn:
    return plain(gaussian(power_law(alpha, d), n, random))


def student_of_cosine(d: int, n: int, cosine: float, random: Random) -> Drawn:
    """Unit rows in a cone that use 3 % of their dimensions, like the students of a cosine loss alone."""
    rows = gaussian(np.exp(-np.arange(d) / (0.011 * d)) + 1e-6, n, random)
    return plain(unit(in_cone(rows, cosine, random)))


def in_a_cone(rank: int, cosine: float, d: int, n: int, random: Random) -> Drawn:
    rows = noisy(gaussian(flat(rank, d), n, random), 0.01, random)
    return plain(unit(in_cone(rows, cosine, random)))


def line(noise: float, d: int, n: int, offset: float, random: Random) -> Drawn:
    """A number times one direction."""
    direction = unit(random.standard_normal((1, d)))
    rows = (offset + random.standard_normal((n, 1))) * direction
    return plain(rows + noise * random.standard_normal((n, d)) / d**0.5)


def places(count: int, noise: float, d: int, n: int, random: Random) -> Drawn:
    """Few places at which all rows lie, with noise of `noise` times the spread between them."""
    means = random.standard_normal((count, d))
    return plain(means[random.integers(count, size=n)] + noise * random.standard_normal((n, d)))


def one_column(share: float, rank: int, d: int, n: int, random: Random) -> Drawn:
    """One column holds `share` of the variance; the others are of low rank."""
    rows = noisy(gaussian(flat(rank, d), n, random), 0.003, random)
    rows[:, 7] = random.standard_normal(n) * np.sqrt(rows.var(0).sum() * share / (1 - share))
    return plain(rows)


def copied(distinct: int, d: int, n: int, random: Random) -> Drawn:
    """Columns are copies of few others, up to a factor."""
    rows = random.standard_normal((n, distinct))
    return plain(rows[:, random.integers(distinct, size=d)] * random.uniform(0.5, 1.5, d))


def smoothed(rounds: int, d: int, n: int, random: Random) -> Drawn:
    """Rows of a graph's nodes, averaged with their neighbours again and again."""
    rows = random.standard_normal((n, d)) + 0.5 * random.standard_normal(d)
    neighbours = random.integers(n, size=(n, 6))
    for _ in range(rounds):
        rows = 0.5 * rows + 0.5 * rows[neighbours].mean(1)
    return plain(rows)


def modes(count: int, d: int, n: int, random: Random) -> Drawn:
    """Samples of a generator that gives nearly the same few again and again."""
    samples = gaussian(power_law(0.6, d), count, random)
    return plain(samples[random.integers(count, size=n)] + 1e-3 * random.standard_normal((n, d)))


def posterior(active: int, d: int, n: int, random: Random) -> Drawn:
    """Means of a variational posterior of which few latents are in use."""
    scale = np.where(np.arange(d) < active, 1.0, 0.003)
    return plain(random.standard_normal((n, d)) * random.permutation(scale))


def deep_at_start(layers: int, gain: float, random: Random) -> Drawn:
    """A deep ReLU network before training: every layer brings the rows closer together."""
    rows: Array = turned(random.standard_normal((1000, 256)), random)
    for _ in range(layers):
        rows = np.maximum(rows @ random.standard_normal((256, 256)) * gain / 16 + 0.1, 0)
        rows /= rows.std()
    return plain(rows)


def points() -> list[Case]:
    strong = (
        (1e-4, 128, 512),
        (1e-3, 384, 1500),
        (1e-2, 256, 256),
        (1e-2, 384, 1536),
        (0.03, 128, 1280),
        (0.03, 512, 1000),
    )
    weak = ((0.1, 384, 1536), (0.1, 256, 600), (0.06, 128, 1280))
    why = "All rows are at one point, but for noise without structure."
    cases = family("point", "severe", why, [(f"noise {e:g}, {n} × {d}", partial(point, e, d, n)) for e, d, n in strong])
    return cases + family(
        "point", "mild", why, [(f"noise {e:g}, {n} × {d}", partial(point, e, d, n)) for e, d, n in weak]
    )


DIRECTIONS = (
    (5, 0, 384, 96), (5, 0.01, 512, 2048), (5, 0.03, 384, 384), (10, 0, 768, 192), (10, 0.01, 384, 1536),
    (10, 0.03, 512, 512), (10, 0.01, 256, 4096), (30, 0, 768, 1536), (30, 0.01, 768, 192), (30, 0.01, 768, 768),
    (30, 0.03, 768, 1600), (5, 0.03, 128, 2048), (10, 0, 384, 60),
)  # fmt: skip
MORE = (
    (64, 0.01, 384, 1536),
    (64, 0.01, 384, 384),
    (30, 0.01, 384, 1536),
    (30, 0.02, 512, 512),
    (16, 0.01, 128, 2048),
    (64, 0, 512, 128),
)


def directions() -> list[Case]:
    def named(shapes: tuple[tuple[int, float, int, int], ...]) -> list[tuple[str, partial[Drawn]]]:
        return [(f"{r} of {d}, noise {e:.0%}, {n} rows", partial(few_directions, r, e, d, n)) for r, e, d, n in shapes]

    cases = family("few directions", "severe", "At most 4 % of the directions hold more than noise.", named(DIRECTIONS))
    return cases + family("few directions", "mild", "5 to 17 % of the directions hold more than noise.", named(MORE))


def spectra() -> list[Case]:
    steeper = [(f"i^-{a:g}, {n} × {d}", partial(steep, a, d, n)) for a, d, n in STEEP]
    falling = [(f"e^-i/{r:g}, {n} × {d}", partial(decaying, r, d, n)) for r, d, n in FALLING]
    mild = [
        (f"i^-{a:g}, {n} × {d}", partial(steep, a, d, n))
        for a, d, n in ((1.6, 512, 2048), (1.6, 384, 384), (2, 64, 640))
    ]
    cases = family("steep spectrum", "severe", "A handful of directions hold nearly all variance.", steeper + falling)
    return cases + family("steep spectrum", "mild", "Steeper than any healthy encoder's, with a tail.", mild)


STEEP = ((2, 384, 1536), (2, 512, 256), (2, 768, 800), (3, 256, 1024), (3, 384, 384), (2.5, 512, 1500))
FALLING = ((2, 384, 1536), (5, 512, 512), (5, 384, 1500), (1, 64, 640), (8, 768, 800))


def students() -> list[Case]:
    shapes = ((512, 2048, 0.9), (384, 1536, 0.8), (768, 768, 0.5), (384, 384, 0.9), (512, 1000, 0.3))
    makes = [(f"cosine {c:g}, {n} × {d}", partial(student_of_cosine, d, n, c)) for d, n, c in shapes]
    narrow = [(f"rank {r}, cosine {c:g}, {n} × {d}", partial(in_a_cone, r, c, d, n)) for r, c, d, n in NARROW]
    cases = family("cosine student", "severe", "3 % of the dimensions, as in arXiv 2603.06698.", makes)
    return cases + family("narrow cone", "severe", "A cone, and few directions in it.", narrow)


NARROW = ((5, 0.99, 384, 1500), (8, 0.9, 512, 1000), (3, 0.5, 128, 1280))


def clumps() -> list[Case]:
    lines = [(f"noise {e:g}, offset {o:g}, {n} × {d}", partial(line, e, d, n, o)) for e, d, n, o in LINES]
    many = [(f"{k} places, noise {e:g}, {n} × {d}", partial(places, k, e, d, n)) for k, e, d, n in PLACES]
    column = [(f"{s:.0%}, others of rank {r}, {n} × {d}", partial(one_column, s, r, d, n)) for s, r, d, n in COLUMN]
    copies = [
        (f"{k} distinct of {d}, {n} rows", partial(copied, k, d, n))
        for k, d, n in ((8, 384, 1500), (4, 256, 256), (10, 512, 1024))
    ]
    cases = family("line", "severe", "Every row is a number times one direction.", lines)
    cases += family("few places", "severe", "Rows lie at a few places and hardly differ there.", many)
    cases += family("one column", "severe", "One column holds nearly all; without it few directions remain.", column)
    return cases + family("copied columns", "severe", "All columns are copies of a few.", copies)


LINES = ((0, 128, 1000, 0.0), (0.01, 384, 1500, 0.0), (0.05, 256, 300, 3.0), (0.1, 512, 1000, 0.0))
PLACES = ((2, 0.03, 384, 1500), (2, 0.1, 128, 1280), (2, 1e-3, 256, 500), (3, 0.05, 512, 1000), (5, 0.02, 256, 256))
COLUMN = ((0.95, 5, 384, 1500), (0.99, 8, 512, 1000), (0.92, 3, 128, 1280))


def processes() -> list[Case]:
    severe = [(f"{k} rounds, {n} × {d}", partial(smoothed, k, d, n)) for k, d, n in ((64, 128, 1500), (30, 256, 1000))]
    few = [(f"{k} modes, {n} × {d}", partial(modes, k, d, n)) for k, d, n in ((3, 128, 1280), (8, 384, 1000))]
    latents = [
        (f"{k} of {d} latents, {n} rows", partial(posterior, k, d, n))
        for k, d, n in ((2, 64, 1280), (1, 32, 1000), (3, 128, 512))
    ]
    shallow = [(f"{k} layers", partial(deep_at_start, k, 1.0)) for k in (20, 30)]
    deep = [(f"{k} layers", partial(deep_at_start, k, 1.4)) for k in (60, 100)]
    cases = family("over-smoothing", "severe", "All nodes of a graph have become nearly alike.", severe)
    cases += family("mode collapse", "severe", "A generator gives the same few samples.", few, "generate")
    cases += family(
        "posterior collapse", "severe", "Most latents of a variational model are unused.", latents, "generate"
    )
    why = "Nobody trained this network, and its depth has brought all rows nearly together."
    return (
        cases + family("depth at the start", "mild", why, shallow) + family("depth at the start", "severe", why, deep)
    )


def cases() -> list[Case]:
    families = (points, directions, spectra, students, clumps, processes)
    return [case for each in families for case in each()]
