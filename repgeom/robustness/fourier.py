"""Which spatial frequencies is an encoder sensitive to? Fourier heat maps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.corruptions.images import as_images, unit
from repgeom.corruptions.seeds import Draws
from repgeom.data.arrays import row_norms
from repgeom.data.kinds import Encoder, Images, Labels
from repgeom.data.labels import codes_among
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings
from repgeom.probes.linear import LinearProbe
from repgeom.robustness.encoding import EncoderError, encoded, images_per_batch

# Per pixel and channel: the L2 norm of 4 that Yin et al. published for 32 × 32 pixels.
PUBLISHED_RMS = 0.125


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class FourierHeatmap(ShownInNotebook):
    """Sensitivity by spatial frequency; frequency 0 stands in the middle, as after `numpy.fft.fftshift`.

    Attributes:
        drift: (m, m), mean distance that features moved / mean distance of clean features from their mean.
        error: (m, m), share of images that the probe gets wrong, or None without a probe.
        frequencies: (m,), cycles per image along either side.
        clean_error: share that the probe gets wrong without a perturbation, or None.
        norm: L2 norm of the perturbation of one channel, before clipping, in units of [0, 1].
        rms: the same per pixel: norm / √(h w).
        n_evaluated: frequencies that were tried; the rest follow by symmetry.
        n_samples: images behind each.
    """

    drift: np.ndarray
    error: np.ndarray | None
    frequencies: np.ndarray
    clean_error: float | None
    norm: float
    rms: float
    n_evaluated: int
    n_samples: int

    def __repr__(self) -> str:
        side = len(self.frequencies)
        return f"<FourierHeatmap of {side} x {side} frequencies, {self.n_samples:,} images, noise of {self.rms:.3g} per pixel>"


@own_settings
def fourier_heatmap(
    encoder: Encoder,
    images: Images,
    *,
    labels: Labels = None,
    probe: LinearProbe | None = None,
    norm: float | None = None,
    n_frequencies: int | None = None,
    phase: str | float = "random",
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = False,
) -> FourierHeatmap:
    """Error and feature drift when one Fourier basis image is added to every image (Yin et al. 2019).

    Each image becomes clip(x ± norm · U), with U a real wave cos(2π (i y / h + j x / w) + φ) of unit L2 norm, the same in all
    channels but for a random sign in each. A wave and its mirror image at −(i, j) are one, so 32 × 32 needs 514 waves, not
    1,024, and 63 × 63 needs 1,985. Waves are made as they are needed; a batch holds many frequencies.

    Args:
        encoder: as in `corruption_robustness`.
        images: (n, 3, h, w), uint8 or floats in [0, 1], h = w.
        labels: (n,), with `probe`, for the error.
        probe: a linear probe of clean features of other images.
        norm: L2 norm of the wave in each channel; by default 0.125 √(h w), which is the published 4.0 at 32 px. (At
            224 px 15.7 was published, 0.07 per pixel.)
        n_frequencies: side of the map, centred on frequency 0; by default all h of them. 63 is usual at 224 px.
        phase: φ in radians, or "random": one for each image and frequency. Published code uses 0 and π/4. A φ that is no
            multiple of π/2 makes a wave and its mirror image two, so all frequencies are then tried.
        seed: of the signs and phases.
        batch_size: images for each call of the encoder, over all frequencies; by default as many as fill 32 MB, at most 512.
        progress: show a progress bar on standard error.

    Raises:
        ValueError: images that are not square, labels without a probe or the reverse, a map larger than the images, a
            norm that is not positive; an encoder that returns NaN or another number of rows (the frequency is named).

    >>> x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> low_pass = lambda x: torch.nn.functional.avg_pool2d(x, 4).flatten(1)
    >>> heat = fourier_heatmap(low_pass, x)
    >>> heat.n_evaluated, bool(heat.drift[4, 4] > 5 * heat.drift[0, 0])
    (34, True)
    """
    x = as_images(images).detach()
    n, _, h, w = x.shape
    side = _checked_side(h, w, n_frequencies)
    if n < 2:
        raise ValueError(f"`images` has {n} image{'s' * (n != 1)}; at least 2 are needed for a scale of the drift.")
    if (labels is None) != (probe is None):
        raise ValueError("`labels` and `probe` go together: the error needs both, the drift neither.")
    norm = _checked_norm(norm, h, w)
    waves = _Waves(h, norm, phase, seed, x.device)
    clean = _clean_features(encoder, x, batch_size)
    scale = _scale_of(clean)
    codes = None
    if probe is not None:
        codes = codes_among(labels, n, probe.classes).to(x.device)
    frequencies = _distinct_frequencies(side, h, waves.mirror_is_same)
    distance, n_wrong = np.zeros(len(frequencies)), np.zeros(len(frequencies))
    n_at_once = images_per_batch(x, batch_size)
    for frequency, image, place in _frequency_image_pairs(frequencies, n, n_at_once, progress, x.device):
        perturbed = (unit(x[image]) + waves.at(frequency, image)).clamp(0, 1)
        features = _perturbed_features(encoder, perturbed, frequency, clean.shape[1])
        moved_by = row_norms(features.double() - clean[image.to(clean.device)])
        # A frequency stands in `place` once for each of its images; `distance[place] +=` would add only one of them.
        np.add.at(distance, place, moved_by.cpu().numpy())
        if probe is not None and codes is not None:
            np.add.at(n_wrong, place, _is_wrong(probe, features, codes[image]).numpy())
    error = clean_error = None
    if probe is not None and codes is not None:
        error = _whole_map(n_wrong / n, frequencies, side, h)
        clean_error = float(_is_wrong(probe, clean, codes).mean())
    return FourierHeatmap(
        drift=_whole_map(distance / n / scale, frequencies, side, h),
        error=error,
        frequencies=np.arange(side) - side // 2,
        clean_error=clean_error,
        norm=norm,
        rms=norm / math.sqrt(h * w),
        n_evaluated=len(frequencies),
        n_samples=n,
    )


def _checked_norm(norm: float | None, h: int, w: int) -> float:
    """The L2 norm of a wave in each channel, by default that of the published amplitude in such images."""
    if norm is None:
        norm = PUBLISHED_RMS * math.sqrt(h * w)
    length = real_number(norm)
    if length is None or not 0 < length < math.inf:
        raise ValueError(f"`norm` must be a positive number, got {norm!r}.")
    return length


def _scale_of(clean: Tensor) -> float:
    """The mean distance of features from their mean. Features that do not differ have none, and then no drift is large or small."""
    scale = float(row_norms(clean - clean.mean(0)).mean())
    if scale == 0:
        raise ValueError("the encoder gives all clean images the same features: there is no scale for a drift.")
    return scale


def _clean_features(encoder: Callable[[Tensor], Any], x: Tensor, batch_size: int | None) -> Tensor:
    """Features (n, n_features) of the images as they are, float64. Raises ValueError where the encoder fails."""
    try:
        (features,) = encoded([encoder], x, batch_size)
    except EncoderError as error:
        raise ValueError(f"on the clean images {error}") from None
    return features.double()


def _perturbed_features(
    encoder: Callable[[Tensor], Any], images: Tensor, frequencies: Tensor, n_features: int
) -> Tensor:
    """Features (b, n_features) of perturbed images. Raises ValueError, with the frequency, where the encoder fails."""
    try:
        # These images are one batch already.
        (features,) = encoded([encoder], images, len(images))
        if features.shape[1] != n_features:
            raise EncoderError(f"the encoder returned {features.shape[1]} features, {n_features} before.")
    except EncoderError as error:
        raise ValueError(f"at frequency {_failing_frequency(encoder, images, frequencies)}: {error}") from None
    return features


def _failing_frequency(encoder: Callable[[Tensor], Any], images: Tensor, frequencies: Tensor) -> tuple[int, ...]:
    """The first frequency of a batch at which the encoder fails by itself, else the batch's first."""
    for frequency in torch.unique(frequencies, dim=0):
        try:
            encoded([encoder], images[(frequencies == frequency).all(1)])
        except EncoderError:
            return tuple(frequency.tolist())
    return tuple(frequencies[0].tolist())


def _is_wrong(probe: LinearProbe, features: Tensor, codes: Tensor) -> Tensor:
    """1 for each row whose class the probe gets wrong, else 0, (n,) float64 on the CPU."""
    return (probe.logits(features).argmax(1).cpu() != codes.cpu()).double()


def _checked_side(h: int, w: int, n_frequencies: int | None) -> int:
    """The side of the map: `n_frequencies`, or all h of them. Raises ValueError for images that are not square."""
    if h != w:
        raise ValueError(f"`images` must be square for a heat map of frequencies, got {h} x {w}.")
    if n_frequencies is None:
        return h
    if not (isinstance(n_frequencies, (int, np.integer)) and 1 <= n_frequencies <= h):
        raise ValueError(
            f"`n_frequencies` must be a whole number from 1 to {h} for these images, got {n_frequencies!r}."
        )
    return int(n_frequencies)


def _mirrored(frequency: tuple[int, int], h: int) -> tuple[int, int]:
    """−(i, j) in the range from −h/2 of an FFT of h samples: for a suitable phase the same wave."""
    i, j = ((-f + h // 2) % h - h // 2 for f in frequency)
    return i, j


def _centred_range(side: int) -> range:
    """Frequencies along one axis of the map, 0 in the middle as after `numpy.fft.fftshift`."""
    return range(-(side // 2), side - side // 2)


def _distinct_frequencies(side: int, h: int, mirror_is_same: bool) -> list[tuple[int, int]]:
    """The frequencies (i, j) of the map; one of each mirrored pair where both are the same wave."""
    # A dict keeps the order and finds a mirror at once.
    distinct: dict[tuple[int, int], None] = {}
    for i in _centred_range(side):
        for j in _centred_range(side):
            if not mirror_is_same or _mirrored((i, j), h) not in distinct:
                distinct[i, j] = None
    return list(distinct)


def _whole_map(values: np.ndarray, frequencies: list[tuple[int, int]], side: int, h: int) -> np.ndarray:
    """The map (side, side) from the values at distinct frequencies: both of a mirrored pair get its one value."""
    value_at = dict(zip(frequencies, values, strict=True))
    whole = np.full((side, side), np.nan)
    for row, i in enumerate(_centred_range(side)):
        for column, j in enumerate(_centred_range(side)):
            mirror = _mirrored((i, j), h)
            whole[row, column] = value_at.get((i, j), value_at.get(mirror, np.nan))
    return whole


class _Waves:
    """Signed waves of one L2 norm, made for any pairs of a frequency and an image."""

    def __init__(self, h: int, norm: float, phase: str | float, seed: int, device: torch.device) -> None:
        """Waves of h × h pixels and this L2 norm in each channel. Raises ValueError for an unknown phase."""
        number = real_number(phase)
        is_number = number is not None and math.isfinite(number)
        if not is_number and phase != "random":
            raise ValueError(f'`phase` must be "random" or a number of radians, got {phase!r}.')
        self.h, self.norm, self.seed = h, norm, seed
        self.fixed_phase = None
        self.mirror_is_same = True
        if number is not None:
            self.fixed_phase = number
            # A fixed φ is −φ in the mirror image: another wave, unless the two differ by no more than a sign.
            self.mirror_is_same = abs(math.sin(2 * self.fixed_phase)) < 1e-12
        self.radians_per_cycle = 2 * math.pi / h * torch.arange(h, dtype=torch.float64, device=device)

    def at(self, frequencies: Tensor, images: Tensor) -> Tensor:
        """Waves (b, 3, h, h) for frequencies (b, 2) and image numbers (b,), float32."""
        # Draws depend on the image and the frequency only, counted from 0, so that a batch's size does not change them.
        wrapped = frequencies % self.h
        number = (images * self.h + wrapped[:, 0]) * self.h + wrapped[:, 1]
        random = Draws(self.seed, number, "fourier")
        sign = 1.0 - 2.0 * (random.uniform(3) < 0.5).double()
        phase = 2 * math.pi * random.uniform64()
        if self.fixed_phase is not None:
            phase = torch.full_like(phase, self.fixed_phase)
        # At its own mirror image a wave is ±cos φ everywhere, so the phase would only change its norm.
        phase = torch.where((2 * wrapped % self.h == 0).all(1), 0, phase)
        down = frequencies[:, 0, None] * self.radians_per_cycle
        across = frequencies[:, 1, None] * self.radians_per_cycle
        wave = torch.cos(down[:, :, None] + across[:, None, :] + phase[:, None, None])
        wave = wave / torch.linalg.vector_norm(wave, dim=(1, 2), keepdim=True)
        return (self.norm * sign[:, :, None, None] * wave[:, None]).float()


def _frequency_image_pairs(
    frequencies: list[tuple[int, int]], n: int, batch_size: int, progress: bool, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, np.ndarray]]:
    """All pairs of a frequency and one of n images, a batch at a time.

    Yields frequencies (b, 2), image numbers (b,) and the frequencies' places in the list (b,). A batch holds several
    frequencies where there are fewer images than fit.
    """
    frequency_at = torch.tensor(frequencies, device=device)
    n_pairs = len(frequencies) * n
    starts: Iterable[int] = range(0, n_pairs, batch_size)
    if progress:
        from tqdm import tqdm

        starts = tqdm(starts, unit="batch", leave=False)
    for start in starts:
        # Pairs are numbered frequency by frequency: frequency · n + image.
        pair = torch.arange(start, min(start + batch_size, n_pairs), device=device)
        place = pair // n
        yield frequency_at[place], pair % n, place.cpu().numpy()
