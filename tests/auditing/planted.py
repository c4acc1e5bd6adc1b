"""Features, or the little that one rule reads of them, whose value for that rule is the one asked."""

import math
from types import SimpleNamespace

import numpy as np
from scipy.optimize import brentq

import repgeom as rg
from repgeom.auditing.row_order import RowOrder

FEW = 80  # rows for which no interval is known, so that the value alone decides


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def finding(report, name):
    return next(f for f in report.findings if f.name == name)


def white(n, d, seed=0):
    """Rows with mean zero and equal variances of exactly 1/n along all directions."""
    x = normal(n, d, seed)
    return np.linalg.svd(x - x.mean(0), full_matrices=False)[0]


def solved(read, target, low=-4.0, high=8.0):
    """Where a rising function of one number has this value."""
    return brentq(lambda t: read(t) - target, low, high, xtol=1e-9, rtol=1e-9)


# Evidence that holds only what one rule reads ---------------------------------------------------------------------


def stub(*, n=1000, d=100, **known):
    """Evidence without labels, reference or corruption, of n rows and d features, with what is given."""
    empty = {
        "labels": None,
        "reference": None,
        "drift": None,
        "independent": None,
        "dominating": (),
        "estimates": {},
        "rows": {},
        "columns": {},
    }
    return SimpleNamespace(**{"n_samples": n, "n_features": d, "population": object(), **empty, **known})


def estimated(value, low=None, high=None):
    return SimpleNamespace(value=value, low=low, high=high, warnings=())


def of_ranks(by_variance, by_spread=None, low=None, high=None, **known):
    """Evidence of these effective ranks of the population, with an interval of the first."""
    ranks = {"effective_rank": estimated(by_variance, low, high)}
    ranks["effective_rank_sigma"] = estimated(by_variance if by_spread is None else by_spread)
    return stub(estimates=ranks, **known)


def of_share(value, d=100):
    rank = 1 + value * (d - 1)
    return of_ranks(rank, low=rank, high=rank, d=d)


def of_rank_per_class(value, n_classes=11):
    rank = value * (n_classes - 1)
    return of_ranks(rank, low=rank, high=rank, labels=SimpleNamespace(sizes=np.ones(n_classes)))


def of_votes(value, n_classes=4, half=0.0):
    """Classes of one size whose kNN accuracy, from chance to perfect, is this; its interval reaches as far as told."""
    accuracy = 1 / n_classes + value * (1 - 1 / n_classes)
    half *= 1 - 1 / n_classes
    interval = estimated(accuracy, accuracy - half, accuracy + half)
    votes = SimpleNamespace(value=accuracy, estimate=lambda confidence, share_of_rows: interval)
    return stub(labels=SimpleNamespace(sizes=np.full(n_classes, 30), votes=votes))


def of_live(value, d=100):
    """As large a share of directions has one variance, and the others none."""
    behind = SimpleNamespace(variances=np.array([1.0, 0.0]), counts=np.array([value * d, (1 - value) * d]))
    return stub(
        population=SimpleNamespace(fit=SimpleNamespace(corrected=behind)), estimates=of_share(0.5).estimates, d=d
    )


def of_retained(value):
    comparison = SimpleNamespace(ratio=value, ratio_low=value, ratio_high=value)
    return stub(reference=SimpleNamespace(retained=comparison))


def of_ratio(value):
    drift = SimpleNamespace(value=value, interval=lambda confidence: (value, value))
    return stub(drift=SimpleNamespace(readings={"effective_rank_ratio": drift}))


def of_reference_order(value):
    reference = SimpleNamespace(order=RowOrder(gained=value), shared_neighbours=None)
    return stub(reference=reference, estimates={"linear_cka": estimated(0.1)})


def of_corrupted_order(value):
    readings = {name: SimpleNamespace(value=0.5) for name in ("linear_cka", "self_retrieval")}
    return stub(drift=SimpleNamespace(order=RowOrder(gained=value), readings=readings))


def of_label_order(value):
    return stub(labels=SimpleNamespace(order=RowOrder(gained=value), votes=SimpleNamespace(value=0.3)))


# Features ---------------------------------------------------------------------------------------------------------


def of_spread(value, d=12):
    """Rows about a mean of length one whose standard deviations' squares add up to value²."""
    x = white(400, d) * math.sqrt(399 / d)  # variances of 1/d
    return {"features": value * x + np.eye(d)[0]}


def of_alike(value, d=12):
    x, other = normal(300, d), normal(300, d, 1)

    def mixed(t):
        return math.sin(t) * x + math.cos(t) * other

    found = solved(lambda t: rg.linear_cka(x, mixed(t)), value, 0, math.pi / 2)
    return {"features": mixed(found), "reference": x}


def of_classes(value, n_classes=40, rows=6, d=4):
    """As large a share of classes has a thousandth of the others' variance."""
    x, labels = normal(n_classes * rows, d), np.repeat(np.arange(n_classes), rows)
    x[labels < round(value * n_classes)] *= 1e-3**0.5
    return {"features": x, "labels": labels}


def of_between(value, n_classes=4):
    """Class means of variance one, and rows about them in pairs of opposite ones."""
    half = normal(100, n_classes)
    within = np.concatenate([half, -half])
    within *= math.sqrt(1 - value) / math.sqrt((within**2).sum() / len(within))
    means = np.eye(n_classes) - 1 / n_classes
    means *= math.sqrt(value) / math.sqrt((means**2).sum() / n_classes)
    labels = np.arange(200 * n_classes) % n_classes
    return {"features": means[labels] + np.repeat(within, n_classes, 0), "labels": labels}


def of_leading(value, d=12):
    base, least = white(FEW, d), 1 / rg.stable_rank(rg.isotropic_baseline(np.zeros((FEW, d))))
    share = least + value * (1 - least)  # of the variance that the first direction holds
    return {"features": base * np.r_[math.sqrt(share * (d - 1) / (1 - share)), np.ones(d - 1)]}


def of_one_row(value, n=400, d=12):
    """The first row holds this share of the variance."""
    x = normal(n, d)

    def moved(t):
        return np.concatenate([x[1:].mean(0)[None] + np.exp(t) * np.eye(d)[:1], x[1:]])

    def share(t):
        squares = ((moved(t) - moved(t).mean(0)) ** 2).sum(1)
        return squares[0] / squares.sum()

    return {"features": moved(solved(share, value))}


def of_drift(value):
    """Every row moves by the same share of its own distance from the centre, so that the interval is a point."""
    x = normal(300, 6)
    away = np.linalg.norm(x - x.mean(0), axis=1, keepdims=True)
    return {"features": x, "corrupted": x + value * away * np.eye(6)[0]}


def of_rows(change):
    """As large a share of 1,000 rows, from the first on, is replaced by what `change` makes of them."""

    def planted(value):
        x = normal(1000, 6)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        k = round(1000 * value)
        x[:k] = change(x[:k])
        return {"features": x, "drop_nonfinite": True}

    return planted


def of_index(value):
    """So many columns count the rows."""
    n_columns = round(value)
    return {"features": np.c_[normal(60, 6), np.arange(60)[:, None] * np.arange(1, n_columns + 1)]}


def of_repeats(value):
    x, k = normal(1000, 6), round(1000 * value)
    x[1000 - k :] = x[:1]
    return {"features": x}


def of_constants(value):
    return {"features": np.where(np.arange(100) < round(100 * value), 3.0, normal(300, 100))}


# Each with the smallest step that its planted value can take.
PLANTED = {
    "index_columns": (of_index, 1),
    "reference_order": (of_reference_order, 1e-3),
    "corrupted_order": (of_corrupted_order, 1e-3),
    "label_order": (of_label_order, 1e-3),
    "spread_over_mean": (of_spread, 1e-3),
    "noise_at_a_point": (of_spread, 1e-3),
    "rank_share": (of_share, 1e-3),
    "rank_per_class": (of_rank_per_class, 1e-3),
    "rank_retained": (of_retained, 1e-3),
    "alike": (of_alike, 1e-3),
    "live_directions": (of_live, 1e-3),
    "collapsed_classes": (of_classes, 0.025),
    "between_share": (of_between, 1e-3),
    "agreement": (of_votes, 1e-3),
    "classes_told_apart": (of_votes, 1e-3),
    "leading_direction": (of_leading, 1e-3),
    "dominating_rows": (of_one_row, 1e-3),
    "corrupted_drift": (of_drift, 1e-3),
    "corrupted_rank_ratio": (of_ratio, 1e-3),
    "few_rows": (lambda value: {"features": normal(round(value), 6)}, 1),
    "nonfinite_rows": (of_rows(lambda x: np.nan * x), 1e-3),
    "zero_rows": (of_rows(lambda x: 0 * x), 1e-3),
    "duplicate_rows": (of_repeats, 1e-3),
    "constant_features": (of_constants, 0.01),
    "extreme_norms": (of_rows(lambda x: 1e3 * x), 1e-3),
}


def everything():
    """Arguments of an audit in which every rule reads a number."""
    labels = np.arange(400) % 4
    x = normal(400, 16) + 1
    return {
        "features": x,
        "labels": labels,
        "reference": x + 0.1 * normal(400, 16, 1),
        "corrupted": x + 0.1 * normal(400, 16, 2),
    }
