"""What does each corruption do to accuracy and to geometry? Encodes clean and corrupted images and compares the pairs.

One way through: conditions (a corruption at a severity) ─▶ features ─▶ measurements (drift.py) ─▶ rows of one table.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from repgeom.corruptions.images import as_images
from repgeom.corruptions.white_noise import add_noise, noise_rms
from repgeom.data.kinds import Encoder, Groups, Images, Labels
from repgeom.data.labels import as_labels
from repgeom.data.numbers import one_or_several
from repgeom.data.settings import own_settings
from repgeom.inference.intervals import check_confidence
from repgeom.probes.linear import LinearProbe
from repgeom.probes.nearest import KNNProbe
from repgeom.robustness.conditions import (
    CLEAN_KEY,
    Condition,
    Settings,
    measurements_of,
)
from repgeom.robustness.encoding import Change, ImageSet
from repgeom.robustness.published_conditions import images_and_conditions
from repgeom.robustness.published_set import PublishedImages
from repgeom.robustness.resume import Kept, digest, fingerprint
from repgeom.robustness.rows import Row, frame_of, row_of
from repgeom.robustness.stored_images import StoredImages

if TYPE_CHECKING:
    import pandas as pd

WHITE_SIGMAS = (0.02, 0.05, 0.1, 0.2)


@own_settings
def corruption_robustness(
    encoder: Encoder,
    images: Images,
    labels: Labels = None,
    *,
    probe: LinearProbe | None = None,
    knn: KNNProbe | None = None,
    corruptions: str | Sequence[str] = "all",
    severities: float | Sequence[float] = (1, 2, 3, 4, 5),
    strengths: str = "auto",
    frost_images: Sequence[Images] | None = None,
    published: PublishedImages | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    k: int = 10,
    max_pair_rows: int = 4096,
    groups: Groups = None,
    confidence: float = 0.95,
    out: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """What each corruption at each severity does to an encoder: accuracy, drift, rank and neighbourhoods, with intervals.

    Args:
        encoder: any callable from a batch of images (b, 3, h, w), float32 in [0, 1], to features (b, d); it does its own
            resizing and normalisation. A `torch.nn.Module` is run in evaluation mode; no gradients are kept.
        images: (n, 3, h, w), uint8 or floats in [0, 1], on the encoder's device; at least 4, and k + 2. With `published` the set's
            clean images, or "published" for those that it was opened with.
        labels: (n,), whole numbers or text; adds kNN accuracy, and with `probe` linear-probe accuracy. With `published` the set's own
            by default.
        probe: `fit_linear_probe` of clean features of other images.
        knn: `fit_knn_probe` of other images; by default the clean features themselves, each image's own left out.
        corruptions: "all" (19), "mCE" (the 15), another family ("imagenet-c-bar", "imagenet-3dcc"), a name, or several; see
            `corruptions.names()`.
        severities: numbers in (0, 5].
        strengths, frost_images: as in `corruptions.corrupt`.
        published: a set that `rg.robustness.published` opened: corrupted images are then read from its files, batch by batch, and
            nothing is corrupted here. `severities` are then whole numbers, and "all" means all that it was opened for.
        seed: of the corruptions and of the sample for all pairs. The same seed gives every encoder the same draws.
        batch_size: images for each call of the encoder; by default as many as fill 32 MB, at most 512.
        k: neighbours of `knn_overlap`, `mutual_knn`, and of the kNN accuracy without `knn`.
        max_pair_rows: what needs all pairs uses at most so many images, drawn with `seed`.
        groups: (n,), whole numbers or text, where images of a group depend on each other (frames of a video): none is then a
            neighbour of another of its group, and intervals are read from what groups contribute; of fewer than 20 there are none.
        confidence: of the intervals.
        out: path of a .csv that is rewritten after each condition. Run again with the same arguments after an interruption,
            finished conditions are not redone.
        progress: show a progress bar on standard error.

    Returns:
        One row per corruption × severity × measure: `corruption`, `severity`, `measure`, `value`, `low`, `high`, `n`, `note`.
        Rows "clean" at severity 0 hold the clean accuracy, rank and norm. Frost without photographs is "frost_procedural".
        `repgeom.robustness.drift.MEASURES` says what each measure is. Intervals hold for independent images and are
        paired: the same images clean and corrupted. `effective_rank` is what `repgeom.estimate` gives and ratios of ranks
        are the `ratio` of `repgeom.compare(clean, corrupted, paired=True)`: corrected for the number of images, with its
        interval, and without one where it gives none (few images per feature, single heavy rows, repeats). Where no
        interval is known to hold `low` and `high` are NaN and `note` says why: also for directions fitted to the same
        images, and for `linear_cka` and `drift_share_in_probe` where few images carry the variance of squared lengths
        (heavy tails). Overlaps of neighbours depend on the number of images and their intervals are wide: of 95 % they
        hold 96 to 100 %. benchmarks/README.md says how often the others hold. Where the encoder returned NaN or another number of rows,
        values are NaN with n = 0, `note` says so, and a warning names the corruption and severity.

    Raises:
        ValueError: bad images, names, severities, labels or groups; a group that leaves its images fewer than k others; images too small for a corruption;
            clean images or labels that are not those of `published`; an encoder that fails on
            the clean images; an `out` that holds another run.

    >>> import torch
    >>> images = torch.rand(128, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> table = corruption_robustness(lambda x: x.mean((2, 3)), images, corruptions="contrast", severities=[5])
    >>> row = table.set_index(["corruption", "measure"]).loc[("contrast", "effective_rank_ratio")]
    >>> bool(row["low"] <= row["value"] <= row["high"])
    True
    """
    x, labels, conditions = images_and_conditions(
        images, labels, published, corruptions, severities, strengths, frost_images, seed
    )
    settings = Settings(probe, knn, k, max_pair_rows, seed, groups)
    # What else decides the numbers: it goes into the fingerprint by which `out` knows its run.
    recipe: dict[str, Any] = {"strengths": strengths, "frost": None}
    if frost_images is not None:
        recipe["frost"] = [digest(photograph) for photograph in frost_images]
    if published is not None:
        recipe["published"] = published.fingerprint()
    return _table(encoder, x, labels, conditions, settings, batch_size, confidence, out, progress, recipe)


@own_settings
def noise_robustness(
    encoder: Encoder,
    images: Images,
    labels: Labels = None,
    *,
    sigmas: float | Sequence[float] = WHITE_SIGMAS,
    space: str = "pixel",
    std: Sequence[float] | None = None,
    clip: bool | None = None,
    probe: LinearProbe | None = None,
    knn: KNNProbe | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    k: int = 10,
    max_pair_rows: int = 4096,
    groups: Groups = None,
    confidence: float = 0.95,
    out: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """The same table for white noise: in pixel space, or where arXiv 2603.06698 adds it, after the normalisation.

    Args:
        encoder, images, labels, probe, knn, seed, batch_size, k, max_pair_rows, groups, confidence, out, progress: as
            in `corruption_robustness`. For "normalized" space give the images at the size that the model sees, and an
            encoder that accepts values outside [0, 1].
        sigmas: standard deviations > 0 in units of the space; they stand in the column `severity`.
        space, std, clip: as in `corruptions.add_noise`.

    Returns:
        As `corruption_robustness`; `corruption` is "pixel_noise" or "normalized_noise". The measure `noise_rms` is the
        noise per pixel and channel in units of [0, 1], to compare the two: in CLIP's space it is 0.27 sigma.

    Raises:
        ValueError: as `corruption_robustness` and `corruptions.add_noise`.

    >>> import torch
    >>> images = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> table = noise_robustness(lambda x: x.flatten(1), images, sigmas=[0.1], space="normalized", std=(0.25, 0.25, 0.25))
    >>> table[table.measure == "noise_rms"][["corruption", "severity", "value"]].to_numpy().tolist()
    [['normalized_noise', 0.1, 0.025]]
    """
    x = as_images(images)
    several = one_or_several(sigmas)
    deviations = [(sigma, noise_rms(sigma, space=space, std=std)) for sigma in several]
    rms = {float(sigma): deviation for sigma, deviation in deviations}
    if not rms or 0 in rms:
        raise ValueError("`sigmas` must be numbers above 0; the clean images are measured in any case.")

    def noisy(sigma: float) -> Change:
        return lambda part, rows: add_noise(part, sigma, space=space, std=std, clip=clip, seed=seed, indices=rows)

    conditions = [Condition(f"{space}_noise", sigma, noisy(sigma)) for sigma in rms]
    settings = Settings(probe, knn, k, max_pair_rows, seed, groups)
    recipe = {"std": None if std is None else [float(s) for s in std], "clip": clip}
    table = _table(encoder, x, labels, conditions, settings, batch_size, confidence, out, progress, recipe)
    extra = [
        row_of(condition.key, {"measure": "noise_rms", "value": rms[condition.severity], "n": len(x)})
        for condition in conditions
    ]
    return frame_of([*table.to_dict("records"), *extra])


def _table(
    encoder: Encoder,
    images: ImageSet,
    labels: Any,
    conditions: Sequence[Condition],
    settings: Settings,
    batch_size: int | None,
    confidence: float,
    out: str | os.PathLike[str] | None,
    progress: bool,
    recipe: dict[str, Any],
) -> pd.DataFrame:
    confidence = check_confidence(confidence)
    kept = None if out is None else Kept(out, _fingerprint(images, labels, settings, confidence, recipe))
    done = (lambda key: False) if kept is None else kept.has
    rows: list[Row] = []
    for key, (measurements,) in measurements_of(
        [encoder], images, labels, conditions, [settings], batch_size, progress, done
    ):
        here = [row_of(key, r.row(confidence)) for r in measurements]
        rows += here
        if kept is not None:
            kept.add(key, here)
    # `rows` lacks the conditions that were finished before; the file's rows have them.
    return frame_of(rows if kept is None else kept.rows([CLEAN_KEY, *(condition.key for condition in conditions)]))


def _fingerprint(
    images: ImageSet, labels: Any, settings: Settings, confidence: float, recipe: Mapping[str, Any]
) -> str:
    probe, knn = settings.probe, settings.knn
    codes, names = (None, None) if labels is None else as_labels(labels, len(images))
    return fingerprint(
        {
            "version": version("repgeom"),
            "images": images.digest() if isinstance(images, StoredImages) else images,
            "labels": None if codes is None or names is None else [codes.tolist(), names.astype(str).tolist()],
            "probe": None if probe is None else [digest(probe.weight), digest(probe.bias), _words(probe, "normalize")],
            "knn": None if knn is None else [digest(knn.bank), digest(knn.labels), _words(knn, "k", "temperature")],
            "groups": None
            if settings.groups is None
            else as_labels(settings.groups, len(images), "groups")[0].tolist(),
            "numbers": [settings.k, settings.max_pair_rows, int(settings.seed), confidence],
            **recipe,
        }
    )


def _words(probe: LinearProbe | KNNProbe, *names: str) -> str:
    return str([probe.classes.tolist(), *(getattr(probe, name) for name in names)])
