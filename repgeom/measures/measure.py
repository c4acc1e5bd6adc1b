"""The record of a measure: what it is, what it reads, where it can lie. Each stands beside its function.

The audit, its JSON, data frame, page and plots, `estimate` and the printed catalogue read these records. To add a measure,
write its function, register a record beside it, and give it a slow definition in its test.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from repgeom.measures.functionals import Functional
from repgeom.spectral.isotropic import isotropic_spectrum

DIMENSIONS, CLOUD, LABELS, REFERENCE = "Dimensions in use", "The cloud", "With labels", "Against the reference"
# In the order of an audit's table.
GROUPS = (DIMENSIONS, CLOUD, LABELS, REFERENCE)
# Changes of the features that can leave a measure as it is; of both representations where there are two.
INVARIANCES = ("rotation", "translation", "scale", "order")
SPECTRA = ("spectrum", "raw_spectrum", "reference_spectrum")
# Evidence that is read from a sample of the rows, where there are many.
SAMPLED = frozenset({"sample", "votes", "shared_neighbours", "near_rows"})
ISOTROPIC = "isotropic"


@dataclasses.dataclass(frozen=True)
class Size:
    """What the range of a measure, and its value of features without structure, depend on.

    Attributes:
        n_samples, n_features: rows and columns of the features.
        n_sampled: rows of the sample that all pairs are read from.
        neighbours: how many nearest rows are asked.
        n_reference_features: columns of the reference, if there is one.
        class_sizes: (C,) rows of each class, if there are labels.
        n_candidates: rows among which a row's nearest are sought, on average; None for all others of the sample.
        population: the value is that of the population, whose rank few rows do not limit.
    """

    n_samples: int
    n_features: int
    n_sampled: int
    neighbours: int
    n_reference_features: int | None = None
    class_sizes: np.ndarray | None = None
    n_candidates: float | None = None
    population: bool = False

    @property
    def candidates(self) -> float:
        """Rows among which a row's nearest are sought, on average."""
        return self.n_sampled - 1.0 if self.n_candidates is None else self.n_candidates

    @property
    def most(self) -> int:
        """The largest rank that centred features of this size can have."""
        return self._most_of(self.n_features)

    @property
    def most_of_reference(self) -> int:
        """The same of the reference; 1 where there is none."""
        return self._most_of(self.n_reference_features or 1)

    def _most_of(self, n_features: int) -> int:
        if self.population:
            return n_features
        return max(1, min(self.n_samples - 1, n_features))


Range = Callable[[Size], tuple[float, float]]
Baseline = Callable[[Size], float | None]


def up_to_full_rank(size: Size) -> tuple[float, float]:
    """The range of a rank."""
    return 1, size.most


@dataclasses.dataclass(frozen=True, eq=False)
class Measure:
    """What there is to know of one measure.

    Attributes:
        name: by which reports, tables and `estimate` know it.
        label: what a person reads in a table.
        group: one of `GROUPS`.
        function: what a user calls.
        needs: the evidence that is read, in the order of the function's arguments: "spectrum" (centred, in the audit's
            convention), "raw_spectrum" (rows as they are), "cloud", "sample" (rows for what needs all pairs), and what else
            `repgeom.auditing.evidence.EVIDENCE` names. Empty for a measure that is called by itself: an audit has no row of it.
        formula: in a few words, with what it is computed of.
        source: who defined it.
        question: what a person asks who needs it.
        cannot_tell: what it does not say, or what else moves it.
        rows_needed: how many rows it takes, in words.
        convention: which of the forms in use this is, and which others there are.
        unit: "dimensions", "radians", ...; empty for a plain number.
        range: smallest and largest value that features of a `Size` can have.
        baseline: the value of features without structure of a `Size` (isotropic, unrelated, labels by chance); None where that
            means nothing. "isotropic" reads the function itself from isotropic spectra.
        better: "higher" or "lower" where one is healthier.
        arguments: with which the function is called beside the evidence.
        read: reads the number from the evidence where the function does not do so itself.
        functional: its logarithm and slope, where it can be estimated for a population.
        aliases: other names of the same number.
        invariances: those of `INVARIANCES` that leave it as it is.
        missing: why the value can be missing.
        no_interval: why an audit gives no interval, where it never does.
    """

    name: str
    label: str
    group: str
    function: Callable[..., Any]
    needs: tuple[str, ...]
    formula: str
    source: str
    question: str = ""
    cannot_tell: str = ""
    rows_needed: str = ""
    convention: str = ""
    unit: str = ""
    range: Range = up_to_full_rank
    baseline: Baseline | str | None = ISOTROPIC
    better: str = ""
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    read: Callable[..., Any] | None = None
    functional: Functional | None = None
    aliases: tuple[str, ...] = ()
    invariances: tuple[str, ...] = INVARIANCES
    missing: str = ""
    no_interval: str = "none is known for this measure"

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ValueError(f"the group of measure {self.name!r} must be one of {GROUPS}, got {self.group!r}.")
        if isinstance(self.baseline, str) and (self.baseline != ISOTROPIC or not set(self.needs) <= set(SPECTRA)):
            raise ValueError(
                f"measure {self.name!r} reads {', '.join(self.needs)}, so its baseline must be a function of a `Size` or None; "
                f'only measures of spectra can say "isotropic". Got {self.baseline!r}.'
            )

    @property
    def module(self) -> str:
        """Where its function stands."""
        return self.function.__module__

    @property
    def sampled(self) -> bool:
        """Whether it reads a sample of the rows, where there are many."""
        return not SAMPLED.isdisjoint(self.needs)

    def value(self, *evidence: Any) -> float | None:
        """The number, from what `needs` names; None where a part is missing. Raises ValueError where it is not defined."""
        if any(part is None for part in evidence):
            return None
        read = self.function if self.read is None else self.read
        found = read(*evidence, **self.arguments)
        return None if found is None or found != found else float(found)

    def isotropic(self, size: Size) -> float | None:
        """The baseline at this size."""
        if self.baseline is None:
            return None
        if callable(self.baseline):
            return self.baseline(size)
        widths = {"reference_spectrum": size.n_reference_features or size.n_features}
        spectra = [
            isotropic_spectrum(size.n_samples, widths.get(need, size.n_features), need != "raw_spectrum")
            for need in self.needs
        ]
        try:
            return self.value(*spectra)
        except ValueError:  # too few directions at this size, as for a power law
            return None


@dataclasses.dataclass(frozen=True)
class Family:
    """Measures that differ in a number which their name holds.

    Attributes:
        pattern: what their names match, the number in parentheses.
        described: the pattern in words.
        made: the record for a number, as text; None for one that means nothing.
    """

    pattern: str
    described: str
    made: Callable[[str], Measure | None]


_measures: dict[str, Measure] = {}
_families: list[Family] = []


def register(measure: Measure) -> Measure:
    """Adds a record, which gives the measure its row in an audit. Raises ValueError for a name that is taken."""
    if measure.name in _measures:
        raise ValueError(f"there is a measure {measure.name!r} in {_measures[measure.name].module} already.")
    _measures[measure.name] = measure
    return measure


def register_family(family: Family) -> None:
    """Adds names that `named` understands beside those of single records."""
    _families.append(family)


def measures() -> tuple[Measure, ...]:
    """Records that an audit has a row of, in the order of its table: by group, then by module, then as they stand there."""
    return tuple(m for m in every_record() if m.needs)


def called_alone() -> tuple[Measure, ...]:
    """Records of measures that no audit reads, in the same order."""
    return tuple(m for m in every_record() if not m.needs)


def every_record() -> list[Measure]:
    """Both in the same order: all that there is to know of measures."""

    def place(m: Measure) -> tuple[int, bool, str]:
        # What `inference` adds stands behind what is read of the rows alone.
        return GROUPS.index(m.group), m.module.startswith("repgeom.inference"), m.module

    return sorted(_measures.values(), key=place)


def named(measure: Any) -> Measure | None:
    """The record of a name or of a function; None if there is none. A function stands for its first record."""
    if isinstance(measure, str):
        for family in _families:
            # A name of a family may have a record of its own, which then goes first.
            number = re.fullmatch(family.pattern, measure)
            if number is not None:
                return _measures.get(measure) or family.made(number[1])
        return _measures.get(measure)
    return next((m for m in _measures.values() if m.function is measure), None)


def estimable(measure: Any) -> Measure:
    """The record of a measure, by name or function, that can be estimated. Raises ValueError for others, with those that can.

    >>> estimable("participation_ratio").label
    'participation ratio'
    """
    found = named(measure)
    if found is not None and found.functional is not None:
        return found
    known = [m for m in names_of_estimable() if not any(re.fullmatch(f.pattern, m) for f in _families)]
    choices = [", ".join(known), *(f.described for f in _families)]
    shown = getattr(measure, "__name__", repr(measure)) if callable(measure) else repr(measure)
    meant = ""
    close = difflib.get_close_matches(str(measure), known, 1)
    if found is not None and not found.function.__name__.startswith("_"):
        meant = f"`repgeom.{found.function.__name__}` gives {found.label}. "
    elif close:
        meant = f"Did you mean {close[0]!r}? "
    raise ValueError(
        f"`measure` must be one of {' or '.join(choices)}, or the function of one of them; got {shown}. {meant}"
        "Numerical rank, condition number and power law rest on the smallest variances, of which samples say too little."
    )


def functional(measure: Any) -> Functional:
    """The functional of a measure, by name or function. Raises ValueError as `estimable`."""
    found = estimable(measure).functional
    assert found is not None
    return found


def names_of_estimable() -> tuple[str, ...]:
    """Names of all measures of an audit that can be estimated, in the order of its table."""
    return tuple(m.name for m in measures() if m.functional is not None)


def catalogue() -> str:
    """All measures as a table in Markdown, for people; `python -m repgeom.measures` prints it."""
    lines = []
    for group in GROUPS:
        lines += [
            f"| {group} | name | formula | unit | invariant to | source |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for m in every_record():
            if m.group == group:
                also = f" ({', '.join(m.aliases)})" if m.aliases else ""
                words = [m.label.strip() + also, f"`{m.name}`", m.formula, m.unit, ", ".join(m.invariances), m.source]
                lines.append("| " + " | ".join(word.replace("|", r"\|") for word in words) + " |")
        lines.append("")
    return "\n".join(lines).rstrip()
