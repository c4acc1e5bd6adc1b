"""Slow definitions of every measure of drift, and the rows that the tests of drift share."""

import numpy as np
import torch

import repgeom as rg
from repgeom.robustness.drift import MEASURES, Clean
from repgeom.robustness.ranks import RATIOS

EPS = np.finfo(float).eps
ABS = 4096 * EPS  # a few thousand roundings of numbers near 1
PAIRS = ("knn_overlap", "mutual_knn", "self_retrieval")
COMPARED = [name for name in MEASURES if name != "mean_norm"]  # which is of the clean features alone


def eigen(x, w):
    """Variances of rows with weights, and their directions, leading first; rounding cut off."""
    c = (x - w @ x) * np.sqrt(w)[:, None]
    _, sigma, directions = np.linalg.svd(c, full_matrices=False)
    kept = sigma > sigma[0] * max(x.shape) * EPS
    return sigma[kept] ** 2, directions[kept].T


def leading_variance(x, y, w):
    """Each clean direction counts by how much of it is needed to hold 90 % of the clean variance."""
    variances, directions = eigen(x, w)
    before = np.cumsum(variances) - variances
    counts = np.clip((0.9 * variances.sum() - before) / variances, 0, 1)
    along = (y - w @ y) @ directions
    return (w @ along**2) @ counts / (w @ (y - w @ y) ** 2).sum()


def lengths(x):
    return np.sqrt((x**2).sum(1))


def cosines(x, y):
    return (x * y).sum(1) / lengths(x) / lengths(y)


def weighted(probe):
    """Every measure that is a function of weighted rows: f(x, y, w), with w summing to one."""
    inside = probe.row_space.numpy()
    outside = np.eye(len(inside)) - inside @ inside.T
    return {
        "cosine_drift": lambda x, y, w: w @ (1 - cosines(x, y)),
        "centred_cosine_drift": lambda x, y, w: w @ (1 - cosines(x - w @ x, y - w @ x)),
        "relative_l2_drift": lambda x, y, w: w @ lengths(y - x) / (w @ lengths(x)),
        "centred_relative_l2_drift": lambda x, y, w: w @ lengths(y - x) / (w @ lengths(x - w @ x)),
        "leading_variance": leading_variance,
        "probe_drift": lambda x, y, w: w @ lengths((y - x) @ inside) / (w @ lengths((x - w @ x) @ inside)),
        "drift_outside_probe": lambda x, y, w: w @ lengths((y - x) @ outside) / (w @ lengths((x - w @ x) @ outside)),
        "drift_share_in_probe": lambda x, y, w: w @ lengths((y - x) @ inside) ** 2 / (w @ lengths(y - x) ** 2),
    }


def nearest(queries, x, k):
    """The k most similar other rows of x, nearest first."""
    similar = np.array([[q @ r / np.sqrt(q @ q) / np.sqrt(r @ r) for r in x] for q in queries])
    np.fill_diagonal(similar, -np.inf)
    return np.argsort(-similar, axis=1)[:, :k]


def shared(a, b):
    return np.mean([len({*p} & {*q}) / len(p) for p, q in zip(a, b, strict=True)])


def slow_pairs(x, y, k):
    own, foreign = cosines(x, y), nearest(y, x, 1)[:, 0]
    return {
        "knn_overlap": shared(nearest(x, x, k), nearest(y, x, k)),
        "mutual_knn": shared(nearest(x, x, k), nearest(y, y, k)),
        "self_retrieval": np.mean(own >= cosines(x[foreign], y)),
    }


def slow_right(x, y, labels, probe, k):
    def vote(rows):  # of equal votes the nearer class wins: max() keeps the first
        return max(labels[rows].tolist(), key=labels[rows].tolist().count)

    linear = (y @ probe.weight.numpy().T + probe.bias.numpy()).argmax(1) == labels
    return {"accuracy": linear.mean(), "knn_accuracy": np.mean([vote(r) for r in nearest(y, x, k)] == labels)}


def slow(x, y, labels, probe, k):
    """Every measure by its definition."""
    uniform = np.full(len(x), 1 / len(x))
    found = {name: f(x, y, uniform) for name, f in weighted(probe).items()} | slow_pairs(x, y, k)
    before, after = slow_right(x, x, labels, probe, k), slow_right(x, y, labels, probe, k)
    drops = {f"{name}_drop": before[name] - after[name] for name in before}
    # Ranks and CKA are tested where they live: here, that the table has theirs.
    ranks = {name: rg.compare(x, y, measure, paired=True).ratio for name, measure in RATIOS.items()}
    return found | after | drops | ranks | {"linear_cka": rg.linear_cka(x, y), "effective_rank": rg.estimate(y).value}


def moved_pair(rng, n=40, d=6, offset=1.0, skewed=False):
    """Clean and corrupted rows with spread spectra off the origin, and labels from the clean ones."""
    noise = (lambda: rng.exponential(size=(n, d))) if skewed else (lambda: rng.standard_normal((n, d)))
    x = noise() * 1.5 ** -np.arange(d).clip(max=5) + offset
    y = 0.8 * x + 0.3 * noise()
    return x, y, np.digitize(x[:, 0], np.quantile(x[:, 0], [0.3, 0.7]))


def probed(x, labels):
    return rg.probes.fit_linear_probe(x, labels, C=1.0)


def measured(x, y, *args, **kwargs):
    return {r.measure: r for r in Clean(torch.as_tensor(x), *args, **kwargs).compared(torch.as_tensor(y))}


def values(x, y, *args, **kwargs):
    return {name: r.value for name, r in measured(x, y, *args, **kwargs).items()}


def table(x, y, *args, **kwargs):
    found = rg.robustness.feature_robustness(x, y, *args, **kwargs)
    return found[found.corruption != "clean"].set_index("measure")


def coverage(ends, truth):
    """Share of the intervals given that hold the truth, and how many were given; each (low, high)."""
    low, high = np.array(ends).T
    given = ~np.isnan(low)
    return np.mean((low <= truth)[given] & (truth <= high)[given]), int(given.sum())
