"""Labelled features, and a count of the largest tensor, for the tests of both probes."""

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

EPS = np.finfo(float).eps
ABS = 512 * EPS  # a few hundred roundings of numbers near 1


def problem(rng, n=200, d=6, n_classes=3, apart=1.0):
    labels = np.arange(n) % n_classes
    return rng.standard_normal((n, d)) + apart * rng.standard_normal((n_classes, d))[labels], labels


class Largest(TorchDispatchMode):
    """Counts the values of the largest tensor that any operation returns."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [t.untyped_storage().nbytes() // t.element_size() for t in tree_leaves(out) if torch.is_tensor(t)]
        self.values = max([self.values, *sizes])
        return out
