"""Corruptions by the statistics of what they draw, and by closed forms."""

import math

import numpy as np
import pytest
import torch
from conftest import photographs
from corruption_cases import NAMES, within
from scipy import stats

from repgeom import corruptions
from repgeom.corruptions import noise, weather
from repgeom.corruptions.seeds import Draws


@pytest.mark.parametrize("rate", [3, 60, 500])
@pytest.mark.parametrize("grey", [0.0, 1 / 255, 100 / 255, 0.4567, 1.0])
def test_shot_noise_is_poisson(rate, grey):
    x = torch.full((4, 3, 60, 60), grey)
    random = Draws(0, torch.arange(4), "shot_noise")
    counts = noise.shot_noise(x, (rate,), {"uniform": random.uniform64(3, 60, 60)}).double() * rate
    mean, n = rate * grey, counts.numel()
    assert torch.allclose(counts, counts.round(), atol=1e-3)
    within(counts.mean(), mean, (mean / n) ** 0.5 + 1e-9)
    within(counts.var(), mean, ((mean + 2 * mean**2) / n) ** 0.5 + 1e-9)


def test_noise_has_the_published_size():
    x = torch.full((8, 3, 32, 32), 0.5)
    n = x.numel()
    for name, factor in (("gaussian_noise", 1), ("speckle_noise", 0.5)):
        for severity in range(1, 6):
            noise = corruptions.corrupt(x, name, severity, quantize=None).double() - 0.5
            sigma = corruptions.strength(name, severity, "cifar")["sigma"] * factor
            within(noise.mean(), 0, sigma * n**-0.5)
            within(noise.var(), sigma**2, sigma**2 * (2 / n) ** 0.5)
    for severity in range(1, 6):
        y = corruptions.corrupt(x, "impulse_noise", severity, quantize=None)
        amount = corruptions.strength("impulse_noise", severity, "cifar")["amount"]
        hit = (y != 0.5).sum().item()
        assert stats.binomtest(hit, n, amount).pvalue > 1e-4
        assert stats.binomtest((y == 1).sum().item(), hit, 0.5).pvalue > 1e-4
        assert set(y.unique().tolist()) <= {0.0, 0.5, 1.0}


def test_an_image_keeps_its_draws_at_every_severity():
    x = torch.full((2, 3, 32, 32), 0.5)
    weak, strong = (corruptions.corrupt(x, "gaussian_noise", s, quantize=None) - 0.5 for s in (1, 3))
    assert torch.allclose(strong, 2 * weak, atol=1e-6)


@pytest.mark.parametrize(("name", "low", "high"), [("motion_blur", -45, 45), ("snow", -135, -45)])
def test_angles_are_uniform(name, low, high):
    angle = corruptions.draw(name, (32, 32), indices=range(2000))["angle"].numpy()
    assert stats.kstest(angle, stats.uniform(low, high - low).cdf).pvalue > 1e-4


def test_glass_offsets_never_reach_plus_delta():
    params = corruptions.draw("glass_blur", (224, 224), 5)
    for offset in params.values():
        assert offset.unique().tolist() == [-4, -3, -2, -1, 0, 1, 2, 3]


def test_fog_is_periodic_scaled_and_falls_with_frequency():
    params = corruptions.draw("fog", (128, 128), 1, indices=range(16))
    slopes = []
    for decay in (3.0, 1.75):
        haze = weather.diamond_square(list(params.values()), decay)
        assert torch.equal(haze.amin((1, 2)), torch.zeros(16))
        assert torch.equal(haze.amax((1, 2)), torch.ones(16))
        # Left and right edge, top and bottom edge are neighbours.
        inner = (haze[:, 1:] - haze[:, :-1]).abs().mean()
        assert (haze[:, 0] - haze[:, -1]).abs().mean() < 2 * inner
        power = torch.fft.rfft2(haze - haze.mean((1, 2), keepdim=True)).abs().square().mean(0)
        slopes.append(math.log2(power[1:3, 1:3].mean() / power[8:24, 8:24].mean()))
    assert slopes[0] > slopes[1] > 2


@pytest.mark.parametrize(("size", "coverage", "means"), [
    (32, (.026, .066, .185, .041, .069), (1.05, 2.85, 7.04, 3.68, 6.19)),
    (224, (.030, .130, .213, .122, .197), (.71, 4.36, 7.73, 11.0, 17.9)),
])  # fmt: skip
def test_spatter_has_the_moments_of_the_published_one(size, coverage, means):
    x = photographs(size)[:1].expand(24 if size == 32 else 6, -1, -1, -1)
    for severity in range(1, 6):
        away = (corruptions.corrupt(x, "spatter", severity).float() - x.float()).abs()
        covered = float((away.amax(1) > 3).float().mean())
        assert covered == pytest.approx(coverage[severity - 1], rel=0.5)  # of one photograph there, of another here
        assert float(away.mean()) == pytest.approx(means[severity - 1], rel=0.6)


def test_procedural_frost_looks_like_the_photographs():
    x = torch.zeros(300, 3, 64, 64)
    weight = corruptions.strength("frost", 5, "tiny")["frost_weight"]
    texture = corruptions.corrupt(x, "frost", 5, strengths="tiny", quantize=None) / weight * 255
    kinds = corruptions.draw("frost", (64, 64), indices=range(300))["kind"]
    means = {0: (78, 149, 166), 1: (201, 205, 214), 3: (138, 153, 165), 4: (112, 123, 135)}
    for kind, mean in means.items():
        assert texture[kinds == kind].mean((0, 2, 3)).tolist() == pytest.approx(mean, abs=8)
    assert (kinds < 5).all()
    power = torch.fft.fft2(texture[:, 0] - texture[:, 0].mean((1, 2), keepdim=True)).abs().square().mean(0)
    radius = torch.fft.fftfreq(64)[:, None].square().add(torch.fft.fftfreq(64).square()).sqrt()
    rings = [power[(radius > a) & (radius <= b)].mean().log() for a, b in ((0.03, 0.06), (0.2, 0.4))]
    assert -2.2 < float(rings[1] - rings[0]) / math.log(0.3 / 0.045) < -1.0


def test_a_constant_image_stays_constant_under_every_blur():
    x = torch.full((2, 3, 48, 48), 77 / 255)
    for name in (
        "gaussian_blur",
        "defocus_blur",
        "glass_blur",
        "motion_blur",
        "zoom_blur",
        "elastic_transform",
        "pixelate",
    ):
        for severity in (1, 3, 5):
            y = corruptions.corrupt(x, name, severity, quantize=None)
            assert (y - x).abs().max() < 2e-7, name


def test_weak_gaussian_blur_blurs():
    x = torch.zeros(1, 3, 32, 32)
    x[..., 16, 16] = 1
    y = corruptions.corrupt(x, "gaussian_blur", 1, quantize=None)
    taps = np.exp(-0.5 * (np.arange(-2, 3) / 0.4) ** 2)
    taps /= taps.sum()
    assert y[0, 0, 16, 14:19].tolist() == pytest.approx((taps[2] * taps).tolist(), abs=1e-7)


def test_colour_corruptions_have_their_closed_forms():
    x = torch.tensor([0.2, 0.4, 0.1]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    brighter = corruptions.corrupt(x, "brightness", 3, quantize=None)[0, :, 0, 0]
    assert brighter.tolist() == pytest.approx([0.55 / 2, 0.55, 0.55 / 4])
    assert corruptions.corrupt(x, "contrast", 5, quantize=None)[0, :, 0, 0].tolist() == pytest.approx([0.2, 0.4, 0.1])
    paler = corruptions.corrupt(x, "saturate", 1, quantize=None)[0, :, 0, 0]
    assert paler.tolist() == pytest.approx([0.4 - 0.2 * 0.3, 0.4, 0.4 - 0.3 * 0.3])
    grey = torch.full((1, 3, 32, 32), 0.5)
    assert corruptions.corrupt(grey, "saturate", 5, quantize=None)[0, :, 0, 0].tolist() == pytest.approx(
        [0.5, 0.4, 0.4]
    )
    black = torch.zeros(1, 3, 32, 32)
    assert corruptions.corrupt(black, "brightness", 2, quantize=None).unique().tolist() == pytest.approx([0.1])
    assert corruptions.corrupt(black, "saturate", 5).unique().tolist() == [0.0]


def test_spatter_without_a_drop_leaves_the_image():
    x = photographs(32)
    for severity in (1, 4):
        assert torch.equal(corruptions.apply(x, "spatter", {"normal": torch.full((2, 32, 32), -9.0)}, severity), x)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_pass_without_quantisation(name):
    x = photographs(32).float().div(255).mul(0.8).add(0.1).requires_grad_()
    y = corruptions.corrupt(x, name, 2, quantize=None)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
