"""Claims 7 and 8: what noise does to accuracies. They are tested at the strongest noise, and at σ = 0.1 where it is measured."""

from __future__ import annotations

import math

from ..measuring.evaluation import accuracy_key
from ..settings.configs import Config, Setting
from .effects import mean
from .reader import Models
from .uncertainty import Measured, combined
from .verdicts import Statistic, Test, not_there

# Accuracy that noise must take before its loss counts as one, and that must be left above chance for a floor not to hide it.
LOST = 0.05
# Share of the lost accuracy that augmentation would have to win back to have restored it.
RESTORED = 0.5
# Clean accuracy that augmentation may cost; where it costs more it has changed what the labels mean.
COST = 0.1
# Claims about noise compare models that scatter by up to 6 points from seed to seed.
SEEDS_UNDER_NOISE = 6


def _noises(config: Config) -> list[float]:
    """Sigmas at which claims about noise are tested: the strongest, and .1 where it is measured."""
    sigmas = config.evaluation.sigmas
    return sorted({sigma for sigma in sigmas if sigma in (0.1, config.evaluation.strongest)})


def _noisy(sigma: float) -> str:
    return accuracy_key((sigma, "normalized"))


def _ends(m: Models, key: str) -> Measured:
    """The mean of a number of the smallest and of the largest student."""
    return mean([m.student(key, m.small), m.student(key, m.large)])


def _lost(sigma: float) -> Test:
    """Noise takes accuracy at all."""
    return Test(
        f"accuracy that σ = {sigma:g} takes, mean of smallest and largest",
        lambda m: _ends(m, "accuracy") - _ends(m, _noisy(sigma)), LOST, math.inf, n_seeds=SEEDS_UNDER_NOISE,
    )  # fmt: skip


def _left(sigma: float) -> Test:
    """Noise leaves accuracy in which two models can differ."""

    def above_chance(m: Models) -> Measured:
        found = _ends(m, _noisy(sigma))
        return found.mapped(found.value - 1 / m.n_classes, 1.0)

    text = f"accuracy above chance at σ = {sigma:g}, mean of smallest and largest"
    return Test(text, above_chance, LOST, math.inf, n_seeds=SEEDS_UNDER_NOISE)


def brittleness(config: Config, setting: Setting) -> list[Test]:
    """The largest student is better than the smallest on clean images and worse under noise."""
    if len(config.widths_of(setting)) < 2:
        return []
    published = {0.05: "+0.013 (69.09 − 67.82 %)", 0.1: "−0.111 (43.76 − 54.84 %)", 0.2: "−0.133 (14.05 − 27.35 %)"}
    lost = {sigma: _lost(sigma) for sigma in _noises(config)}

    def change(key: str) -> Statistic:
        return lambda m: m.student(key, m.large) - m.student(key, m.small)

    # Noise that takes nothing shows nothing of brittleness, whatever the clean accuracies are.
    at_strongest = tuple(lost.values())[-1:]
    clean = Test(
        "clean accuracy, largest minus smallest", change("accuracy"), 0, math.inf, "+0.018 (72.94 − 71.11 %)",
        given=at_strongest, n_seeds=SEEDS_UNDER_NOISE,
    )  # fmt: skip
    noisy = [
        Test(
            f"accuracy at σ = {sigma:g}, largest minus smallest", change(_noisy(sigma)), -math.inf, 0,
            published.get(sigma, "–"), given=(condition, _left(sigma)), n_seeds=SEEDS_UNDER_NOISE,
        )
        for sigma, condition in lost.items()
    ]  # fmt: skip
    return [clean, *(noisy or [Test("accuracy under noise", not_there("noise"), -math.inf, 0)])]


def augmentation(config: Config, setting: Setting) -> list[Test]:
    """Crops and flips do not win back what the largest student loses under noise."""
    if not setting.augmented:
        return []

    def largest(m: Models, key: str, augmented: bool = False) -> Measured:
        return m.student(key, m.large, augmented=augmented)

    def lost(sigma: float) -> Statistic:
        return lambda m: largest(m, "accuracy") - largest(m, _noisy(sigma))

    def restored(sigma: float) -> Statistic:
        def statistic(m: Models) -> Measured:
            won = largest(m, _noisy(sigma), True) - largest(m, _noisy(sigma))
            return combined([won, lost(sigma)(m)], [1.0, -RESTORED])

        return statistic

    keeps_labels = Test(
        "clean accuracy, largest, augmented minus plain", lambda m: largest(m, "accuracy", True) - largest(m, "accuracy"),
        -COST, math.inf, "−0.036 (69.34 − 72.94 %)", n_seeds=SEEDS_UNDER_NOISE,
    )  # fmt: skip
    published = {
        0.05: "−0.040 (−2.1 − 1.9 points)",
        0.1: "−0.089 (5.7 − 14.6 points)",
        0.2: "−0.295 (0.0 − 29.4 points)",
    }
    tests = []
    for sigma in _noises(config):
        is_lost = Test(
            f"accuracy that σ = {sigma:g} takes from the largest",
            lost(sigma),
            LOST,
            math.inf,
            n_seeds=SEEDS_UNDER_NOISE,
        )
        text = f"accuracy that augmentation wins back at σ = {sigma:g} minus half of what was lost, largest"
        tests.append(
            Test(
                text, restored(sigma), -math.inf, 0, published.get(sigma, "–"),
                given=(is_lost, keeps_labels), n_seeds=SEEDS_UNDER_NOISE,
            )
        )  # fmt: skip
    return tests or [Test("accuracy under noise", not_there("noise"), -math.inf, 0)]
