"""How often is the distillation's ledger right, at the scatter over seeds that the paper publishes?"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.page import markdown, say
from repgeom_examples.distillation.claims import ledger, verdicts
from repgeom_examples.distillation.claims.claims import CLAIMS
from repgeom_examples.distillation.claims.reader import Reader
from repgeom_examples.distillation.measuring.geometry import Rows, captured
from repgeom_examples.distillation.settings.configs import Config, Setting
from repgeom_examples.distillation.settings.grid import Cell
from repgeom_examples.distillation.stored import Stored
from studies.populations import in_processes
from studies.study import Sizes, Study

ABOUT = """\
Verdicts: a claim's models are drawn around chosen true values many times; how many of 100 runs end in each verdict. Accuracies and
their scatter over seeds are those that the paper publishes (population standard deviations over three seeds, times √1.5; .53 to 9.2 points);
logarithms of ranks scatter by .03, other numbers by .005, for which nothing is published. Images are 10,000, as in CIFAR-10. "At the limit": the
true value of the tests named lies exactly where the range ends, so that no verdict on them is right, and each wrong one should come in at most
2.5 of 100 runs. "Without allowance": contradicted if every test had its 95 % interval, whatever the claim's number of tests.

Captured variance: 95 % intervals of the share of a student's variance in the teacher's leading 20 directions, for one student and for the
difference of two on the same rows; of 100 intervals how many hold the mean over all draws, and their standard error over the spread of the draws. "Given": as if
the teacher's directions were known. 100 features; the student is a linear map of the teacher, with noise of its own or without.

Assumed: normal scatter over seeds, the same for every model of a kind where nothing is published; independent rows. Not tried: seeds that
share what they see, other measures than these.
"""

SETTING = Setting("clip", "cifar10", augmented=True)
SEEDS = tuple(range(1, 25))
N_IMAGES = 200  # in the simulation; what each adds is scaled to what 10,000 leave of the error
RANKS = {0: 88.68, 1: 15.91, 2: 16.62, 4: 16.66}
SCATTER = {"rank": 0.03, "other": 0.005}
# Accuracies and their population standard deviations over three seeds, by noise and width.
ACCURACIES = {
    "accuracy": {1: (0.7111, 0.0044), 2: (0.7232, 0.005), 4: (0.7294, 0.0043)},
    "accuracy/normalized/0.1": {1: (0.5484, 0.0373), 2: (0.5249, 0.0752), 4: (0.4376, 0.061)},
    "accuracy/normalized/0.2": {1: (0.2735, 0.0592), 2: (0.2415, 0.0671), 4: (0.1405, 0.014)},
}
AUGMENTED = {"accuracy": 0.6934, "accuracy/normalized/0.1": 0.4949, "accuracy/normalized/0.2": 0.1404}

# What a change makes of a number's true value, by its key and its cell.
Change = Callable[[str, Cell, float], float]


def nothing_changed(key: str, cell: Cell, true: float) -> float:
    """As published."""
    return true


@dataclasses.dataclass(frozen=True)
class Case:
    """A claim, what is true, and the number of seeds."""

    number: int
    truth: str
    n_seeds: int
    change: Change = nothing_changed


def published(key: str, cell: Cell) -> tuple[float, float]:
    """The true value of a number and its standard deviation over seeds."""
    if key in ACCURACIES and cell.width:
        value, scatter = ACCURACIES[key][cell.width]
        if cell.augmented:
            value = AUGMENTED[key]
        return value, scatter * 1.5**0.5
    if key == "effective_rank":
        wider = 2.4 if "infonce" in cell.objective else 1.0
        return RANKS[cell.width] * wider, SCATTER["rank"]
    w = cell.width
    others = {
        "captured": 0.93 if w else 0.7,
        "mean_cosine": 0.7,
        "infonce": 3.32 - 0.012 * w,
        "uniformity": -0.4 - 0.007 * w,
    }
    return others.get(key, 0.5), SCATTER["other"]


# Which numbers a claim reads.
KEYS = {
    1: ("effective_rank", "mean_cosine"),
    3: ("effective_rank", "mean_cosine"),
    5: ("captured",),
    6: ("infonce", "uniformity"),
    7: tuple(ACCURACIES),
    8: tuple(ACCURACIES),
}


def drawn(cell: Cell, case: Case, random: np.random.Generator) -> Stored:
    """A model's record with numbers drawn around their true values, and what each image adds to them."""
    record: dict[str, Any] = {"status": "done", "setting": {"data": "cifar10", "n_test": 10_000, "n_classes": 10}}
    arrays = {}
    for key in KEYS[case.number]:
        true, scatter = published(key, cell)
        moved = scatter * random.standard_normal() * bool(cell.seed)
        is_rank = key == "effective_rank"
        true = case.change(key, cell, true)
        record[key] = true * np.exp(moved) if is_rank else true + moved
        # Of a single accuracy √(p (1 − p)); of the others as small.
        spread = (0.5 if key in ACCURACIES else 0.3) * (N_IMAGES / 10_000) ** 0.5
        arrays["log_" * is_rank + key] = torch.tensor(spread * random.standard_normal(N_IMAGES))
    return Stored(record, arrays)


def at_equal_noise(key: str, cell: Cell, true: float) -> float:
    """The largest student as accurate under noise as the smallest: the limit of claim 7's tests of noise."""
    if key.startswith("accuracy/") and cell.width == 4:
        return ACCURACIES[key][1][0]
    return true


def at_equal_accuracy(key: str, cell: Cell, true: float) -> float:
    """All students as accurate on clean images."""
    return 0.72 if key == "accuracy" and cell.width else true


def most_robust(key: str, cell: Cell, true: float) -> float:
    """The largest student as much better under noise as it is published to be worse."""
    if key.startswith("accuracy/") and cell.width == 4:
        return 2 * ACCURACIES[key][1][0] - true
    return true


def half_restored(key: str, cell: Cell, true: float) -> float:
    """Augmentation wins back exactly half of what noise takes from the largest student."""
    if key.startswith("accuracy/") and cell.augmented:
        return (ACCURACIES["accuracy"][4][0] + ACCURACIES[key][4][0]) / 2
    return true


def all_restored(key: str, cell: Cell, true: float) -> float:
    """Augmentation wins back all of it."""
    return ACCURACIES["accuracy"][4][0] if key.startswith("accuracy/") and cell.augmented else true


def half_kept(key: str, cell: Cell, true: float) -> float:
    """Every student at exactly half of the teacher's rank."""
    return RANKS[0] / 2 if key == "effective_rank" and cell.width and cell.objective == "cosine" else true


def hardly_expanded(key: str, cell: Cell, true: float) -> float:
    """InfoNCE expands by exactly the 1.25 times from which on it counts."""
    return true / 2.4 * 1.25 if key == "effective_rank" and "infonce" in cell.objective else true


def nine_tenths(key: str, cell: Cell, true: float) -> float:
    """Every student with exactly .9 of its variance in the leading directions."""
    return 0.9 if key == "captured" and cell.width else true


def no_order(key: str, cell: Cell, true: float) -> float:
    """All sizes alike in InfoNCE and uniformity."""
    return 0.5 if key in ("infonce", "uniformity") else true


CASES = (
    *(Case(7, "as published", n) for n in (3, 6, 12, 24)),
    *(Case(7, "noise at the limit", n, at_equal_noise) for n in (6, 12)),
    Case(7, "clean accuracy at the limit", 6, at_equal_accuracy),
    *(Case(7, "false: the largest is the most robust", n, most_robust) for n in (6, 12)),
    *(Case(8, "as published", n) for n in (6, 12)),
    Case(8, "at the limit", 6, half_restored),
    Case(8, "false: all is restored", 6, all_restored),
    Case(1, "as published", 3),
    Case(1, "shares of rank at the limit", 3, half_kept),
    Case(3, "as published", 3),
    Case(3, "at the limit", 3, hardly_expanded),
    Case(5, "true", 3),
    Case(5, "shares at the limit", 3, nine_tenths),
    Case(6, "as published", 3),
    Case(6, "at the limit", 3, no_order),
)


def cells_for(config: Config) -> list[Cell]:
    """The models that these claims compare."""
    found = [Cell(SETTING.name, "teacher")]
    for seed in config.seeds + config.more_seeds:
        for width in config.widths:
            found += [Cell(SETTING.name, "student", width=width, objective=o, seed=seed) for o in config.objectives]
        found.append(Cell(SETTING.name, "student", width=4, objective="cosine", augmented=True, seed=seed))
    return found


def decided(case: Case, draws: int) -> list[str]:
    """A row of the table: how many of 100 runs end in each verdict."""
    random = np.random.default_rng([case.number, case.n_seeds, len(case.truth)])
    config = Config("study", (SETTING,), seeds=SEEDS[: min(3, case.n_seeds)], more_seeds=SEEDS[3 : case.n_seeds])
    claim = CLAIMS[case.number - 1]
    found: Counter[str] = Counter()
    without = 0
    for _ in range(draws):
        reader = Reader({cell: drawn(cell, case, random) for cell in cells_for(config)})
        tests = claim.tests(config, SETTING)
        entry = ledger.entry(claim, tests, reader, config, SETTING)
        found[entry.verdict] += 1
        without += any(_falls_at_95(row) for row in entry.rows)
    order = (verdicts.SUPPORTED, verdicts.UNDECIDED, verdicts.CONTRADICTED, verdicts.DOES_NOT_APPLY)
    counts = [f"{100 * found[verdict] / draws:.1f}" for verdict in order]
    return [str(case.number), case.truth, str(case.n_seeds), *counts, f"{100 * without / draws:.1f}"]


def _falls_at_95(row: verdicts.Row) -> bool:
    """Whether a test that decides would be contradicted by its 95 % interval."""
    if row.test.beside or row.summary is None or row.summary.low is None or row.summary.high is None:
        return False
    return row.summary.high < row.test.low or row.summary.low > row.test.high


# ---- captured variance ----


def coverage(spectrum: str, n: int, noise: float, draws: int) -> list[str]:
    """A row of the table: coverage and size of intervals of captured variance, with directions that turn and given ones."""
    random = torch.Generator().manual_seed(n)
    d, k = 100, 20
    places = torch.arange(1, d + 1, dtype=torch.float64)
    variances = {"(1 + i/8)^-1.5": (1 + places / 8) ** -1.5, "exp(-i/15)": torch.exp(-places / 15)}[spectrum]
    scale = (variances / variances.sum()).sqrt()
    mixing = torch.linalg.qr(torch.randn(d, d, generator=random, dtype=torch.float64))[0]
    kept = 0.9 * (1 + places / 5) ** -1.1
    shares = (kept, (3 * kept).clamp(max=0.9))
    read: dict[str, list[tuple[float, Tensor]]] = {"turning": [], "given": []}
    pairs: dict[str, list[tuple[float, Tensor]]] = {"turning": [], "given": []}
    for _ in range(draws):
        rows = torch.randn(n, d, generator=random, dtype=torch.float64) * scale
        teacher = Rows.of(rows + 0.12)
        own = noise * scale * torch.randn(n, d, generator=random, dtype=torch.float64)
        students = [
            Rows.of((rows + 0.15 * rows @ mixing) * share + own * share.sqrt() @ mixing + 0.1) for share in shares
        ]
        for name, way in (("turning", captured), ("given", _given)):
            both = [way(s.centred @ teacher.directions, s.centred.square().sum(1), teacher, k) for s in students]
            read[name].append(both[0])
            pairs[name].append((both[0][0] - both[1][0], both[0][1] - both[1][1]))
    cells = [_coverage(found[name]) for found in (read, pairs) for name in ("given", "turning")]
    return [f"{spectrum}, n = {n}, noise {noise:g}", *cells]


def _given(along: Tensor, total: Tensor, target: Rows, k: int) -> tuple[float, Tensor]:
    """Captured variance as if the directions were known."""
    inside = along[:, :k].square().sum(1)
    share = float(inside.sum() / total.sum())
    return share, (inside - share * total) / total.mean()


def _coverage(found: list[tuple[float, Tensor]]) -> str:
    values = torch.tensor([value for value, _ in found], dtype=torch.float64)
    errors = torch.stack([(parts.var() / len(parts)).sqrt() for _, parts in found])
    held = ((values - values.mean()).abs() < 1.96 * errors).double().mean()
    return f"{100 * float(held):.0f}; {float(errors.mean() / values.std()):.2f}"


def tables(sizes: Sizes) -> str:
    say("ledger: verdicts")
    names = [
        "claim",
        "what is true",
        "seeds",
        "supported",
        "undecided",
        "contradicted",
        "does not apply",
        "without allowance",
    ]
    rows = in_processes([partial(decided, case, sizes["runs"]) for case in CASES])
    text = f"\n## Verdicts, {sizes['runs']:,} runs each, per 100\n\n" + markdown(names, rows)
    say("ledger: captured variance")
    jobs = [
        partial(coverage, spectrum, n, noise, sizes["draws"])
        for spectrum in ("(1 + i/8)^-1.5", "exp(-i/15)")
        for n in sizes["images"]
        for noise in (0.0, 0.3)
    ]
    names = ["teacher's variances", "one, given", "one, turning", "difference, given", "difference, turning"]
    return text + f"\n\n## Captured variance, {sizes['draws']} draws\n\n" + markdown(names, in_processes(jobs))


STUDY = Study(
    name="ledger",
    title="The distillation's ledger",
    about=ABOUT,
    minutes=2,
    sizes={"runs": 200, "draws": 100, "images": (599, 1000)},
    tiny={"runs": 2, "draws": 2, "images": (60,)},
    tables=tables,
)
