"""How often do intervals of intrinsic dimension, of a gap between clouds, and of likeness between layers hold?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import repgeom as rg
from studies.study import Sizes, Study

Array = NDArray[np.float64]
Random = np.random.Generator


def digits() -> Array:
    """scikit-learn's digits, of which each draw takes some without putting them back."""
    from sklearn.datasets import load_digits

    return np.asarray(load_digits().data)


def torus(n: int, random: Random) -> Array:
    turns = random.uniform(size=(n, 5)) * 2 * np.pi
    return np.c_[np.cos(turns), np.sin(turns)]


def gaussian(n: int, random: Random) -> Array:
    return random.standard_normal((n, 10)) @ np.random.default_rng(7).standard_normal((10, 64))


def two_kinds(n: int, random: Random) -> Array:
    """Half of the rows on a plane, half in twenty dimensions."""
    plane = random.random(n) < 0.5
    x = random.standard_normal((n, 20)) + 5
    x[plane] = 0
    x[plane, :2] = random.uniform(size=(int(plane.sum()), 2))
    return x


def spectrum(n: int, random: Random) -> Array:
    return random.standard_normal((n, 30)) * np.arange(1, 31) ** -1.0


def clusters(n: int, random: Random) -> tuple[Array, Array]:
    centres = np.random.default_rng(1).standard_normal((8, 16))[random.integers(8, size=n)]
    x = centres + 0.5 * random.standard_normal((n, 16))
    return x + 0.2, np.tanh(centres) + 0.5 * random.standard_normal((n, 16))


def shared(n: int, random: Random) -> tuple[Array, Array]:
    z = random.standard_normal((n, 32)) * np.arange(1, 33) ** -0.5
    return z + 0.5 * random.standard_normal((n, 32)) + 0.05, z + 0.5 * random.standard_normal((n, 32))


def unrelated(n: int, random: Random) -> tuple[Array, Array]:
    return random.standard_normal((n, 24)), random.standard_normal((n, 24))


def halves_of_digits(n: int, random: Random) -> tuple[Array, Array]:
    rows = digits()[random.choice(1797, n, replace=False)]
    return rows[:, :32] - 8, rows[:, :31:-1] - 8


CLOUDS: dict[str, Callable[[int, Random], Array]] = {
    "flat torus of 5": torus,
    "Gaussian of 10 in 64": gaussian,
    "a plane and 20 dimensions": two_kinds,
    "variances i^-2 of 30": spectrum,
    "digits (real)": lambda n, random: digits()[random.choice(1797, n, replace=False)],
}
PAIRS: dict[str, Callable[[int, Random], tuple[Array, Array]]] = {
    "8 clusters": clusters,
    "a shared part": shared,
    "unrelated": unrelated,
    "halves of digits (real)": halves_of_digits,
}
METHODS = {"twonn": None, "twonn_regression": None, "mle": 20, "gride": 8}
SIMILARITIES = ("linear_cka", "angular_cka", "rbf_cka", "rsa", "mutual_knn")
# (value, low, high) of a draw.
Draw = tuple[float, float | None, float | None]


def _row(name: str, draws: list[Draw], share_drawn: float) -> str:
    """Mean, how many intervals hold the mean of all draws, and their width against the spread of values."""
    values, low, high = np.array(draws, float).T
    given = ~np.isnan(low)
    if not given.any():
        return f"| {name} | {values.mean():.4g} | – | – | 0 |"
    # Rows drawn from a finite set without putting them back spread less.
    narrow = (1 - share_drawn) ** 0.5
    ends = [values + narrow * (end - values) for end in (low, high)]
    held = ((ends[0] <= values.mean()) & (values.mean() <= ends[1]))[given].mean()
    width = ((ends[1] - ends[0])[given] / 2 / 1.96).mean() / max(values.std(), 1e-300)
    return f"| {name} | {values.mean():.4g} | {held:.2f} | {width:.2f} | {given.mean():.2f} |"


def _table(title: str, rows: list[str]) -> str:
    head = (
        f"## {title}\n\n| population | mean | covers | width / spread | given |\n| --- | ---: | ---: | ---: | ---: |\n"
    )
    return head + "\n".join(rows) + "\n"


def _share(name: str, n: int) -> float:
    return n / 1797 if "real" in name else 0.0


def tables(sizes: Sizes) -> str:
    """Coverage of each."""
    n, seeds = sizes["rows"], range(sizes["draws"])
    found = []
    for method, k in METHODS.items():
        rows = []
        for name, draw in CLOUDS.items():
            draws: list[Draw] = []
            for seed in seeds:
                e = rg.intrinsic_dimension(draw(n, np.random.default_rng(seed)), method=method, k=k, seed=seed)
                draws.append((e.value, e.low, e.high))
            rows.append(_row(name, draws, _share(name, n)))
        found.append(_table(f"Intrinsic dimension, {method}", rows))
    readings: dict[str, Callable[[Any], Any]] = {
        "squared distance": lambda g: g.squared,
        "share of variance": lambda g: g.share,
        "separability": lambda g: g.separability,
        "retrieval before": lambda g: g.a_to_b.before,
        "retrieval after": lambda g: g.a_to_b.after,
    }
    gaps = {
        name: [rg.modality_gap(*draw(n, np.random.default_rng(seed)), seed=seed) for seed in seeds]
        for name, draw in PAIRS.items()
    }
    for title, read in readings.items():
        rows = [
            _row(name, [(read(g).value, read(g).low, read(g).high) for g in some], _share(name, n))
            for name, some in gaps.items()
        ]
        found.append(_table(f"Modality gap, {title}", rows))
    for measure in SIMILARITIES:
        rows = []
        for name, pair in PAIRS.items():
            draws = []
            for seed in seeds:
                x, y = pair(n, np.random.default_rng(seed))
                cell = rg.cka_map({"x": x}, {"y": y}, measure=measure, distance="euclidean")
                draws.append((cell.values[0, 0], cell.low[0, 0], cell.high[0, 0]))
            rows.append(_row(name, draws, _share(name, n)))
        found.append(_table(f"Layers, {measure}", rows))
    return "\n".join(found)


STUDY = Study(
    name="likeness",
    title="Intervals of intrinsic dimension, modality gap and likeness of layers",
    about="Rows are drawn again and again from known laws and from scikit-learn's digits. The truth is the mean over draws: what as "
    "many rows read on average, since intrinsic dimension, retrieval and shared neighbours depend on how many there are. Covers: "
    "the share of 95 % intervals that hold it. Width / spread: half an interval over 1.96 and the values' standard deviation; 1 is "
    "right. With 60 draws, 0.95 is known to 0.03.",
    minutes=5,
    sizes={"rows": 300, "draws": 60},
    tiny={"rows": 60, "draws": 2},
    tables=tables,
)
