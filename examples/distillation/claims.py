"""The eight claims of arXiv 2603.06698, each as named tests with the range that bears it out and the published figure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from .configs import Config, Setting
from .grid import Cell
from .reader import Missing, Models
from .uncertainty import Measured, combined
from .verdicts import Claim, Statistic, Test, not_there

# A student with less than this share of its teacher's effective rank has collapsed; as in `repgeom audit`.
KEPT = 0.5
# Ratios within this range count as equal, as in tests of bioequivalence; a change lies beyond it.
ALIKE = (0.8, 1.25)
# Shares of variance that differ by no more than this count as equal.
CAPTURED_ALIKE = (-0.02, 0.02)
# Accuracy that augmentation would have to win back under noise.
RESTORED = 0.05
CLIP_LIKE, DINO_LIKE = ("clip", "tiny-clip"), ("dinov2", "tiny-dino")


def _change(key: str, of: Callable[[Models], int], to: Callable[[Models], int]) -> Statistic:
    """How a number changes from one width to another under the cosine objective."""
    return lambda m: m.student(key, to(m)) - m.student(key, of(m))


def _alike(
    config: Config, setting: Setting, key: str, name: str, within: tuple[float, float], published: dict[int, str]
) -> list[Test]:
    """Tests that a number is the same at every width as at the smallest, under the cosine objective."""
    ratio = key.startswith("log_")
    smallest, *others = sorted(config.widths_of(setting))

    def change(width: int) -> Statistic:
        return lambda m: m.student(key, width) - m.student(key, smallest)

    if not others:
        return [Test(f"{name}, between widths", not_there("second width"), *within, "–", ratio)]
    sign = "minus"
    if ratio:
        sign = "over"
    return [
        Test(f"{name}, width {w} {sign} width {smallest}", change(w), *within, published.get(w, "–"), ratio)
        for w in others
    ]


def _collapse(config: Config, setting: Setting) -> list[Test]:
    """Students keep little of their teacher's effective rank, and all of them equally little."""
    published = {1: "0.18 (15.91 of 88.68)", 2: "0.19 (16.62)", 4: "0.19 (16.66)"}

    def kept(width: int) -> Statistic:
        return lambda m: m.student("log_effective_rank", width) - m.teacher("log_effective_rank")

    tests = [
        Test(f"effective rank at width {w} over the teacher's", kept(w), 0, KEPT, published.get(w, "–"), ratio=True)
        for w in config.widths_of(setting)
    ]
    return [*tests, *_alike(config, setting, "log_effective_rank", "effective rank", ALIKE, {2: "1.04", 4: "1.05"})]


def _objective_not_architecture(config: Config, setting: Setting) -> list[Test]:
    """Other architectures collapse as well, and another objective expands the paper's own."""
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
    """With InfoNCE the effective rank grows; in the published setting as much as published."""

    def expansion(m: Models) -> Measured:
        widths = m.config.widths_of(m.setting)
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
    # The published figure is of this setting alone.
    if (setting.teacher, setting.data, setting.n_train) == ("clip", "cifar10", None):
        tests.append(
            Test("the same, as large as published", expansion, 2.4 * ALIKE[0], 2.4 * ALIKE[1], "2.4", ratio=True)
        )
    return tests


def _dino(config: Config, setting: Setting) -> list[Test]:
    """Students of DINO keep more than those of CLIP, and InfoNCE adds to that."""
    if setting.teacher not in DINO_LIKE:
        return []
    clips = sorted((s for s in config.settings if s.teacher in CLIP_LIKE), key=lambda s: s.data != setting.data)
    smallest = min(config.widths_of(setting))

    def against_clip(m: Models) -> Measured:
        if not clips:
            raise Missing("this run has no CLIP beside DINO")
        other = dataclasses.replace(m, setting=clips[0])
        return m.student("log_effective_rank", smallest) - other.student("log_effective_rank", smallest)

    def expansion(m: Models) -> Measured:
        larger = m.student("log_effective_rank", smallest, objective=m.contrastive)
        return larger - m.student("log_effective_rank", smallest)

    other = "CLIP"
    if clips:
        other = clips[0].name
    prevented = f"cosine student's effective rank over that of {other}, width {smallest}"
    needed = f"effective rank with InfoNCE over without, width {smallest}"
    return [
        Test(prevented, against_clip, ALIKE[1], math.inf, "3.4 (54 over 16)", ratio=True),
        Test(needed, expansion, ALIKE[1], math.inf, "1.5 (82 over 54)", ratio=True),
    ]


def _leading_directions(config: Config, setting: Setting) -> list[Test]:
    """Most of a student's variance lies in the teacher's leading directions, at every width."""
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
        for w in config.widths_of(setting)
    ]
    alike = dict.fromkeys(config.widths_of(setting), "indistinguishable")
    return [*tests, *_alike(config, setting, "captured", "the same", CAPTURED_ALIKE, alike)]


def _uniformity(config: Config, setting: Setting) -> list[Test]:
    """InfoNCE against the teacher and uniformity both fall from the smallest to the largest student."""
    published = {"infonce": "−0.0379 (3.2738 − 3.3117)", "uniformity": "−0.0224 (−0.4285 − −0.4061)"}
    names = {"infonce": "InfoNCE against the teacher", "uniformity": "uniformity"}
    return [
        Test(f"{names[key]}, largest minus smallest", _change(key, lambda m: m.small, lambda m: m.large), -math.inf, 0, figure)
        for key, figure in published.items()
    ]  # fmt: skip


def _brittleness(config: Config, setting: Setting) -> list[Test]:
    """The largest student is better than the smallest on clean images and worse under noise."""
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
    """Crops and flips do not win back what the largest student loses under noise."""
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
