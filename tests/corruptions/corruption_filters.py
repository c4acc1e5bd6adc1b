"""Smoothing, resampling and casting in plain NumPy and SciPy, for the reference of the corruptions."""

import math

import numpy as np
from scipy import ndimage

Array = np.ndarray


def unit(image: Array) -> Array:
    return np.asarray(image, dtype=np.float64) / 255


def channels_last(draw: Array) -> Array:
    return np.moveaxis(np.asarray(draw), 0, -1)


def truncate_to_8_bit(x: Array) -> Array:
    """Levels 0..255 of x in [0, 1], as the cast to uint8 makes them: towards zero, modulo 256."""
    return (x * 255).astype(np.int64).astype(np.uint8)


def smooth(field: Array, sigma: float) -> Array:
    """Gaussian filter of the first two axes: four standard deviations, the border pixel repeated."""
    return ndimage.gaussian_filter(
        np.asarray(field, dtype=np.float64), sigma, mode="nearest", truncate=4.0, axes=(0, 1), output=np.float64
    )


def correlate_mirrored(field: Array, kernel: Array) -> Array:
    """Correlation of a plane with a kernel, reflected at the border without repeating the border pixel."""
    return ndimage.correlate(field, kernel, mode="mirror")


def stretch(field: Array, size: int, axis: int) -> Array:
    """Linear interpolation along an axis to ``size`` samples, first on first and last on last."""
    field = np.moveaxis(field, axis, 0)
    last = len(field) - 1
    position = np.arange(size) * last / max(size - 1, 1)
    below = np.minimum(np.floor(position).astype(int), last)
    above = np.minimum(below + 1, last)
    weight = (position - below).reshape(-1, *[1] * (field.ndim - 1))
    return np.moveaxis((1 - weight) * field[below] + weight * field[above], 0, axis)


def zoom_into_centre(field: Array, factor: float) -> Array:
    """Enlarge the centre by ``factor`` to the size of the whole field; each side on its own."""
    for axis in (0, 1):
        size = field.shape[axis]
        cut = math.ceil(size / factor)
        first = (size - cut) // 2
        field = field.take(range(first, first + cut), axis)
        field = stretch(field, round(cut * factor), axis)
        trim = (field.shape[axis] - size) // 2
        field = field.take(range(trim, trim + size), axis)
    return field


def smear(levels: Array, radius: int, sigma: float, angle: float) -> Array:
    """One-sided motion blur of 8-bit levels along an angle in degrees, rounded to 8-bit levels."""
    height, width = levels.shape[:2]
    rows, columns = np.arange(height), np.arange(width)
    steps = range(2 * radius + 1)
    weights = np.array([math.exp(-(i**2) / (2 * sigma**2)) for i in steps])
    weights /= weights.sum()
    total = np.zeros(levels.shape)
    for i in steps:
        right = math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        down = math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        shifted_rows = np.clip(rows + down, 0, height - 1)
        shifted_columns = np.clip(columns + right, 0, width - 1)
        total += weights[i] * levels[shifted_rows][:, shifted_columns]
    return np.rint(total)
