"""scikit-learn's digits, and what small networks trained on them make of them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

Rows = NDArray[np.float32]

TURNS = (-10, 0, 10)  # degrees
BATCH = 256


def moved_digits(turns: tuple[int, ...]) -> tuple[Rows, NDArray[np.int64]]:
    """Every digit turned by each angle and shifted by up to one pixel either way: pixels from 0 to 1, and labels."""
    digits = load_digits()
    pictures = digits.images / 16
    copies = []
    for turn in turns:
        turned = ndimage.rotate(pictures, turn, axes=(1, 2), reshape=False, order=1)
        padded = np.pad(turned, [(0, 0), (1, 1), (1, 1)])
        copies += [padded[:, y : y + 8, x : x + 8].reshape(-1, 64) for y in range(3) for x in range(3)]
    return np.concatenate(copies).astype(np.float32), np.tile(digits.target, len(copies))


def perceptron(width: int, activation: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, width), activation(), nn.Linear(width, width), activation())


def convolutional(width: int, activation: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        *(nn.Conv2d(1, 16, 3, padding=1), activation()),
        *(nn.Conv2d(16, 32, 3, padding=1, stride=2), activation()),
        *(nn.Flatten(), nn.Linear(512, width), activation()),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Sequential], int, int]] = {  # what builds it, its width, its seed
    "MLP 64 ReLU, seed 0": (functools.partial(perceptron, 64, nn.ReLU), 64, 0),
    "MLP 64 ReLU, seed 1": (functools.partial(perceptron, 64, nn.ReLU), 64, 1),
    "MLP 64 GELU": (functools.partial(perceptron, 64, nn.GELU), 64, 0),
    "MLP 128 ReLU": (functools.partial(perceptron, 128, nn.ReLU), 128, 0),
    "CNN 64 GELU": (functools.partial(convolutional, 64, nn.GELU), 64, 0),
}


def trained_features(network: Callable[[], nn.Sequential], width: int, seed: int, rows: Tensor, labels: Tensor,
                     epochs: int) -> Rows:  # fmt: skip
    """Train a network to tell the digits apart, and read its last hidden layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body, head = network(), nn.Linear(width, 10)
        optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], lr=2e-3, weight_decay=1e-2)
        for _ in range(epochs):
            for chosen in torch.randperm(len(rows)).split(BATCH):
                loss = F.cross_entropy(head(body(rows[chosen])), labels[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    with torch.inference_mode():
        return body(rows).numpy()


def digit_rows(turns: tuple[int, ...], epochs: int) -> dict[str, Rows]:
    """The digits as they are, moved, and the moved ones as each network sees them, in the same order."""
    pixels, labels = moved_digits(turns)
    rows = {"digits, pixels as they are": load_digits().data.astype(np.float32), "digits, pixels": pixels}
    inputs, targets = torch.tensor(pixels), torch.tensor(labels)
    for name, (network, width, seed) in NETWORKS.items():
        rows[f"digits, {name}"] = trained_features(network, width, seed, inputs, targets, epochs)
    return rows
