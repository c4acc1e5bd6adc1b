"""Images, encoders and readers of tables that the tests of robustness share."""

import numpy as np
import pandas as pd
import torch

TWO = {"corruptions": ["contrast", "gaussian_noise"], "severities": [1, 3]}
CELLS = [("contrast", 1), ("contrast", 3), ("gaussian_noise", 1), ("gaussian_noise", 3)]
IMAGES = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = np.array(["dim", "lit"])[np.arange(24) % 2]
IMAGES[1::2] *= 0.9


def pixels(x):
    """Image by image and bit by bit the same in any batch: every third pixel, and their squares."""
    part = x[:, :, ::6, ::6].flatten(1)
    return torch.cat([part, part * part], 1)


def means(x):
    return x.mean((2, 3))


class Counted:
    """An encoder that notes what it is given, and on one call does something else."""

    def __init__(self, features=pixels, at=None, instead=None):
        self.features, self.at, self.instead, self.seen = features, at, instead, []

    def __call__(self, x):
        self.seen.append(x.clone())
        return self.instead(self.features(x)) if len(self.seen) == self.at else self.features(x)


def interrupt(features):
    raise KeyboardInterrupt


def same(table, other):
    pd.testing.assert_frame_equal(table, other, rtol=1e-12, atol=1e-12)


def of_cell(table, corruption, severity):
    rows = table[(table.corruption == corruption) & (table.severity == severity)]
    return rows.drop(columns=["corruption", "severity"]).set_index("measure")
