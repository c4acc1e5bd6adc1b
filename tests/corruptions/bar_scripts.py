"""Replays the scripts of ImageNet-C-bar and ImageNet-3DCC, and holds ours against them.

    python -m tests.corruptions.bar_scripts FOLDER [--store] [--runs RUN ...] [--names NAME ...]

FOLDER holds the files of imagenet_c_bar in github.com/facebookresearch/augmentation-corruption (corrupt.py, base.py, utils/) and
create_non3d.py of github.com/EPFL-VILAB/3DCommonCorruptions (folder create_3dcc). Prints, for each
corruption and run, the largest difference in grey levels at each severity and the share of equal values; exit status 1 where
one differs by more than 1. With `--store` a part of each of the scripts' results becomes `bar_outputs.npz`, which the tests read.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import PIL.ImageOps
import scipy.stats
import torch
from PIL import Image

from repgeom import corruptions

if __package__:
    from tests.corruptions import script_cases as cases
else:  # collected by pytest, which puts this folder on the path
    import script_cases as cases

STORED = Path(__file__).parent / "bar_outputs.npz"
# The side of the images of each run, how many there are, and the table of strengths.
RUNS = {
    "cifar": (32, 4, "cifar"),
    "odd": (33, 2, "imagenet"),
    "medium": (96, 2, "imagenet"),
    "imagenet": (224, 1, "imagenet"),
}
STORED_RUNS = ("cifar", "odd", "medium")
BAR, SENSOR = list(corruptions.names("imagenet-c-bar")), list(corruptions.names("imagenet-3dcc"))
SEVERITIES = range(1, 6)
WINDOW = 14
Array = np.ndarray


def photographs(run: str) -> Array:
    """Square parts of scikit-learn's two photographs, averaged to small images, (n, side, side, 3) uint8."""
    side, count, _ = RUNS[run]
    factor = min(4, 427 // side)
    images = []
    for i in range(count):
        part = cases.photo(i)[: side * factor, 50 * i : 50 * i + side * factor].astype(int)
        blocks = part.reshape(side, factor, side, factor, 3).sum((1, 3))
        images.append(((blocks + factor**2 // 2) // factor**2).astype(np.uint8))
    return np.stack(images)


def seed(run: str, name: str, severity: int, photograph: int) -> int:
    place = list(RUNS).index(run), (BAR + SENSOR).index(name), severity, photograph
    return int(np.ravel_multi_index(place, (len(RUNS), 12, 6, 4)))


def phases(random: np.random.RandomState, side: int, channels: int) -> dict[str, Array]:
    """What the scripts draw for noise of one colour, channel by channel."""
    found = []
    for _ in range(channels):
        phase = random.uniform(0, 2 * np.pi, (side, side // 2))
        middle = random.uniform(0, 2 * np.pi, (side // 2, 1)) if side % 2 else None
        found.append((phase, middle))
    drawn = {"phase": np.stack([phase for phase, _ in found])}
    if side % 2:
        drawn["middle"] = np.stack([middle[:, 0] for _, middle in found])
    return drawn


def perlin(random: np.random.RandomState) -> dict[str, Array]:
    """The table of slopes and the permutation, of which the script draws twice as many slopes as it uses."""
    slopes = np.stack([(random.randint(0, 2**31, 2) % 512 - 256) / 256 for _ in range(514)])
    places = np.arange(514)
    for i in range(255, -1, -1):
        j = random.randint(0, 2**31) % 256
        places[[i, j]] = places[[j, i]]
    slopes = slopes / np.linalg.norm(slopes, axis=1, keepdims=True)
    return {"permutation": places[:256], "gradient": slopes[:256]}


def rays(random: np.random.RandomState, numbers: Array) -> Array:
    lengths = np.zeros((len(numbers), 199))
    for row, n in zip(lengths, numbers, strict=True):
        row[:n] = random.randn(n)
    return lengths


def checkerboard(random: np.random.RandomState, side: int, square: float) -> Array:
    n = int(4 * side // square)
    uniform = np.zeros((41, 41))
    uniform[:n, :n] = random.uniform(size=(n, n))
    return uniform


def draws(name: str, run: str, severity: int, photograph: int, image: Array) -> dict[str, Any]:
    """What the script draws after `np.random.seed`, in the form that `corruptions.apply` takes."""
    side = RUNS[run][0]
    random = np.random.RandomState(seed(run, name, severity, photograph))
    if name == "color_quant":
        return {}
    if name == "iso_noise":
        mean = image / 255.0 * 25
        counts = random.poisson(mean)
        below, upto = (scipy.stats.poisson.cdf(counts - k, mean) for k in (1, 0))
        normal = random.normal(size=image.shape)
        return {"uniform": ((below + upto) / 2).transpose(2, 0, 1), "normal": normal.transpose(2, 0, 1)}
    if name == "single_frequency_greyscale":
        larger = random.uniform(-np.pi, np.pi)
        both = np.array([larger, random.uniform(-abs(larger), abs(larger))])[random.permutation(2)]
        return {"frequency": both, "phase": random.uniform(0, 2 * np.pi)}
    if name == "cocentric_sine_waves":
        return {
            "centre": random.uniform(0, side, 2),
            "frequency": random.uniform(0, 10),
            "amplitude": random.uniform(0, side / 10),
            "ring_width": random.uniform(0, side / 10),
        }
    if name == "plasma_noise":
        return {
            "time": random.uniform(0, 6 * np.pi),
            "iterations": random.randint(4, 7),
            "sharpness": random.uniform(0.5, 1),
            "scale": random.uniform(0.075, 0.2) * side,
        }
    if name == "caustic_refraction":
        return {"time": random.uniform(0.5, 2), "scale": random.uniform(0.75, 1.25) * side}
    if name == "sparkles":
        centres, own = random.uniform(0, side, (5, 2)), random.randint(0, 2**32)
        numbers = random.randint(50, 200, 5)
        return {"centre": centres, "rays": numbers, "length": rays(np.random.RandomState(own), numbers)}
    if name == "inverse_sparkles":
        centre, own = random.uniform(0.25, 0.75, 2) * side, random.randint(0, 2**32)
        number = random.randint(50, 200)
        return {"centre": centre, "rays": number, "length": rays(np.random.RandomState(own), [number])[0]}
    if name == "checkerboard_cutout":
        angle = random.uniform(0, 2 * np.pi)
        square = max(random.uniform(0.1, 0.25) * side, 1)
        own = np.random.RandomState(random.randint(0, 2**32))
        return {"angle": angle, "side": square, "uniform": checkerboard(own, side, square)}
    own = np.random.RandomState(random.randint(0, 2**32))
    if name == "perlin_noise":
        return perlin(own)
    return phases(own, side, 3 if name == "brownish_noise" else 1)


def of_ours(name: str, run: str, severity: int, images: Array) -> Array:
    """Our results (n, side, side, 3) uint8 with the draws of the script."""
    drawn = [draws(name, run, severity, i, image) for i, image in enumerate(images)]
    params = {key: torch.as_tensor(np.stack([draw[key] for draw in drawn])) for key in drawn[0]}
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    y = corruptions.apply(x, name, params, severity, strengths=RUNS[run][2])
    return y.permute(0, 2, 3, 1).numpy()


def parts(results: Array) -> Array:
    """The stored part of each result: a corner, then the middle, in turn."""
    side = results.shape[1]
    places = [((side - WINDOW) * (i % 2) // 2) for i in range(len(results))]
    return np.stack([r[p : p + WINDOW, p : p + WINDOW] for r, p in zip(results, places, strict=True)])


def loaded(folder: Path) -> dict[str, Any]:
    """The scripts' corruptions by name: a class of ImageNet-C-bar, or a function of ImageNet-3DCC."""
    sys.path.insert(0, str(folder))
    # Other corruptions in the same file use scikit-image, which needs not be there for these ten.
    for name, functions in (("skimage", ()), ("skimage.draw", ("line_aa",)), ("skimage.color", ("rgb2hsv", "hsv2rgb"))):
        stand_in = types.ModuleType(name)
        vars(stand_in).update(dict.fromkeys(functions))
        sys.modules.setdefault(name, stand_in)
    found = {t.name: t for t in vars(importlib.import_module("corrupt")).values() if hasattr(t, "sample_parameters")}
    text = (folder / "create_non3d.py").read_text()
    kept = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name in SENSOR]
    namespace: dict[str, Any] = {"np": np, "Image": Image, "PIL": PIL}
    exec(compile(ast.Module(kept, []), "create_non3d.py", "exec"), namespace)
    return found | {name: namespace[name] for name in SENSOR}


def of_script(functions: dict[str, Any], name: str, run: str, severity: int, photograph: int, image: Array) -> Array:
    np.random.seed(seed(run, name, severity, photograph))  # noqa: NPY002 - the scripts draw from the global state
    if name in SENSOR:
        return np.asarray(functions[name](Image.fromarray(image), severity))
    level = corruptions.strength(name, severity, RUNS[run][2])["level"]
    return functions[name](severity=level, im_size=RUNS[run][0])(image)


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.corruptions.bar_scripts")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--runs", nargs="*", default=list(RUNS))
    parser.add_argument("--names", nargs="*", default=BAR + SENSOR)
    options = parser.parse_args()
    functions, kept, close = loaded(options.folder), {}, True
    for run in options.runs:
        images = photographs(run)
        for name in options.names:
            away, stored = [], []
            for severity in SEVERITIES:
                theirs = np.stack([of_script(functions, name, run, severity, i, x) for i, x in enumerate(images)])
                away.append(np.abs(of_ours(name, run, severity, images).astype(int) - theirs))
                stored.append(parts(theirs))
            kept[f"{run}/{name}"] = np.stack(stored)
            largest = [int(a.max()) for a in away]
            equal = np.mean([(a == 0).mean() for a in away])
            print(f"{run:10} {name:28} {largest}  equal {equal:9.4%}", flush=True)
            close = close and max(largest) <= 1
    if options.store:
        np.savez_compressed(STORED, **{key: value for key, value in kept.items() if key.split("/")[0] in STORED_RUNS})
    return 0 if close else 1


if __name__ == "__main__":
    sys.exit(main())
