"""What claims compare: shares of the teacher's rank, expansions by InfoNCE, accuracies. Ranks are logarithms throughout."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from ..settings.configs import Config, Setting
from .reader import Models
from .uncertainty import Measured, combined
from .verdicts import Statistic, Test

# A student with less than this share of its teacher's effective rank has collapsed; as in `repgeom audit`.
KEPT = 0.5
# Ratios within this range count as equal, as in tests of bioequivalence; a change lies beyond it.
ALIKE = (0.8, 1.25)
# A teacher whose mean cosine is above this has nearly one direction: cosine is met by the mean alone, whatever the student.
CONE = 0.97
RANK = "log_effective_rank"


def mean(measured: list[Measured]) -> Measured:
    """Of several numbers."""
    return combined(measured, [1 / len(measured)] * len(measured))


def over_widths(number: Callable[[Models, int], Measured]) -> Statistic:
    """The mean over widths of a number of each."""
    return lambda m: mean([number(m, width) for width in m.config.widths_of(m.setting)])


def share(m: Models, width: int, objective: str = "cosine") -> Measured:
    """Of its own teacher's effective rank that the paper's CNN has."""
    return m.student(RANK, width, objective=objective) - m.teacher(RANK)


def gain(m: Models, width: int, key: str, objective: str | None = None) -> Measured:
    """By how much InfoNCE changes a number of the paper's CNN; the run's own InfoNCE or another objective that has it."""
    return m.student(key, width, objective=objective or m.contrastive) - m.student(key, width)


def within(setting: Setting, statistic: Statistic) -> Statistic:
    """A statistic of another setting than that in which it is asked for, with the same seed."""
    return lambda m: statistic(dataclasses.replace(m, setting=setting))


# ---- preconditions ----


def varied_teacher(setting: Setting) -> Test:
    """A teacher of nearly one direction gives any student and any objective the same task."""

    def cone(m: Models) -> Measured:
        return m.teacher("mean_cosine")

    return Test(f"mean cosine of {setting.teacher}'s features", within(setting, cone), -1, CONE)


def collapsed(config: Config, setting: Setting) -> Test:
    """Where nothing collapsed there is no cause to look for and nothing to expand or to prevent."""
    smallest = min(config.widths_of(setting))

    def kept(m: Models) -> Measured:
        return share(m, smallest)

    text = f"{setting.name}: cosine student's effective rank over the teacher's, width {smallest}"
    return Test(text, within(setting, kept), 0, KEPT, ratio=True)


def expanded() -> Test:
    """Where InfoNCE does not expand there is nothing to ask of its expansion."""
    growth = over_widths(lambda m, width: gain(m, width, RANK))
    return Test("effective rank with InfoNCE over without, mean of widths", growth, ALIKE[1], math.inf, ratio=True)


# ---- settings beside each other ----


def beside(config: Config, setting: Setting, is_other: Callable[[Setting], bool]) -> Setting | None:
    """The first other setting on the same images, transformed in no way, for which something holds."""
    for other in config.settings:
        same_images = (other.data, other.data_path) == (setting.data, setting.data_path)
        if other != setting and same_images and other.teacher_transform == "none" and is_other(other):
            return other
    return None
