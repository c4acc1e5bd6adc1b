"""Healthy features whose units are peculiar: rogue columns, ReLU, counts, codes, a few that are dead or repeated."""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA

from studies.verdict_sets import Array, Case, Drawn, Random, family, gaussian, in_cone, plain, power_law


def rogue(count: int, factor: float, d: int, n: int, random: Random) -> Drawn:
    """A few columns spread `factor` times as wide as the others."""
    rows = gaussian(power_law(0.6, d), n, random)
    worst = random.choice(d, count, replace=False)
    rows[:, worst] *= factor * np.linspace(1, 0.6, count)
    return plain(rows)


def massive(share: float, count: int, factor: float, d: int, n: int, random: Random) -> Drawn:
    """Huge activations in few rows and few columns, always the same columns."""
    rows = gaussian(power_law(0.6, d), n, random)
    hit = random.choice(n, max(2, round(share * n)), replace=False)
    worst = random.choice(d, count, replace=False)
    typical = rows.std()
    rows[np.ix_(hit, worst)] = factor * typical * (1 + 0.1 * random.standard_normal((len(hit), count)))
    return plain(rows)


def rectified(alpha: float, d: int, n: int, threshold: float, random: Random) -> Drawn:
    """ReLU of correlated units; a higher threshold leaves fewer active."""
    rows = gaussian(power_law(alpha, d), n, random)
    rows /= rows.std(0)
    return plain(np.maximum(rows - threshold, 0))


def sparse_codes(d: int, n: int, active: float, random: Random) -> Drawn:
    """Each unit is active in a small share of the rows, log-uniform around `active`, as in a sparse autoencoder."""
    rates = active * np.exp(random.uniform(-1, 1, d))
    return plain((random.random((n, d)) < rates) * random.exponential(1, (n, d)))


def some_dead(share: float, d: int, n: int, random: Random) -> Drawn:
    rows = rectified(0.6, d, n, 0.0, random).features
    rows[:, random.choice(d, max(1, round(share * d)), replace=False)] = 0
    return Drawn(rows)


def some_twice(share: float, d: int, n: int, random: Random) -> Drawn:
    rows = gaussian(power_law(0.7, d), n, random)
    twice = max(1, round(share * n))
    rows[:twice] = rows[n - twice :]
    return plain(rows)


def signs(alpha: float, d: int, n: int, random: Random) -> Drawn:
    """Binary codes for fast search: signs of correlated units."""
    return plain(np.sign(gaussian(power_law(alpha, d), n, random)))


def words(d: int, n: int, length: int, weighted: bool, random: Random) -> Drawn:
    """Counts of Zipf's words in texts of twenty topics."""
    zipf = 1 / (np.arange(d) + 10.0)
    topics = random.dirichlet(np.full(d, 0.05), 20) * 0.5 + 0.5 * zipf / zipf.sum()
    mixtures = random.dirichlet(np.full(20, 0.2), n)
    counts = random.poisson(length * mixtures @ topics).astype(float)
    if weighted:
        counts *= np.log((n + 1) / ((counts > 0).sum(0) + 1))
    return plain(counts)


def one_hot(levels: tuple[int, ...], n: int, random: Random) -> Drawn:
    """Attributes one beside another, each as one column a level."""
    return plain(np.concatenate([np.eye(k)[random.integers(k, size=n)] for k in levels], axis=1))


def rounded(d: int, n: int, steps: int, random: Random) -> Drawn:
    """Quantised to whole numbers of a few steps a standard deviation."""
    return plain(np.round(steps * gaussian(power_law(0.5, d), n, random)))


def digits() -> tuple[Array, Array]:
    """Pixels (1797, 64) from 0 to 1, and the digits."""
    pixels, labels = load_digits(return_X_y=True)
    return pixels / 16, labels


def random_layer(d: int, kind: str, labelled: bool, random: Random) -> Drawn:
    """Digits through one layer that nobody trained."""
    pixels, labels = digits()
    pixels = pixels - pixels.mean(0)
    drawn = pixels @ random.standard_normal((64, d)) * 0.6
    rows = np.maximum(drawn, 0)
    if kind == "cosine":
        rows = np.cos(drawn + random.uniform(0, 2 * np.pi, d))
    if labelled:
        return plain(rows, labels)
    return plain(rows)


def whitened(components: int, cosine: float, random: Random) -> Drawn:
    """Leading principal components of digits, each with variance 1."""
    rows = PCA(components, whiten=True, random_state=0).fit_transform(digits()[0])
    if cosine:
        rows = in_cone(rows, cosine, random)
    return plain(rows)


def tabular(name: str, random: Random) -> Drawn:
    """Real measurements, each column standardised."""
    load = {"wine": load_wine, "breast cancer": load_breast_cancer}[name]
    rows = load().data
    return plain((rows - rows.mean(0)) / rows.std(0))


def pixels(labelled: bool, random: Random) -> Drawn:
    rows, labels = digits()
    if labelled:
        return plain(rows, labels)
    return plain(rows)


def outliers() -> list[Case]:
    shapes = (
        (1, 60, 768, 1600),
        (2, 100, 768, 800),
        (5, 30, 768, 1600),
        (1, 300, 768, 400),
        (3, 10, 384, 1500),
        (1, 10, 256, 1024),
    )
    makes = [(f"{c} columns × {f}, {n} × {d}", partial(rogue, c, f, d, n)) for c, f, d, n in shapes]
    why = "Healthy transformers have such columns (Timkey & van Schijndel 2021); the others carry the meaning."
    hits = [
        (f"{s:.0%} of rows, {c} columns × {f}, {n} × {d}", partial(massive, s, c, f, d, n)) for s, c, f, d, n in MASSIVE
    ]
    also = "Massive activations in a few rows are known of healthy language models (Sun et al. 2024)."
    return family("rogue columns", "healthy", why, makes) + family("massive activations", "healthy", also, hits)


MASSIVE = ((0.01, 1, 100, 768, 1600), (0.02, 3, 50, 384, 1500), (0.01, 2, 300, 512, 1000), (0.02, 1, 30, 256, 2000))


def relu() -> list[Case]:
    shapes = (
        (0.5, 128, 1280, 0.0),
        (0.8, 256, 1024, 0.0),
        (0.6, 512, 1500, 0.5),
        (1.0, 384, 600, 0.3),
        (0.5, 256, 2000, 1.0),
    )
    makes = [(f"i^-{a}, above {t:g} σ, {n} × {d}", partial(rectified, a, d, n, t)) for a, d, n, t in shapes]
    codes = [(f"{p:.0%} active, {n} × {d}", partial(sparse_codes, d, n, p)) for d, n, p in CODES]
    why = "ReLU features are sparse and positive, and their units differ."
    return family("ReLU", "healthy", why, makes) + family(
        "sparse codes", "healthy", "Units fire rarely, each alone.", codes
    )


CODES = ((512, 2000, 0.02), (256, 1500, 0.05), (1024, 2000, 0.01))


def few_faults() -> list[Case]:
    dead = [(f"{s:.0%} of units dead, {n} × {d}", partial(some_dead, s, d, n)) for s, d, n in DEAD]
    twice = [(f"{s:.1%} of rows twice, {n} × {d}", partial(some_twice, s, d, n)) for s, d, n in TWICE]
    cases = family("few dead units", "healthy", "A few dead units of a ReLU layer cost nothing.", dead)
    return cases + family("few repeats", "healthy", "Data of the wild hold some rows twice.", twice)


DEAD = ((0.01, 256, 1024), (0.03, 512, 1500), (0.02, 128, 1280), (0.01, 768, 1000))
TWICE = ((0.002, 256, 1500), (0.01, 384, 1200), (0.02, 128, 1280), (0.04, 64, 1000))


def discrete() -> list[Case]:
    codes = [
        (f"i^-{a}, {n} × {d}", partial(signs, a, d, n))
        for a, d, n in ((0.5, 64, 1500), (0.8, 256, 1024), (0.3, 128, 2000))
    ]
    texts = [(f"{w} words, tf-idf {t}, {n} × {d}", partial(words, d, n, w, t)) for d, n, w, t in TEXTS]
    attributes = [(f"{len(k)} attributes, {n} rows", partial(one_hot, k, n)) for k, n in ATTRIBUTES]
    whole = [(f"{s} steps a σ, {n} × {d}", partial(rounded, d, n, s)) for d, n, s in ((256, 1500, 30), (128, 1280, 4))]
    cases = family("binary codes", "healthy", "Signs of a healthy cloud, as search engines keep.", codes, "retrieve")
    cases += family("counts", "healthy", "Bags of words: sparse, whole and skewed.", texts)
    cases += family("one-hot", "healthy", "Every level of every attribute occurs.", attributes)
    return cases + family("quantised", "healthy", "Steps finer than the spread.", whole)


TEXTS = ((512, 1500, 100, False), (512, 1500, 100, True), (300, 800, 40, True))
ATTRIBUTES = (((8, 12, 20, 40, 6, 10), 1500), ((30, 30, 30, 30), 2000))


def untrained() -> list[Case]:
    layers = [(f"{k}, {d} wide, labels {y}", partial(random_layer, d, k, y)) for d, k, y in LAYERS]
    white = [(f"{k} components, cosine {c:g}", partial(whitened, k, c)) for k, c in ((16, 0.0), (40, 0.0))]
    shifted = [("32 components, cosine 0.5", partial(whitened, 32, 0.5))]
    tables = [(name, partial(tabular, name)) for name in ("wine", "breast cancer")]
    raw = [(f"labels {y}", partial(pixels, y)) for y in (False, True)]
    cases = family("random features", "healthy", "A random layer keeps what the pixels hold.", layers)
    cases += family("whitened", "healthy", "All directions have the same variance.", white, "generate")
    cases += family("whitened", "healthy", "The same, beside a vector common to all rows.", shifted)
    cases += family("measurements", "healthy", "Real columns that nobody learned; all say something.", tables)
    return cases + family("pixels", "healthy", "Real images of 64 pixels.", raw)


LAYERS = ((256, "ReLU", False), (256, "cosine", False), (512, "cosine", True), (128, "ReLU", True))


def cases() -> list[Case]:
    families = (outliers, relu, few_faults, discrete, untrained)
    return [case for each in families for case in each()]
