"""Sets with labels or with a reference: classes that collapsed, labels that do not fit, students of every quality."""

from __future__ import annotations

from functools import partial

import numpy as np

from studies.verdict_sets import (
    Array,
    Case,
    Drawn,
    Random,
    clusters,
    family,
    gaussian,
    in_cone,
    plain,
    power_law,
    turned,
    unit,
)


def collapsed_classes(classes: int, hit: int, noise: float, d: int, n: int, labelled: bool, random: Random) -> Drawn:
    """Rows of `hit` classes lie at their class's mean, but for noise; the others keep a spread."""
    labels = random.integers(classes, size=n)
    means = random.standard_normal((classes, d))
    spread = np.where(np.arange(classes) < hit, noise, 1.0)
    rows = means[labels] + spread[labels, None] * random.standard_normal((n, d))
    if labelled:
        return plain(rows, labels)
    return plain(rows)


def wrong_labels(share: float, d: int, n: int, random: Random) -> Drawn:
    """Labels of a share of the rows are another row's."""
    rows, labels = clusters(power_law(0.7, d), n, 10, 1.5, random)
    hit = random.choice(n, round(share * n), replace=False)
    labels[hit] = labels[random.permutation(hit)]
    return plain(rows, labels)


def teacher(d: int, n: int, random: Random) -> Array:
    return gaussian(power_law(0.8, d), n, random)


def good_student(d: int, n: int, noise: float, cosine: float, random: Random) -> Drawn:
    """The teacher's rows, rotated, with noise of `noise` times their size that has their spectrum."""
    taught = teacher(d, n, random)
    rows = turned(taught, random) + noise * turned(teacher(d, n, random), random)
    if cosine:
        rows = unit(in_cone(rows, cosine, random))
    return plain(rows, reference=taught)


def principal(rows: Array) -> tuple[Array, Array]:
    """Scores along the principal directions, and the directions."""
    centred = rows - rows.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return centred @ directions.T, directions


def narrow_student(kept: float, d: int, n: int, random: Random) -> Drawn:
    """Only so many of the teacher's directions that this share of its effective rank is left."""
    taught = teacher(d, n, random)
    scores, directions = principal(taught)
    variances = scores.var(0)
    ranks = [rank_of(variances[:k]) for k in range(1, len(variances) + 1)]
    k = 1 + int(np.searchsorted(ranks, kept * ranks[-1]))
    rows = turned(scores[:, :k] @ directions[:k], random)
    return plain(rows + 0.01 * scores[:, 0].std() * random.standard_normal(rows.shape) / d**0.5, reference=taught)


def rank_of(variances: Array) -> float:
    """exp of the entropy of the shares of variance."""
    shares = variances / variances.sum()
    return float(np.exp(-(shares * np.log(np.maximum(shares, 1e-300))).sum()))


def mismatched(share: float, d: int, n: int, random: Random) -> Drawn:
    """Rows of the student stand beside another row of the teacher."""
    drawn = good_student(d, n, 0.2, 0.0, random)
    order = np.arange(n)
    hit = random.choice(n, round(share * n), replace=False)
    order[hit] = random.permutation(hit)
    return drawn._replace(features=drawn.features[order])


def classes() -> list[Case]:
    why = "Rows of a class cannot be told apart any more, which a new task would need."
    cases = []
    for health, shapes in (("severe", SEVERE), ("mild", MILD)):
        makes = [
            (f"{h} of {c}, noise {e:g}, {n} × {d}, labels {y}", partial(collapsed_classes, c, h, e, d, n, y))
            for c, h, e, d, n, y in shapes
        ]
        cases += family("class collapse", health, why, makes)
    good = [
        (f"{c} classes, noise {e:g}, {n} × {d}", partial(collapsed_classes, c, c, e, d, n, True))
        for c, e, d, n in NEURAL
    ]
    why = "Neural collapse is where training with cross-entropy ends, and it does no harm to these classes."
    return cases + family("neural collapse", "healthy", why, good, "classify")


SEVERE = (
    (11, 11, 0.03, 384, 1500, True), (11, 11, 0.1, 64, 1280, True), (10, 10, 0.05, 256, 256, True),
    (11, 11, 0.03, 384, 1500, False), (20, 20, 0.03, 512, 1000, False), (20, 20, 0.1, 256, 2000, True),
)  # fmt: skip
MILD = (
    (11, 11, 0.3, 64, 1280, True), (11, 11, 0.2, 384, 1500, True), (11, 5, 0.1, 64, 1280, True),
    (11, 6, 0.1, 256, 1500, True), (11, 1, 0.03, 128, 1280, True), (10, 5, 0.03, 384, 1000, True),
)  # fmt: skip
NEURAL = ((10, 0.1, 256, 1500), (10, 0.2, 64, 1280), (50, 0.15, 384, 1500))


def labels() -> list[Case]:
    all_wrong = [(f"all, {n} × {d}", partial(wrong_labels, 1.0, d, n)) for d, n in ((128, 1280), (384, 1000))]
    some = [("40 %, 1280 × 128", partial(wrong_labels, 0.4, 128, 1280))]
    why = "The features say nothing of the labels, or the labels stand beside the wrong rows."
    return family("wrong labels", "severe", why, all_wrong, "classify") + family(
        "wrong labels", "mild", why, some, "classify"
    )


def students() -> list[Case]:
    shapes = (
        (128, 1280, 0.2, 0.0),
        (384, 1500, 0.3, 0.0),
        (256, 1024, 0.1, 0.8),
        (64, 600, 0.4, 0.0),
        (512, 600, 0.2, 0.0),
        (256, 2000, 0.3, 0.5),
    )
    makes = [(f"noise {e:g}, cosine {c:g}, {n} × {d}", partial(good_student, d, n, e, c)) for d, n, e, c in shapes]
    near = [
        (f"keeps {k:.0%}, {n} × {d}", partial(narrow_student, k, d, n))
        for k, d, n in ((0.85, 256, 1500), (0.9, 128, 1280))
    ]
    cases = family("good student", "healthy", "Keeps 80 % or more of its teacher's rank, row by row.", makes + near)
    why = "Lost most of its teacher's rank."
    severe = [(f"keeps {k:.0%}, {n} × {d}", partial(narrow_student, k, d, n)) for k, d, n in LOST]
    mild = [
        (f"keeps {k:.0%}, {n} × {d}", partial(narrow_student, k, d, n))
        for k, d, n in ((0.4, 256, 1500), (0.4, 128, 1280), (0.5, 384, 1000))
    ]
    cases += family("narrow student", "severe", why, severe) + family("narrow student", "mild", why, mild)
    why = "Rows do not stand beside the same samples of the teacher: one of both was shuffled."
    pairs = [(f"all, {n} × {d}", partial(mismatched, 1.0, d, n)) for d, n in ((128, 1280), (256, 1500))]
    cases += family("mismatched pairs", "severe", why, pairs)
    return cases + family("mismatched pairs", "mild", why, [("half, 1280 × 128", partial(mismatched, 0.5, 128, 1280))])


LOST = ((0.1, 384, 1500), (0.15, 256, 1024), (0.2, 128, 1280), (0.25, 256, 1500), (0.1, 128, 256), (0.2, 512, 600))


def cases() -> list[Case]:
    return [case for each in (classes, labels, students) for case in each()]
