"""Published sets against our own corruption: what is equal is told so, and planted differences are found."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch
from published_files import cifar_folder, crops, image_folder

import repgeom as rg
from repgeom.corruptions import corrupt
from repgeom.robustness import compare_published, published
from repgeom.robustness.change_statistics import Bands, Statistics
from repgeom.robustness.change_statistics import compared as judged

CLEAN = crops(48, 32)
MANY = crops(400, 32)
FROST = [crops(2, 180)[0], crops(2, 180)[1]]
NAMES = list(rg.corruptions.names())
DRAW_NOTHING = [
    "defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression", "gaussian_blur", "saturate",
]  # fmt: skip


def compared(tmp_path, change, names, clean=CLEAN, severities=(1, 2, 3, 4, 5), **settings):
    """The comparison of a set that `change` made, by corruption and severity."""
    folder = cifar_folder(tmp_path / "set", clean, names, change=change)
    found = published("CIFAR-10-C", folder, clean=clean, corruptions=names, n_images=len(clean))
    return compare_published(found, severities=severities, **settings).set_index(["corruption", "severity"])


def test_corruptions_that_draw_nothing_are_equal_and_the_others_have_no_pixels_to_compare(tmp_path):
    def made(images, name, severity):
        return corrupt(images, name, severity, seed=3, frost_images=FROST)

    table = compared(tmp_path, made, NAMES, frost_images=FROST)
    assert list(dict.fromkeys(name for name, _ in table.index)) == NAMES
    nothing_drawn = table.index.get_level_values(0).isin(DRAW_NOTHING)
    pixels = table[nothing_drawn]
    assert set(pixels.conclusion) == {"equal"}
    assert (pixels[["equal", "within_1"]] == 1).all(axis=None)
    assert (pixels.largest == 0).all()
    assert np.isinf(pixels.psnr).all()
    assert (pixels[["mean", "mean_low", "mean_high"]] == 0).all(axis=None)
    assert (pixels[["variance", "power"]] == 1).all(axis=None)
    others = table[~nothing_drawn]
    assert others[["equal", "within_1", "largest", "psnr"]].isna().all(axis=None)
    # Another seed: 48 images decide little, and must not be called different. 55 rows of 95 % each.
    assert (others.conclusion == "differs").sum() <= 3
    assert (table.n == 48).all()


def test_frost_without_photographs_is_not_compared(tmp_path):
    table = compared(tmp_path, None, ["frost", "contrast"], severities=[2])
    assert table.conclusion.to_dict() == {
        ("frost", 2): "not compared: frost needs `frost_images`",
        ("contrast", 2): "equal",
    }


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "elastic_transform", "fog"])
def test_other_draws_of_the_same_corruption_have_the_same_statistics(name, tmp_path):
    row = compared(tmp_path, lambda x, c, s: corrupt(x, c, s, seed=3), [name], MANY, severities=3).loc[name, 3]
    assert row.conclusion in ("same statistics", "undecided")
    assert row.mean_low <= 0 <= row.mean_high
    assert row.variance_low <= 1 <= row.variance_high
    assert row.power_low <= 1 <= row.power_high
    if name.endswith("noise"):  # each image has thousands of draws of its own
        assert row.conclusion == "same statistics"


def darker(images, name, severity):
    corrupted = corrupt(images, name, severity, seed=3)
    return corrupted - (corrupted > 0).to(torch.uint8)  # one grey level


def stronger(images, name, severity):
    return corrupt(images, name, severity * 1.25, seed=3) if severity == 3 else corrupt(images, name, severity, seed=3)


def next_severity(images, name, severity):
    return corrupt(images, name, min(severity + 1, 5), seed=3)


def smoothed_noise(images, name, severity):
    """Noise of the right mean and variance, and of another colour: neighbours share some of it."""
    clean = images.double() / 255
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = noise + 0.3 * noise.roll(1, 3)
    sigma = [0.04, 0.06, 0.08, 0.09, 0.10][severity - 1]
    return ((clean + sigma * noise / 1.09**0.5).clamp(0, 1) * 255).to(torch.uint8)


def one_colour(images, name, severity):
    corrupted = corrupt(images, name, severity, seed=3).clone()
    corrupted[:, 2] -= (corrupted[:, 2] > 1).to(torch.uint8) * 2
    return corrupted


PLANTED = {
    "a grey level less": (darker, "gaussian_noise", "mean"),
    "two levels less blue": (one_colour, "gaussian_noise", "mean"),
    "a quarter severity more": (stronger, "gaussian_noise", "variance"),
    "the next severity of shot noise": (next_severity, "shot_noise", "variance"),
    "the next severity of impulse noise": (next_severity, "impulse_noise", "variance"),
    "the next severity of glass blur": (next_severity, "glass_blur", "power"),
    "coloured noise": (smoothed_noise, "gaussian_noise", "power"),
}


@pytest.mark.parametrize(("change", "name", "what"), PLANTED.values(), ids=PLANTED)
def test_planted_differences_are_found_and_named(change, name, what, tmp_path):
    row = compared(tmp_path, change, [name], MANY[:300], severities=3).loc[name, 3]
    assert row.conclusion == "differs"
    limits = {"mean": (-0.5, 0.5), "variance": (1 / 1.05, 1.05), "power": (1 / 1.1, 1.1)}[what]
    assert row[f"{what}_high"] < limits[0] or row[f"{what}_low"] > limits[1]


@pytest.mark.parametrize("name", DRAW_NOTHING)
def test_pixels_tell_a_level_from_a_change(name, tmp_path):
    row = compared(tmp_path, darker, [name], severities=2).loc[name, 2]
    assert (row.conclusion, row.within_1, row.largest) == ("within 1 level", 1, 1)
    zeros = float((corrupt(CLEAN, name, 2) == 0).double().mean())
    assert row.equal == pytest.approx(zeros)
    assert row.psnr == pytest.approx(10 * np.log10(255**2 / (1 - zeros)))


def test_one_pixel_decides_between_equal_and_within_a_level_and_shares_speak_beyond(tmp_path):
    def changed(levels, share):
        def change(images, name, severity):
            """This share of all values is so many levels off."""
            values = corrupt(images, name, severity).flatten().int()
            n = max(1, int(share * len(values)))
            values[:n] += torch.where(values[:n] < 128, levels, -levels)
            return values.to(torch.uint8).view(images.shape)

        return change

    cases = [
        (0, 0, "equal"), (1, 0, "within 1 level"), (1, 1, "within 1 level"), (2, 0, "nearly equal"), (100, 0, "nearly equal"),
        (2, 0.0099, "nearly equal"), (2, 0.0101, "differs"), (8, 0.0099, "nearly equal"), (9, 0.0099, "differs"), (2, 1, "differs"),
    ]  # fmt: skip
    for levels, share, conclusion in cases:
        row = compared(tmp_path, changed(levels, share), ["contrast"], severities=4).loc["contrast", 4]
        assert (row.conclusion, row.largest) == (conclusion, levels)
        expected = max(1, int(share * CLEAN.numel())) if levels else 0
        assert (1 - row.equal) * CLEAN.numel() == pytest.approx(expected, abs=1e-4)


def test_numbers_are_those_of_their_definitions(tmp_path):
    """By NumPy and SciPy, image by image; corruption adds what is corrupted minus clean."""
    theirs = corrupt(CLEAN, "gaussian_noise", 4, seed=3)
    row = compared(tmp_path, lambda x, c, s: corrupt(x, c, 4, seed=3), ["gaussian_noise"], severities=3, confidence=0.9).loc["gaussian_noise", 3]  # fmt: skip
    added = [x.numpy().astype(float) - CLEAN.numpy() for x in (theirs, corrupt(CLEAN, "gaussian_noise", 3))]
    means = [x.mean((2, 3)) for x in added]
    colour = np.abs((means[0] - means[1]).mean(0)).argmax()
    difference = (means[0] - means[1])[:, colour]
    # Three colours, the variance and four octaves share the 10 %.
    each = 1 - 0.1 / (3 + 1 + 4)
    half = scipy.stats.sem(difference) * scipy.stats.t.ppf((1 + each) / 2, len(CLEAN) - 1)
    assert [row["mean"], row.mean_low, row.mean_high] == pytest.approx([difference.mean(), difference.mean() - half, difference.mean() + half])  # fmt: skip
    variances = [x.reshape(len(x), -1).var(1).mean() for x in added]
    assert row.variance == pytest.approx(variances[0] / variances[1])
    down, across = np.meshgrid(np.fft.fftfreq(32, 1 / 32), np.fft.fftfreq(32, 1 / 32), indexing="ij")
    radius = np.hypot(down, across)
    powers = [(np.abs(np.fft.fft2(x)) ** 2).sum((0, 1)) for x in added]
    edges = [1, 2, 4, 8, np.inf]
    ratios = [p[0] / p[1] for p in ([q[(radius >= a) & (radius < b)].sum() for q in powers] for a, b in itertools.pairwise(edges))]  # fmt: skip
    worst = int(np.abs(np.log(ratios)).argmax())
    assert (row.power, row.band) == (pytest.approx(ratios[worst]), ["1–2", "2–4", "4–8", "8 and more"][worst])


@pytest.mark.parametrize(("what", "inside", "outside"), [
    ("mean", 0.49, 0.51), ("mean", -0.49, -0.51), ("variance", 1.049, 1.051), ("variance", 1 / 1.049, 1 / 1.051),
    ("power", 1.099, 1.101), ("power", 1 / 1.099, 1 / 1.101),
])  # fmt: skip
def test_each_tolerance_has_its_edge(what, inside, outside):
    """Statistics that are equal but for one, which is the same in each image, so that its interval is a point."""
    bands = Bands.of((32, 32), torch.device("cpu"))

    def judgement(value, spread=0.0):
        ones, noise = torch.ones(20).double(), torch.linspace(-spread, spread, 20).double()
        mean, variance, power = torch.zeros(20, 3).double(), ones.clone(), torch.ones(20, 4).double()
        shifted = value + noise
        theirs = {
            "mean": (mean + shifted[:, None] * torch.tensor([0, 1, 0]), variance, power),
            "variance": (mean, shifted, power),
        }
        theirs["power"] = (mean, variance, torch.cat([power[:, :3], shifted[:, None]], 1))
        (m, v, p), pixels = theirs[what], [ones] * 4
        return judged(Statistics(*pixels, m, mean, v, ones, p, power), bands, 0.95)[1]

    assert (judgement(inside), judgement(outside)) == (True, False)
    assert judgement(inside, spread=0.5) is judgement(outside, spread=0.5) is None


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (33, 33), (17, 40)])
def test_octaves_hold_all_power_but_the_means(size):
    images = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    power = Bands.of(size, torch.device("cpu")).power(images)
    variance = images.var((2, 3), correction=0).mean(1)  # Parseval
    assert power.sum(1).tolist() == pytest.approx(variance.tolist())
    waves = torch.sin(2 * torch.pi * 3 * torch.arange(size[1]) / size[1]).expand(1, 3, *size).double()
    found = Bands.of(size, torch.device("cpu")).power(waves)[0]
    assert found.argmax() == 1  # 3 cycles lie from 2 to 4
    assert found[1] == pytest.approx(float(found.sum()), rel=1e-6)


def test_a_set_of_files_is_compared_as_it_was_stored(tmp_path):
    clean = crops(12, 64)
    folder = image_folder(tmp_path, clean, ("contrast", "gaussian_blur"))
    settings = {"clean": folder / "clean", "corruptions": ["contrast", "gaussian_blur"], "n_images": 12}
    table = compare_published(published("Tiny-ImageNet-C", folder, **settings), severities=[1, 3])
    assert set(table.conclusion) == {"equal"}
    other = image_folder(tmp_path / "other", clean, ("contrast", "gaussian_blur"), quality=40)
    table = compare_published(published("Tiny-ImageNet-C", other, **settings), severities=[1, 3])
    assert (table.equal < 0.7).all()
    assert set(table.conclusion) == {"differs"}


def test_the_set_of_another_family_is_read_and_compared(tmp_path):
    names = list(rg.corruptions.names("imagenet-c-bar"))
    clean = crops(6, 224)
    folder = image_folder(tmp_path, clean, names)
    found = published("ImageNet-C-bar", folder, clean=folder / "clean", n_images=6)
    assert found.corruptions == tuple(names)
    table = compare_published(found, severities=1, seed=7)  # the seed that made the set: pixels are the same
    assert table["mean"].tolist() == [0] * 10
    assert set(table.conclusion) == {"same statistics"}
    encoded = rg.robustness.corruption_robustness(
        lambda x: x.mean((2, 3)), "published", published=found, severities=1, k=2
    )
    assert list(dict.fromkeys(encoded.corruption)) == ["clean", *names]


def test_a_part_of_a_set_keeps_its_draws_and_batches_make_no_difference(tmp_path, monkeypatch):
    folder = cifar_folder(tmp_path / "set", CLEAN, ["snow"], change=lambda x, c, s: corrupt(x, c, s))
    rows = [40, 3, 7, 21, 8]
    part = published("CIFAR-10-C", folder, clean=CLEAN, corruptions="snow", n_images=48, rows=rows)
    whole = compare_published(part, severities=3)
    assert (whole["mean"].item(), whole.variance.item()) == (0, 1)  # the same draws for each image's own number
    monkeypatch.setattr("repgeom.robustness.encoding.BATCH_VALUES", 2 * 3 * 32 * 32)
    assert compare_published(part, severities=3).equals(whole)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"severities": [2.5]}, "published sets have severities 1, 2, 3, 4 and 5, got 2.5"),
        ({"severities": [6]}, "got 6"),
        ({"corruptions": "fog"}, "this set has no 'fog'"),
        ({"corruptions": "fogg"}, "Did you mean 'fog'"),
        ({"confidence": 95}, "`confidence`"),
    ],
)
def test_wrong_arguments(settings, message, tmp_path):
    folder = cifar_folder(tmp_path / "set", CLEAN, ["contrast"])
    found = published("CIFAR-10-C", folder, clean=CLEAN, corruptions="contrast", n_images=48)
    with pytest.raises(ValueError, match=message):
        compare_published(found, **settings)
