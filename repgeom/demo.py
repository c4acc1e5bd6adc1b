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

from repgeom.data.arrays import as_features
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings

__all__ = ["digit_features", "digit_halves", "encode", "info_nce", "pull_together", "train_encoder"]

WIDTH = 64
STEPS = 300  # after which the loss of either encoder hardly falls
BATCH = 256


@own_settings
def digit_features(seed: int = 0, *, steps: int = STEPS) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features of the held-out digits from an encoder that spreads out and from one that collapses.

    Args:
        seed: of the split into halves, of the weights and of the views.
        steps: of training; 300 take a few seconds for each encoder.

    Returns:
        Features (899, 64), float32, by the encoder's name, "contrastive" and "alignment only"; and the digits (899,).

    >>> features, digits = digit_features(steps=2)
    >>> {name: x.shape for name, x in features.items()}, digits.shape
    ({'contrastive': (899, 64), 'alignment only': (899, 64)}, (899,))
    """
    train, held_out, _, digits = digit_halves(seed)
    losses = {"contrastive": info_nce, "alignment only": pull_together}
    features = {}
    for name, loss in losses.items():
        features[name] = encode(train_encoder(train, loss, seed, steps=steps), held_out)
    return features, digits


@own_settings
def digit_halves(seed: int = 0) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    """scikit-learn's scans of handwritten digits in two halves.

    Args:
        seed: of the order in which the scans are dealt out.

    Returns:
        Scans (898, 8, 8) to train on and (899, 8, 8) held out, float32 in [0, 1]; the digits (898,) and (899,) of both.

    >>> train, held_out, train_digits, digits = digit_halves()
    >>> train.shape, held_out.shape, len(train_digits), len(digits)
    (torch.Size([898, 8, 8]), torch.Size([899, 8, 8]), 898, 899)
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    # The scans are whole numbers from 0 to 16.
    images, target = torch.tensor(digits.images[order] / 16, dtype=torch.float32), digits.target[order]
    half = len(images) // 2
    return images[:half], images[half:], target[:half], target[half:]


@own_settings
def info_nce(a: Tensor, b: Tensor, temperature: float = 0.2) -> Tensor:
    """InfoNCE: each row of `a` must find its own partner in `b` (van den Oord et al. 2018).

    Args:
        a, b: (n, d); row i of both is of the same image.
        temperature: that the cosines are divided by.

    Returns:
        Mean cross-entropy of the n × n cosines against the diagonal, in nats; ln n where all rows are alike.

    >>> round(float(info_nce(torch.ones(8, 3), torch.ones(8, 3))), 4)  # ln 8
    2.0794
    """
    a, b = as_features(a, "a", min_rows=1), as_features(b, "b", min_rows=1)
    number = real_number(temperature)
    if number is None or not number > 0:
        raise ValueError(f"`temperature` must be a positive number, got {temperature!r}.")
    logits = F.normalize(a) @ F.normalize(b).mT / number
    return F.cross_entropy(logits, torch.arange(len(a), device=a.device))


@own_settings
def pull_together(a: Tensor, b: Tensor) -> Tensor:
    """1 − cosine of partners, with nothing that pushes other rows away; 0 where all rows are alike.

    Args:
        a, b: (n, d); row i of both is of the same image.

    Returns:
        The mean over rows, from 0 to 2.

    >>> round(float(pull_together(torch.eye(2), torch.eye(2).flip(0))), 4)  # each row at a right angle to its partner
    1.0
    """
    a, b = as_features(a, "a", min_rows=1), as_features(b, "b", min_rows=1)
    return 1 - F.cosine_similarity(a, b).mean()


@own_settings
def train_encoder(
    images: Tensor, loss: Callable[[Tensor, Tensor], Tensor], seed: int = 0, *, steps: int = STEPS
) -> nn.Module:
    """A small network trained so that `loss` of two random views of the same images is low.

    Args:
        images: (n, 8, 8), float32.
        loss: of the features (256, 64) of two views of the same images, row by row.
        seed: of the weights, the batches and the views; the global random state is left as it was.
        steps: of Adam, each on 256 images.

    Returns:
        The network, from (n, 8, 8) to (n, 64).

    >>> train, held_out, _, _ = digit_halves()
    >>> encoder = train_encoder(train, info_nce, steps=2)
    >>> encoder(held_out).shape
    torch.Size([899, 64])
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices this small lose more by waiting for a second thread than it does for them
    try:
        with torch.enable_grad():
            return _trained(images, loss, seed, steps)
    finally:
        torch.set_num_threads(threads)


def _trained(images: Tensor, loss: Callable[[Tensor, Tensor], Tensor], seed: int, steps: int) -> nn.Module:
    random = torch.Generator().manual_seed(seed)
    weights = torch.Generator().manual_seed(seed)
    first, second, last = (_linear(*sizes, weights) for sizes in ((64, 256), (256, 256), (256, WIDTH)))
    encoder = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), last)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=2e-3)
    for _ in range(steps):
        batch = images[torch.randint(len(images), (BATCH,), generator=random)]
        value = loss(encoder(_view(batch, random)), encoder(_view(batch, random)))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return encoder


def _linear(n_inputs: int, n_outputs: int, random: torch.Generator) -> nn.Linear:
    """A layer with the weights that torch would draw of its global random state, which is not touched."""
    layer = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs, dtype=torch.float32)
    bound = n_inputs**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=random)
        layer.bias.uniform_(-bound, bound, generator=random)
    return layer


@own_settings
def encode(encoder: nn.Module, images: Tensor) -> np.ndarray:
    """Features of images without their gradients.

    Args:
        encoder: as `train_encoder` returns it.
        images: (n, 8, 8), float32.

    Returns:
        (n, 64), float32.

    >>> encode(nn.Flatten(), torch.zeros(3, 8, 8)).shape
    (3, 64)
    """
    with torch.no_grad():
        return np.asarray(encoder(images).numpy())


def _view(images: Tensor, random: torch.Generator) -> Tensor:
    """Shifted by up to one pixel, brighter or darker, and noisy."""
    padded = F.pad(images, (1, 1, 1, 1))
    shift = torch.randint(3, (len(images), 2), generator=random)
    rows = (shift[:, :1] + torch.arange(8))[:, :, None]
    columns = (shift[:, 1:] + torch.arange(8))[:, None, :]
    # Indices (n, 1, 1), (n, 8, 1) and (n, 1, 8) give (n, 8, 8): one shift for each image.
    moved = padded[torch.arange(len(images))[:, None, None], rows, columns]
    gain = 0.7 + 0.6 * torch.rand(len(images), 1, 1, generator=random, dtype=torch.float32)
    return moved * gain + 0.1 * torch.randn(images.shape, generator=random, dtype=torch.float32)
