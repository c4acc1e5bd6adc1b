"""The published sets of corrupted images: CIFAR-10-C, CIFAR-100-C, Tiny-ImageNet-C and ImageNet-C, from their own files."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repgeom.corruptions.registry import names
from repgeom.data.kinds import Images, Indices
from repgeom.data.settings import own_settings
from repgeom.robustness.conditions import named_corruptions
from repgeom.robustness.published_arrays import PublishedArrays, mapped, open_arrays
from repgeom.robustness.published_folders import PublishedFolders, missing_files, open_folders
from repgeom.robustness.published_layouts import N_SEVERITIES, Layout, layout_named
from repgeom.robustness.published_pairs import check_pairs
from repgeom.robustness.stored_images import ImageFiles, MappedImages, StoredImages


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class PublishedImages:
    """A published set of corrupted images, in its files. Only what is asked for is read.

    Attributes:
        layout: what the set is: its name, its size, the table of strengths it was made with.
        corruptions: those that it is opened for, in the order of the papers.
        labels: (n,) int64, from 0; of folders, places among the sorted names of classes.
        classes: those names, of folders.
        clean: the clean images (n, 3, h, w) in the same order, where they were given; like those of `images`.
        source: the opened files.
        rows: (n,), which images of the set these are.
        device: where images are read to.
    """

    layout: Layout
    corruptions: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    clean: StoredImages | None
    source: PublishedArrays | PublishedFolders
    rows: np.ndarray
    device: torch.device

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        height, width = self.layout.size
        clean = "with" if self.clean is not None else "without"
        return (
            f"<{self.layout.name}: {len(self.corruptions)} corruptions × {N_SEVERITIES} severities of {len(self):,} images, "
            f"{height} × {width}, {clean} clean images>"
        )

    def images(self, corruption: str, severity: int) -> StoredImages:
        """The images of one corruption at one severity.

        Args:
            corruption: one of `corruptions`.
            severity: a whole number from 1 to 5.

        Returns:
            Images of `shape` (n, 3, h, w), uint8: a slice of them is read, as a tensor on `device`.

        Raises:
            ValueError: a corruption or severity that is not there; files that are not those of the other folders.
        """
        if corruption not in self.corruptions:
            raise ValueError(f"this set has no {corruption!r}; it has {', '.join(self.corruptions)}.")
        if severity not in range(1, N_SEVERITIES + 1):
            raise ValueError(f"published severities are 1, 2, 3, 4 and 5, got {severity!r}.")
        return self.source.images(corruption, int(severity), self.rows, self.device)

    def fingerprint(self) -> str:
        """Letters that tell this set, or this part of it, from another: of its labels and of the pixels of a few images."""
        parts = [self.layout.name, *self.corruptions, self.labels.tobytes().hex()]
        for corruption in self.corruptions:
            parts += [self.images(corruption, severity).digest() for severity in range(1, N_SEVERITIES + 1)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@own_settings
def published(
    name: str,
    folder: str | os.PathLike[str],
    *,
    clean: Images | str | os.PathLike[str] | None = None,
    corruptions: str | Sequence[str] = "all",
    rows: Indices | None = None,
    n_images: int | None = None,
    device: str | torch.device = "cpu",
) -> PublishedImages:
    """Open a published set of corrupted images, check its files, and hand it to `corruption_robustness`.

    Names, sizes, types, labels and the five severities are checked, and that clean and corrupted images are of the same order.
    Arrays are mapped and image files are decoded batch by batch: the set is never in memory as a whole.

    Args:
        name: "CIFAR-10-C", "CIFAR-100-C", "Tiny-ImageNet-C", "ImageNet-C" or "ImageNet-C-bar".
        folder: of CIFAR, with CORRUPTION.npy (50,000, 32, 32, 3) and labels.npy; else with CORRUPTION/SEVERITY/CLASS/*.JPEG, or the
            same one folder deeper, as the archives unpack.
        clean: the clean images, which the sets do not bring: an array or tensor (n, h, w, 3) or (n, 3, h, w), uint8, or an .npy file
            of it, in the set's order (torchvision's `CIFAR10(root, train=False).data`); of folders also a folder with CLASS/FILE of the
            same names, whose photographs are brought to the size as the set's own script does. Drift, the clean error and
            `compare_published` need them.
        corruptions: "all" (19; of ImageNet-C-bar its ten), "mCE" (the 15), a name, or several: those that must be there.
        rows: (m,) whole numbers, which images of the set to take, for a part of it; by default all.
        n_images: of each corruption at each severity, where it is not the published number (10,000; of ImageNet-C and -C-bar 50,000): for part of
            a set, or a set of your own in this layout.
        device: where batches are read to: the encoder's.

    Raises:
        FileNotFoundError: files or folders that are missing, with their names. ValueError: a set that is not known; files of another
            shape, type, number or with other labels; clean images of another number, size or order.

    >>> import tempfile
    >>> random = np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/fog.npy", random.integers(0, 256, (5 * 8, 32, 32, 3), np.uint8))
    ...     np.save(f"{folder}/labels.npy", np.tile(np.arange(8), 5))
    ...     found = published("CIFAR-10-C", folder, corruptions="fog", n_images=8)
    ...     found.images("fog", 5).shape, found.labels[:3].tolist()
    ((8, 3, 32, 32), [0, 1, 2])
    """
    layout = layout_named(name)
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise FileNotFoundError(f"{place} is not a folder. Give the one in which {layout.name} was unpacked.")
    wanted = list(names(layout.family)) if corruptions == "all" else named_corruptions(corruptions)
    n = layout.n if n_images is None else n_images
    source: PublishedArrays | PublishedFolders
    if layout.in_folders:
        source = open_folders(place, layout, wanted, n, whole=n_images is None)
    else:
        source = open_arrays(place, layout, wanted, n)
    chosen = _checked_rows(rows, n)
    on = torch.device(device)
    clean_images = None
    if clean is not None:
        clean_images = _clean_images(clean, layout, source, chosen, on)
    labels = source.labels[chosen]
    found = PublishedImages(layout, tuple(wanted), labels, source.classes, clean_images, source, chosen, on)
    if clean_images is not None:
        check_pairs(clean_images, {name: found.images(name, 1) for name in wanted})
    return found


def _checked_rows(rows: Any, n: int) -> np.ndarray:
    """Return which of n images are taken. Raises ValueError unless they are whole numbers from 0 to n − 1, each once."""
    if rows is None:
        return np.arange(n)
    chosen = np.asarray(rows)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not len(chosen):
        raise ValueError(f"`rows` must be whole numbers (m,), got shape {chosen.shape}, {chosen.dtype}.")
    if chosen.min() < 0 or chosen.max() >= n or len(np.unique(chosen)) < len(chosen):
        raise ValueError(f"`rows` must be different numbers from 0 to {n - 1}, got {chosen.min()} to {chosen.max()}.")
    return chosen.astype(np.int64)


def _clean_images(
    clean: Any, layout: Layout, source: PublishedArrays | PublishedFolders, rows: np.ndarray, device: torch.device
) -> StoredImages:
    """Return the clean images at these rows. Raises ValueError where they cannot be those of the set."""
    if not isinstance(clean, (str, os.PathLike)):
        return MappedImages(_channels_last(clean, layout, len(source.labels), "`clean`"), rows, device)
    path = Path(clean).expanduser()
    if path.is_dir() and isinstance(source, PublishedFolders):
        names = [source.names[row] for row in rows]
        missing = missing_files(path, names)
        if missing:
            raise FileNotFoundError(
                f"{path} lacks {len(missing):,} of the {len(names):,} images of {layout.name}, such as {missing[0]}; `clean` needs "
                "CLASS/FILE of the same names."
            )
        return ImageFiles(path, names, layout.size, device, layout.prepare)
    if not path.is_file():
        raise FileNotFoundError(f"`clean` ({path}) is no file; of {layout.name} give an .npy of the clean images.")
    return MappedImages(_channels_last(mapped(path), layout, len(source.labels), str(path)), rows, device)


def _channels_last(images: Any, layout: Layout, n: int, what: str) -> np.ndarray:
    """Return clean images as (n, h, w, 3), without a copy. Raises ValueError for another shape or type."""
    array = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else np.asanyarray(images)
    if array.ndim == 4 and array.shape[1] == 3:
        array = array.transpose(0, 2, 3, 1)
    if array.shape != (n, *layout.size, 3) or array.dtype != np.uint8:
        height, width = layout.size
        raise ValueError(
            f"{what} must be uint8 images ({n}, {height}, {width}, 3) or ({n}, 3, {height}, {width}), one for each of the set, got "
            f"shape {array.shape}, {array.dtype}."
        )
    return array
