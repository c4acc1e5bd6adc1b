"""The claims ledger: every claim of arXiv 2603.06698 as named tests on a run's results.

One rule decides each test. Its statistic is worked out for every seed and averaged; its 95 % interval is over seeds and
test images (measured.py). The test is supported where the interval lies within a stated range, contradicted where it lies
wholly outside, and undecided else. A claim is supported where all its tests are, contradicted where any is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

from .configs import Config, Setting
from .evaluation import accuracy_key
from .grid import Cell
from .measured import Measured, Summary, combined, over_seeds
from .stored import Stored
from .students import BASE

SUPPORTED, CONTRADICTED, UNDECIDED, NOT_RUN = "supported", "contradicted", "undecided", "not run"
KEPT = 0.5  # a student with less than this share of its teacher's effective rank has collapsed; as in `repgeom audit`
ALIKE = (0.8, 1.25)  # ratios within this range count as equal, as in tests of bioequivalence; a change lies beyond it
CAPTURED_ALIKE = (-0.02, 0.02)  # and shares of variance within this range
RESTORED = 0.05  # accuracy that augmentation would have to win back under noise
CLIP_LIKE, DINO_LIKE = ("clip", "tiny-clip"), ("dinov2", "tiny-dino")


class Missing(LookupError):
    """A cell that a test needs is not there."""


@dataclasses.dataclass(frozen=True)
class Reader:
    """Finished cells of a run, read by what they are."""

    cells: dict[Cell, Stored]

    def of(self, cell: Cell, key: str) -> Measured:
        """A number of a cell with its contributions: one of the arrays' names; log_... are logarithms.

        Raises:
            Missing: the cell is not there, or failed, or did not measure this.
        """
        if cell not in self.cells:
            raise Missing(f"{cell.name} is not there")
        record, arrays = self.cells[cell]
        if record["status"] != "done":
            raise Missing(f"{cell.name} failed: {record['reason']}")
        if key not in arrays:
            raise Missing(f"{key} was not measured")
        value = math.log(record[key.removeprefix("log_")]) if key.startswith("log_") else record[key]
        setting = record["setting"]
        return Measured.of(value, f"{setting['data']}, {setting['n_test']} images", arrays[key])

    def width(self, cell: Cell) -> int:
        """Features of the teacher in a cell's setting."""
        if cell not in self.cells:
            raise Missing(f"{cell.name} is not there")
        return int(self.cells[cell].record["setting"]["width"])

    def rank(self, cell: Cell, key: str) -> Measured:
        """An effective rank itself, by its logarithm's contributions."""
        return self.of(cell, f"log_{key}").exp()


@dataclasses.dataclass(frozen=True)
class Models:
    """The cells of one setting and seed that claims are about."""

    reader: Reader
    config: Config
    setting: Setting
    seed: int

    def teacher(self, key: str) -> Measured:
        """Of the teacher."""
        return self.reader.of(Cell(self.setting.name, "teacher"), key)

    def student(
        self, key: str, width: int, *, objective: str = "cosine", architecture: str = BASE, augmented: bool = False
    ) -> Measured:
        """Of a student."""
        cell = Cell(self.setting.name, "student", architecture, width, objective, augmented, self.seed)
        return self.reader.of(cell, key)

    @property
    def small(self) -> int:
        """Width of S."""
        return min(self.config.widths)

    @property
    def large(self) -> int:
        """Width of L."""
        if len(self.config.widths) < 2:
            raise Missing("two widths at least are needed")
        return max(self.config.widths)

    @property
    def contrastive(self) -> str:
        """The objective with an InfoNCE term."""
        for objective in self.config.objectives:
            if objective.startswith("cosine+infonce"):
                return objective
        raise Missing("cosine+infonce is not among the objectives")

    def noisy(self) -> str:
        """Accuracy under the strongest noise, in the paper's space."""
        return accuracy_key((self.config.evaluation.strongest, "normalized"))


Statistic = Callable[[Models], Measured]


@dataclasses.dataclass(frozen=True)
class Test:
    """A statistic, the range in which it bears a claim out, and what the paper has for it."""

    __test__ = False  # not one of pytest's

    text: str
    statistic: Statistic
    low: float
    high: float
    published: str
    ratio: bool = False  # the statistic is a logarithm and shown as a ratio


@dataclasses.dataclass(frozen=True)
class Claim:
    """A sentence of the paper, and its tests in a setting."""

    number: int
    text: str
    tests: Callable[[Config, Setting], list[Test]]
    needs: str = "such cells"  # what a setting must have for the claim to have tests in it


@dataclasses.dataclass(frozen=True)
class Row:
    """A test as it came out. `reason` says why there is no value."""

    test: Test
    summary: Summary | None
    verdict: str
    reason: str

    @property
    def rule(self) -> str:
        """Where its interval must lie to bear the claim out."""
        return "–" if self.verdict == NOT_RUN else span(self.test.low, self.test.high)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A claim in one setting with its verdict."""

    claim: Claim
    setting: Setting
    verdict: str
    rows: list[Row]


def ledger(config: Config, cells: dict[Cell, Stored]) -> list[Entry]:
    """Every claim in every setting of a run."""
    return list(_entries(config, Reader(cells)))


def _entries(config: Config, reader: Reader) -> Iterator[Entry]:
    for claim in CLAIMS:
        tests = {setting: claim.tests(config, setting) for setting in config.settings}
        if not any(tests.values()):
            tests[config.settings[0]] = [Test(claim.needs, _not_there(claim.needs), -math.inf, math.inf, "–")]
        for setting in config.settings:
            rows = [_row(test, reader, config, setting) for test in tests[setting]]
            if rows:
                yield Entry(claim, setting, verdict_of([row.verdict for row in rows]), rows)


def _not_there(what: str) -> Statistic:
    def statistic(models: Models) -> Measured:
        raise Missing(f"this run has no {what}")

    return statistic


def _row(test: Test, reader: Reader, config: Config, setting: Setting) -> Row:
    found, reasons = [], []
    for seed in config.seeds:
        try:
            found.append(test.statistic(Models(reader, config, setting, seed)))
        except Missing as missing:
            reasons.append(str(missing))
    if not found:
        return Row(test, None, NOT_RUN, reasons[0])
    summary = over_seeds(found, math.exp if test.ratio else float)
    left_out = f"{len(reasons)} of {len(config.seeds)} seeds left out: {reasons[0]}" if reasons else ""
    if summary.low is None:
        return Row(test, summary, UNDECIDED, left_out or "one seed gives no interval")
    return Row(test, summary, decided(summary, test.low, test.high), left_out)


def decided(summary: Summary, low: float, high: float) -> str:
    """The rule of every test."""
    if summary.low is None or summary.high is None:
        return UNDECIDED
    if low < summary.low and summary.high < high:  # strictly: no difference at all bears no order out
        return SUPPORTED
    return CONTRADICTED if summary.high < low or summary.low > high else UNDECIDED


def verdict_of(verdicts: list[str]) -> str:
    """Of a claim, from its tests'."""
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    kinds = set(verdicts)
    return kinds.pop() if len(kinds) == 1 else UNDECIDED


def span(low: float, high: float) -> str:
    """A range in words."""
    if math.isinf(low) or math.isinf(high):
        return (f"below {high:g}" if math.isinf(low) else f"above {low:g}").replace("-", "−")
    return f"within {low:g} to {high:g}".replace("-", "−")


# ---- the claims ----


def _change(key: str, of: Callable[[Models], int], to: Callable[[Models], int]) -> Statistic:
    """From one width to another under the cosine objective."""
    return lambda m: m.student(key, to(m)) - m.student(key, of(m))


def _alike(config: Config, key: str, name: str, within: tuple[float, float], published: dict[int, str]) -> list[Test]:
    """Every other width against the smallest, under the cosine objective."""
    ratio = key.startswith("log_")
    smallest, *others = sorted(config.widths)

    def change(width: int) -> Statistic:
        return lambda m: m.student(key, width) - m.student(key, smallest)

    if not others:
        return [Test(f"{name}, between widths", _not_there("second width"), *within, "–", ratio)]
    sign = "over" if ratio else "minus"
    return [
        Test(f"{name}, width {w} {sign} width {smallest}", change(w), *within, published.get(w, "–"), ratio)
        for w in others
    ]


def _collapse(config: Config, setting: Setting) -> list[Test]:
    published = {1: "0.18 (15.91 of 88.68)", 2: "0.19 (16.62)", 4: "0.19 (16.66)"}

    def kept(width: int) -> Statistic:
        return lambda m: m.student("log_effective_rank", width) - m.teacher("log_effective_rank")

    tests = [
        Test(f"effective rank at width {w} over the teacher's", kept(w), 0, KEPT, published.get(w, "–"), ratio=True)
        for w in config.widths
    ]
    return [*tests, *_alike(config, "log_effective_rank", "effective rank", ALIKE, {2: "1.04", 4: "1.05"})]


def _objective_not_architecture(config: Config, setting: Setting) -> list[Test]:
    tests = []
    for name in setting.architectures:

        def kept(m: Models, name: str = name) -> Measured:
            return m.student("log_effective_rank", m.small, architecture=name) - m.teacher("log_effective_rank")

        def moved(m: Models, name: str = name) -> Measured:
            expanded = m.student("log_effective_rank", m.small, objective=m.contrastive)
            return expanded - m.student("log_effective_rank", m.small, architecture=name)

        tests.append(Test(f"{name}: effective rank over the teacher's", kept, 0, KEPT, "–", ratio=True))
        tests.append(Test(f"paper's CNN with InfoNCE over {name} without", moved, ALIKE[1], math.inf, "–", ratio=True))
    return tests


def _expansion(config: Config, setting: Setting) -> list[Test]:
    def expansion(m: Models) -> Measured:
        widths = m.config.widths
        each = [
            m.student("log_effective_rank", w, objective=m.contrastive) - m.student("log_effective_rank", w)
            for w in widths
        ]
        return combined(each, [1 / len(widths)] * len(widths))

    tests = [
        Test(
            "effective rank with InfoNCE over without, mean of widths", expansion, ALIKE[1], math.inf, "2.4", ratio=True
        )
    ]
    if (setting.teacher, setting.data, setting.n_train) == ("clip", "cifar10", None):  # what the figure is of
        tests.append(
            Test("the same, as large as published", expansion, 2.4 * ALIKE[0], 2.4 * ALIKE[1], "2.4", ratio=True)
        )
    return tests


def _dino(config: Config, setting: Setting) -> list[Test]:
    if setting.teacher not in DINO_LIKE:
        return []
    clips = sorted((s for s in config.settings if s.teacher in CLIP_LIKE), key=lambda s: s.data != setting.data)
    smallest = min(config.widths)

    def against_clip(m: Models) -> Measured:
        if not clips:
            raise Missing("this run has no CLIP beside DINO")
        other = dataclasses.replace(m, setting=clips[0])
        return m.student("log_effective_rank", smallest) - other.student("log_effective_rank", smallest)

    def expansion(m: Models) -> Measured:
        larger = m.student("log_effective_rank", smallest, objective=m.contrastive)
        return larger - m.student("log_effective_rank", smallest)

    other = clips[0].name if clips else "CLIP"
    prevented = f"cosine student's effective rank over that of {other}, width {smallest}"
    needed = f"effective rank with InfoNCE over without, width {smallest}"
    return [
        Test(prevented, against_clip, ALIKE[1], math.inf, "3.4 (54 over 16)", ratio=True),
        Test(needed, expansion, ALIKE[1], math.inf, "1.5 (82 over 54)", ratio=True),
    ]


def _leading_directions(config: Config, setting: Setting) -> list[Test]:
    k = config.evaluation.leading

    def share(width: int) -> Statistic:
        def statistic(m: Models) -> Measured:
            found = m.student("captured", width)
            n_features = m.reader.width(Cell(setting.name, "teacher"))
            if n_features < 3 * k:
                raise Missing(f"{k} of {n_features} directions hold nearly everything in any case")
            return found

        return statistic

    tests = [
        Test(f"variance at width {w} in the teacher's leading {k} directions", share(w), 0.9, math.inf, "above 0.9")
        for w in config.widths
    ]
    alike = dict.fromkeys(config.widths, "indistinguishable")
    return [*tests, *_alike(config, "captured", "the same", CAPTURED_ALIKE, alike)]


def _uniformity(config: Config, setting: Setting) -> list[Test]:
    published = {"infonce": "−0.0379 (3.2738 − 3.3117)", "uniformity": "−0.0224 (−0.4285 − −0.4061)"}
    names = {"infonce": "InfoNCE against the teacher", "uniformity": "uniformity"}
    return [
        Test(f"{names[key]}, largest minus smallest", _change(key, lambda m: m.small, lambda m: m.large), -math.inf, 0, figure)
        for key, figure in published.items()
    ]  # fmt: skip


def _brittleness(config: Config, setting: Setting) -> list[Test]:
    sigma = config.evaluation.strongest
    published = {0.05: "+0.013 (69.09 − 67.82 %)", 0.1: "−0.111 (43.76 − 54.84 %)", 0.2: "−0.133 (14.05 − 27.35 %)"}

    def clean(m: Models) -> Measured:
        return m.student("accuracy", m.large) - m.student("accuracy", m.small)

    def noisy(m: Models) -> Measured:
        return m.student(m.noisy(), m.large) - m.student(m.noisy(), m.small)

    return [
        Test("clean accuracy, largest minus smallest", clean, 0, math.inf, "+0.018 (72.94 − 71.11 %)"),
        Test(f"accuracy at σ = {sigma:g}, largest minus smallest", noisy, -math.inf, 0, published.get(sigma, "–")),
    ]


def _augmentation(config: Config, setting: Setting) -> list[Test]:
    if not setting.augmented:
        return []

    def gained(m: Models) -> Measured:
        return m.student(m.noisy(), m.large, augmented=True) - m.student(m.noisy(), m.large)

    sigma = config.evaluation.strongest
    published = {0.05: "−0.021 (67.01 − 69.09 %)", 0.1: "+0.057 (49.49 − 43.76 %)", 0.2: "0.000 (14.04 − 14.05 %)"}
    text = f"accuracy at σ = {sigma:g}, largest, augmented minus plain"
    return [Test(text, gained, -math.inf, RESTORED, published.get(sigma, "–"))]


CLAIMS = (
    Claim(1, "Under cosine distillation every student collapses to the same effective rank, whatever its size.", _collapse),
    Claim(2, "The objective causes the collapse, not the architecture.", _objective_not_architecture, "other architectures"),
    Claim(3, "An InfoNCE term expands the student (published: 2.4 times).", _expansion),
    Claim(4, "A DINOv2 teacher partly prevents the collapse; InfoNCE is still needed.", _dino, "DINO teacher"),
    Claim(5, "The student lives in the teacher's leading directions.", _leading_directions),
    Claim(6, "Larger students use the space more uniformly.", _uniformity),
    Claim(7, "The largest student is the most accurate on clean images and the most brittle under noise.", _brittleness),
    Claim(8, "Augmentation does not restore robustness.", _augmentation, "augmentation control"),
)  # fmt: skip
