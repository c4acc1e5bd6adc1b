"""Images, waves and encoders that the tests of Fourier heat maps and band noise share."""

import itertools

import numpy as np
import torch

import repgeom as rg


def flat(x):
    return x.flatten(1)


def random_images(n=5, h=8, seed=0):
    return torch.rand(n, 3, h, h, generator=torch.Generator().manual_seed(seed))


def greyish(n=5, h=8):
    """Images in which a wave of the published size is not clipped."""
    return 0.5 + 0.05 * (random_images(n, h) - 0.5)


def wave(h, i, j, phase=0.0):
    y, x = np.mgrid[:h, :h]
    u = np.cos(2 * np.pi * (i * y + j * x) / h + phase)
    return u / np.linalg.norm(u)


def plane(h):
    """All frequencies (i, j) in the map's order."""
    return list(itertools.product(range(-(h // 2), h - h // 2), repeat=2))


def pair(h, i, j):
    """A wave's two places in numpy's DFT."""
    return frozenset({(i % h, j % h), (-i % h, -j % h)})


def spread(features):
    features = np.asarray(features, dtype=np.float64)
    return np.linalg.norm(features - features.mean(0), axis=1).mean()


def shown(images, encoder=flat, **settings):
    """The heat map, and all perturbed images that its encoder was shown, in no order."""
    seen = []

    def recording(x):
        seen.append(x.double().numpy().copy())
        return encoder(x)

    heat = rg.robustness.fourier_heatmap(recording, images, **settings)
    clean = images.double().numpy()
    every = np.concatenate(seen)
    return heat, every[~(every[:, None] == clean).all((2, 3, 4)).any(1)]


def added(images, **settings):
    """(frequencies, image numbers, waves (m, 3, h, h)) that were added, found by numpy's FFT of the differences."""
    _, perturbed = shown(images, **settings)
    every = perturbed[:, None] - images.double().numpy()
    power = (np.abs(np.fft.fft2(every)) ** 2).sum(2)
    power /= power.sum((2, 3), keepdims=True)
    # The difference to the image that it was made of has one wave, to any other a whole texture besides.
    own = np.sort(power.reshape(*power.shape[:2], -1))[..., -2:].sum(2).argmax(1)
    m = np.arange(len(own))
    places = [frozenset(map(tuple, np.argwhere(p > 1e-6).tolist())) for p in power[m, own]]
    return places, own, every[m, own]


def filtered(gain):
    """An encoder that multiplies each frequency by `gain` (h, h), in numpy's order."""
    return lambda x: torch.fft.ifft2(torch.fft.fft2(x.double()) * torch.as_tensor(gain)).real.flatten(1)
