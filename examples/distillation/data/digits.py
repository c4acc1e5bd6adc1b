"""scikit-learn's 1,797 real scans of handwritten digits, 8 × 8, brought to 32 × 32 in three channels."""

from __future__ import annotations

import torch

from repgeom.models import resized

from .images import Dataset, Images

TEST_SHARE = 1 / 3


def load_digits_set(seed: int = 0) -> Dataset:
    """1,198 scans to train on and 599 to test on, drawn with `seed`."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    # scikit-learn's grey levels run from 0 to 16.
    grey = torch.tensor(digits.images * (255 / 16)).round().to(torch.uint8)
    pixels = resized(grey[:, None], 32).repeat(1, 3, 1, 1)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    n_test = round(TEST_SHARE * len(labels))
    halves = [Images(pixels[rows], labels[rows]) for rows in (order[n_test:], order[:n_test])]
    return Dataset("digits", halves[0], halves[1], tuple("0123456789"), real=True)
