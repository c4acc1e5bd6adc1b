"""Sets whose health hangs on what the features are for: to classify, to search, to generate."""

from __future__ import annotations

from functools import partial

import numpy as np

from studies.verdict_sets import Case, Drawn, Random, clusters, family, gaussian, plain, power_law
from studies.verdict_sets_broken import repeated
from studies.verdict_sets_clouds import cloud
from studies.verdict_sets_collapsed import few_directions, places, point
from studies.verdict_sets_trained import NETWORKS, penultimate


def merged(pairs: int, d: int, n: int, random: Random) -> Drawn:
    """Ten classes, of which so many pairs lie at the same place."""
    rows, labels = clusters(power_law(0.7, d), n, 10, 2.0, random)
    mixed = labels.copy()
    hit = (labels < pairs) & (random.random(n) < 0.5)
    mixed[hit] = 9 - labels[hit]
    both = (labels >= 10 - pairs) & (random.random(n) < 0.5)
    mixed[both] = 9 - labels[both]
    return plain(rows, mixed)


def labelled_point(noise: float, d: int, n: int, random: Random) -> Drawn:
    return point(noise, d, n, random)._replace(labels=random.integers(10, size=n))


def said_nothing(d: int, n: int, random: Random) -> Drawn:
    """A healthy spectrum, and labels that it knows nothing of."""
    return plain(gaussian(power_law(0.6, d), n, random), np.arange(n) % 8)


def to_classify() -> list[Case]:
    points = [(f"noise {e:g}, labelled, {n} × {d}", partial(labelled_point, e, d, n)) for e, d, n in POINTS]
    why = "All classes are at one point, and neighbours tell nothing of them."
    cases = family("point", "severe", why, points, "classify")
    why = "Classes lie on each other, so no head can tell them apart."
    five = [("5 pairs, 1280 × 128", partial(merged, 5, 128, 1280))]
    cases += family("merged classes", "severe", why, five, "classify")
    cases += family("merged classes", "mild", why, [("2 pairs, 1500 × 256", partial(merged, 2, 256, 1500))], "classify")
    none = [("other labels, 1200 × 256", partial(said_nothing, 256, 1200))]
    cases += family("wrong labels", "severe", "The features say nothing of the labels.", none, "classify")
    decayed = partial(penultimate, NETWORKS["MLP", 512], 2, True, False, decay=0.06, steps=300)
    why = "A strong L2 penalty: 80 % of digits right where 97 % could be."
    return cases + family("weight decay", "mild", why, [("L2 0.06, to classify", decayed)], "classify")


POINTS = ((0.01, 128, 1280), (0.001, 384, 1000))


def to_search() -> list[Case]:
    narrow = [(f"{r} of {d}, to search", partial(few_directions, r, 0.01, d, 1500)) for r, d in ((5, 384), (10, 512))]
    cases = family(
        "few directions", "severe", "In so few directions most rows are somebody's near copy.", narrow, "retrieve"
    )
    two = [(f"{k} places, to search", partial(places, k, 0.01, 256, 1280)) for k in (2, 4)]
    cases += family("few places", "severe", "Every query finds the same crowd.", two, "retrieve")
    half = [("50 %, to search", partial(repeated, 0.5, 256, 1280))]
    return cases + family("repeated rows", "mild", "Half of what is found is found twice.", half, "retrieve")


def to_generate() -> list[Case]:
    shapes = ((0.0, 64, 1280), (0.2, 128, 2560), (0.0, 16, 1000))
    makes = [(f"latents i^-{a:g}, {n} × {d}", partial(cloud, a, d, n)) for a, d, n in shapes]
    return family("latents", "healthy", "All latents are in use, as the prior has them.", makes, "generate")


def cases() -> list[Case]:
    return [case for each in (to_classify, to_search, to_generate) for case in each()]
