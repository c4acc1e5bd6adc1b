"""Numbers of corruptions that a loose tolerance would not see: strengths between levels, frost's grain."""

import pytest
import torch

from repgeom import corruptions


@pytest.mark.parametrize(
    ("severity", "rate"), [(0.5, 1000), (1, 500), (1.5, 1000 / 3), (2.25, 1 / (0.75 / 250 + 0.25 / 100)), (4.5, 60)]
)
def test_the_variance_of_shot_noise_is_linear_between_levels(severity, rate):
    """The published rates are 500, 250, 100, 75, 50 of small images; the variance of the noise is 1 over them."""
    assert corruptions.strength("shot_noise", severity, "cifar")["rate"] == pytest.approx(rate, rel=1e-12)
    noisy = corruptions.corrupt(
        torch.full((4, 3, 64, 64), 0.4), "shot_noise", severity, strengths="cifar", quantize=None
    )
    n = noisy.numel()
    assert float(noisy.mean()) == pytest.approx(0.4, abs=4 * (0.4 / rate / n) ** 0.5)
    assert float(noisy.var()) == pytest.approx(0.4 / rate, rel=4 * (2 / n) ** 0.5)


@pytest.mark.parametrize(
    ("name", "severity", "table", "wanted"),
    [
        ("gaussian_noise", 0.5, "cifar", {"sigma": 0.02}),
        ("gaussian_noise", 2.25, "cifar", {"sigma": 0.065}),
        ("frost", 2.25, "cifar", {"image_weight": 0.975, "frost_weight": 0.325, "asset_scale": 0.2}),
        ("glass_blur", 1.5, "imagenet", {"sigma": 0.8, "max_delta": 2, "iterations": 2}),
        ("glass_blur", 4.5, "imagenet", {"sigma": 1.3, "max_delta": 4, "iterations": 2}),
    ],
)
def test_strengths_between_levels_are_linear_and_whole_numbers_rounded(name, severity, table, wanted):
    assert corruptions.strength(name, severity, table) == pytest.approx(wanted, rel=1e-12)


def test_frost_is_as_grainy_as_a_field_whose_power_falls_as_published():
    """Half the mean square of differences over the variance, at a few distances: 0 smooth, 1 white."""
    weight = corruptions.strength("frost", 5, "tiny")["frost_weight"]
    black = torch.zeros(60, 3, 64, 64)
    light = corruptions.corrupt(black, "frost", 5, strengths="tiny", quantize=None).double().mean(1) / weight
    light = light - light.mean((1, 2), keepdim=True)
    grain = [
        float((light[:, :, k:] - light[:, :, :-k]).square().mean() / light.square().mean() / 2) for k in (1, 4, 16)
    ]
    assert grain == pytest.approx([0.51, 0.81, 0.975], abs=0.02)
