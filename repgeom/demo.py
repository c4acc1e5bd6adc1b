"""Two encoders of handwritten digits, trained here in seconds: one that spreads out and one that collapses.

Both are the same network on the same real scans (scikit-learn's 1,797 digits) with the same augmentation. They differ
in one term of the loss: InfoNCE pulls two views of an image together and pushes other images away; the other only pulls.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 64  # features, as many as pixels
STEPS = 300  # enough for the collapse to show, and seconds on one core
BATCH = 256


def digit_features(seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features (899, 64) of the held-out half of the digits from both encoders, by name, and the digits (899,)."""
    seen, held_out, _, digits = digit_halves(seed)
    losses = {"contrastive": info_nce, "alignment only": pull_together}
    return {name: encode(train_encoder(seen, loss, seed), held_out) for name, loss in losses.items()}, digits


def digit_halves(seed: int = 0) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    """Scans (898, 8, 8) to train on and (899, 8, 8) held out, in [0, 1], and the digits of both (898,) and (899,)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    images, target = torch.tensor(digits.images[order] / 16, dtype=torch.float32), digits.target[order]
    half = len(images) // 2
    return images[:half], images[half:], target[:half], target[half:]


def info_nce(a: Tensor, b: Tensor, temperature: float = 0.2) -> Tensor:
    """Each row of `a` must find its own partner in `b` (van den Oord et al. 2018)."""
    logits = F.normalize(a) @ F.normalize(b).mT / temperature
    return F.cross_entropy(logits, torch.arange(len(a)))


def pull_together(a: Tensor, b: Tensor) -> Tensor:
    """1 − cosine of partners, with nothing that pushes others away."""
    return 1 - F.cosine_similarity(a, b).mean()


def train_encoder(images: Tensor, loss: Callable[[Tensor, Tensor], Tensor], seed: int = 0) -> nn.Module:
    """A small network trained so that `loss` of two random views of the same images is low."""
    random = torch.Generator().manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices this small lose more by waiting for a second thread than it does for them
    try:
        return _trained(images, loss, seed, random)
    finally:
        torch.set_num_threads(threads)


def _trained(images: Tensor, loss: Callable[[Tensor, Tensor], Tensor], seed: int, random: torch.Generator) -> nn.Module:
    """The trained network; its first weights come from `seed`, batches and views from `random`."""
    # Layers draw from the global state, which the user's program goes on with: it is put back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
        encoder.append(nn.Linear(256, WIDTH))
    optimizer = torch.optim.Adam(encoder.parameters(), lr=2e-3)
    for _ in range(STEPS):
        batch = images[torch.randint(len(images), (BATCH,), generator=random)]
        value = loss(encoder(_random_view(batch, random)), encoder(_random_view(batch, random)))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return encoder


def encode(encoder: nn.Module, images: Tensor) -> np.ndarray:
    """Features of images, (n, 64)."""
    with torch.no_grad():
        return np.asarray(encoder(images).numpy())


def _random_view(images: Tensor, random: torch.Generator) -> Tensor:
    """The images (n, 8, 8) shifted by up to one pixel, brighter or darker, and noisy."""
    padded = F.pad(images, (1, 1, 1, 1))
    shift = torch.randint(3, (len(images), 2), generator=random)
    rows = (shift[:, :1] + torch.arange(8))[:, :, None]
    columns = (shift[:, 1:] + torch.arange(8))[:, None, :]
    shifted = padded[torch.arange(len(images))[:, None, None], rows, columns]
    gain = 0.7 + 0.6 * torch.rand(len(images), 1, 1, generator=random)
    return shifted * gain + 0.1 * torch.randn(images.shape, generator=random)
