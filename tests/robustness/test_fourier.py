"""Fourier heat maps: what the encoder is shown, against numpy's FFT, closed forms and a slow loop."""

import collections
import itertools

import numpy as np
import pytest
import torch
from fourier_images import added, filtered, flat, greyish, pair, plane, random_images, shown, spread, wave

import repgeom as rg

# --- what the encoder is shown ----------------------------------------------------------------------------------------


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


# --- closed forms and a slow definition -------------------------------------------------------------------------------


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


# --- what must not matter ---------------------------------------------------------------------------------------------


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


# --- refusals ---------------------------------------------------------------------------------------------------------

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
