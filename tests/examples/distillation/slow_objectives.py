"""The objectives of the students in plain Python, one pair of rows at a time."""

import math

import numpy as np
from conftest import oracle


def unit(row):
    return [v / math.sqrt(sum(w * w for w in row)) for v in row]


def dot(a, b):
    return sum(v * w for v, w in zip(a, b, strict=True))


def slow_cosine(s, t):
    return sum(1 - dot(unit(a), unit(b)) for a, b in zip(s, t, strict=True)) / len(s)


def slow_mse(s, t):
    return sum((v - w) ** 2 for a, b in zip(s, t, strict=True) for v, w in zip(a, b, strict=True)) / (
        len(s) * len(s[0])
    )


def slow_infonce(s, t, temperature):
    total = 0.0
    for i, a in enumerate(s):
        scores = [math.exp(dot(unit(a), unit(b)) / temperature) for b in t]
        total -= math.log(scores[i] / sum(scores))
    return total / len(s)


def slow_rank(z):
    return oracle(np.array([unit(row) for row in z]))["effective_rank"]
