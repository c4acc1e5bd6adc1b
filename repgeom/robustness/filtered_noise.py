"""White noise that is filtered to a band of spatial frequencies."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from repgeom.corruptions.images import as_images, as_indices, plus_noise
from repgeom.corruptions.seeds import Draws
from repgeom.data.kinds import Images, Indices
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings


@own_settings
def band_noise(
    images: Images,
    low: float = 0,
    high: float | None = None,
    *,
    rms: float = 0.1,
    units: str = "nyquist",
    clip: bool = True,
    seed: int = 0,
    indices: Indices = None,
) -> Images:
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
    image_numbers = as_indices(indices, len(x), x.device)
    size = real_number(rms)
    if size is None or not 0 <= size < math.inf:
        raise ValueError(f"`rms` must be a number of at least 0, got {rms!r}.")
    in_band = _frequencies_in_band(h, w, low, high, units).to(x.device)

    def noise_for(rows: slice) -> Tensor:
        # float64, so that "exactly this rms" does not hang on the rounding of two transforms.
        white = Draws(seed, image_numbers[rows], "band_noise").normal(3, h, w).double()
        noise = torch.fft.irfft2(torch.fft.rfft2(white) * in_band, s=(h, w))
        # Scaled after the filter: the share of the energy in the band differs from draw to draw.
        noise = noise * (size / noise.square().mean((2, 3), keepdim=True).sqrt())
        return noise.float()

    return plus_noise(images, x, noise_for, clip=clip)


def _frequencies_in_band(h: int, w: int, low: float, high: float | None, units: str) -> Tensor:
    """Which frequencies of a real FFT lie in low ≤ radius < high, (h, w // 2 + 1) bool. Raises ValueError if none does."""
    if units == "nyquist":
        scale = 2
    elif units == "cycles":
        scale = max(h, w)
    else:
        raise ValueError(f'`units` must be "nyquist" or "cycles", got {units!r}.')
    down = torch.fft.fftfreq(h, dtype=torch.float64)
    across = torch.fft.rfftfreq(w, dtype=torch.float64)
    radius = (down[:, None].square() + across.square()).sqrt() * scale
    upper_end = math.inf
    if high is not None:
        upper_end = high
    # A frequency that lies on the edge of the band belongs to it, whatever the rounding of its radius.
    in_band = (radius >= low - 1e-9) & (radius < upper_end - 1e-9)
    if not bool(in_band.any()):
        raise ValueError(
            f"no frequency of {h} x {w} images lies in the band from {low!r} to {high!r} {units}; `low` must be below `high`, "
            f"and the largest radius is {float(radius.max()):.3g}."
        )
    return in_band
