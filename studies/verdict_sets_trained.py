"""Features of small networks that are really trained, in seconds, on scikit-learn's digits and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional as F

from repgeom.demo import digit_halves, encode, info_nce, pull_together, train_encoder
from studies.verdict_sets import Array, Case, Drawn, Random, family, plain

Step = Callable[[Tensor, Tensor], Tensor]


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """One thread and a random state of its own; both are put back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices this small lose more by waiting for a second thread than it does for them
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield torch.Generator().manual_seed(seed)
    finally:
        torch.set_num_threads(threads)


def digits(seed: int) -> tuple[Tensor, Tensor]:
    """All scans (1797, 8, 8) and digits; the first 1,200 of the order that `seed` gives are to train on."""
    dataset = datasets.load_digits()
    order = np.random.default_rng(seed).permutation(len(dataset.target))
    return torch.tensor(dataset.images[order] / 16, dtype=torch.float32), torch.tensor(dataset.target[order])


TRAIN = 1200


def train(parameters: Any, loss: Step, seed: int, *, steps: int, rate: float, decay: float = 0.0) -> None:
    """Adam with an L2 penalty on batches of 128 training scans."""
    images, labels = digits(seed)
    optimizer = torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
    for _ in range(steps):
        batch = torch.randint(TRAIN, (128,))
        value = loss(images[batch], labels[batch])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()


def body(kind: str, width: int) -> nn.Sequential:
    """A network up to its penultimate layer of `width` ReLU units."""
    if kind == "CNN":
        first = [nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(
            *first, nn.Conv2d(16, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
    if kind == "deep MLP":
        first = [nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
        return nn.Sequential(*first, nn.Linear(width, width), nn.ReLU())
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, width), nn.ReLU())


def behind_bottleneck(inner: int, width: int) -> nn.Sequential:
    first = [nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, inner)]
    return nn.Sequential(*first, nn.Linear(inner, width))


@cache
def classifier(
    network: Callable[[], nn.Sequential], seed: int, steps: int = 400, rate: float = 2e-3, decay: float = 0.0
) -> tuple[Array, Array, float]:
    """Penultimate features of all scans, the held-out ones last; the digits; and accuracy on those held out."""
    with seeded(seed):
        images, labels = digits(seed)
        model = network()
        with torch.no_grad():
            head = nn.Linear(model(images[:2]).shape[1], 10)
        parameters = [*model.parameters(), *head.parameters()]
        train(parameters, lambda x, y: F.cross_entropy(head(model(x)), y), seed, steps=steps, rate=rate, decay=decay)
        with torch.no_grad():
            features = model(images)
            right = head(features).argmax(1) == labels
    return features.numpy(), labels.numpy(), float(right[TRAIN:].float().mean())


def penultimate(network: Any, seed: int, labelled: bool, held_out: bool, random: Random, **settings: float) -> Drawn:
    features, labels, _ = classifier(network, seed, **settings)
    start = TRAIN * held_out
    if labelled:
        return plain(features[start:], labels[start:])
    return plain(features[start:])


@cache
def views(loss: str, seed: int, steps: int) -> tuple[Array, Array]:
    """The demo's encoder of held-out digits, trained on two views of each."""
    scans, held_out, _, labels = digit_halves(seed)
    losses = {"InfoNCE": info_nce, "alignment": pull_together, "VICReg": vicreg}
    return encode(train_encoder(scans, losses[loss], seed, steps=steps), held_out), labels


def vicreg(a: Tensor, b: Tensor) -> Tensor:
    """Invariance, variance and covariance of two views (Bardes et al. 2022).

    The covariance weighs 10 times what it does there, because training is short.
    """
    total = 25 * F.mse_loss(a, b)
    for x in (a, b):
        centred = x - x.mean(0)
        covariance = centred.T @ centred / (len(x) - 1)
        total = total + 25 * F.relu(1 - covariance.diagonal().add(1e-4).sqrt()).mean()
        total = total + 10 * (covariance**2).fill_diagonal_(0).sum() / x.shape[1]
    return total


def of_views(loss: str, seed: int, steps: int, labelled: bool, random: Random) -> Drawn:
    features, labels = views(loss, seed, steps)
    if labelled:
        return plain(features, labels)
    return plain(features)


@cache
def codes(width: int, weight: float, seed: int) -> Array:
    """Means of a variational autoencoder whose penalty has this weight; a plain autoencoder for weight 0."""
    with seeded(seed):
        images, _ = digits(seed)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * width))
        decoder = nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 64))

        def loss(x: Tensor, _: Tensor) -> Tensor:
            mean, log_scale = encoder(x).chunk(2, dim=1)
            latent = mean
            penalty = torch.zeros(())
            if weight:
                latent = mean + log_scale.exp() * torch.randn_like(mean)
                penalty = 0.5 * (mean**2 + (2 * log_scale).exp() - 2 * log_scale - 1).sum(1).mean()
            # The variance of a pixel's noise is taken as .1.
            return ((decoder(latent) - x.flatten(1)) ** 2).sum(1).mean() / 0.2 + weight * penalty

        train([*encoder.parameters(), *decoder.parameters()], loss, seed, steps=600, rate=2e-3)
        with torch.no_grad():
            return np.asarray(encoder(images)[:, :width].numpy())


def latents(width: int, weight: float, seed: int, random: Random) -> Drawn:
    return plain(codes(width, weight, seed))


@cache
def token_states(width: int, seed: int) -> Array:
    """States of a recurrent network that foretells the next letter of scikit-learn's descriptions of its data."""
    loaders = (
        datasets.load_digits,
        datasets.load_wine,
        datasets.load_iris,
        datasets.load_breast_cancer,
        datasets.load_diabetes,
    )
    text = " ".join(loader().DESCR for loader in loaders)
    letters = sorted(set(text))
    tokens = torch.tensor([letters.index(letter) for letter in text])
    with seeded(seed):
        embed, recurrent, head = (
            nn.Embedding(len(letters), 32),
            nn.GRU(32, width, batch_first=True),
            nn.Linear(width, len(letters)),
        )
        parameters = [*embed.parameters(), *recurrent.parameters(), *head.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=5e-3)
        for _ in range(150):
            window = torch.randint(len(tokens) - 41, (32, 1)) + torch.arange(41)
            x = tokens[window]
            predicted = head(recurrent(embed(x[:, :-1]))[0])
            value = F.cross_entropy(predicted.flatten(0, 1), x[:, 1:].flatten())
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        with torch.no_grad():
            window = torch.randperm(len(tokens) - 41)[:1500, None] + torch.arange(41)
            # One token of each window, because tokens of one text depend on each other.
            return np.asarray(recurrent(embed(tokens[window]))[0][:, -1].numpy())


def of_tokens(width: int, seed: int, random: Random) -> Drawn:
    return plain(token_states(width, seed))


CLASSIFIERS = [
    ("MLP", 64, 0, True, True), ("MLP", 128, 1, True, False), ("MLP", 256, 2, True, True), ("MLP", 512, 3, True, False),
    ("MLP", 256, 4, False, True), ("MLP", 512, 5, False, False), ("CNN", 64, 0, True, True), ("CNN", 128, 1, False, False),
    ("CNN", 128, 1, True, True), ("CNN", 256, 2, True, False), ("deep MLP", 256, 3, True, True),
    ("deep MLP", 256, 3, False, False), ("deep MLP", 128, 4, True, True), ("deep MLP", 512, 5, True, False),
]  # fmt: skip
KINDS = {(kind, width) for kind, width, *_ in CLASSIFIERS}
NETWORKS = {(kind, width): partial(body, kind, width) for kind, width in sorted(KINDS)}


def classifiers() -> list[Case]:
    def named(shapes: list[tuple[str, int, int, bool, bool]]) -> list[tuple[str, Any]]:
        return [
            (
                f"{kind} {width}, seed {seed}, {'held out' if held_out else 'all'}, labels {labelled}",
                partial(penultimate, NETWORKS[kind, width], seed, labelled, held_out),
            )
            for kind, width, seed, labelled, held_out in shapes
        ]

    why = "A classifier of 10 digits, 92 to 99 % right: about nine dimensions are all that it needs."
    cases = family("trained classifier", "healthy", why, named(CLASSIFIERS), "classify")
    why = "The same kind of layer, but meant for other tasks: most of what the input held is gone."
    chosen = [CLASSIFIERS[10], CLASSIFIERS[13]]
    return cases + family("classifier for transfer", "mild", why, named(chosen), "transfer")


def self_supervised() -> list[Case]:
    shapes = (
        ("InfoNCE", 0, 300, False),
        ("InfoNCE", 1, 300, True),
        ("InfoNCE", 2, 300, False),
        ("VICReg", 0, 300, False),
        ("VICReg", 1, 300, True),
    )
    good = [
        (f"{name}, seed {seed}, labels {labelled}", partial(of_views, name, seed, steps, labelled))
        for name, seed, steps, labelled in shapes
    ]
    shapes = (
        ("alignment", 0, 300, False),
        ("alignment", 1, 300, True),
        ("alignment", 2, 100, False),
        ("alignment", 3, 400, False),
        ("alignment", 4, 40, True),
    )
    bad = [
        (f"seed {seed}, {steps} steps, labels {labelled}", partial(of_views, name, seed, steps, labelled))
        for name, seed, steps, labelled in shapes
    ]
    cases = family(
        "self-supervised", "healthy", "A loss that pushes other rows apart kept the encoder spread out.", good
    )
    return cases + family(
        "alignment alone", "severe", "Nothing in the loss keeps rows apart, and training ended in one direction.", bad
    )


def networks_that_fail() -> list[Case]:
    narrow = [
        (f"{k} units, seed {s}", partial(penultimate, BOTTLENECKS[k], s, False, False))
        for k, s in ((2, 0), (3, 1), (4, 2))
    ]
    decayed = [
        (
            f"L2 {decay:g}, {width} wide",
            partial(penultimate, NETWORKS[DECAYED[width], width], s, False, False, decay=decay, steps=300),
        )
        for decay, width, s in ((0.1, 256, 1), (0.03, 256, 1), (0.06, 512, 2), (0.03, 512, 3))
    ]
    fast = [
        (
            f"rate {rate:g}, {width} wide",
            partial(penultimate, NETWORKS["deep MLP", width], s, False, False, rate=rate, steps=200),
        )
        for rate, width, s in ((0.1, 256, 6), (0.2, 512, 7))
    ]
    unused = [
        (f"weight {w:g}, {width} wide", partial(latents, width, w, s)) for w, width, s in ((5, 64, 0), (4, 64, 1))
    ]
    some = [("weight 4, 32 wide", partial(latents, 32, 4, 1))]
    cases = family("bottleneck", "severe", "A wide layer behind a few units holds no more than they do.", narrow)
    why = "A strong L2 penalty left two to five dimensions or none, and digits are confused."
    cases += family("weight decay", "severe", why, decayed)
    cases += family("high learning rate", "severe", "Most ReLU units died in training.", fast)
    why = "A strong penalty left three latents or fewer in use."
    cases += family("posterior collapse, trained", "severe", why, unused, "generate")
    return cases + family("posterior collapse, trained", "mild", why, some, "generate")


DECAYED = {256: "deep MLP", 512: "MLP"}
BOTTLENECKS = {inner: partial(behind_bottleneck, inner, 256) for inner in (2, 3, 4)}


def others() -> list[Case]:
    auto = [(f"{w} wide, seed {s}", partial(latents, w, 0.0, s)) for w, s in ((16, 0), (32, 1))]
    tokens = [(f"GRU {w}, seed {s}", partial(of_tokens, w, s)) for w, s in ((64, 0), (128, 1))]
    cases = family("autoencoder", "healthy", "Codes from which the digits can be drawn again.", auto, "generate")
    return cases + family("token states", "healthy", "States of a small language model that learned its text.", tokens)


def cases() -> list[Case]:
    return [case for each in (classifiers, self_supervised, networks_that_fail, others) for case in each()]
