"""Which spectrum would features without any structure show at this size?"""

from __future__ import annotations

import functools

import numpy as np

from repgeom.data.arrays import as_features
from repgeom.data.kinds import Features
from repgeom.data.settings import own_settings
from repgeom.spectral.spectrum import Spectrum


@own_settings
def isotropic_baseline(features: Features) -> Spectrum:
    """The spectrum that isotropic features of the same n_samples × n_features would show.

    Read any measure from it to know what "as spread out as can be" reads at this size: with few samples that is far
    below n_features. The variances are those of unit-variance Gaussian features: the quantiles of the
    Marchenko–Pastur law (1967), or, where the smaller side is 64 or less, the mean of 64 draws with a fixed seed.

    Args:
        features: (n_samples, n_features), or a `Spectrum` that knows its n_samples. Only the size and `centered`
            are read.

    Returns:
        A `Spectrum` (NumPy). effective_rank of it is within 1 % of the mean over isotropic draws.

    Raises:
        ValueError: a `Spectrum` without n_samples.

    >>> import numpy as np
    >>> from repgeom import effective_rank
    >>> round(effective_rank(isotropic_baseline(np.zeros((1024, 768)))), -1)
    530.0
    """
    if isinstance(features, Spectrum):
        n, d, centered = features.n_samples, features.n_features, features.centered
        if n is None:
            raise ValueError("this Spectrum does not know its n_samples; pass `n_samples=` when making it.")
    else:
        x = as_features(features)
        n, d, centered = x.shape[-2], x.shape[-1], True
    return isotropic_spectrum(n, d, centered)


@functools.lru_cache(maxsize=256)
def isotropic_spectrum(n: int, d: int, centered: bool) -> Spectrum:
    """The spectrum of `isotropic_baseline` for n × d features. Many audits ask for the same size, so it is kept."""
    degrees_of_freedom = max(1, n - centered)  # centring takes one
    small, large = min(degrees_of_freedom, d), max(degrees_of_freedom, d)
    # The law holds in the limit of large matrices; below this the mean of draws is closer, and cheap.
    if small <= 64:
        # The triangular root of a Gaussian matrix times itself can be drawn without the matrix (Bartlett 1933).
        rng = np.random.default_rng(0)
        roots = np.tril(rng.standard_normal((64, small, small)), -1)
        i = np.arange(small)
        roots[:, i, i] = np.sqrt(rng.chisquare(large - i, (64, small)))
        squares = np.linalg.eigvalsh(roots @ roots.swapaxes(-1, -2)).mean(0)[::-1]
    else:
        squares = _marchenko_pastur(small, small / large) * large
    # Where centring took a direction of n ≤ d rows, the last value stays zero.
    values = np.zeros(min(n, d))
    values[:small] = np.sqrt(squares)
    return Spectrum(values, n, d, None, centered, method="marchenko-pastur")


def _marchenko_pastur(count: int, ratio: float) -> np.ndarray:
    """`count` quantiles, descending, of the Marchenko–Pastur law with this aspect ratio ≤ 1 and unit variance."""
    # λ = 1 + q − 2√q cos θ turns the density's two square-root edges into a smooth function of θ.
    # Without the ends: at ratio 1 the law begins at λ = 0, and the mass below would be 0 / 0.
    theta = np.linspace(0, np.pi, 20_001)[1:-1]
    values = 1 + ratio - 2 * np.sqrt(ratio) * np.cos(theta)
    # The density is proportional to sin θ / λ, and dλ to sin θ dθ.
    mass = np.cumsum(np.sin(theta) ** 2 / values)
    # The quantiles in the middle of `count` equal shares of the mass.
    return np.interp((np.arange(count, 0, -1) - 0.5) / count, mass / mass[-1], values)
