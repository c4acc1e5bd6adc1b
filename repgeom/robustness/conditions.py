"""What is measured, condition by condition: a corruption at a severity, encoded and compared with the clean images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor

from repgeom.corruptions.corrupting import corrupt
from repgeom.corruptions.registry import (
    CORRUPTIONS,
    FAMILIES,
    check_name,
    check_severity,
    corruption_for,
    name_in_tables,
    names,
)
from repgeom.data.kinds import Encoder
from repgeom.data.numbers import one_or_several
from repgeom.data.settings import warn_caller
from repgeom.probes.linear import LinearProbe
from repgeom.probes.nearest import KNNProbe
from repgeom.robustness.drift import Clean
from repgeom.robustness.encoding import Change, EncoderError, ImageSet, encoded
from repgeom.robustness.measurement import Measurement
from repgeom.robustness.stored_images import StoredImages

CLEAN = "clean"
Key = tuple[str, float]  # corruption and severity
CLEAN_KEY: Key = (CLEAN, 0.0)


@dataclasses.dataclass(frozen=True)
class Condition:
    """One corruption at one severity: how images become corrupted ones, given their numbers; or corrupted ones that are ready."""

    corruption: str
    severity: float
    change: Change | None = None
    ready: StoredImages | None = None

    @property
    def key(self) -> Key:
        return self.corruption, self.severity

    def features(self, encoders: Sequence[Encoder], images: ImageSet, batch_size: int | None) -> list[Tensor]:
        """Return the features of the corrupted images, from each encoder."""
        if self.ready is not None:
            return encoded(encoders, self.ready, batch_size)
        return encoded(encoders, images, batch_size, self.change)


@dataclasses.dataclass(frozen=True)
class Settings:
    """How features are compared; the same in every kind of table."""

    probe: LinearProbe | None = None
    knn: KNNProbe | None = None
    k: int = 10
    max_pair_rows: int = 4096
    seed: int = 0
    groups: Any = None

    def clean(self, rows: Tensor, labels: Any) -> Clean:
        return Clean(rows, labels, self.probe, self.knn, self.k, self.max_pair_rows, self.seed, self.groups)


def corruption_conditions(
    images: Tensor,
    corruptions: str | Sequence[str],
    severities: float | Sequence[float],
    strengths: str,
    frost_images: Sequence[Any] | None,
    seed: int,
) -> list[Condition]:
    """Every corruption at every severity. Raises ValueError for one that does not fit the images, before any work."""

    # Made by a function: a lambda in the loops below would see the last name and severity of the loops.
    def change(name: str, severity: float) -> Change:
        return lambda part, rows: corrupt(
            part, name, severity, seed=seed, indices=rows, strengths=strengths, frost_images=frost_images
        )

    h, w = images.shape[-2:]
    conditions = []
    for name in named_corruptions(corruptions):
        for severity in checked_severities(severities):
            # Called for its errors: what does not fit the images is refused before the first is encoded.
            corruption_for(name, severity, strengths, (h, w), frost_images, images.device)
            conditions.append(Condition(name_in_tables(name, frost_images), severity, change(name, severity)))
    return conditions


def named_corruptions(corruptions: str | Sequence[str]) -> list[str]:
    """Return the corruptions that "all", "mCE", a family, a name or several mean, each once.

    Raises ValueError for a name that no corruption has, and for none at all.
    """
    if corruptions == "all":
        return list(names())
    if isinstance(corruptions, str) and corruptions in FAMILIES:
        return list(names(corruptions))
    if corruptions == "mCE":
        return [name for name, c in CORRUPTIONS.items() if c.in_mce]
    chosen = [corruptions] if isinstance(corruptions, str) else list(corruptions)
    if not chosen:
        raise ValueError('`corruptions` is empty; give names, "mCE" or "all".')
    return list(dict.fromkeys(check_name(name) for name in chosen))


def checked_severities(severities: float | Sequence[float]) -> list[float]:
    """Return severities in ascending order, each once. Raises ValueError unless all are above 0 and up to 5."""
    given = one_or_several(severities)
    found = sorted({check_severity(s) for s in given})
    if not found or found[0] == 0:
        raise ValueError(f"`severities` must be numbers above 0 and up to 5, got {given!r}.")
    return found


def measurements_of(
    encoders: Sequence[Encoder],
    images: ImageSet,
    labels: Any,
    conditions: Sequence[Condition],
    settings: Sequence[Settings],
    batch_size: int | None,
    progress: bool,
    done: Callable[[Key], bool] = lambda key: False,
) -> Iterator[tuple[Key, list[list[Measurement]]]]:
    """(corruption and severity, measurements per encoder): first the clean images, then every condition not yet done."""
    if len(images) < 4:
        raise ValueError(f"`images` has {len(images)} images; at least 4 are needed to compare their features.")
    try:
        clean = encoded(encoders, images, batch_size)
    except EncoderError as error:
        raise ValueError(f"on the clean images {error}") from None
    bases = [s.clean(rows, labels) for s, rows in zip(settings, clean, strict=True)]
    yield CLEAN_KEY, [base.itself() for base in bases]
    for condition in _with_progress([c for c in conditions if not done(c.key)], progress):
        try:
            moved = condition.features(encoders, images, batch_size)
            for base, rows in zip(bases, moved, strict=True):
                if rows.shape[1] != base.rows.shape[1]:
                    raise EncoderError(f"the encoder returned {rows.shape[1]} features, {base.rows.shape[1]} before.")
            found = [base.compared(rows) for base, rows in zip(bases, moved, strict=True)]
        except EncoderError as error:
            warn_caller(f"at {condition.corruption}, severity {condition.severity:g}: {error}")
            found = [base.failed(str(error)) for base in bases]
        # An error of the encoder's own code goes on as it is, with the place noted.
        except Exception as error:
            error.add_note(f"at {condition.corruption}, severity {condition.severity:g}")
            raise
        yield condition.key, found


def _with_progress(conditions: Sequence[Condition], progress: bool) -> Iterable[Condition]:
    if not progress:
        return conditions
    from tqdm import tqdm

    return tqdm(conditions, unit="condition", leave=False)
