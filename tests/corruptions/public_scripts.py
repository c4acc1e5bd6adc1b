"""Replays the four public scripts that made CIFAR-10-C, Tiny-ImageNet-C and ImageNet-C, and holds ours against them.

    python -m tests.corruptions.public_scripts FOLDER [--store] [--runs RUN ...] [--names NAME ...]

FOLDER holds make_cifar_c.py, make_tinyimagenet_c.py, make_imagenet_c.py and make_imagenet_c_inception.py
(github.com/hendrycks/robustness, folder ImageNet-C/create_c). They need ImageMagick 6 and the packages wand, scikit-image and
opencv-python-headless, and run with today's versions of these. Prints, for each corruption and script, the largest difference in
grey levels and the share of equal values over all photographs, severities and pixels; exit status 1 where one differs by
more than 1. With `--store` a part of each of the scripts' results becomes `script_outputs.npz`, which the tests read.
"""

from __future__ import annotations

import argparse
import ast
import ctypes
import functools
import io
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from repgeom import corruptions

if __package__:
    from tests.corruptions import script_cases as cases
else:  # collected by pytest, which puts this folder on the path
    import script_cases as cases

STORED = Path(__file__).parent / "script_outputs.npz"
SEVERITIES = range(1, 6)
Array = np.ndarray
Cell = tuple[str, str, int]  # corruption, run of a script, severity


def load(path: Path, frost: list[Array]) -> dict[str, Callable[..., Any]]:
    """The script's functions by name. Its data set, and what it does with it, are left out."""
    kept = [node for node in ast.parse(path.read_text()).body if is_corruption(node)]
    namespace = libraries(frost)
    exec(compile(ast.Module(kept, []), str(path), "exec"), namespace)
    return namespace


def is_corruption(node: ast.stmt) -> bool:
    """Whether a statement of a script defines a function, or the image that ImageMagick blurs."""
    if isinstance(node, ast.ClassDef):
        return node.name == "MotionImage"
    return isinstance(node, ast.FunctionDef)


def libraries(frost: list[Array]) -> dict[str, Any]:
    """What the scripts import, with today's names of what has been renamed since."""
    import cv2
    import skimage
    from scipy.ndimage import map_coordinates, zoom
    from skimage.filters import gaussian
    from wand.api import library
    from wand.image import Image as WandImage

    library.MagickMotionBlurImage.argtypes = (ctypes.c_void_p, ctypes.c_double, ctypes.c_double, ctypes.c_double)

    def gaussian_with_old_keyword(image: Array, *args: Any, multichannel: bool = False, **options: Any) -> Array:
        axis = -1 if multichannel else None
        return gaussian(image, *args, channel_axis=axis, **options)

    def photograph(name: str) -> Array:
        number = int(Path(name).stem.removeprefix("frost"))
        return np.ascontiguousarray(frost[number - 1][..., ::-1])

    return {
        "np": renewed(np, float_=np.float64, fromstring=np.frombuffer),
        "cv2": renewed(cv2, imread=photograph),
        "sk": skimage,
        "gaussian": gaussian_with_old_keyword,
        "Image": Image,
        "PILImage": Image,
        "BytesIO": io.BytesIO,
        "WandImage": WandImage,
        "wandlibrary": library,
        "scizoom": zoom,
        "map_coordinates": map_coordinates,
    }


def renewed(module: types.ModuleType, **changed: Any) -> types.SimpleNamespace:
    """The module with some of its names standing for something else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {name: getattr(module, name) for name in dir(module)}
    return types.SimpleNamespace(**names | changed)


def of_script(functions: dict[str, Callable[..., Any]], cell: Cell, photograph: int, image: Array) -> Array:
    """The script's result (h, w, 3) uint8 for one image."""
    import skimage

    name, run, severity = cell
    number = cases.seed(name, run, severity, photograph)
    # scikit-image draws impulse noise from a generator of its own, which np.random.seed does not reach.
    seeded = functools.partial(skimage.util.random_noise, rng=number)
    functions["sk"] = types.SimpleNamespace(color=skimage.color, util=types.SimpleNamespace(random_noise=seeded))
    np.random.seed(number)  # noqa: NPY002 - the scripts draw from the global state
    with np.errstate(all="ignore"):
        return np.asarray(np.uint8(functions[name](Image.fromarray(image), severity)))


def of_ours(cell: Cell, images: Array, frost: list[Array]) -> Array:
    """Our results (n, h, w, 3) uint8 with the draws of the script."""
    name, run, severity = cell
    drawn = [cases.draws(name, run, severity, i, image) for i, image in enumerate(images)]
    params = {key: torch.as_tensor(np.stack([draw[key] for draw in drawn])) for key in drawn[0]}
    photos = [photo.transpose(2, 0, 1).copy() for photo in frost] if name == "frost" else None
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    y = corruptions.apply(x, name, params, severity, strengths=cases.SCRIPTS[run].table, frost_images=photos)
    return y.permute(0, 2, 3, 1).numpy()


def parts(cell: Cell, results: Array) -> Array:
    """The stored part of each result, (n, WINDOW, WINDOW, 3)."""
    return np.stack([result[cases.window(*cell, i)] for i, result in enumerate(results)])


def compare(folder: Path, runs: list[str], names: list[str]) -> tuple[dict[str, Array], bool]:
    """The stored part of the scripts' results by run and corruption, and whether ours are within one grey level."""
    frost = cases.frost_photographs()
    functions = {run: load(folder / cases.SCRIPTS[run].file, frost) for run in runs}
    parts_by_cell, close = {}, True
    for run in runs:
        images = cases.photographs(run)
        for name in [name for name in cases.names(run) if name in names]:
            kept, away = [], []
            for severity in SEVERITIES:
                cell = (name, run, severity)
                theirs = np.stack([of_script(functions[run], cell, i, image) for i, image in enumerate(images)])
                away.append(np.abs(of_ours(cell, images, frost).astype(int) - theirs))
                kept.append(parts(cell, theirs))
            parts_by_cell[f"{run}/{name}"] = np.stack(kept)
            largest = [int(a.max()) for a in away]
            equal = float(np.mean([(a == 0).mean() for a in away]))
            print(f"{run:10} {name:18} {largest}  equal {equal:9.4%}", flush=True)
            close = close and max(largest) <= 1
    return parts_by_cell, close


def store(parts_by_cell: dict[str, Array]) -> None:
    """Put these parts into the stored file, in the place of earlier ones of the same scripts and corruptions."""
    kept = {}
    if STORED.exists():
        with np.load(STORED) as earlier:
            kept = dict(earlier)
    np.savez_compressed(STORED, **kept | parts_by_cell)


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.corruptions.public_scripts")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--runs", nargs="*", default=list(cases.SCRIPTS))
    parser.add_argument("--names", nargs="*", default=list(corruptions.names()))
    options = parser.parse_args()
    parts_by_cell, close = compare(options.folder, options.runs, options.names)
    if options.store:
        store(parts_by_cell)
    return int(not close)


if __name__ == "__main__":
    sys.exit(main())
