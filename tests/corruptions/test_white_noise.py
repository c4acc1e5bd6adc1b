"""White noise in pixels and in a model's normalised pixels."""

import math

import pytest
import torch
from conftest import photographs

from repgeom import corruptions


def test_noise_in_normalized_space_is_noise_after_the_models_normalisation():
    x = photographs(64).float() / 255
    std = torch.tensor(corruptions.CLIP_STD)[:, None, None]
    pixel = corruptions.add_noise(x, 1.0, clip=False, seed=4) - x
    noisy = corruptions.add_noise(x, 0.2, space="normalized", std=corruptions.CLIP_STD, seed=4)
    assert torch.allclose((noisy - 0.45) / std, (x - 0.45) / std + 0.2 * pixel, atol=1e-5)
    assert noisy.min() < 0
    rms = corruptions.noise_rms(0.2, space="normalized", std=corruptions.CLIP_STD)
    assert float((noisy - x).square().mean().sqrt()) == pytest.approx(rms, rel=0.02)
    assert corruptions.noise_rms(0.2) / rms == pytest.approx(3.72, abs=0.01)
    assert corruptions.add_noise(photographs(32), 0.5).aminmax() == (0, 1)


@pytest.mark.parametrize(("options", "message"), [
    ({"sigma": -1}, "at least 0"), ({"sigma": math.nan}, "finite"), ({"sigma": 0.1, "space": "clip"}, '"pixel" or'),
    ({"sigma": 0.1, "space": "normalized"}, "three numbers"),
    ({"sigma": 0.1, "space": "normalized", "std": 0.25}, r"three numbers above 0.*got 0\.25"),
    ({"sigma": 0.1, "space": "normalized", "std": (-0.2, 0.2, 0.2)}, "above 0"),
    ({"sigma": 0.1, "std": (0.2, 0.2, 0.2)}, "noise in pixels does not feel it"),
    ({"sigma": 0.1, "seed": 1.5}, "`seed` must be a whole number, got 1.5"),
])  # fmt: skip
def test_noise_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        corruptions.add_noise(photographs(32), **options)
