"""Replay ``imagecorruptions`` 1.1.2 with known random numbers.

The package always uses ImageNet strengths. Its elastic transform is another algorithm, so it is left out here.
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

import numpy as np
import script_cases as cases
from PIL import Image

from repgeom import corruptions

Array = np.ndarray
NAMES = tuple(name for name in corruptions.names() if name != "elastic_transform")


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
    """The package's uint8 result for an (h, w, 3) uint8 image, and its random numbers as `corruptions.apply` takes them."""
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
    frost_sizes = []
    if name == "frost":
        frost_sizes = [list(photo.shape[:2]) for photo in frost_images(*image.shape[:2])]
    return cases.drawn(name, "imagenet", severity, seed, image, frost_sizes)


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
