"""Slow, plain reference of the nineteen CIFAR-C / ImageNet-C corruptions, the oracle of the fast implementation.

One image at a time, in float64, with NumPy, SciPy and Pillow. Nothing is drawn here: every random number comes in
with ``draws``, so the same numbers can be fed to another implementation and the results compared pixel by pixel.
"""

import io
from collections.abc import Callable

import numpy as np
from corruption_filters import (
    channels_last,
    correlate_mirrored,
    smear,
    smooth,
    truncate_to_8_bit,
    unit,
    zoom_into_centre,
)
from corruption_tables import ELASTIC_SIZE, TABLES
from PIL import Image
from scipy import ndimage, stats

Array = np.ndarray
Draws = dict[str, Array]


def reference(
    name: str, image: Array, severity: int, strengths: str, draws: Draws, frost_images: list[Array] | None = None
) -> Array:
    """The corrupted (h, w, 3) uint8 ``image`` as float64 in [0, 1], before the last truncation to 8 bits."""
    values = TABLES[strengths][name][severity - 1]
    if name == "elastic_transform":
        values = tuple(value * ELASTIC_SIZE[strengths] for value in values)
    if name == "frost":
        return np.clip(frost(image, draws, frost_images or [], *values), 0, 1)
    return np.clip(CORRUPTIONS[name](image, draws, *values), 0, 1)


# ------------------------------------------------------------------------------------------------------------ noise


def gaussian_noise(image: Array, draws: Draws, sigma: float) -> Array:
    return unit(image) + sigma * channels_last(draws["normal"])


def shot_noise(image: Array, draws: Draws, rate: float) -> Array:
    mean = rate * unit(image)
    # scipy's quantile starts at -1 for a probability of 0 and is not defined for a mean of 0.
    counts = stats.poisson.ppf(channels_last(draws["uniform"]), np.where(mean > 0, mean, 1))
    return np.where(mean > 0, np.maximum(counts, 0), 0) / rate


def impulse_noise(image: Array, draws: Draws, amount: float) -> Array:
    replaced = channels_last(draws["replace"]) <= amount
    value = np.where(channels_last(draws["white"]) <= 0.5, 1.0, 0.0)
    return np.where(replaced, value, unit(image))


def speckle_noise(image: Array, draws: Draws, sigma: float) -> Array:
    x = unit(image)
    return x + x * sigma * channels_last(draws["normal"])


# ------------------------------------------------------------------------------------------------------------- blur


def gaussian_blur(image: Array, draws: Draws, sigma: float) -> Array:
    return smooth(unit(image), sigma)


def disk(radius: float, alias_blur: float) -> Array:
    reach = 8 if radius <= 8 else int(radius)
    half = 1 if radius <= 8 else 2
    i = np.arange(-reach, reach + 1)
    kernel = (i[:, None] ** 2 + i[None, :] ** 2 <= radius**2).astype(np.float64)
    kernel /= kernel.sum()
    taps = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * alias_blur**2))
    taps /= taps.sum()
    return correlate_mirrored(kernel, np.outer(taps, taps))


def defocus_blur(image: Array, draws: Draws, radius: float, alias_blur: float) -> Array:
    x, kernel = unit(image), disk(radius, alias_blur)
    return np.stack([correlate_mirrored(x[..., c], kernel) for c in range(3)], axis=-1)


def glass_blur(image: Array, draws: Draws, sigma: float, max_delta: int, iterations: int) -> Array:
    levels = truncate_to_8_bit(smooth(unit(image), sigma))
    height, width = levels.shape[:2]
    for i in range(iterations):
        offset_x, offset_y = draws["offset_x"][i], draws["offset_y"][i]
        for row in range(height - max_delta, max_delta, -1):
            for column in range(width - max_delta, max_delta, -1):
                source = row + int(offset_y[row, column]), column + int(offset_x[row, column])
                # A copy and no swap: what was meant to swap two pixels swapped two views of the same array.
                levels[row, column] = levels[source]
    return smooth(unit(levels), sigma)


def motion_blur(image: Array, draws: Draws, radius: int, sigma: float) -> Array:
    return smear(image, radius, sigma, float(draws["angle"])) / 255


def zoom_blur(image: Array, draws: Draws, *factors: float) -> Array:
    x = unit(image)
    return (x + sum(zoom_into_centre(x, factor) for factor in factors)) / (len(factors) + 1)


# ---------------------------------------------------------------------------------------------------------- weather


def snow(
    image: Array,
    draws: Draws,
    loc: float,
    scale: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    mix: float,
) -> Array:
    x = unit(image)
    layer = zoom_into_centre(loc + scale * np.asarray(draws["normal"], dtype=np.float64), zoom)
    layer = np.clip(np.where(layer < threshold, 0, layer), 0, 1)
    flakes = smear(truncate_to_8_bit(layer), radius, sigma, float(draws["angle"]))[..., None] / 255
    gray = (x @ np.array([0.299, 0.587, 0.114]))[..., None]
    whitened = mix * x + (1 - mix) * np.maximum(x, 1.5 * gray + 0.5)
    return whitened + flakes + flakes[::-1, ::-1]


def frost(image: Array, draws: Draws, frost_images: list[Array], image_weight: float, frost_weight: float) -> Array:
    height, width = image.shape[:2]
    top, left = int(draws["top"]), int(draws["left"])
    crop = frost_images[int(draws["image"])][top : top + height, left : left + width]
    return image_weight * unit(image) + frost_weight * unit(crop)


def plasma(draws: Draws, size: int, decay: float) -> Array:
    """Diamond-square fractal on a torus of ``size`` (a power of two) a side, scaled to [0, 1]."""
    field = np.zeros((size, size))
    wibble, step, level = 100.0, size, 0
    while step >= 2:
        half = step // 2
        corner = np.arange(0, size, step)
        following, centre = (corner + step) % size, corner + half
        previous_centre = (centre - step) % size
        noise = wibble * (wibble * np.asarray(draws[f"level_{level}"], dtype=np.float64))

        corners = field[np.ix_(corner, corner)]
        right, below = field[np.ix_(corner, following)], field[np.ix_(following, corner)]
        diagonal = field[np.ix_(following, following)]
        field[np.ix_(centre, centre)] = (corners + right + below + diagonal) / 4 + noise[0]

        centres = field[np.ix_(centre, centre)]
        centre_above, centre_left = field[np.ix_(previous_centre, centre)], field[np.ix_(centre, previous_centre)]
        field[np.ix_(corner, centre)] = (centre_above + centres + corners + right) / 4 + noise[1]
        field[np.ix_(centre, corner)] = (centre_left + centres + corners + below) / 4 + noise[2]

        step, level, wibble = half, level + 1, wibble / decay
    field -= field.min()
    return field / field.max()


def fog(image: Array, draws: Draws, amount: float, decay: float) -> Array:
    x = unit(image)
    height, width = image.shape[:2]
    size = 1
    while size < max(height, width):
        size *= 2
    haze = plasma(draws, size, decay)[:height, :width, None]
    brightest = x.max()
    return (x + amount * haze) * brightest / (brightest + amount)


# ----------------------------------------------------------------------------------------------------------- colour


def brightness(image: Array, draws: Draws, shift: float) -> Array:
    x = unit(image)
    value = x.max(axis=-1, keepdims=True)
    brighter = np.clip(value + shift, 0, 1)
    # Scaling keeps hue and saturation; black has none, and turns gray.
    return np.where(value > 0, x * brighter / np.where(value > 0, value, 1), brighter)


def contrast(image: Array, draws: Draws, gain: float) -> Array:
    x = unit(image)
    mean = x.mean(axis=(0, 1))
    return (x - mean) * gain + mean


def saturate(image: Array, draws: Draws, gain: float, offset: float) -> Array:
    x = unit(image)
    value = x.max(axis=-1, keepdims=True)
    spread = value - x.min(axis=-1, keepdims=True)
    saturation = spread / np.where(value > 0, value, 1)
    wanted = np.clip(gain * saturation + offset, 0, 1)
    # Distance of each channel below the largest, as a share of the largest distance. A gray pixel has hue 0: red.
    below = np.where(spread > 0, (value - x) / np.where(spread > 0, spread, 1), np.array([0.0, 1.0, 1.0]))
    return value * (1 - wanted * below)


# ---------------------------------------------------------------------------------------------------------- digital


def affine_from_points(source: Array, target: Array) -> Array:
    """The (2, 3) matrix A with A @ (x, y, 1) = target for the three source points."""
    return np.linalg.solve(np.column_stack([source, np.ones(3)]), target).T


def elastic_transform(image: Array, draws: Draws, alpha: float, sigma: float, affine: float) -> Array:
    x = unit(image)
    height, width = image.shape[:2]
    first, second = height // 2, width // 2
    reach = min(height, width) // 3
    points = np.array(
        [[first + reach, second + reach], [first + reach, second - reach], [first - reach, second - reach]], dtype=float
    )
    moved = points + affine * np.asarray(draws["points"], dtype=np.float64)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)

    # The points move forwards, so a pixel of the result looks up where it came from.
    inverse = affine_from_points(moved, points)
    from_x = inverse[0, 0] * columns + inverse[0, 1] * rows + inverse[0, 2]
    from_y = inverse[1, 0] * columns + inverse[1, 1] * rows + inverse[1, 2]
    warped = look_up(x, from_y, from_x, "mirror")
    if alpha == 0:
        return warped

    shift_x, shift_y = (
        alpha * ndimage.gaussian_filter(np.asarray(draws[key], dtype=np.float64), sigma, mode="reflect", truncate=3.0)
        for key in ("dx", "dy")
    )
    return look_up(warped, rows + shift_y, columns + shift_x, "reflect")


def look_up(x: Array, rows: Array, columns: Array, border: str) -> Array:
    """Bilinear samples; scipy's "mirror" leaves the border pixel out of the reflection, "reflect" repeats it."""
    planes = [ndimage.map_coordinates(x[..., c], [rows, columns], order=1, mode=border) for c in range(3)]
    return np.stack(planes, axis=-1)


def pixelate(image: Array, draws: Draws, scale: float) -> Array:
    height, width = image.shape[:2]
    small = Image.fromarray(image).resize((int(width * scale), int(height * scale)), Image.Resampling.BOX)
    return unit(np.asarray(small.resize((width, height), Image.Resampling.BOX)))


def jpeg_compression(image: Array, draws: Draws, quality: int) -> Array:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return unit(np.asarray(Image.open(stream)))


# ---------------------------------------------------------------------------------------------------------- spatter


def spatter(
    image: Array, draws: Draws, loc: float, scale: float, blur: float, threshold: float, strength: float, mode: str
) -> Array:
    x = unit(image)
    liquid = smooth(loc + scale * np.asarray(draws["normal"], dtype=np.float64), blur)
    liquid = np.where(liquid < threshold, 0, liquid)
    if mode == "water":
        return x + water(liquid, strength)[..., None] * np.array([175, 238, 238]) / 255
    mask = smooth(liquid > threshold, strength)
    mask = np.where(mask < 0.8, 0, mask)[..., None]
    return x * (1 - mask) + mask * np.array([63, 42, 20]) / 255


def water(liquid: Array, strength: float) -> Array:
    """How much of the colour of water each pixel gets: lit along the rim of the drops."""
    levels = truncate_to_8_bit(liquid)
    edges = canny(levels, 50, 150)
    # Without any edge the distance has no meaning for scipy; it is only known to be above the limit.
    distance = ndimage.distance_transform_edt(~edges) if edges.any() else np.full(levels.shape, 20.0)
    rim = np.floor(mean_of_nine(np.minimum(distance, 20))).astype(np.uint8)
    rim = equalize(rim).astype(np.float64)
    relief = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype=np.float64)
    rim = np.clip(correlate_mirrored(rim, relief), 0, 255)
    mask = levels * np.rint(mean_of_nine(rim))
    return strength * mask / mask.max() if mask.max() > 0 else mask


def mean_of_nine(field: Array) -> Array:
    return correlate_mirrored(np.asarray(field, dtype=np.float64), np.ones((3, 3))) / 9


def equalize(levels: Array) -> Array:
    """Histogram equalisation: the cumulative count without the lowest level present, stretched to 0..255."""
    counts = np.bincount(levels.ravel(), minlength=256)
    lowest = counts[levels.min()]
    if lowest == levels.size:
        return levels
    table = np.rint((np.cumsum(counts) - lowest) * 255 / (levels.size - lowest))
    return np.clip(table, 0, 255).astype(np.uint8)[levels]


def canny(levels: Array, low: int, high: int) -> Array:
    """Edges of 8-bit levels: 3 x 3 Sobel, sum of absolute derivatives, thin ridges, two thresholds."""
    padded = np.pad(levels.astype(np.int64), 1, mode="edge")
    across = padded[:, 2:] - padded[:, :-2]
    along_x = across[:-2] + 2 * across[1:-1] + across[2:]
    down = padded[2:] - padded[:-2]
    along_y = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    magnitude = np.abs(along_x) + np.abs(along_y)
    outside_zero = np.pad(magnitude, 1)

    ridge = np.zeros(levels.shape, dtype=bool)
    for row, column in np.argwhere(magnitude > low):
        ridge[row, column] = is_ridge(
            outside_zero[row : row + 3, column : column + 3], int(along_x[row, column]), int(along_y[row, column])
        )
    groups, _ = ndimage.label(ridge, structure=np.ones((3, 3)))
    kept = np.unique(groups[ridge & (magnitude > high)])
    return np.isin(groups, kept[kept > 0])


def is_ridge(window: Array, gx: int, gy: int) -> bool:
    """Whether the middle of 3 x 3 magnitudes is the largest along its gradient (gx, gy)."""
    middle = window[1, 1]
    # The tangent of 22.5 degrees in 15-bit fixed point; that of 67.5 degrees is larger by exactly 2.
    flat = abs(gx) * 13573
    steep = flat + (abs(gx) << 16)
    slope = abs(gy) << 15
    if slope < flat:
        return bool(middle > window[1, 0] and middle >= window[1, 2])
    if slope > steep:
        return bool(middle > window[0, 1] and middle >= window[2, 1])
    side = -1 if (gx < 0) != (gy < 0) else 1
    return bool(middle > window[0, 1 - side] and middle > window[2, 1 + side])


CORRUPTIONS: dict[str, Callable[..., Array]] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "defocus_blur": defocus_blur,
    "glass_blur": glass_blur,
    "motion_blur": motion_blur,
    "zoom_blur": zoom_blur,
    "snow": snow,
    "frost": frost,
    "fog": fog,
    "brightness": brightness,
    "contrast": contrast,
    "elastic_transform": elastic_transform,
    "pixelate": pixelate,
    "jpeg_compression": jpeg_compression,
    "speckle_noise": speckle_noise,
    "gaussian_blur": gaussian_blur,
    "spatter": spatter,
    "saturate": saturate,
}
