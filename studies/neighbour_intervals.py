"""Do the intervals of truncation curves, repairs and token geometry hold, on made rows and on real ones?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import repgeom as rg
from benchmarks.page import markdown, say
from studies.interval_sets import LABELLED, LATER_LABELLED, Held, at_hand, held, some_digits
from studies.populations import in_processes, percent
from studies.study import Sizes, Study

Array = NDArray[np.float64]
Row = tuple[str, dict[str, Held]]

ABOUT = """\
95 % intervals of numbers that rest on neighbours, or on means over texts. Cells: how many per cent of the intervals hold the
value expected of as many rows, which is the mean over all draws (of 400 draws 95 % is known to 1.1, one standard error);
then half an interval over 1.96, over the spread of the draws.

Kept, accuracy, lost: `truncation_curve` at half of the columns, k = 5, and all of them. Gained: `repair.compare_repairs` with
`standardize` alone. Within, entropy, curvature: `token_geometry` of 40 texts.

The last rows of both tables, from "a rare class" and from "steps that go on", were chosen after the intervals were made, and
nothing was changed for them. Crops are 3,000 of two photographs as a network sees them, their classes four ranges of
brightness. Digits and crops are drawn without putting them back, and intervals narrowed by as much as that narrows a mean.

Assumed: independent rows, or texts. Not tried: groups, more than 240 rows.
"""
TOKENS = (40, 8, 24)  # texts, tokens, features


def about_their_means(random: np.random.Generator) -> Array:
    return random.standard_normal(TOKENS) + 2 * random.standard_normal((40, 1, 24))


def walks(random: np.random.Generator) -> Array:
    return random.standard_normal(TOKENS).cumsum(1)


def of_many_lengths(random: np.random.Generator) -> Array:
    scales = random.lognormal(0, 0.7, (40, 1, 1)) * np.exp(random.standard_normal((40, 1, 24)))
    return random.standard_normal(TOKENS) * scales


def lines_of_digits(random: np.random.Generator) -> Array:
    return some_digits(40, random)[0].reshape(40, 8, 8)


def steps_that_go_on(random: np.random.Generator) -> Array:
    """Each step keeps some of the one before, some texts most of it; their lengths have Student's t with 4 degrees."""
    kept = random.uniform(0, 0.9, (40, 1))
    steps = random.standard_t(4, TOKENS)
    for place in range(1, 8):
        steps[:, place] += kept * steps[:, place - 1]
    return steps.cumsum(1)


TEXTS: dict[str, Callable[[np.random.Generator], Array]] = {
    "texts about their own means": about_their_means,
    "walks": walks,
    "lengths that vary": of_many_lengths,
    "digits (real)": lines_of_digits,
    "steps that go on": steps_that_go_on,
}


def of_rows(name: str, n: int, draws: int) -> Row:
    found: dict[str, list[tuple[float, float, float]]] = {}
    for number in range(draws):
        rows, labels = (LABELLED | LATER_LABELLED)[name](n, np.random.default_rng([number, n]))
        half = rows.shape[1] // 2
        curve = rg.truncation_curve(rows, labels, dims=[half], principal=False, k=5).iloc[0]
        proof = rg.repair.compare_repairs(rows, labels, k=5, repairs={"standardize": rg.repair.standardize()})
        for what, row in (("kept", curve), ("accuracy", curve), ("lost", curve), ("gained", proof.table.iloc[1])):
            found.setdefault(what, []).append((row[what], row[f"{what}_low"], row[f"{what}_high"]))
    return f"{name}, n = {n}", {what: held(name, n, values) for what, values in found.items()}


def of_texts(name: str, draws: int) -> Row:
    found: dict[str, list[tuple[float, float | None, float | None]]] = {}
    for number in range(draws):
        geometry = rg.token_geometry(TEXTS[name](np.random.default_rng([number])))
        for what in ("within_rank", "matrix_entropy", "curvature"):
            e = getattr(geometry, what)
            found.setdefault(what, []).append((e.value, e.low, e.high))
    return name, {what: held(name, 40, values) for what, values in found.items()}


def tables(sizes: Sizes) -> str:
    say("neighbours")
    draws, n = sizes["draws"], sizes["n"]
    jobs: list[Callable[[], Any]] = [partial(of_rows, name, n, draws) for name in at_hand(LABELLED | LATER_LABELLED)]
    jobs += [partial(of_texts, name, draws) for name in TEXTS]
    done: list[Row] = in_processes(jobs)
    rows, texts = _table(done[: -len(TEXTS)]), _table(done[-len(TEXTS) :])
    return f"\n## Rows, {draws} draws\n\n{rows}\n## Texts, {draws} draws\n\n{texts}"


def _table(rows: list[Row]) -> str:
    columns = list(rows[0][1])
    lines = [[name, *(f"{percent(c.covers)}; {c.width:.2f}" for c in cells.values())] for name, cells in rows]
    return markdown(["", *columns], lines)


STUDY = Study(
    name="neighbour_intervals",
    title="Intervals of truncation curves, repairs and tokens",
    about=ABOUT,
    minutes=8,
    sizes={"n": 240, "draws": 400},
    tiny={"n": 60, "draws": 3},
    tables=tables,
)
