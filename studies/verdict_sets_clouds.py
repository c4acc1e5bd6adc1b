"""Healthy clouds: their spectra, means, tails and numbers of rows are those of features that work."""

from __future__ import annotations

from functools import partial

import numpy as np

from studies.verdict_sets import Case, Drawn, Random, clusters, family, gaussian, in_cone, plain, power_law, unit


def cloud(alpha: float, d: int, n: int, random: Random) -> Drawn:
    return plain(gaussian(power_law(alpha, d), n, random))


def sphere(alpha: float, d: int, n: int, cosine: float, random: Random) -> Drawn:
    rows = gaussian(power_law(alpha, d), n, random)
    if cosine:
        rows = in_cone(rows, cosine, random)
    return plain(unit(rows))


def grouped(alpha: float, d: int, n: int, k: int, spread: float, labelled: bool, random: Random) -> Drawn:
    rows, labels = clusters(power_law(alpha, d), n, k, spread, random)
    if not labelled:
        return plain(rows)
    return plain(rows, labels)


def long_tailed(d: int, n: int, k: int, random: Random) -> Drawn:
    rows, labels = clusters(power_law(0.7, d), n, k, 1.0, random, counts=1 / np.arange(1, k + 1))
    return plain(rows, labels)


def sentences(d: int, n: int, repeats: float, random: Random) -> Drawn:
    """Unit rows in half precision with two units that never vary, some texts twice."""
    rows = in_cone(gaussian(power_law(0.6, d), n, random), 0.1, random)
    twice = round(repeats * n)
    rows[:twice] = rows[n - twice :]
    rows = unit(rows).astype(np.float16)
    rows[:, [3, d // 2]] = np.float16(-0.012)
    return Drawn(rows)


def cone(cosine: float, alpha: float, d: int, n: int, lengths: bool, random: Random) -> Drawn:
    rows = in_cone(gaussian(power_law(alpha, d), n, random), cosine, random)
    if lengths:
        return plain(rows)
    return plain(unit(rows))


def heavy(degrees: float, alpha: float, d: int, n: int, random: Random) -> Drawn:
    rows = gaussian(power_law(alpha, d), n, random)
    return plain(rows / np.sqrt(random.chisquare(degrees, n) / degrees)[:, None])


def norms(spread: float, d: int, n: int, random: Random) -> Drawn:
    """Row norms vary log-normally."""
    rows = unit(gaussian(power_law(0.6, d), n, random))
    return plain(rows * np.exp(spread * random.standard_normal(n))[:, None])


def half(d: int, n: int, offset: float, random: Random) -> Drawn:
    rows = gaussian(power_law(0.7, d), n, random) + offset * random.standard_normal(d)
    return Drawn(rows.astype(np.float16))


def columns(spread: float, d: int, n: int, random: Random) -> Drawn:
    """Correlated columns in units of their own, as measured quantities are."""
    rows = gaussian(power_law(0.5, d), n, random)
    return plain(rows * np.exp(spread * random.standard_normal(d)) + 3 * random.standard_normal(d))


def two_modes(d: int, n: int, gap: float, random: Random) -> Drawn:
    """Two modalities in one space, apart from each other as in CLIP's."""
    rows = gaussian(power_law(0.6, d), n, random)
    direction = unit(random.standard_normal((1, d)))
    length = gap * np.sqrt((rows**2).sum(1).mean())
    rows += length * direction * random.choice([-0.5, 0.5], (n, 1))
    return plain(unit(rows))


def power_laws() -> list[Case]:
    shapes = [
        (0.3, 768, 192), (0.5, 768, 768), (0.5, 384, 96), (0.7, 512, 2048), (0.7, 128, 2560), (0.9, 256, 1024),
        (1.0, 384, 384), (1.0, 768, 1536), (1.0, 64, 1280), (1.2, 512, 1024), (1.2, 256, 256), (1.1, 128, 512),
        (0.4, 96, 480), (0.8, 192, 3840),
    ]  # fmt: skip
    makes = [(f"i^-{a}, {n} × {d}", partial(cloud, a, d, n)) for a, d, n in shapes]
    why = "Trained encoders have variances near i^-1 at their best (Stringer et al. 2019; Agrawal et al. 2022)."
    return family("power law", "healthy", why, makes)


def few_rows() -> list[Case]:
    makes = [(f"i^-{a}, {n} × {d}", partial(cloud, a, d, n)) for a, d, n in FEW]
    return family("few rows", "healthy", "A healthy spectrum of which few rows are at hand.", makes)


FEW = ((0.5, 384, 60), (0.5, 384, 100), (0.8, 384, 200), (0.7, 768, 150), (1.0, 384, 120), (0.3, 512, 80))


def narrow() -> list[Case]:
    shapes = ((0.3, 16, 320), (0.5, 8, 400), (0.2, 8, 100), (0.8, 16, 1000), (0.5, 32, 640))
    makes = [(f"i^-{a}, {n} × {d}", partial(cloud, a, d, n)) for a, d, n in shapes]
    return family("few dimensions", "healthy", "Few dimensions, all of them in use.", makes)


def spheres() -> list[Case]:
    shapes = ((0.4, 128, 512), (0.6, 256, 2048), (0.8, 384, 1200), (1.0, 512, 512), (0.5, 768, 400), (1.2, 128, 1280))
    makes = [(f"i^-{a}, {n} × {d}", partial(sphere, a, d, n, 0.0)) for a, d, n in shapes]
    return family("sphere", "healthy", "Unit rows with a healthy spectrum, as contrastive training gives.", makes)


def clustered() -> list[Case]:
    shapes = [
        (0.6, 128, 1280, 10, 1.0, False), (0.8, 256, 1024, 10, 1.5, False), (0.5, 384, 2000, 40, 1.0, False),
        (0.9, 512, 1500, 100, 2.0, False), (0.6, 64, 600, 5, 1.0, False), (1.0, 256, 256, 20, 1.0, False),
    ]  # fmt: skip
    makes = [(f"{k} × {s:g} at i^-{a}, {n} × {d}", partial(grouped, a, d, n, k, s, y)) for a, d, n, k, s, y in shapes]
    return family("clusters", "healthy", "Groups of rows that each keep a spread as wide as that between them.", makes)


def labelled() -> list[Case]:
    shapes = [
        ("transfer", (0.6, 128, 1280, 10, 1.0, True)), ("transfer", (0.8, 384, 1000, 10, 0.7, True)),
        ("classify", (0.6, 256, 2000, 20, 1.5, True)), ("classify", (0.9, 64, 900, 3, 1.0, True)),
        ("retrieve", (0.7, 256, 1500, 50, 1.2, True)), ("transfer", (0.5, 128, 600, 100, 1.0, True)),
    ]  # fmt: skip
    cases = []
    for purpose, shape in shapes:
        a, d, n, k, s, _ = shape
        make = [(f"{k} × {s:g} at i^-{a}, {n} × {d}, {purpose}", partial(grouped, *shape))]
        cases += family("classes", "healthy", "Classes lie apart and each keeps a spread of its own.", make, purpose)
    tail = [(f"long tail, {k} in {n} × {d}", partial(long_tailed, d, n, k)) for d, n, k in LONG]
    return cases + family("classes", "healthy", "Classes of uneven size, the smallest of few rows.", tail)


LONG = ((128, 1500, 50), (64, 700, 20))


def encoders_of_text() -> list[Case]:
    shapes = ((384, 1500, 0.03), (384, 600, 0.0), (768, 1200, 0.01), (768, 300, 0.0), (384, 3000, 0.04))
    makes = [(f"{n} × {d}, {r:.0%} of texts twice", partial(sentences, d, n, r)) for d, n, r in shapes]
    cases = family("sentence encoder", "healthy", "Unit rows, cosine .1 on average, like MiniLM's.", makes[:3])
    return cases + family("sentence encoder", "healthy", "The same, meant for search.", makes[3:], "retrieve")


def cones() -> list[Case]:
    shapes = [
        (0.5, 0.6, 384, 1500, False), (0.75, 0.6, 384, 1500, False), (0.9, 0.8, 384, 1200, False),
        (0.99, 0.6, 768, 1600, True), (0.75, 1.0, 768, 800, False), (0.99, 0.8, 384, 400, False),
        (0.9, 0.5, 128, 1280, True),
    ]  # fmt: skip
    makes = [(f"cosine {c:g}, i^-{a}, {n} × {d}", partial(cone, c, a, d, n, u)) for c, a, d, n, u in shapes]
    why = "A vector common to all rows; E5 and GPT-2 have one, and no rank feels it."
    search = [(f"cosine {c:g}, search", partial(cone, c, 0.7, 384, 1500, False)) for c in (0.5, 0.75, 0.85)]
    return family("cone", "healthy", why, makes) + family("cone", "healthy", why, search, "retrieve")


def tails() -> list[Case]:
    shapes = ((5, 0.6, 128, 1280), (5, 1.0, 384, 1500), (7, 0.8, 256, 512), (10, 0.5, 512, 1024), (6, 0.7, 64, 300))
    makes = [(f"t, {v} degrees, i^-{a}, {n} × {d}", partial(heavy, v, a, d, n)) for v, a, d, n in shapes]
    lognormal = [(f"log-normal norms {s:g}, {n} × {d}", partial(norms, s, d, n)) for s, d, n in NORMS]
    why = "Some rows are longer than others; their directions are healthy."
    return family("heavy tails", "healthy", why, makes + lognormal)


NORMS = ((0.3, 256, 1500), (0.5, 384, 1200), (0.8, 128, 1280))


def stored() -> list[Case]:
    halves = [(f"float16, {n} × {d}, mean {m:g}", partial(half, d, n, m)) for d, n, m in HALVES]
    scales = [(f"columns in units of their own, {n} × {d}", partial(columns, s, d, n)) for s, d, n in SCALES]
    gaps = [(f"two modalities, gap {g:g}, {n} × {d}", partial(two_modes, d, n, g)) for d, n, g in GAPS]
    cases = family("float16", "healthy", "Rounding to half precision hides nothing here.", halves)
    cases += family("column scales", "healthy", "Columns differ in their scale by a small factor.", scales)
    why = "Text and images lie apart in CLIP (Liang et al. 2022); within each, rows spread."
    return cases + family("modality gap", "healthy", why, gaps, "retrieve")


HALVES = ((384, 1500, 0.0), (768, 800, 1.0), (128, 1000, 2.0))
SCALES = ((0.5, 64, 1000), (0.7, 128, 800), (0.4, 30, 500))
GAPS = ((512, 1500, 0.7), (256, 1200, 1.0))


def cases() -> list[Case]:
    families = (power_laws, few_rows, narrow, spheres, clustered, labelled, encoders_of_text, cones, tails, stored)
    return [case for each in families for case in each()]
