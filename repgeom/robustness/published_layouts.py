"""Which published sets of corrupted images are there, and how are their files laid out?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from repgeom.corruptions.registry import IMAGENET_C, IMAGENET_C_BAR
from repgeom.robustness.stored_images import Size, shorter_side_and_crop, whole_image

N_SEVERITIES = 5


@dataclasses.dataclass(frozen=True)
class Layout:
    """A published set.

    Attributes:
        name: as its authors call it.
        n: images of each corruption at each severity.
        size: of the images.
        n_classes: of the labels.
        strengths: the table of strengths that it was made with.
        in_folders: whether it is image files in folders (corruption/severity/class/file), or an array for each corruption.
        prepare: how its script brings a clean photograph to the size, where photographs were larger.
        storage_jpeg: the quality at which its images were stored, where they were.
        family: of its corruptions, as `corruptions.names` takes it.
    """

    name: str
    n: int
    size: Size
    n_classes: int
    strengths: str
    in_folders: bool = False
    prepare: Callable[[Any], Any] | None = None
    storage_jpeg: float | None = None
    family: str = IMAGENET_C


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("CIFAR-10-C", 10_000, (32, 32), 10, "cifar"),
        Layout("CIFAR-100-C", 10_000, (32, 32), 100, "cifar"),
        Layout("Tiny-ImageNet-C", 10_000, (64, 64), 200, "tiny", True, whole_image, 85),
        Layout("ImageNet-C", 50_000, (224, 224), 1000, "imagenet", True, shorter_side_and_crop, 85),
        Layout("ImageNet-C-bar", 50_000, (224, 224), 1000, "imagenet", True, shorter_side_and_crop, 85, IMAGENET_C_BAR),
    )
}


def layout_named(name: str) -> Layout:
    """Return the layout of this set. Raises ValueError with all names where there is none."""
    for layout in LAYOUTS.values():
        if _letters(layout.name) == _letters(str(name)):
            return layout
    raise ValueError(f"no published set is called {name!r}; there are {', '.join(LAYOUTS)}.")


def _letters(name: str) -> str:
    """The letters and digits of a name: capitals, hyphens and spaces do not tell two sets apart."""
    return "".join(sign for sign in name.lower() if sign.isalnum())


def lacking(folder: Path, layout: Layout, missing: Sequence[str]) -> str:
    """Say which files or folders of a set are not there, and what can be done."""
    return (
        f"{folder} lacks {', '.join(missing)} of {layout.name} ({in_short(layout)}). Give the folder that holds them; of a part of "
        "the set name the corruptions that you have: `--corruptions NAME ...` (`corruptions=[...]` in Python)."
    )


def in_short(layout: Layout) -> str:
    """Say how the files are laid out, in a few words."""
    if layout.in_folders:
        return "CORRUPTION/SEVERITY/CLASS/*.JPEG"
    return "CORRUPTION.npy and labels.npy"
