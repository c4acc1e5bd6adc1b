"""Band noise: its size, its band, and what it depends on, against numpy's FFT."""

import numpy as np
import pytest
import torch
from fourier_images import random_images

import repgeom as rg


def noise_of(shape, *band, **settings):
    x = torch.full(shape, 0.5, dtype=torch.float64)
    return (rg.robustness.band_noise(x, *band, clip=False, **settings) - x).numpy()


def in_band(h, w, low, high, units):
    i, j = np.meshgrid(np.fft.fftfreq(h), np.fft.fftfreq(w), indexing="ij")
    radius = np.hypot(i, j) * {"nyquist": 2, "cycles": max(h, w)}[units]
    return (radius > low - 1e-9) & (radius < (9e9 if high is None else high) - 1e-9)


BANDS = [(0, None, "nyquist"), (0, 0.3, "nyquist"), (0.5, None, "nyquist"), (0.3, 0.8, "nyquist"), (1, 4, "cycles")]


@pytest.mark.parametrize("size", [(16, 16), (9, 9), (12, 9), (9, 20), (33, 8)], ids=str)
@pytest.mark.parametrize("band", BANDS, ids=str)
def test_noise_has_its_size_exactly_and_its_energy_in_the_band_only(size, band):
    noise = noise_of((4, 3, *size), *band[:2], units=band[2], rms=0.05)
    assert np.sqrt((noise**2).mean((2, 3))) == pytest.approx(0.05, rel=1e-5)
    power = np.abs(np.fft.fft2(noise)) ** 2 / (noise**2).sum((2, 3), keepdims=True)
    assert np.array_equal(power.sum((0, 1)) > 1e-9, in_band(*size, *band))


@pytest.mark.parametrize("size", [16, 31, 64])
def test_one_band_in_nyquist_units_has_one_rms_at_every_size(size):
    noise = noise_of((2, 3, size, size), 0.25, 0.5, rms=0.08)
    assert np.linalg.norm(noise, axis=(2, 3)) == pytest.approx(0.08 * size, rel=1e-5)
    assert np.abs(noise_of((2, 3, size, size), size / 8, size / 4, units="cycles", rms=0.08) - noise).max() < 1e-6


@pytest.mark.parametrize("h", [6, 12, 24])
def test_neighbouring_bands_share_no_frequency_and_leave_none_out(h):
    bands = [(0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1), (1, None)]
    counts = sum((np.abs(np.fft.fft2(noise_of((9, 3, h, h), *b))) ** 2).sum((0, 1)) > 1e-6 for b in bands)
    assert (counts == 1).all()


def test_noise_is_white_inside_its_band_and_independent_between_channels_and_images():
    noise = noise_of((1500, 3, 8, 8), 0.3, 0.9, rms=1)
    inside = in_band(8, 8, 0.3, 0.9, "nyquist")
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean((0, 1))[inside]
    assert power == pytest.approx(64 * 64 / inside.sum(), rel=5 * (2 / 4500) ** 0.5)
    for a, b in [(noise[:, 0], noise[:, 1]), (noise[1:], noise[:-1])]:
        agreement = (a * b).mean((-2, -1))  # a correlation, of variance 1 / (degrees of freedom)
        assert abs(agreement.mean()) < 4 / (inside.sum() * agreement.size) ** 0.5


def test_all_bands_are_parts_of_one_white_noise():
    whole, part = (np.fft.fft2(noise_of((3, 3, 16, 16), *band)) for band in [(), (0.3, 0.8)])
    inside = in_band(16, 16, 0.3, 0.8, "nyquist")
    ratio = part[..., inside] / whole[..., inside]
    assert ratio == pytest.approx(np.broadcast_to(ratio.real.mean(2, keepdims=True), ratio.shape), rel=1e-3)


def test_clipping_cuts_to_the_unit_range():
    images = random_images()
    clipped, free = (rg.robustness.band_noise(images, rms=0.4, clip=clip) for clip in (True, False))
    assert (free.min() < 0, free.max() > 1, torch.equal(clipped, free.clamp(0, 1))) == (True, True, True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes_and_kinds_are_kept_and_levels_become_floats(dtype):
    levels = (random_images() * 255).to(torch.uint8)
    images = (levels / 255).to(getattr(torch, dtype))
    noisy = rg.robustness.band_noise(images, rms=0.2)
    assert noisy.dtype == images.dtype
    assert noisy.double().numpy() == pytest.approx(
        rg.robustness.band_noise(images.float(), rms=0.2).numpy(), abs=torch.finfo(noisy.dtype).eps
    )
    for same in (levels, levels.numpy(), np.asfortranarray(levels.numpy())):
        found = rg.robustness.band_noise(same, rms=0.2)
        assert (type(found), str(found.dtype).split(".")[-1]) == (type(same), "float32")
        assert np.asarray(found) == pytest.approx(rg.robustness.band_noise(levels / 255, rms=0.2).numpy(), abs=1e-6)


def test_no_noise_leaves_images_as_they_were():
    assert torch.equal(rg.robustness.band_noise(random_images(), rms=0), random_images())


def test_no_images_give_none_as_in_corrupt():
    assert rg.robustness.band_noise(random_images()[:0]).shape == (0, 3, 8, 8)


def test_noise_depends_on_the_seed_and_an_images_own_number_only():
    images, order = random_images(7), [3, 0, 6, 2, 5, 1, 4]
    together = rg.robustness.band_noise(images, 0.2, seed=4)
    for i in range(7):
        assert torch.equal(rg.robustness.band_noise(images[i : i + 1], 0.2, seed=4, indices=[i])[0], together[i])
    for numbers in (order, np.array(order, dtype=np.uint8), torch.tensor(order)):
        assert torch.equal(rg.robustness.band_noise(images[order], 0.2, seed=4, indices=numbers), together[order])
    for other in ({"seed": 5}, {"seed": 4, "indices": range(1, 8)}):
        assert not torch.isclose(rg.robustness.band_noise(images, 0.2, **other), together).all((1, 2, 3)).any()


X = random_images(4)
BAD_NOISE = {
    "empty band": ({"low": 0.5, "high": 0.5}, "no frequency of 8 x 8 images lies in the band from 0.5 to 0.5 nyquist"),
    "beyond the corner": ({"low": 1.5}, "the band from 1.5 to None nyquist; .* largest radius is 1.41"),
    "between frequencies": ({"low": 0.1, "high": 0.9, "units": "cycles"}, "the band from 0.1 to 0.9 cycles"),
    "NaN": ({"high": float("nan")}, "the band from 0 to nan nyquist"),
    "rms": ({"rms": -0.1}, "`rms` must be a number of at least 0, got -0.1"),
    "units": ({"units": "px"}, '`units` must be "nyquist" or "cycles", got \'px\''),
    "indices": ({"indices": [0, 1]}, r"`indices` must be 4 whole numbers, one for each image, got shape \(2,\)"),
    "values": ({"images": 2 * X}, r"must lie in \[0, 1\]"),
    "shape": ({"images": X[0]}, r"must have shape \(b, 3, h, w\), got \(3, 8, 8\)"),
}


@pytest.mark.parametrize(("settings", "message"), BAD_NOISE.values(), ids=BAD_NOISE)
def test_noise_that_cannot_be_made_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        rg.robustness.band_noise(**({"images": X} | settings))
