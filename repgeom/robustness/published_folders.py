"""ImageNet-C and Tiny-ImageNet-C as they were published: image files in folders, corruption/severity/class/file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from repgeom.robustness.published_layouts import N_SEVERITIES, Layout, lacking
from repgeom.robustness.stored_images import IMAGE_ENDINGS, ImageFiles, Size


@dataclasses.dataclass(frozen=True)
class PublishedFolders:
    """The folder of each corruption, and what every severity in it must hold: the names and labels of n images."""

    folders: Mapping[str, Path]
    names: tuple[str, ...]  # class/file, in the order of sorted classes and files
    labels: np.ndarray
    size: Size
    classes: tuple[str, ...]

    def images(self, corruption: str, severity: int, rows: np.ndarray, device: torch.device) -> ImageFiles:
        """Return these rows of one corruption at one severity. Raises ValueError unless its files are those of the others."""
        folder = self.folders[corruption] / str(severity)
        found = _files_below(folder)
        if found != self.names:
            raise ValueError(f"{folder} {_difference(found, self.names)}. Unpack or download it again.")
        return ImageFiles(folder, [self.names[row] for row in rows], self.size, device)


def open_folders(folder: Path, layout: Layout, corruptions: Sequence[str], n: int, whole: bool) -> PublishedFolders:
    """Look at a set's folders. `whole` says that it must have all classes of the published set.

    Raises FileNotFoundError and ValueError where one is missing or not as published. Of the files those of the first corruption at
    severity 1 are listed; the others are compared with them when they are asked for.
    """
    found = {name: _folder_of(folder, name) for name in corruptions}
    folders = {name: place for name, place in found.items() if place is not None}
    missing = [name for name in corruptions if name not in folders]
    for name, place in folders.items():
        missing += [f"{name}/{s}" for s in range(1, N_SEVERITIES + 1) if not (place / str(s)).is_dir()]
    if missing:
        raise FileNotFoundError(lacking(folder, layout, missing))
    first = folders[corruptions[0]] / "1"
    names = _files_below(first)
    classes = tuple(dict.fromkeys(name.split("/")[0] for name in names))
    if whole and len(classes) != layout.n_classes:
        raise ValueError(
            f"{first} has {len(classes)} folders of classes with images; {layout.name} has {layout.n_classes}."
        )
    if len(names) != n:
        raise ValueError(
            f"{first} has {len(names):,} images; {layout.name} has {n:,}. For a part of it, or a set of your own in this layout, "
            "give `n_images`."
        )
    codes = {wnid: code for code, wnid in enumerate(classes)}
    labels = np.array([codes[name.split("/")[0]] for name in names], np.int64)
    return PublishedFolders(folders, names, labels, layout.size, classes)


def _folder_of(folder: Path, name: str) -> Path | None:
    """Return where a corruption lies: in the folder, or one deeper, since the archives are named after groups (blur.tar)."""
    if (folder / name).is_dir():
        return folder / name
    deeper = sorted(place for place in folder.glob(f"*/{name}") if place.is_dir())
    if deeper:
        return deeper[0]
    return None


def _files_below(folder: Path) -> tuple[str, ...]:
    """Return class/file of all images in the folders of classes, sorted."""
    names = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.name.startswith("."):
            files = [file for file in os.listdir(entry.path) if file.lower().endswith(IMAGE_ENDINGS)]
            names += [f"{entry.name}/{file}" for file in sorted(files) if not file.startswith(".")]
    return tuple(names)


def _difference(found: Sequence[str], expected: Sequence[str]) -> str:
    """Say in which files two listings differ."""
    missing, further = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    said = []
    if missing:
        said.append(f"lacks {len(missing):,} images that the other folders have, such as {missing[0]}")
    if further:
        said.append(f"has {len(further):,} images that the others lack, such as {further[0]}")
    return " and ".join(said)


def missing_files(folder: Path, names: Sequence[str]) -> list[str]:
    """Return those of these files that a folder does not have."""
    there: dict[str, set[str]] = {}
    for parent in {name.split("/")[0] for name in names}:
        place = folder / parent
        there[parent] = set(os.listdir(place)) if place.is_dir() else set()
    return [name for name in names if name.split("/")[1] not in there[name.split("/")[0]]]
