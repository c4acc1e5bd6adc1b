"""Random crops, with flips and without, against slow definitions."""

import math

import numpy as np
import pytest
import torch

from repgeom_examples.distillation.data.views import crop_flip

from ..image_files import random_images
from ..small_teachers import slow_view


@pytest.mark.parametrize("shape", [(32, 32), (16, 20), (9, 8)])
@pytest.mark.parametrize("padding", [0, 0.125, 0.3])
def test_views_are_crops_and_flips_one_by_one(shape, padding, rng):
    images, rows = random_images(rng, 12, *shape), torch.tensor(rng.permutation(1000)[:12])
    for view in (0, 3):
        expected = [
            slow_view(image, int(row), view, round(padding * min(shape)))
            for image, row in zip(images, rows, strict=True)
        ]
        found = crop_flip(images, rows, view, padding, mirrored=True)
        assert torch.equal(found, torch.stack(expected))
        assert found.is_contiguous()
        assert torch.equal(crop_flip(images[5:6], rows[5:6], view, padding, mirrored=True), found[5:6])


def test_every_shift_and_either_hand_is_as_likely():
    n, side = 4050, 8
    image = torch.arange(1, side * side + 1, dtype=torch.uint8).reshape(1, 1, side, side).expand(n, 3, -1, -1)
    found = crop_flip(image, torch.arange(n), 1, 0.125, mirrored=True)[:, 0]  # one pixel of padding: 9 shifts, 2 hands
    kinds, counts = np.unique(found.flatten(1).numpy(), axis=0, return_counts=True)
    assert len(kinds) == 18
    assert np.abs(counts - n / 18).max() < 5 * math.sqrt(n / 18)
    assert not torch.equal(found, crop_flip(image, torch.arange(n), 2, 0.125, mirrored=True)[:, 0])


def test_no_view_is_mirrored_where_that_would_change_a_label():
    n, side = 900, 8
    image = torch.arange(1, side * side + 1, dtype=torch.uint8).reshape(1, 1, side, side).expand(n, 3, -1, -1)
    found = crop_flip(image, torch.arange(n), 1, 0.125, mirrored=False)[:, 0]
    kinds = np.unique(found.flatten(1).numpy(), axis=0)
    # One pixel of padding: nine crops, in each of which numbers rise from left to right.
    assert len(kinds) == 9
    assert (np.diff(kinds.reshape(-1, side, side)[:, 1:-1, 1:-1], axis=2) == 1).all()
