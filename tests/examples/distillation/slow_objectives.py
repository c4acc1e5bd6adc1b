"""The terms of the students' objectives in plain Python, one pair of rows at a time."""

import math
from itertools import permutations
from typing import NamedTuple

import numpy as np
from conftest import oracle


class Case(NamedTuple):
    """What a term sees, as lists: `bank` has every image's teacher, and `rows` says which of them the batch holds."""

    student: list
    teacher: list
    view: list
    bank: list
    rows: list
    training: object


def unit(row):
    return [v / math.sqrt(sum(w * w for w in row)) for v in row]


def dot(a, b):
    return sum(v * w for v, w in zip(a, b, strict=True))


def minus(a, b):
    return [v - w for v, w in zip(a, b, strict=True)]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def slow_cosine(s, t):
    return mean(1 - dot(unit(a), unit(b)) for a, b in zip(s, t, strict=True))


def slow_mse(s, t):
    return mean((v - w) ** 2 for a, b in zip(s, t, strict=True) for v, w in zip(a, b, strict=True))


def slow_infonce(s, t, temperature):
    total = 0.0
    for i, a in enumerate(s):
        scores = [math.exp(dot(unit(a), unit(b)) / temperature) for b in t]
        total -= math.log(scores[i] / sum(scores))
    return total / len(s)


def slow_rank(z):
    return oracle(np.array([unit(row) for row in z]))["effective_rank"]


def slow_centered(case):
    center = [mean(column) for column in zip(*map(unit, case.bank), strict=True)]
    s, t = ([minus(unit(row), center) for row in rows] for rows in (case.student, case.teacher))
    return slow_cosine(s, t)


def slow_whitened(case):
    """Through the eigenvectors of the covariance of the bank."""
    values, vectors = np.linalg.eigh(np.cov(np.array(case.bank).T))
    values, vectors = values[::-1], vectors[:, ::-1]
    held, share = 0, 0.0
    while share < 0.9:
        share += values[held] / values.sum()
        held += 1
    scales = np.sqrt(values[:held])
    s, t = ((np.array(rows) @ vectors[:, :held] / scales).tolist() for rows in (case.student, case.teacher))
    return slow_mse(s, t)


def slow_crd(case):
    """As published, with h = e / (e + N Z): Z the teacher's mean of e = exp(cos / temperature) between two images."""
    units, tau = [unit(row) for row in case.bank], case.training.infonce_temperature
    n = len(units) - 1
    z = mean(math.exp(dot(a, b) / tau) for a, b in permutations(units, 2))
    total = 0.0
    for student, row in zip(case.student, case.rows, strict=True):
        for i, teacher in enumerate(units):
            e = math.exp(dot(unit(student), teacher) / tau)
            h = e / (e + n * z)
            total -= math.log(h if i == row else 1 - h)
    return total / len(case.student)


def huber(gap):
    return gap**2 / 2 if abs(gap) <= 1 else abs(gap) - 0.5


def slow_rkd_distance(s, t):
    pairs = list(permutations(range(len(s)), 2))
    both = [[math.dist(z[i], z[j]) for i, j in pairs] for z in (s, t)]
    return mean(huber(a / mean(both[0]) - b / mean(both[1])) for a, b in zip(*both, strict=True))


def slow_rkd_angle(s, t):
    corners = list(permutations(range(len(s)), 3))
    both = [[dot(unit(minus(z[i], z[j])), unit(minus(z[k], z[j]))) for i, j, k in corners] for z in (s, t)]
    return mean(huber(a - b) for a, b in zip(*both, strict=True))


def slow_vicreg(z):
    covariance = np.cov(np.array(z).T).tolist()
    d = len(covariance)
    lacking = mean(max(0, 1 - math.sqrt(covariance[i][i] + 1e-4)) for i in range(d))
    together = sum(covariance[i][j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    return (25 * lacking + together) / 25


def slow_barlow(s, t):
    columns = []
    for z in (s, t):
        columns.append([])
        for column in zip(*z, strict=True):
            gaps = [v - mean(column) for v in column]
            columns[-1].append([gap / math.sqrt(mean(g * g for g in gaps) + 1e-5) for gap in gaps])
    total, d = 0.0, len(columns[0])
    for i in range(d):
        for j in range(d):
            c = dot(columns[0][i], columns[1][j]) / len(s)
            total += (1 - c) ** 2 if i == j else 0.0051 * c**2
    return total / d


SLOW = {
    "cosine": lambda c: slow_cosine(c.student, c.teacher),
    "mse": lambda c: slow_mse(c.student, c.teacher),
    "centered-cosine": slow_centered,
    "whitened-mse": slow_whitened,
    "infonce": lambda c: slow_infonce(c.student, c.teacher, c.training.infonce_temperature),
    "infonce-views": lambda c: slow_infonce(c.student, c.view, c.training.infonce_temperature),
    "crd": slow_crd,
    "rkd-distance": lambda c: slow_rkd_distance(c.student, c.teacher),
    "rkd-angle": lambda c: slow_rkd_angle(c.student, c.teacher),
    "rank": lambda c: max(0, 1 - slow_rank(c.student) / slow_rank(c.teacher)),
    "vicreg": lambda c: slow_vicreg(c.student),
    "barlow": lambda c: slow_barlow(c.student, c.teacher),
}
