"""A table that is gone on with must be of the same encoder: one that is 1 % off is another."""

import pytest
import torch

import repgeom as rg

IMAGES = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))
ONE = {"corruptions": ["contrast"], "severities": [1]}


def pixels(x):
    return x[:, :, ::6, ::6].flatten(1)


@pytest.mark.parametrize(("change", "same"), [(0.0, True), (1e-5, True), (0.004, False), (0.05, False)])
def test_an_encoder_that_is_a_little_off_is_another(change, same, tmp_path):
    out = tmp_path / "table.csv"
    rg.robustness.corruption_robustness(pixels, IMAGES, out=out, **ONE)
    before = out.read_text()

    def other(x):
        first = pixels(x)
        return first + change * first**2

    if same:
        rg.robustness.corruption_robustness(other, IMAGES, out=out, **ONE)
        return
    with pytest.raises(ValueError, match="was begun with another encoder"):
        rg.robustness.corruption_robustness(other, IMAGES, out=out, **ONE)
    assert out.read_text() == before
