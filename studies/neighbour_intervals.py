"""Do the intervals of truncation curves, repairs and token geometry hold, on made rows and on real ones?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import repgeom as rg
from benchmarks.page import markdown, say
from studies.populations import in_processes, percent
from studies.study import Sizes, Study

Array = NDArray[np.float64]

ABOUT = """\
95 % intervals of numbers that rest on neighbours, or on means over texts. Cells: how many of 100 intervals hold the value expected of as many
rows, which is the mean over all draws; then standard error over spread of the draws.

Kept, accuracy, lost: `truncation_curve` at half of the columns, k = 5, and all of them. Gained: `repair.compare_repairs` with
`standardize` alone. Within, entropy, curvature: `token_geometry` of 40 texts.

Assumed: independent rows, or texts. Digits are drawn without replacement from 1,797, which narrows what is drawn a little. Not
tried: groups, more than 240 rows.
"""
DIGITS = "digits (real)"


def _classes(random: np.random.Generator, n: int, d: int) -> tuple[Array, NDArray[np.int64]]:
    labels = random.integers(0, 4, n)
    return 1.5 * np.eye(4, d)[labels], labels


def isotropic(random: np.random.Generator, n: int) -> tuple[Array, NDArray[np.int64]]:
    centres, labels = _classes(random, n, 16)
    return centres + random.standard_normal((n, 16)), labels


def steep(random: np.random.Generator, n: int) -> tuple[Array, NDArray[np.int64]]:
    centres, labels = _classes(random, n, 32)
    return centres + random.standard_normal((n, 32)) * np.arange(1, 33) ** -0.5, labels


def heavy(random: np.random.Generator, n: int) -> tuple[Array, NDArray[np.int64]]:
    centres, labels = _classes(random, n, 16)
    lengths = np.sqrt(random.chisquare(5, (n, 1)) / 5)
    return centres + random.standard_normal((n, 16)) / lengths, labels


def large_columns(random: np.random.Generator, n: int) -> tuple[Array, NDArray[np.int64]]:
    rows, labels = isotropic(random, n)
    rows[:, ::5] *= 10
    return rows, labels


def digits(random: np.random.Generator, n: int) -> tuple[Array, NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    chosen = random.choice(len(rows), n, replace=False)
    return rows[chosen], labels[chosen]


ROWS: dict[str, Callable[[np.random.Generator, int], tuple[Array, NDArray[np.int64]]]] = {
    "classes, isotropic": isotropic,
    "classes, i^-1 variances": steep,
    "classes, t with 5 degrees": heavy,
    "classes, four columns × 10": large_columns,
    DIGITS: digits,
}


def texts(kind: str, random: np.random.Generator) -> Array:
    """40 texts of 8 tokens, (40, 8, d)."""
    if kind == DIGITS:
        return digits(random, 40)[0].reshape(40, 8, 8)
    steps = random.standard_normal((40, 8, 24))
    if kind == "walks":
        return steps.cumsum(1)
    if kind == "lengths that vary":
        return steps * random.lognormal(0, 0.7, (40, 1, 1)) * np.exp(random.standard_normal((40, 1, 24)))
    return steps + 2 * random.standard_normal((40, 1, 24))


TEXTS = ("texts about their own means", "walks", "lengths that vary", DIGITS)


def of_rows(name: str, n: int, repetitions: int) -> dict[str, Any]:
    found: dict[str, list[tuple[float, float, float]]] = {}
    for draw in range(repetitions):
        rows, labels = ROWS[name](np.random.default_rng([draw, n]), n)
        width = rows.shape[1]
        curve = rg.truncation_curve(rows, labels, dims=[width // 2], principal=False, k=5).iloc[0]
        proof = rg.repair.compare_repairs(rows, labels, k=5, repairs={"standardize": rg.repair.standardize()})
        for what, row in (("kept", curve), ("accuracy", curve), ("lost", curve), ("gained", proof.table.iloc[1])):
            found.setdefault(what, []).append((row[what], row[f"{what}_low"], row[f"{what}_high"]))
    return {"rows": f"{name}, n = {n}", "found": {what: held(draws) for what, draws in found.items()}}


def of_texts(name: str, repetitions: int) -> dict[str, Any]:
    found: dict[str, list[tuple[float, float, float]]] = {}
    for draw in range(repetitions):
        geometry = rg.token_geometry(texts(name, np.random.default_rng([draw])))
        for what in ("within_rank", "matrix_entropy", "curvature"):
            e = getattr(geometry, what)
            found.setdefault(what, []).append((e.value, e.low, e.high))
    return {"rows": name, "found": {what: held(draws) for what, draws in found.items()}}


def held(draws: list[tuple[float, float, float]]) -> tuple[float, float]:
    """The share of intervals that hold the mean of the draws, and the mean half width over that of the draws' own spread."""
    values, low, high = np.array(draws).T
    expected = values.mean()
    covered = float(np.mean((low <= expected) & (expected <= high)))
    return covered, float((high - low).mean() / (2 * 2.0 * values.std(ddof=1)))


def tables(sizes: Sizes) -> str:
    say("neighbours")
    repetitions = sizes["repetitions"]
    jobs = [partial(of_rows, name, n, repetitions) for name in ROWS for n in sizes["n"]]
    jobs += [partial(of_texts, name, repetitions) for name in TEXTS]
    done = in_processes(jobs)
    text = ""
    for title, some in (("Rows", done[: -len(TEXTS)]), ("Texts", done[-len(TEXTS) :])):
        columns = list(some[0]["found"])
        lines = [
            [row["rows"], *(f"{percent(row['found'][c][0], 0)}; {row['found'][c][1]:.2f}" for c in columns)]
            for row in some
        ]
        text += f"\n## {title}, {repetitions} draws\n\n" + markdown(["", *columns], lines)
    return text


STUDY = Study(
    name="neighbour_intervals",
    title="Intervals of truncation curves, repairs and tokens",
    about=ABOUT,
    minutes=6,
    sizes={"n": (240,), "repetitions": 100},
    tiny={"n": (60,), "repetitions": 3},
    tables=tables,
)
