"""Do the intervals in robustness tables hold the population's value?"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import repgeom as rg
from benchmarks.page import markdown, say
from studies.populations import in_processes
from studies.study import Sizes, Study

Array = NDArray[np.float64]
Draw = tuple[Array, Array, NDArray[np.int64]]  # clean rows, corrupted rows, labels

SPECTRA: dict[str, Callable[[Array], Array]] = {"i^-1": lambda i: i**-1.0, "0.9^i": lambda i: 0.9**i}
# Neighbours are nearer the more rows there are: these measures have no value apart from the number of rows.
OF_N_ROWS = ("knn_accuracy", "knn_accuracy_drop", "knn_overlap", "mutual_knn", "self_retrieval")
# All pairs of the population's rows would be too many, and what needs them is not read there.
FEW_PAIRS: dict[str, Any] = {"k": 5, "max_pair_rows": 50}

ABOUT = """\
Clean rows are normal, with variances that fall as given; corrupted ones are the same rows shrunk, turned and made noisy;
labels are nearly decided by the first feature. Share of samples whose 95 % interval in `feature_robustness` holds the value
of 50,000 rows (of neighbours' measures, which depend on the number of rows, the mean over all samples); "–" where no
interval is given. Columns: width, variances, samples per feature, kind of corruption.

Kinds: *normal*, normal noise on every row; *ruined*, besides, one corrupted row in a hundred is noise ten times as long;
*heavy*, the noise is a multivariate t with 3 degrees of freedom, so that it has no fourth moment.

Assumed: independent rows. Not tried: wide features (here 16 and 32), real encoders, dependent rows.
"""


def drawn(random: np.random.Generator, variances: Array, n: int, kind: str) -> Draw:
    """n rows before and after a corruption of this kind, with labels that the clean rows nearly decide."""
    d = len(variances)
    turn = 0.15 * np.random.default_rng(7).standard_normal((d, d)) / d**0.5 + 0.8 * np.eye(d)
    x = random.standard_normal((n, d)) * variances**0.5 + 1
    noise = 0.3 * variances.mean() ** 0.5 * random.standard_normal((n, d))
    labels = (x[:, 0] + 0.5 * random.standard_normal(n) > 1).astype(int)
    if kind == "heavy":
        noise /= np.sqrt(random.chisquare(3, n) / 3)[:, None]
    y = x @ turn + noise
    if kind == "ruined":
        ruined = random.random(n) < 0.01
        length = 10 * np.linalg.norm(y - y.mean(0), axis=1).mean()
        y[ruined] = length / d**0.5 * random.standard_normal((int(ruined.sum()), d))
    return x, y, labels


def coverage(width: int, spectrum: str, times: int, kind: str, sizes: Sizes) -> dict[str, Any]:
    """The share of intervals that hold the population's value, for every measure that gets any."""
    random = np.random.default_rng(0)
    variances = SPECTRA[spectrum](np.arange(1, width + 1.0))
    x, y, labels = drawn(random, variances, sizes["population"], kind)
    probe = rg.probes.fit_linear_probe(x[:2000], labels[:2000], C=1.0)
    population = read(x, y, labels, probe, **FEW_PAIRS)["value"]
    samples = []
    for _ in range(sizes["samples"]):
        samples.append(read(*drawn(random, variances, times * width, kind), probe))
    shares = {}
    for measure in samples[0].index:
        rows = pd.DataFrame([sample.loc[measure] for sample in samples])
        true = population[measure]
        if measure in OF_N_ROWS:
            true = rows["value"].mean()
        shares[measure] = share_held(rows, true)
    return {"column": f"{width}, {spectrum}, {times}, {kind}", "shares": shares}


def read(x: Array, y: Array, labels: Any, probe: rg.probes.LinearProbe, **options: Any) -> pd.DataFrame:
    """Value and interval of every measure of the corrupted rows, by measure."""
    table = rg.robustness.feature_robustness(x, {"corrupted": y}, labels, probe=probe, **options)
    return table[table["corruption"] == "corrupted"].set_index("measure")[["value", "low", "high"]]


def share_held(rows: pd.DataFrame, true: float) -> float:
    """Among the samples that get an interval; NaN where none does."""
    given = rows.dropna()
    return float(((given["low"] <= true) & (given["high"] >= true)).mean())


def settings() -> list[tuple[int, str, int, str]]:
    plain = [(*setting, "normal") for setting in itertools.product((16, 32), SPECTRA, (16, 32))]
    return plain + [(32, "i^-1", 32, kind) for kind in ("ruined", "heavy")]


def tables(sizes: Sizes) -> str:
    say("coverage of robustness tables")
    columns = in_processes([partial(coverage, *setting, sizes) for setting in settings()])
    lines = []
    for measure in columns[0]["shares"]:
        shares = [column["shares"].get(measure, np.nan) for column in columns]
        if not np.isnan(shares).all():
            lines.append([measure, *(in_words(share) for share in shares)])
    text = f"\n## Share of {sizes['samples']} intervals that hold the value of {sizes['population']:,} rows\n\n"
    return text + markdown(["measure", *(column["column"] for column in columns)], lines)


def in_words(share: float) -> str:
    if np.isnan(share):
        return "–"
    return f"{share:.2f}"


STUDY = Study(
    name="robustness",
    title="Intervals in robustness tables",
    about=ABOUT,
    minutes=5,
    sizes={"population": 50_000, "samples": 100},
    tiny={"population": 2_000, "samples": 2},
    tables=tables,
)
