"""Which singular values are more than rounding?"""

from __future__ import annotations

import torch
from torch import Tensor

from repgeom.spectral.spectrum import Spectrum


def rounding(s: Spectrum, tolerance: float | None) -> Tensor:
    """The singular value below which there is only rounding."""
    sigma = torch.as_tensor(s.singular_values).detach()
    if tolerance is not None:
        return sigma[..., 0] * tolerance
    n, d = s.n_samples or 0, s.n_features
    # NumPy's rule for the rank of a float64 matrix.
    computed = sigma[..., 0] * torch.finfo(torch.float64).eps * max(n, d)
    if s.mean is None or not n:
        return computed
    # In units of the largest singular value, whose square may lie beyond the range of floats.
    unit = torch.where(sigma[..., :1] > 0, sigma[..., :1], 1)
    square = (sigma / unit).square().sum(-1) / (n * d)
    # Values were rounded as they were stored, with their mean.
    if s.centered:
        square = square + (torch.as_tensor(s.mean).detach() / unit).square().mean(-1)
    # The largest singular value of independent noise of size s is near s (√n + √d).
    stored = 4 * torch.finfo(getattr(torch, s.dtype)).eps * square.sqrt() * unit[..., 0] * (n**0.5 + d**0.5)
    return torch.maximum(stored, computed)
