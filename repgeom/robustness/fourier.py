"""Which spatial frequencies is an encoder sensitive to? Fourier heat maps and band-limited noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.corruptions.images import as_images, as_indices, batches, give_back, unit
from repgeom.corruptions.seeds import Draws
from repgeom.data.arrays import row_norms
from repgeom.data.labels import codes_among
from repgeom.probes.linear import LinearProbe
from repgeom.robustness.encoding import EncoderError, encoded, images_per_batch

PUBLISHED_RMS = 0.125  # per pixel and channel: the L2 norm of 4 that was published for 32 × 32


@dataclasses.dataclass(frozen=True, repr=False)
class FourierHeatmap:
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


def fourier_heatmap(
    encoder: Callable[[Tensor], Any],
    images: Any,
    *,
    labels: Any = None,
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
    norm = PUBLISHED_RMS * math.sqrt(h * w) if norm is None else norm
    if not 0 < norm < math.inf:
        raise ValueError(f"`norm` must be a positive number, got {norm!r}.")
    waves = _Waves(h, norm, phase, seed, x.device)
    try:
        (clean,) = encoded([encoder], x, batch_size)
    except EncoderError as error:
        raise ValueError(f"on the clean images {error}") from None
    clean = clean.double()
    spread = float(row_norms(clean - clean.mean(0)).mean())
    if spread == 0:
        raise ValueError("the encoder gives all clean images the same features: there is no scale for a drift.")
    answers = None if probe is None else codes_among(labels, n, probe.classes).to(x.device)
    half = _evaluated(side, h, waves.mirrored)
    drift, wrong = np.zeros(len(half)), np.zeros(len(half))
    for where, rows, places in _pieces(half, n, images_per_batch(x, batch_size), progress, x.device):
        perturbed = (unit(x[rows]) + waves.of(where, rows)).clamp(0, 1)
        try:
            (moved,) = encoded([encoder], perturbed, len(perturbed))
            if moved.shape[1] != clean.shape[1]:
                raise EncoderError(f"the encoder returned {moved.shape[1]} features, {clean.shape[1]} before.")
        except EncoderError as error:
            raise ValueError(f"at frequency {_culprit(encoder, perturbed, where)}: {error}") from None
        away = row_norms(moved.double() - clean[rows.to(clean.device)])
        np.add.at(drift, places, away.cpu().numpy())
        if probe is not None and answers is not None:
            np.add.at(wrong, places, _missed(probe, moved, answers[rows]).numpy())
    return FourierHeatmap(
        drift=_whole_plane(drift / n / spread, half, side, h),
        error=None if probe is None else _whole_plane(wrong / n, half, side, h),
        frequencies=np.arange(side) - side // 2,
        clean_error=None if probe is None or answers is None else float(_missed(probe, clean, answers).mean()),
        norm=norm,
        rms=norm / math.sqrt(h * w),
        n_evaluated=len(half),
        n_samples=n,
    )


def _culprit(encoder: Callable[[Tensor], Any], images: Tensor, where: Tensor) -> tuple[int, ...]:
    """The first frequency of a batch at which the encoder fails by itself, else the first of all."""
    for frequency in torch.unique(where, dim=0):
        try:
            encoded([encoder], images[(where == frequency).all(1)])
        except EncoderError:
            return tuple(frequency.tolist())
    return tuple(where[0].tolist())


def _missed(probe: LinearProbe, features: Tensor, answers: Tensor) -> Tensor:
    """1 for each row that the probe gets wrong, else 0, (n,) on the CPU."""
    return (probe.logits(features).argmax(1).cpu() != answers.cpu()).double()


def band_noise(
    images: Any,
    low: float = 0,
    high: float | None = None,
    *,
    rms: float = 0.1,
    units: str = "nyquist",
    clip: bool = True,
    seed: int = 0,
    indices: Any = None,
) -> Any:
    """Images plus white noise that was filtered to a band of spatial frequencies and scaled to one size.

    The radius of a frequency is √(f_x² + f_y²). Low-pass noise: `high` alone; high-pass: `low` alone; band-pass: both.

    Args:
        images: (b, 3, h, w), uint8 or floats in [0, 1].
        low, high: the band low ≤ radius < high; `high=None` has no upper end (corners reach √2 Nyquist).
        rms: of the noise per pixel and channel before clipping, in units of [0, 1], in every image and channel exactly.
            It compares across sizes; the L2 norm of a channel is rms √(h w).
        units: "nyquist" (1 is half a cycle per pixel) or "cycles" (per image, along its longer side).
        clip: cut to [0, 1].
        seed, indices: as in `corruptions.corrupt`; the white noise does not depend on the band.

    Returns:
        Floats (b, 3, h, w) of the images' kind and device: float32 for uint8, else their dtype.

    Raises:
        ValueError: a band without a frequency in it, rms negative, unknown units; else as `corruptions.corrupt`.

    >>> x = torch.full((1, 3, 32, 32), 0.5)
    >>> noise = band_noise(x, 0, 0.25, rms=0.05) - x
    >>> round(float(noise.square().mean().sqrt()), 4)
    0.05
    """
    x = as_images(images)
    h, w = x.shape[-2:]
    numbers = as_indices(indices, len(x), x.device)
    if not (isinstance(rms, (int, float, np.number)) and 0 <= rms < math.inf):
        raise ValueError(f"`rms` must be a number of at least 0, got {rms!r}.")
    inside = _band(h, w, low, high, units).to(x.device)
    done = []
    for rows in batches(x):
        white = Draws(seed, numbers[rows], "band_noise").normal(3, h, w).double()
        noise = torch.fft.irfft2(torch.fft.rfft2(white) * inside, s=(h, w))
        noise = noise * (rms / noise.square().mean((2, 3), keepdim=True).sqrt())
        noisy = unit(x[rows]) + noise.float()
        done.append(noisy.clamp(0, 1) if clip else noisy)
    noisy = torch.cat(done) if done else unit(x)
    return give_back(images)(noisy.to(x.dtype) if x.is_floating_point() else noisy)


def _band(h: int, w: int, low: float, high: float | None, units: str) -> Tensor:
    if units not in ("nyquist", "cycles"):
        raise ValueError(f'`units` must be "nyquist" or "cycles", got {units!r}.')
    scale = 2 if units == "nyquist" else max(h, w)
    down, across = torch.fft.fftfreq(h, dtype=torch.float64), torch.fft.rfftfreq(w, dtype=torch.float64)
    radius = (down[:, None].square() + across.square()).sqrt() * scale
    # A frequency that lies on the edge of the band belongs to it, whatever the rounding of its radius.
    inside = (radius >= low - 1e-9) & (radius < (math.inf if high is None else high) - 1e-9)
    if not bool(inside.any()):
        raise ValueError(
            f"no frequency of {h} x {w} images lies in the band from {low!r} to {high!r} {units}; `low` must be below `high`, "
            f"and the largest radius is {float(radius.max()):.3g}."
        )
    return inside


def _checked_side(h: int, w: int, n_frequencies: int | None) -> int:
    if h != w:
        raise ValueError(f"`images` must be square for a heat map of frequencies, got {h} x {w}.")
    side = h if n_frequencies is None else n_frequencies
    if not (isinstance(side, (int, np.integer)) and 1 <= side <= h):
        raise ValueError(
            f"`n_frequencies` must be a whole number from 1 to {h} for these images, got {n_frequencies!r}."
        )
    return int(side)


def _mirrored(frequency: tuple[int, int], h: int) -> tuple[int, int]:
    """The frequency whose wave is the same: −(i, j), counted from −h/2."""
    i, j = ((-f + h // 2) % h - h // 2 for f in frequency)
    return i, j


def _evaluated(side: int, h: int, mirrored: bool) -> list[tuple[int, int]]:
    """The frequencies of the map; one of each mirrored pair where both are the same wave."""
    values = range(-(side // 2), side - side // 2)
    kept: dict[tuple[int, int], None] = {}
    for frequency in ((i, j) for i in values for j in values):
        if not mirrored or _mirrored(frequency, h) not in kept:
            kept[frequency] = None
    return list(kept)


def _whole_plane(values: np.ndarray, half: list[tuple[int, int]], side: int, h: int) -> np.ndarray:
    """The map (side, side), each mirrored pair with its one value."""
    known = dict(zip(half, values, strict=True))
    places = range(-(side // 2), side - side // 2)
    return np.array([[known.get((i, j), known.get(_mirrored((i, j), h), np.nan)) for j in places] for i in places])


class _Waves:
    """Signed waves of one L2 norm, made for any pairs of a frequency and an image."""

    def __init__(self, h: int, norm: float, phase: str | float, seed: int, device: torch.device) -> None:
        fixed = isinstance(phase, (int, float, np.number)) and math.isfinite(phase)
        if not fixed and phase != "random":
            raise ValueError(f'`phase` must be "random" or a number of radians, got {phase!r}.')
        self.h, self.norm, self.seed = h, norm, seed
        self.phase = float(phase) if fixed else None
        # A fixed φ is −φ in the mirror image: another wave, unless the two differ by no more than a sign.
        self.mirrored = self.phase is None or abs(math.sin(2 * self.phase)) < 1e-12
        self.turns = 2 * math.pi / h * torch.arange(h, dtype=torch.float64, device=device)

    def of(self, frequencies: Tensor, rows: Tensor) -> Tensor:
        """(b, 3, h, h) for frequencies (b, 2) and image numbers (b,)."""
        wrapped = frequencies % self.h
        random = Draws(self.seed, (rows * self.h + wrapped[:, 0]) * self.h + wrapped[:, 1], "fourier")
        sign = 1.0 - 2.0 * (random.uniform(3) < 0.5).double()
        shift = 2 * math.pi * random.uniform64()
        if self.phase is not None:
            shift = torch.full_like(shift, self.phase)
        # At its own mirror image a wave is ±cos φ everywhere, so the phase would only change its norm.
        shift = torch.where((2 * wrapped % self.h == 0).all(1), 0, shift)
        down, across = (frequencies[:, i, None] * self.turns for i in (0, 1))
        wave = torch.cos(down[:, :, None] + across[:, None, :] + shift[:, None, None])
        wave = wave / torch.linalg.vector_norm(wave, dim=(1, 2), keepdim=True)
        return (self.norm * sign[:, :, None, None] * wave[:, None]).float()


def _pieces(
    half: list[tuple[int, int]], n: int, batch_size: int, progress: bool, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, np.ndarray]]:
    """All pairs of a frequency and an image, a batch at a time: frequencies (b, 2), image numbers (b,), places in `half`."""
    table = torch.tensor(half, device=device)
    starts: Iterable[int] = range(0, len(half) * n, batch_size)
    if progress:
        from tqdm import tqdm

        starts = tqdm(starts, unit="batch", leave=False)
    for start in starts:
        pairs = torch.arange(start, min(start + batch_size, len(half) * n), device=device)
        places = pairs // n
        yield table[places], pairs % n, places.cpu().numpy()
