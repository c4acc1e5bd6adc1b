"""Replay ``imagecorruptions`` 1.1.2 with known random numbers, and compare the reference with it.

The package always uses ImageNet strengths. Its elastic transform is another algorithm, so it is left out here. As a
script, this prints how far the reference is from the package on one photo.
"""

import functools
import importlib
import math
import sys
import types
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import corruption_reference
import numpy as np
from PIL import Image
from scipy import stats

Array = np.ndarray
NAMES = tuple(name for name in corruption_reference.CORRUPTIONS if name != "elastic_transform")


def _resource_filename(module: str, path: str) -> str:
    return str(Path(str(sys.modules[module].__file__)).parent / path)


@functools.cache
def load() -> types.ModuleType:
    """The package's ``corruptions`` module, made to work with current libraries."""
    # Only resource_filename is used, and current setuptools no longer brings pkg_resources.
    stub = types.ModuleType("pkg_resources")
    stub.resource_filename = _resource_filename  # type: ignore[attr-defined]
    before = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = stub
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module("imagecorruptions.corruptions")
    finally:
        del sys.modules["pkg_resources"]
        if before is not None:
            sys.modules["pkg_resources"] = before
    gaussian = module.gaussian

    def gaussian_with_old_keyword(image: Array, sigma: float, multichannel: bool = False, **options: Any) -> Array:
        return gaussian(image, sigma=sigma, channel_axis=-1 if multichannel else None, **options)

    module.gaussian = gaussian_with_old_keyword  # type: ignore[attr-defined]
    return module


def incumbent(name: str, image: Array, severity: int, seed: int) -> tuple[Array, dict[str, Array]]:
    """The package's uint8 result for an (h, w, 3) uint8 image, and its random numbers as the reference takes them."""
    if name not in NAMES:
        raise ValueError(f"{name} of imagecorruptions is not comparable; choose one of {', '.join(NAMES)}")
    module = load()
    # scikit-image draws impulse noise from a generator of its own, which np.random.seed does not reach.
    random_noise = functools.partial(module.sk.util.random_noise, rng=seed)
    with mock.patch.object(module.sk.util, "random_noise", random_noise):
        np.random.seed(seed)  # noqa: NPY002 - the package draws from the global state
        result = shipped(name, image, severity)
    return result, replay(name, image, severity, seed)


def shipped(name: str, image: Array, severity: int) -> Array:
    """What the package makes of an (h, w, 3) uint8 image, with draws of its own."""
    with mock.patch.object(np, "float_", np.float64, create=True):
        return np.uint8(getattr(load(), name)(Image.fromarray(image), severity))


def replay(name: str, image: Array, severity: int, seed: int) -> dict[str, Array]:
    """The random numbers the package draws after ``np.random.seed(seed)``."""
    random = np.random.RandomState(seed)
    values = corruption_reference.TABLES["imagenet"][name][severity - 1]
    height, width = image.shape[:2]
    if name in ("gaussian_noise", "speckle_noise"):
        return {"normal": channels_first(random.normal(size=image.shape))}
    if name == "shot_noise":
        return {"uniform": channels_first(poisson_probability(random, image / 255 * values[0]))}
    if name == "impulse_noise":
        generator = np.random.default_rng(seed)
        return {key: channels_first(generator.random(image.shape)) for key in ("replace", "white")}
    if name == "glass_blur":
        return glass_offsets(random, height, width, *values[1:])
    if name == "motion_blur":
        return {"angle": np.array(random.uniform(-45, 45))}
    if name == "snow":
        return {"normal": random.normal(size=(height, width)), "angle": np.array(random.uniform(-135, -45))}
    if name == "frost":
        index = random.randint(5)
        rows, columns = frost_images(height, width)[index].shape[:2]
        top, left = random.randint(0, rows - height), random.randint(0, columns - width)
        return {"image": np.array(index), "top": np.array(top), "left": np.array(left)}
    if name == "fog":
        levels = math.ceil(math.log2(max(height, width)))
        return {f"level_{k}": random.uniform(-1, 1, size=(3, 2**k, 2**k)) for k in range(levels)}
    if name == "spatter":
        return {"normal": random.normal(size=(height, width))}
    return {}


def channels_first(draw: Array) -> Array:
    return np.moveaxis(draw, -1, 0)


def poisson_probability(random: np.random.RandomState, mean: Array) -> Array:
    """Probabilities in the middle of the step of the distribution function that gives the package's own counts."""
    counts = random.poisson(mean)
    return (stats.poisson.cdf(counts - 1, mean) + stats.poisson.cdf(counts, mean)) / 2 * (mean > 0)


def glass_offsets(
    random: np.random.RandomState, height: int, width: int, max_delta: int, iterations: int
) -> dict[str, Array]:
    offsets = np.zeros((2, iterations, height, width), dtype=np.int64)
    rows, columns = np.arange(height - max_delta, max_delta, -1), np.arange(width - max_delta, max_delta, -1)
    for i in range(iterations):
        drawn = random.randint(-max_delta, max_delta, size=(len(rows), len(columns), 2))
        offsets[:, i, rows[:, None], columns[None, :]] = np.moveaxis(drawn, -1, 0)
    return {"offset_x": offsets[0], "offset_y": offsets[1]}


@functools.cache
def frost_images(height: int, width: int) -> list[Array]:
    """The package's five photos in use, enlarged as it enlarges them for an image of this size."""
    cv2 = load().cv2
    scaled = []
    for file in ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg"):
        photo = cv2.imread(_resource_filename("imagecorruptions", f"frost/{file}"))[..., ::-1]
        factor = 1.1 * max(1, height / photo.shape[0], width / photo.shape[1])
        size = (math.ceil(photo.shape[1] * factor), math.ceil(photo.shape[0] * factor))
        scaled.append(cv2.resize(photo, dsize=size, interpolation=cv2.INTER_CUBIC))
    return scaled


def compare(name: str, image: Array, severity: int, seed: int) -> Array:
    """Grey levels of the truncated reference minus those of the package."""
    theirs, draws = incumbent(name, image, severity, seed)
    photos = frost_images(*image.shape[:2]) if name == "frost" else None
    ours = corruption_reference.reference(name, image, severity, "imagenet", draws, photos)
    return (ours * 255).astype(np.int64) - theirs


def main() -> None:
    from sklearn.datasets import load_sample_image

    image = np.ascontiguousarray(load_sample_image("china.jpg")[100:324, 200:424])
    print(f"{'corruption':18} s  largest  identical  mean |d|")
    for name in NAMES:
        for severity in (1, 3, 5):
            difference = np.abs(compare(name, image, severity, seed=severity))
            same = (difference == 0).mean()
            print(f"{name:18} {severity}  {difference.max():7d}  {same:9.4%}  {difference.mean():8.4f}")


if __name__ == "__main__":
    main()
