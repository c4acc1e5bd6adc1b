"""CIFAR-10-C and CIFAR-100-C as they were published: an array for each corruption, five severities one after another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from repgeom.data.formats.npy import open_npy
from repgeom.robustness.published_layouts import N_SEVERITIES, Layout, in_short, lacking
from repgeom.robustness.stored_images import MappedImages, Size


@dataclasses.dataclass(frozen=True)
class PublishedArrays:
    """The mapped arrays (5 n, h, w, 3), uint8, and the labels (n,) of a set."""

    arrays: Mapping[str, np.ndarray]
    labels: np.ndarray
    size: Size
    classes: tuple[str, ...] = ()

    def images(self, corruption: str, severity: int, rows: np.ndarray, device: torch.device) -> MappedImages:
        """Return these rows of one corruption at one severity."""
        before = (severity - 1) * len(self.labels)
        return MappedImages(self.arrays[corruption], before + rows, device)


def open_arrays(folder: Path, layout: Layout, corruptions: Sequence[str], n: int) -> PublishedArrays:
    """Open a set's files. Raises FileNotFoundError and ValueError where one is missing or not as published."""
    if not (folder / "labels.npy").is_file() and (folder / layout.name).is_dir():
        folder = folder / layout.name
    missing = [name for name in corruptions if not (folder / f"{name}.npy").is_file()]
    if missing:
        raise FileNotFoundError(lacking(folder, layout, [f"{name}.npy" for name in missing]))
    if not (folder / "labels.npy").is_file():
        raise FileNotFoundError(lacking(folder, layout, ["labels.npy"]))
    shape = (N_SEVERITIES * n, *layout.size, 3)
    arrays = {name: _opened(folder / f"{name}.npy", layout, shape) for name in corruptions}
    return PublishedArrays(arrays, _labels(folder / "labels.npy", layout, n), layout.size)


def _opened(path: Path, layout: Layout, shape: tuple[int, ...]) -> np.ndarray:
    """Map one corruption's array."""
    array = mapped(path)
    if array.dtype != np.uint8:
        raise ValueError(f"{path} holds {array.dtype}; the published arrays hold uint8.")
    if array.shape != shape:
        raise ValueError(
            f"{path} has shape {array.shape}; {layout.name} has {shape}: {N_SEVERITIES} severities of "
            f"{shape[0] // N_SEVERITIES:,} images, one after another. For a set of your own in this layout give `n_images`."
        )
    return array


def mapped(path: Path) -> np.ndarray:
    """Map an .npy file. Raises ValueError where it is damaged, cut short or pickled."""
    problem = open_npy(str(path))[""].problem
    if problem:
        raise ValueError(f"{path} {problem}")
    return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _labels(path: Path, layout: Layout, n: int) -> np.ndarray:
    """Read the labels of one severity. Raises ValueError unless all five severities have the same."""
    labels = np.array(mapped(path))
    if labels.dtype.kind not in "iu" or labels.shape != (N_SEVERITIES * n,):
        raise ValueError(
            f"{path} must hold {N_SEVERITIES * n:,} whole numbers, {n:,} for each severity, got shape {labels.shape}, {labels.dtype}."
        )
    by_severity = labels.reshape(N_SEVERITIES, n).astype(np.int64)
    differs = (by_severity != by_severity[0]).any(1)
    if differs.any():
        severity = int(differs.argmax())
        row = int((by_severity[severity] != by_severity[0]).argmax())
        raise ValueError(
            f"{path} gives image {row} the label {by_severity[0, row]} at severity 1 and {by_severity[severity, row]} at severity "
            f"{severity + 1}; all severities are of the same images. Are the blocks {n:,} long?"
        )
    outside = (by_severity[0] < 0) | (by_severity[0] >= layout.n_classes)
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(
            f"{path} gives image {row} the label {by_severity[0, row]}; {layout.name} has labels 0 to {layout.n_classes - 1}: "
            f"is it the other set of {in_short(layout)}?"
        )
    return by_severity[0]
