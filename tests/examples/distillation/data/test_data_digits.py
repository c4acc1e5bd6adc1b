"""scikit-learn's scans of digits."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from repgeom.models.preprocessing import resized
from repgeom_examples.distillation.data.digits import load_digits_set


def test_digits_are_scikit_learns_scans_in_two_halves():
    dataset = load_digits_set()
    assert (len(dataset.train), len(dataset.test)) == (1198, 599)
    whole = load_digits()
    assert torch.equal(
        torch.bincount(torch.cat([dataset.train.labels, dataset.test.labels])),
        torch.bincount(torch.tensor(whole.target)),
    )
    grey = np.rint(whole.images * (255 / 16)).astype(np.uint8)
    scans = {}
    for image, label in zip(grey, whole.target, strict=True):
        big = resized(torch.tensor(image)[None, None].repeat(1, 3, 1, 1), 32)
        scans.setdefault((big.numpy().tobytes(), int(label)), []).append(label)
    seen = [
        (p.numpy().tobytes(), int(c))
        for half in (dataset.train, dataset.test)
        for p, c in zip(half.pixels, half.labels, strict=True)
    ]
    assert sorted(seen) == sorted(key for key, n in scans.items() for _ in n)
    assert dataset.classes == tuple(str(i) for i in range(10))
    assert dataset.test.digest() == load_digits_set().test.digest() != load_digits_set(1).test.digest()
