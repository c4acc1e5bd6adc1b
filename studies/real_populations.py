"""Large finite sets of real feature rows. Each is a population that is known whole, and rows are drawn from it.

`python -m studies.real_populations FOLDER` makes all sets, writes each as FOLDER/NAME.npy, and lists them with their
measures. A study that finds REPGEOM_STUDY_ROWS set reads the rows from that folder and leaves there what it had to make.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import repgeom as rg
from studies import real_digits, real_images, real_text
from studies.populations import MEASURES

Rows = NDArray[np.float32]
Made = dict[str, Rows]

FOLDER = "REPGEOM_STUDY_ROWS"


@dataclass(frozen=True)
class Effort:
    """How large the sets are, and how long the networks behind them are trained."""

    photos: int  # patches of the two photographs
    copies: int  # of each digit, enlarged
    turns: tuple[int, ...]  # degrees; each digit is also shifted nine ways
    epochs: int  # of the networks that tell digits apart
    words: int  # positions of the text
    steps: int  # of the language models


WHOLE = Effort(photos=20_000, copies=6, turns=real_digits.TURNS, epochs=8, words=40_000, steps=600)
TINY = Effort(photos=1_200, copies=1, turns=(0,), epochs=1, words=4_000, steps=2)

ABOUT = {
    "digits, pixels as they are": "scikit-learn's 1,797 digits of 8 × 8 pixels",
    "digits, pixels": "the same, each turned by −10, 0 and 10° and shifted by up to a pixel: 27 copies",
    "digits, MLP": "the last hidden layer of a perceptron with two, trained on the moved digits",
    "digits, CNN": "the last hidden layer of a network with two convolutions, trained on the moved digits",
    "photos, block": "a middle layer of efficientnet-lite0 (ImageNet), mean over space, on crops of two photographs",
    "photos, last": "its last layer, mean over space",
    "photos, last in 256": "the same along 256 random orthonormal directions",
    "photos and digits": "as the photographs' sets, and digits enlarged to 64 pixels, moved a little",
    "text, layer": "states of a transformer of two layers, trained on Python's help topics, at random positions",
}


@dataclass(frozen=True)
class Population:
    """A set of rows that is all there is: its measures are the truth.

    Attributes:
        name: says where the rows come from.
        rows: (n_rows, n_features).
    """

    name: str
    rows: Rows

    def draw(self, n: int, random: np.random.Generator) -> torch.Tensor:
        """Draw n rows without replacement."""
        return torch.from_numpy(self.rows[chosen(len(self.rows), n, random)])

    def true_values(self) -> dict[str, float]:
        """Every measure of all rows, in float64."""
        spectrum = rg.spectrum(torch.from_numpy(self.rows).double())
        return {name: float(measure(spectrum)) for name, measure in MEASURES.items()}

    @property
    def width(self) -> int:
        return self.rows.shape[1]

    @property
    def about(self) -> str:
        """The description whose name agrees longest."""
        return ABOUT[max((start for start in ABOUT if self.name.startswith(start)), key=len)]


def chosen(n_rows: int, n: int, random: np.random.Generator) -> NDArray[np.int64]:
    """n of the rows' numbers, none twice."""
    return random.choice(n_rows, n, replace=False, shuffle=False)


def narrowing(n_rows: float, n: int) -> float:
    """By what factor a draw without replacement spreads less than one of independent rows, √(1 − n/N)."""
    return math.sqrt(1 - n / n_rows)


@cache
def populations(effort: Effort = WHOLE) -> dict[str, Population]:
    """Every set by its name; those of the pictures only where the network's packages are installed."""
    made = {**_digits(effort), **_text(effort)}
    if real_images.available() or _stored("images", effort):
        made |= _images(effort)
    return {name: Population(name, rows) for name, rows in made.items()}


def _digits(effort: Effort) -> Made:
    return _kept("digits", effort, lambda: real_digits.digit_rows(effort.turns, effort.epochs))


def _text(effort: Effort) -> Made:
    return _kept("text", effort, lambda: real_text.text_rows(effort.words, effort.steps))


def _images(effort: Effort) -> Made:
    return _kept("images", effort, lambda: real_images.image_rows(effort.photos, effort.copies))


def _kept(kind: str, effort: Effort, make: Callable[[], Made]) -> Made:
    """What the folder holds, else what is made now and left there."""
    if found := _stored(kind, effort):
        return dict(np.load(found))
    made = make()
    if path := _path(kind, effort):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **made)
    return made


def _stored(kind: str, effort: Effort) -> Path | None:
    path = _path(kind, effort)
    if path is None or not path.exists():
        return None
    return path


def _path(kind: str, effort: Effort) -> Path | None:
    """Where the folder holds a kind of sets. Only whole ones are kept."""
    folder = os.environ.get(FOLDER)
    if folder is None or effort != WHOLE:
        return None
    return Path(folder) / f"{kind}.npz"


def main() -> None:
    parser = argparse.ArgumentParser("python -m studies.real_populations", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for population in populations().values():
        name = population.name.replace(", ", "_").replace(" ", "-")
        np.save(folder / f"{name}.npy", population.rows)
        measures = ", ".join(f"{measure} {value:.5g}" for measure, value in population.true_values().items())
        print(f"{name}.npy: {len(population.rows)} × {population.width}; {measures}; {population.about}")


if __name__ == "__main__":
    main()
