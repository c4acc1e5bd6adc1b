"""Fourier heat maps and band noise: what the encoder is shown, against numpy's FFT, closed forms and a slow loop."""

import collections
import itertools

import numpy as np
import pytest
import torch
from matplotlib.backend_bases import MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import repgeom as rg
from repgeom.robustness.resume import COLUMNS


def flat(x):
    return x.flatten(1)


def random_images(n=5, h=8, seed=0):
    return torch.rand(n, 3, h, h, generator=torch.Generator().manual_seed(seed))


def greyish(n=5, h=8):
    """Images in which a wave of the published size is not clipped."""
    return 0.5 + 0.05 * (random_images(n, h) - 0.5)


def wave(h, i, j, phase=0.0):
    y, x = np.mgrid[:h, :h]
    u = np.cos(2 * np.pi * (i * y + j * x) / h + phase)
    return u / np.linalg.norm(u)


def plane(h):
    """All frequencies (i, j) in the map's order."""
    return list(itertools.product(range(-(h // 2), h - h // 2), repeat=2))


def pair(h, i, j):
    """A wave's two places in numpy's DFT."""
    return frozenset({(i % h, j % h), (-i % h, -j % h)})


def spread(features):
    features = np.asarray(features, dtype=np.float64)
    return np.linalg.norm(features - features.mean(0), axis=1).mean()


def shown(images, encoder=flat, **settings):
    """The heat map, and all perturbed images that its encoder was shown, in no order."""
    seen = []

    def recording(x):
        seen.append(x.double().numpy().copy())
        return encoder(x)

    heat = rg.robustness.fourier_heatmap(recording, images, **settings)
    clean = images.double().numpy()
    every = np.concatenate(seen)
    return heat, every[~(every[:, None] == clean).all((2, 3, 4)).any(1)]


def added(images, **settings):
    """(frequencies, image numbers, waves (m, 3, h, h)) that were added, found by numpy's FFT of the differences."""
    _, perturbed = shown(images, **settings)
    every = perturbed[:, None] - images.double().numpy()
    power = (np.abs(np.fft.fft2(every)) ** 2).sum(2)
    power /= power.sum((2, 3), keepdims=True)
    # The difference to the image that it was made of has one wave, to any other a whole texture besides.
    own = np.sort(power.reshape(*power.shape[:2], -1))[..., -2:].sum(2).argmax(1)
    m = np.arange(len(own))
    places = [frozenset(map(tuple, np.argwhere(p > 1e-6).tolist())) for p in power[m, own]]
    return places, own, every[m, own]


def filtered(gain):
    """An encoder that multiplies each frequency by `gain` (h, h), in numpy's order."""
    return lambda x: torch.fft.ifft2(torch.fft.fft2(x.double()) * torch.as_tensor(gain)).real.flatten(1)


# --- what the encoder is shown -----------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["random", 0, np.pi / 4, np.pi / 2])
@pytest.mark.parametrize("h", [2, 7, 8])
def test_each_image_gets_each_wave_once_with_its_norm_and_at_its_frequency_only(h, phase):
    places, own, waves = added(images := greyish(3, h), phase=phase, norm=0.1 * h)
    pairs = {pair(h, i, j) for i, j in plane(h)}
    twice = phase == np.pi / 4  # cos(θ + φ) and its mirror image cos(θ − φ) are then two waves
    assert collections.Counter(zip(own.tolist(), places, strict=True)) == {
        (image, p): 1 + (twice and len(p) == 2) for image, p in itertools.product(range(len(images)), pairs)
    }
    assert np.linalg.norm(waves, axis=(2, 3)) == pytest.approx(0.1 * h, rel=1e-5)
    signs = np.sign((waves * waves[:, :1]).sum((2, 3), keepdims=True))
    assert waves == pytest.approx(signs * waves[:, :1], abs=1e-6)  # one basis for all channels


def test_signs_are_random_for_each_image_channel_and_frequency():
    places, own, waves = added(greyish(20), phase=0)
    table = np.zeros((34, 20, 3))
    for where, image, added_wave in zip(places, own, waves, strict=True):
        row = sorted({pair(8, *f) for f in plane(8)}, key=sorted).index(where)
        table[row, image] = np.sign((added_wave * wave(8, *min(where))).sum((1, 2)))
    assert set(table.ravel()) == {-1, 1}
    products = {"frequency": table[1:] * table[:-1], "image": table[:, 1:] * table[:, :-1]}
    products |= {"channel": table[..., [1, 2, 0]] * table, "none": table, "all": table.prod(2)}
    for name, values in products.items():
        assert abs(values.mean()) < 4 / values.size**0.5, name


def test_random_phases_are_uniform_and_fixed_ones_are_as_given():
    for phase in ("random", 0, np.pi / 4, 2):
        places, _, waves = added(greyish(8), phase=phase)
        several = [(min(p), w[0]) for p, w in zip(places, waves, strict=True) if len(p) == 2]
        twice = 2 * np.angle([np.fft.fft2(w)[f] for f, w in several])  # a sign adds π to the angle
        if phase == "random":
            assert abs(np.exp(1j * twice).mean()) < 4 / len(twice) ** 0.5
            assert len(set(twice.round(4))) > 0.95 * len(twice)
        else:  # of the wave or its mirror image
            assert np.cos(twice) == pytest.approx(np.cos(2 * phase), abs=1e-4)


@pytest.mark.parametrize(
    ("h", "side", "n"), [(8, None, 34), (9, None, 41), (8, 5, 13), (32, None, 514), (64, 63, 1985)]
)
def test_half_of_the_map_is_evaluated_and_the_rest_is_its_mirror_image(h, side, n):
    calls = []
    heat = rg.robustness.fourier_heatmap(
        lambda x: calls.append(len(x)) or x[:, 0, 0], random_images(2, h), n_frequencies=side
    )
    m = side or h
    assert (heat.n_evaluated, heat.n_samples, sum(calls)) == (n, 2, 2 + 2 * n)
    assert (heat.drift.shape, heat.error, heat.clean_error) == ((m, m), None, None)
    assert heat.frequencies.tolist() == list(range(-(m // 2), m - m // 2))
    mirrored = np.roll(heat.drift[::-1, ::-1], 1 - m % 2, (0, 1))
    assert np.array_equal(heat.drift, mirrored)
    assert (heat.norm, heat.rms) == (pytest.approx(h / 8), pytest.approx(0.125))


def test_a_norm_is_kept_and_given_per_pixel():
    heat = rg.robustness.fourier_heatmap(lambda x: x[:, 0, 0], random_images(2, 224), norm=15.7, n_frequencies=1)
    assert (heat.norm, heat.rms) == (15.7, pytest.approx(0.07, abs=2e-4))


# --- closed forms and a slow definition --------------------------------------------------------------------------


def gains(h):
    i, j = np.meshgrid(*[np.fft.fftfreq(h, 1 / h)] * 2, indexing="ij")
    kernel = np.random.default_rng(1).standard_normal((h, h))
    return {"identity": np.ones((h, h)), "low pass": 1.0 * (np.hypot(i, j) <= 2.5), "any": np.fft.fft2(kernel)}


@pytest.mark.parametrize("name", ["identity", "low pass", "any"])
@pytest.mark.parametrize(("h", "phase"), [(8, "random"), (9, 0), (9, "random"), (8, np.pi / 4)])
def test_drift_of_a_filter_is_the_size_of_its_transfer_function(name, h, phase):
    gain, images = gains(h)[name], greyish(6, h)
    heat = rg.robustness.fourier_heatmap(filtered(gain), images, phase=phase, norm=0.9)
    expected = np.abs(np.fft.fftshift(gain)) * 3**0.5 * 0.9 / spread(filtered(gain)(images))
    assert heat.drift == pytest.approx(expected, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize(("h", "k"), [(9, 3), (15, 5)])
def test_drift_of_average_pooling(h, k):
    def encoder(x):
        return torch.nn.functional.avg_pool2d(x.double(), k).flatten(1)

    f = np.arange(h) - h // 2
    line = np.abs(np.sin(np.pi * f * k / h) / np.where(f == 0, 1, k * np.sin(np.pi * f / h))) + (f == 0)
    heat = rg.robustness.fourier_heatmap(encoder, images := greyish(6, h), norm=1.0)
    expected = 3**0.5 * np.outer(line, line) / k / spread(encoder(images))
    assert heat.drift == pytest.approx(expected, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("phase", [0, np.pi / 4])
def test_a_fixed_phase_is_that_of_the_wave_at_every_place_of_the_map(phase):
    def encoder(x):  # reads two pixels: the sign of a wave does not matter, where it is zero does
        return x[:, 0, :2, 0]

    heat = rg.robustness.fourier_heatmap(encoder, images := greyish(), phase=phase, norm=1.0)
    expected = [np.linalg.norm(wave(8, i, j, phase)[:2, 0]) / spread(encoder(images)) for i, j in plane(8)]
    assert heat.drift.ravel() == pytest.approx(expected, rel=1e-4)


def test_drift_of_grey_is_half_because_signs_of_channels_cancel():
    heat = rg.robustness.fourier_heatmap(lambda x: x.mean(1).flatten(1), images := greyish(40), norm=1.0)
    flat_drift = heat.drift * spread(flat(images.mean(1, keepdim=True)))  # |±1 ±1 ±1| / 3: 1 at 1/4, else 1/3
    assert flat_drift.mean() == pytest.approx(0.5, abs=0.06)


def slow_maps(perturbed, clean, norm, encoder, predict, labels):
    """Drift and error at every frequency, from those shown images that are clip(X ± norm U) for each channel."""
    h, n, base, maps = clean.shape[2], len(clean), encoder(clean), []
    for i, j in plane(h):
        signed = np.array([np.clip(clean.numpy() + r * norm * wave(h, i, j), 0, 1) for r in (-1, 1)])
        off = np.abs(perturbed[:, None, None] - signed).max((4, 5)).min(1).max(2)  # (shown, images)
        assert (off < 1e-5).sum(0).tolist() == [1] * n
        features = encoder(torch.tensor(perturbed[off.argmin(0)], dtype=torch.float32))
        moved = np.linalg.norm((features - base).double().numpy(), axis=1)
        maps.append((moved.mean() / spread(base), np.mean(predict(features) != labels)))
    return np.array(maps).T.reshape(2, h, h)


@pytest.mark.parametrize(("h", "batch_size"), [(8, None), (8, 1), (9, 50)])
def test_both_maps_agree_with_a_loop_over_all_frequencies_of_clipped_images(h, batch_size):
    images, mix = random_images(6, h), torch.randn(3 * h * h, 9, generator=torch.Generator().manual_seed(2))
    labels = np.array(["cat", "dog", "eel", "cat", "dog", "eel"])

    def encoder(x):
        return torch.tanh(x.flatten(1) @ mix / 3)

    probe = rg.probes.fit_linear_probe(encoder(images), labels, C=10.0)
    labels = np.array(["cat", "dog", "eel", "cat", "eel", "dog"])
    given = {"labels": labels, "probe": probe, "phase": 0, "norm": 3.0, "batch_size": batch_size}
    heat, perturbed = shown(images, encoder, **given)
    drift, error = slow_maps(perturbed, images, 3.0, encoder, probe.predict, labels)
    assert heat.drift == pytest.approx(drift, rel=1e-5)
    assert heat.error == pytest.approx(error, abs=1e-12)
    assert heat.clean_error == pytest.approx(1 / 3)
    assert np.unique(error).size > 2


@pytest.mark.parametrize(("at", "batch_size"), [((2, -3), 7), ((0, 1), 13), ((-4, 0), None)])
def test_a_probe_of_one_frequency_errs_there_only(at, batch_size):
    def encoder(x):
        return torch.fft.fft2(x.double())[:, 0, at[0], at[1]].abs()[:, None]

    striped = torch.tensor([0, 1, 0, 0, 1]) == 1
    images = 0.5 + striped[:, None, None, None] * torch.tensor(wave(8, *at))[None, None].expand(1, 3, 8, 8)
    labels = np.where(striped, "striped", "plain")
    probe = rg.probes.fit_linear_probe(encoder(images), labels, C=1e4)
    given = {"labels": labels.tolist(), "probe": probe, "norm": 2.0, "phase": 0, "batch_size": batch_size}
    heat = rg.robustness.fourier_heatmap(encoder, images, **given)
    expected = [[0.6 * (pair(8, i, j) == pair(8, *at)) for j in range(-4, 4)] for i in range(-4, 4)]
    # A wave of the striped images' own frequency may also take their stripes away; of norm 2 it does not: |1 − 2| = 1.
    assert heat.error == pytest.approx(np.array(expected), abs=1e-12)
    assert heat.clean_error == 0


# --- what must not matter ----------------------------------------------------------------------------------------


def test_batches_are_filled_over_frequencies_and_their_size_does_not_matter():
    images, sizes = random_images(4), []
    maps = [
        rg.robustness.fourier_heatmap(lambda x: sizes.append(len(x)) or flat(x), images, batch_size=b)
        for b in (50, 1, 3, None)
    ]
    assert sizes[:4] == [4, 50, 50, 36]
    for other in maps[1:]:
        assert other.drift == pytest.approx(maps[0].drift, rel=1e-6)


@pytest.mark.parametrize("h", [8, 9])
def test_the_order_of_images_does_not_matter_to_a_filter(h):
    images = greyish(6, h)
    first, second = (
        rg.robustness.fourier_heatmap(filtered(gains(h)["any"]), x).drift for x in (images, images.flip(0))
    )
    assert second == pytest.approx(first, rel=1e-5)


def test_the_seed_fixes_the_waves_and_a_smaller_map_is_a_part_of_the_larger():
    def drift(**settings):
        return rg.robustness.fourier_heatmap(
            lambda x: x[:, :, :3].mean(1).flatten(1), random_images(), **settings
        ).drift

    assert np.array_equal(drift(seed=1), drift(seed=1))
    assert np.abs(drift(seed=1) - drift(seed=2)).max() > 1e-2
    assert np.array_equal(drift(n_frequencies=5), drift()[2:7, 2:7])


def test_a_seed_of_numpy_is_a_seed():
    assert torch.equal(rg.robustness.band_noise(X, seed=np.int64(3)), rg.robustness.band_noise(X, seed=3))


def test_array_kinds_give_one_map():
    images = (random_images() * 255).to(torch.uint8)
    expected = rg.robustness.fourier_heatmap(flat, images).drift
    strided = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    for same in (strided, images.float() / 255, images.double() / 255, np.asfortranarray(images.numpy())):
        assert rg.robustness.fourier_heatmap(flat, same).drift == pytest.approx(expected, rel=1e-5)
    half = (images / 255).half()
    assert rg.robustness.fourier_heatmap(flat, half).drift == pytest.approx(
        rg.robustness.fourier_heatmap(flat, half.float()).drift, rel=1e-5
    )


@pytest.mark.parametrize(("dtype", "scale", "offset"), [
    ("float16", 1, 0), ("float16", 1, 30), ("float16", 6e4, 0), ("bfloat16", 1, 0), ("bfloat16", 1, 30),
    ("float32", 1, 1000), ("float32", 3e38, 0), ("float64", 1e-200, 0), ("float64", 1e200, 0),
])  # fmt: skip
def test_drift_is_that_of_the_features_as_the_encoder_gave_them(dtype, scale, offset):
    found = []

    def encoder(x):
        found.append(((x.flatten(1)[:, ::9].double() * 2 - 1) * scale + offset).to(getattr(torch, dtype)))
        return found[-1]

    heat = rg.robustness.fourier_heatmap(encoder, random_images(), batch_size=5, n_frequencies=1)
    clean, moved = (f.double().numpy() / scale for f in found)
    assert heat.drift[0, 0] == pytest.approx(np.linalg.norm(moved - clean, axis=1).mean() / spread(clean), rel=1e-5)


def test_modules_run_without_dropout_and_get_their_mode_back():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5)).train()
    expected = rg.robustness.fourier_heatmap(flat, images := random_images()).drift
    assert rg.robustness.fourier_heatmap(module, images).drift == pytest.approx(expected, rel=1e-6)
    assert [m.training for m in module.modules()] == [True] * 3


def test_images_that_carry_gradients_are_read_as_they_are():
    found = rg.robustness.fourier_heatmap(flat, random_images().requires_grad_()).drift
    assert np.array_equal(found, rg.robustness.fourier_heatmap(flat, random_images()).drift)


def test_an_encoder_that_normalises_in_place_leaves_the_images_as_they_were():
    images = random_images()
    expected = rg.robustness.fourier_heatmap(lambda x: flat((x - 0.5) / 0.2), images).drift
    found = rg.robustness.fourier_heatmap(lambda x: flat(x.sub_(0.5).div_(0.2)), images).drift
    assert torch.equal(images, random_images())
    assert found == pytest.approx(expected, rel=1e-6)


LABELS = {
    "text": ["a", "b", "a", "b"],
    "a column": np.array([["a"], ["b"], ["a"], ["b"]]),
    "fractions": [0.5, 1.5, 0.5, 1.5],
    "bfloat16": torch.tensor([0, 1, 0, 1]).bfloat16(),
    "some that the probe never saw": ["a", "b", "c", "c"],
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("batch_size", [2, None])
def test_any_labels_that_a_probe_takes_in_any_batches(name, batch_size):
    images, labels = greyish(4), LABELS[name]
    known = ["a", "b", "a", "b"] if name.startswith("some") else labels
    probe = rg.probes.fit_linear_probe(flat(images), known, C=1e4)
    expected = 1 - probe.accuracy(flat(images), labels)
    heat = rg.robustness.fourier_heatmap(flat, images, labels=labels, probe=probe, norm=1e-5, batch_size=batch_size)
    assert heat.clean_error == pytest.approx(expected)
    assert heat.error == pytest.approx(np.full((8, 8), expected))


def test_a_phase_of_any_number_type_is_used():
    maps = [
        rg.robustness.fourier_heatmap(lambda x: x[:, 0, :2, 0], greyish(), phase=p).drift
        for p in (0.5, np.float32(0.5), 0.9)
    ]
    assert maps[1] == pytest.approx(maps[0], rel=1e-4)
    assert np.abs(maps[2] - maps[0]).max() > 1e-2


def test_a_progress_bar_goes_to_standard_error(capsys):
    rg.robustness.fourier_heatmap(flat, random_images(2), progress=True)
    out, err = capsys.readouterr()
    assert (out, "batch" in err) == ("", True)


# --- refusals ----------------------------------------------------------------------------------------------------

X = random_images(4)
BAD = {
    "oblong": ({"images": X[..., :7]}, "must be square for a heat map of frequencies, got 8 x 7"),
    "labels only": ({"labels": [0, 1, 0, 1]}, "`labels` and `probe` go together"),
    "norm": ({"norm": -1}, "`norm` must be a positive number, got -1"),
    "norm NaN": ({"norm": float("nan")}, "`norm` must be a positive number, got nan"),
    "large map": ({"n_frequencies": 9}, "must be a whole number from 1 to 8 for these images, got 9"),
    "no map": ({"n_frequencies": 0}, "must be a whole number from 1 to 8 for these images, got 0"),
    "phase": ({"phase": "rand"}, "`phase` must be \"random\" or a number of radians, got 'rand'"),
    "phase NaN": ({"phase": float("nan")}, "`phase` must .*, got nan"),
    "phase None": ({"phase": None}, "`phase` must .*, got None"),
    "batch": ({"batch_size": 0}, "`batch_size` must be a whole number of at least 1, got 0"),
    "values": ({"images": X * 2}, r"must lie in \[0, 1\]"),
    "constant": ({"encoder": lambda x: torch.full((len(x), 2), 0.1)}, "all clean images the same features"),
    "clean NaN": ({"encoder": lambda x: x.flatten(1) / 0}, "on the clean images the encoder returned values that"),
    "clean rows": ({"encoder": lambda x: flat(x)[1:]}, r"on the clean images .* got shape \(3, 192\) for a batch of 4"),
}


@pytest.mark.parametrize(("settings", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_done_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        rg.robustness.fourier_heatmap(**({"encoder": flat, "images": X} | settings))


@pytest.mark.parametrize(
    "how", [lambda y, at: torch.where(at[:, None], torch.nan, y), lambda y, at: y[~at]], ids=["NaN", "rows"]
)
@pytest.mark.parametrize("batch_size", [1, 13, None])
def test_the_frequency_at_which_an_encoder_fails_is_named(how, batch_size):
    def encoder(x):
        return how(flat(x), torch.fft.fft2(x - 0.5)[:, 0, 2, 3].abs() > 3)

    with pytest.raises(ValueError, match=r"at frequency \((2, 3|-2, -3)\): the encoder"):
        rg.robustness.fourier_heatmap(encoder, greyish(4), batch_size=batch_size)


@pytest.mark.parametrize("width", [1, 5])
def test_another_width_than_the_clean_features_is_refused(width):
    with pytest.raises(ValueError, match=f"at frequency .* the encoder returned {width} features"):
        rg.robustness.fourier_heatmap(lambda x: flat(x) if len(x) == 4 else flat(x)[:, :width], X)


# --- band noise --------------------------------------------------------------------------------------------------


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


# --- drawings ----------------------------------------------------------------------------------------------------


@pytest.fixture
def ax():
    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.subplots()


def heat_of(drift, error=None):
    m = len(drift)
    return rg.types.FourierHeatmap(drift, error, np.arange(m) - m // 2, None, 1.0, 0.125, 1, 1)


@pytest.mark.parametrize("m", [1, 4, 5])
@pytest.mark.parametrize("what", ["drift", "error"])
def test_a_heat_map_is_drawn_where_its_frequencies_are(m, what, ax, rng):
    drift, error = rng.random((2, m, m))
    assert rg.plot_fourier_heatmap(heat_of(drift, error), what=what, ax=ax) is ax
    ax.figure.canvas.draw()
    values = {"drift": drift, "error": error}[what]
    for (i, down), (j, across) in itertools.product(enumerate(np.arange(m) - m // 2), repeat=2):
        place = MouseEvent("motion_notify_event", ax.figure.canvas, *ax.transData.transform((across, down)))
        assert ax.images[0].get_cursor_data(place) == values[i, j]
    assert ax.images[0].norm.vmin == 0
    assert ("across" in ax.get_xlabel(), "down" in ax.get_ylabel(), "0.125" in ax.get_title()) == (True, True, True)
    assert ax.figure.axes[1].get_ylabel().startswith({"drift": "distance", "error": "share"}[what])


def test_a_heat_map_shows_the_error_where_there_is_one(ax, rng):
    drift, error = rng.random((2, 3, 3))
    assert np.array_equal(rg.plot_fourier_heatmap(heat_of(drift, error), ax=ax).images[0].get_array(), error)
    assert np.array_equal(rg.plot_fourier_heatmap(heat_of(drift), ax=ax).images[1].get_array(), drift)
    for what in ("error", "err"):
        with pytest.raises(ValueError, match=f"`what` must be .*; got '{what}'"):
            rg.plot_fourier_heatmap(heat_of(drift), what=what, ax=ax)


def robustness_table(measure="accuracy", clean=True):
    pd = pytest.importorskip("pandas")
    rows = [("fog", 1, 0.8, 0.7, 0.85), ("fog", 3, 0.6, 0.5, 0.65), ("zoom_blur", 1, 0.4, np.nan, np.nan)]
    rows += [("clean", 0, 0.9, 0.85, 0.95)] * clean
    return pd.DataFrame([(c, float(s), measure, *values, 9, "") for c, s, *values in rows], columns=COLUMNS)


def points(ax):
    """{severity: [(value, row)]} and the ends of each interval, as drawn."""
    found, ends = {}, []
    for container in ax.containers:
        data, _, (bars,) = container.lines
        found[container.get_label()] = list(
            zip(data.get_xdata(), np.round(data.get_ydata().astype(float)), strict=True)
        )
        ends += [tuple(segment[:, 0].round(12)) for segment in bars.get_segments()]
    return found, ends


@pytest.mark.parametrize("clean", [True, False])
def test_a_robustness_table_is_drawn_with_its_intervals(clean, ax):
    assert rg.plot_robustness(robustness_table(clean=clean), ax=ax) is ax
    found, ends = points(ax)
    assert found == {"1": [(0.8, 0), (0.4, 1)], "3": [(0.6, 0)]}
    assert ends == [(0.7, 0.85), (0.4, 0.4), (0.5, 0.65)]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["fog", "zoom blur"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # from top to bottom
    dashed = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed == [0.9] * clean
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["clean"] * clean + ["1", "3"]


def test_the_measure_of_a_drawing_is_the_asked_one_or_the_first_that_is_there(ax):
    import pandas as pd

    names = ["centred_relative_l2_drift", "effective_rank", "knn_accuracy", "accuracy"]
    tables = [robustness_table(name) for name in names]
    for n, expected in [(1, names[0]), (2, names[0]), (3, names[2]), (4, names[3])]:
        shown_axes = rg.plot_robustness(pd.concat(tables[:n]), ax=Figure().subplots())
        assert shown_axes.get_xlabel() == expected.replace("_", " ")
    assert rg.plot_robustness(pd.concat(tables), measure="effective_rank", ax=ax).get_xlabel() == "effective rank"
    with pytest.raises(ValueError, match="no measure 'rank'; it has accuracy, centred_relative_l2_drift"):
        rg.plot_robustness(pd.concat(tables), measure="rank", ax=Figure().subplots())
