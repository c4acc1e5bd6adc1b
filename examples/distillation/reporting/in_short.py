"""What was found, in a few sentences. Every number in them stands in the overview's table."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from ..claims.published import CLIP, DINO, is_published
from ..claims.questions import UNTRAINED
from ..settings.configs import Config, Setting
from .matrix import letters

if TYPE_CHECKING:
    import pandas as pd

WITH = "with InfoNCE"
NO_CONTROL = "none. Without a teacher that was never trained (random-relu) these numbers say nothing about what the teacher has learned."
OPEN = (
    f"what {CLIP} and {DINO} do. Whoever has their weights and images settles it with "
    "`repgeom-distill run --preset paper --data-path DIR`."
)


@dataclasses.dataclass(frozen=True)
class InShort:
    """A headline, and sentences that each begin with what they are about."""

    headline: str
    lines: list[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class _Found:
    """A setting of which the teacher and the smallest plain student are finished."""

    setting: Setting
    letter: str
    numbers: dict[str, Any]
    plain: str

    def known(self, name: str) -> bool:
        """Whether the overview has this number."""
        value = self.numbers.get(name)
        return value is not None and math.isfinite(value)

    @property
    def dimensions(self) -> str:
        """The ranks of the plain student and of its teacher, as the end of a sentence."""
        return f"{self.numbers[self.plain]:.1f} dimensions where its teacher uses {self.numbers['teacher']:.1f}"

    @property
    def share(self) -> str:
        """Both ranks behind the setting's letter, and the one in percent of the other."""
        student, teacher = self.numbers[self.plain], self.numbers["teacher"]
        return f"{self.letter} {student:.1f} of {teacher:.1f} ({100 * student / teacher:.0f} %)"


def in_short(table: pd.DataFrame, config: Config) -> InShort:
    """The answers to what a reader asks first: what collapses, why, what an untrained teacher shows, what InfoNCE gives, what is open."""
    marks, plain = letters(config.settings), config.plain
    rows = {row["setting"]: row for row in table.to_dict("records")}
    everything = [
        _Found(setting, marks[setting.name], rows[setting.name], plain)
        for setting in config.settings
        if setting.name in rows
    ]
    found = [f for f in everything if f.known("teacher") and f.known(plain)]
    if not found:
        return InShort("No student is finished yet.", [])
    untransformed = [f for f in found if f.setting.teacher_transform == "none"]
    controls = [f for f in untransformed if f.setting.teacher in UNTRAINED]
    trained = [f for f in untransformed if f not in controls]
    transformed = [f for f in found if f not in untransformed]
    lines = []
    if trained:
        lines.append(
            (
                "Rank kept",
                f"dimensions that the smallest student by {plain} uses, of its teacher's: {_listed(trained)}.",
            )
        )
    lines += _why(untransformed)
    lines.append(("Control", NO_CONTROL))
    if controls:
        lines[-1] = ("Control", f"a teacher that was never trained: {_listed(controls)}{_expanded(controls)}. What it shows too says nothing about what a teacher has learned.")  # fmt: skip
    lines += _infonce(untransformed)
    if transformed:
        each = "; ".join(f"{f.share} with {f.setting.teacher_transform}" for f in transformed)
        lines.append(("Common mean", f"the teacher moved: {each}."))
    if not any(is_published(setting) for setting in config.settings):
        lines.append(("Open", OPEN))
    return InShort(_headline([*trained, *transformed, *controls][0], controls), lines)


def _headline(first: _Found, controls: list[_Found]) -> str:
    """The first setting, and the control on the same images if there is one."""
    words = f"By {first.plain} a student uses {first.dimensions}"
    if first.known(WITH):
        words += f", with InfoNCE {first.numbers[WITH]:.1f}"
    words += f" ({first.setting.name})."
    alike = [f for f in controls if f.setting.data == first.setting.data and f != first]
    for control in alike[:1]:
        words += f" Of a teacher that was never trained: {control.numbers[control.plain]:.1f} of {control.numbers['teacher']:.1f}"
        if control.known(WITH):
            words += f", and {control.numbers[WITH]:.1f}"
        words += "."
    return words


def _listed(found: list[_Found]) -> str:
    return "; ".join(f.share for f in found)


def _expanded(found: list[_Found]) -> str:
    """Behind a list: the ranks with InfoNCE."""
    known = [f"{f.letter} {f.numbers[WITH]:.1f}" for f in found if f.known(WITH)]
    if not known:
        return ""
    return f"; with InfoNCE {', '.join(known)}"


def _why(found: list[_Found]) -> list[tuple[str, str]]:
    """What can be predicted without a student, where it was measured."""
    known = [f"{f.letter} {f.numbers['predictable']:.1f}" for f in found if f.known("predictable")]
    if not known:
        return []
    words = "a student by cosine or squared error keeps what it can predict from the image. From pixels a linear map predicts"
    return [("Why", f"{words} {', '.join(known)} dimensions.")]


def _infonce(found: list[_Found]) -> list[tuple[str, str]]:
    """How much wider InfoNCE makes the student, and how much more of the teacher can be predicted from it."""
    times = [f"{f.letter} {f.numbers['times']:.1f}" for f in found if f.known("times")]
    if not times:
        return []
    words = f"times as many dimensions: {', '.join(times)}"
    before, after = (f"explained, {name}" for name in (found[0].plain, WITH))
    shares = [
        f"{f.letter} {100 * f.numbers[before]:.0f} to {100 * f.numbers[after]:.0f} %"
        for f in found
        if f.known(before) and f.known(after)
    ]
    if shares:
        words += (
            f". Of the teacher's variance one can predict from the student, without and with it: {', '.join(shares)}"
        )
    return [("InfoNCE", f"{words}.")]
