"""Which images does a table compare? Those given, corrupted here; or those of a published set, from its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from repgeom.corruptions.images import as_images
from repgeom.robustness.conditions import Condition, checked_severities, corruption_conditions, named_corruptions
from repgeom.robustness.encoding import ImageSet
from repgeom.robustness.published_pairs import check_pairs
from repgeom.robustness.published_set import PublishedImages

PUBLISHED = "published"  # in place of images: the clean images that the published set was opened with


def images_and_conditions(
    images: Any,
    labels: Any,
    published: PublishedImages | None,
    corruptions: str | Sequence[str],
    severities: float | Sequence[float],
    strengths: str,
    frost_images: Sequence[Any] | None,
    seed: int,
) -> tuple[ImageSet, Any, list[Condition]]:
    """Return the clean images, their labels, and every corruption at every severity.

    Raises ValueError, before any work, for what does not fit together.
    """
    if published is None:
        if isinstance(images, str):
            raise ValueError(
                f"`images` is {images!r}: give images, or {PUBLISHED!r} with `published=rg.robustness.published(...)`."
            )
        x = as_images(images)
        return x, labels, corruption_conditions(x, corruptions, severities, strengths, frost_images, seed)
    if strengths != "auto" or frost_images is not None:
        raise ValueError(
            "`strengths` and `frost_images` say how images are corrupted here; those of a published set are corrupted already. "
            "Leave them out."
        )
    conditions = _conditions_of(published, corruptions, severities)
    return _clean(images, published), _labels(labels, published), conditions


def _conditions_of(
    published: PublishedImages, corruptions: str | Sequence[str], severities: float | Sequence[float]
) -> list[Condition]:
    """Return the set's own corruptions at whole severities."""
    chosen = list(published.corruptions)
    if corruptions != "all":
        chosen = named_corruptions(corruptions)
    found = checked_severities(severities)
    between = [severity for severity in found if severity != int(severity)]
    if between:
        raise ValueError(f"published sets have severities 1, 2, 3, 4 and 5, got {between[0]:g}.")
    return [
        Condition(name, severity, ready=published.images(name, int(severity))) for name in chosen for severity in found
    ]


def _clean(images: Any, published: PublishedImages) -> ImageSet:
    """Return the clean images: those that the set was opened with, or those given, which must be of the same order."""
    if isinstance(images, str):
        if images != PUBLISHED:
            raise ValueError(f"`images` must be images or {PUBLISHED!r}, got {images!r}.")
        if published.clean is None:
            raise ValueError(
                f"{published!r}: what corruption changes is measured against clean images. Open the set with `clean=`, or give "
                "them as `images`."
            )
        return published.clean
    x = as_images(images)
    expected = (len(published), 3, *published.layout.size)
    if tuple(x.shape) != expected:
        raise ValueError(f"`images` has shape {tuple(x.shape)}; the published set's images have {expected}.")
    corrupted = {name: published.images(name, 1) for name in published.corruptions}
    check_pairs(x, corrupted)
    return x


def _labels(labels: Any, published: PublishedImages) -> Any:
    """Return the labels: the set's own where none are given. Raises ValueError where numbers of the same kind differ."""
    if labels is None:
        return published.labels
    given = np.asarray(labels)
    if given.dtype.kind not in "iu" or given.shape != published.labels.shape:
        return labels
    differs = given != published.labels
    # Numbers of another kind may be groups of classes; the same numbers in another order are a mistake.
    if differs.any() and np.array_equal(np.unique(given), np.unique(published.labels)):
        row = int(differs.argmax())
        raise ValueError(
            f"`labels` gives image {row} the label {given[row]}, and the published set {published.labels[row]}: are they in another "
            "order? Leave `labels` out to take the set's own."
        )
    return labels
