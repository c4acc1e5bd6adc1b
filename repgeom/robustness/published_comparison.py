"""Do our corruptions equal those of a published set? Pixel by pixel where nothing is drawn, in their statistics elsewhere."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from repgeom.corruptions.corrupting import corrupt
from repgeom.corruptions.registry import corruption_for
from repgeom.corruptions.seeds import Draws
from repgeom.data.kinds import Images
from repgeom.data.settings import own_settings
from repgeom.inference.intervals import check_confidence
from repgeom.robustness.change_statistics import Bands, Statistics, compared
from repgeom.robustness.conditions import checked_severities, named_corruptions
from repgeom.robustness.encoding import images_per_batch
from repgeom.robustness.published_layouts import Layout
from repgeom.robustness.published_set import PublishedImages

if TYPE_CHECKING:
    import pandas as pd

PIXELS = ["equal", "within_1", "largest", "psnr"]
NO_PHOTOGRAPHS = "not compared: frost needs `frost_images`"
# What stands in the column `conclusion`, from best to worst.
EQUAL, WITHIN_1, NEARLY, DIFFERS = "equal", "within 1 level", "nearly equal", "differs"
SAME, UNDECIDED = "same statistics", "undecided"
# A level more or less before an image is stored as JPEG moves a coefficient by a step, which is several levels in its block.
NEARLY_SHARE, NEARLY_PSNR = 0.99, 50.0
Cell = tuple[str, int]


@own_settings
def compare_published(
    published: PublishedImages,
    *,
    corruptions: str | Sequence[str] = "all",
    severities: float | Sequence[float] = (1, 2, 3, 4, 5),
    frost_images: Sequence[Images] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool = False,
) -> pd.DataFrame:
    """Compare a published set with our own corruption of its clean images, corruption by corruption.

    Eight corruptions draw nothing, so their pixels are compared. The draws of the others are not known: compared is what the
    corruption adds to an image (corrupted minus clean), in its mean, its variance, and its power at each octave of spatial
    frequency, on the same images. Equal statistics do not prove that single images are equal; other strengths, a blur that is
    too wide, or noise of another colour they do show.

    Args:
        published: a set that `published` opened with its clean images. Of a large one a part will do: `rows=`.
        corruptions: "all" (that the set was opened for), "mCE", a name, or several.
        severities: whole numbers from 1 to 5.
        frost_images: the script's own photographs, for frost; it is not compared without them.
        seed: of our draws.
        confidence: of all intervals of one row together (Bonferroni).
        progress: show a progress bar on standard error.

    Returns:
        One row per corruption × severity. `equal`, `within_1`: shares of values that are equal, or at most one grey level apart;
        `largest`: the largest difference in grey levels; `psnr` in dB; NaN where something is drawn. `mean` with `mean_low` and
        `mean_high`: how much brighter the set is than ours, in grey levels, in the colour that differs most. `variance`: variance
        of what it adds over that of ours. `power`: the same of the octave that differs most, `band`, in cycles per image.
        `conclusion`, where nothing is drawn: "equal"; "within 1 level"; "nearly equal": 99 % of the values are equal and `psnr` is
        at least 50, as single levels before storage as JPEG make it; "differs". Elsewhere: "same statistics": all intervals lie
        within 0.5 grey levels, 5 % of the variance and 10 % of each octave's power; "differs": one lies outside; "undecided":
        neither, more images would tell.

    Raises:
        ValueError: a set without clean images; severities between the published ones; an unknown corruption.

    >>> import tempfile
    >>> import numpy as np
    >>> from repgeom.corruptions import corrupt
    >>> from repgeom.robustness import published
    >>> clean = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stacked = torch.cat([corrupt(clean, "contrast", severity) for severity in range(1, 6)])
    ...     np.save(f"{folder}/contrast.npy", stacked.permute(0, 2, 3, 1).numpy())
    ...     np.save(f"{folder}/labels.npy", np.tile(np.arange(8), 5))
    ...     opened = published("CIFAR-10-C", folder, clean=clean, corruptions="contrast", n_images=8)
    ...     compare_published(opened).conclusion.tolist()
    ['equal', 'equal', 'equal', 'equal', 'equal']
    """
    import pandas as pd

    if published.clean is None:
        raise ValueError(f"{published!r}: our corruption needs clean images; open the set with `clean=`.")
    confidence = check_confidence(confidence)
    chosen = published.corruptions if corruptions == "all" else named_corruptions(corruptions)
    cells = [(name, _whole(s)) for name in chosen for s in checked_severities(severities)]
    compared_cells = [cell for cell in cells if cell[0] != "frost" or frost_images is not None]
    sums = _statistics(published, compared_cells, frost_images, seed, progress)
    rows = []
    for name, severity in cells:
        row: dict[str, Any] = {"corruption": name, "severity": severity, "n": len(published)}
        if (name, severity) in sums:
            drawn = _draws(name, severity, published.layout, frost_images)
            row |= _row(sums[name, severity], drawn, published, confidence)
        else:
            row["conclusion"] = NO_PHOTOGRAPHS
        rows.append(row)
    intervals = [f"{name}{end}" for name in ("mean", "variance", "power") for end in ("", "_low", "_high")]
    columns = ["corruption", "severity", "n", "conclusion", *PIXELS, *intervals, "band"]
    return pd.DataFrame(rows, columns=columns)


def _whole(severity: float) -> int:
    if severity != int(severity):
        raise ValueError(f"published sets have severities 1, 2, 3, 4 and 5, got {severity:g}.")
    return int(severity)


def _draws(name: str, severity: int, layout: Layout, frost_images: Sequence[Any] | None) -> bool:
    """Whether anything is drawn for this corruption: then pixels differ between any two runs of it."""
    corruption, strength = corruption_for(
        name, severity, layout.strengths, layout.size, frost_images, torch.device("cpu")
    )
    return bool(corruption.draw(Draws(0, torch.zeros(1, device="cpu"), name), *layout.size, strength))


def _statistics(
    published: PublishedImages, cells: Sequence[Cell], frost_images: Sequence[Any] | None, seed: int, progress: bool
) -> dict[Cell, Statistics]:
    """Go over the images once, a batch at a time, and keep a few numbers of each image for each cell."""
    layout, clean = published.layout, published.clean
    assert clean is not None
    bands = Bands.of(layout.size, published.device)
    theirs = {(name, severity): published.images(name, severity) for name, severity in cells}
    parts: dict[Cell, list[Statistics]] = defaultdict(list)
    step = images_per_batch(clean, None)
    for start in _with_progress(range(0, len(clean), step), progress):
        rows = slice(start, min(start + step, len(clean)))
        batch = clean[rows]
        numbers = torch.as_tensor(published.rows[rows], device=published.device)
        for name, severity in cells:
            ours = corrupt(
                batch, name, severity, seed=seed, indices=numbers, strengths=layout.strengths,
                storage_jpeg=layout.storage_jpeg, frost_images=frost_images,
            )  # fmt: skip
            parts[name, severity].append(Statistics.of(batch, theirs[name, severity][rows], ours, bands))
    return {cell: Statistics.joined(of_cell) for cell, of_cell in parts.items()}


def _row(found: Statistics, drawn: bool, published: PublishedImages, confidence: float) -> dict[str, Any]:
    """Return what one corruption at one severity shows, and what follows from it."""
    quantities, agreement = compared(found, Bands.of(published.layout.size, published.device), confidence)
    if drawn:
        return {"conclusion": {True: SAME, False: DIFFERS, None: UNDECIDED}[agreement], **quantities}
    equal, largest, psnr = float(found.equal.mean()), float(found.largest.max()), _psnr(found.squared_error)
    pixels = {"equal": equal, "within_1": float(found.within_1.mean()), "largest": largest, "psnr": psnr}
    conclusion = DIFFERS
    if largest == 0:
        conclusion = EQUAL
    elif largest <= 1:
        conclusion = WITHIN_1
    elif equal >= NEARLY_SHARE and psnr >= NEARLY_PSNR:
        conclusion = NEARLY
    return {"conclusion": conclusion, **pixels, **quantities}


def _psnr(squared_error: Tensor) -> float:
    """Return the peak signal-to-noise ratio of all values, in dB; infinite where they are equal."""
    error = float(squared_error.mean())
    if error == 0:
        return math.inf
    return 10 * math.log10(255**2 / error)


def _with_progress(starts: range, progress: bool) -> Iterable[int]:
    if not progress:
        return starts
    from tqdm import tqdm

    return tqdm(starts, unit="batch", leave=False)
