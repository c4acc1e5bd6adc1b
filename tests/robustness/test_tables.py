"""Tables of corrupted images: what they hold, noise, and what is refused."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from encoders import CELLS, IMAGES, LABELS, TWO, Counted, means, of_cell, pixels, same

import repgeom as rg
from repgeom.corruptions import CLIP_STD, corrupt
from repgeom.inference.intervals import tango


@pytest.mark.parametrize("labels", [None, LABELS])
def test_the_table_is_that_of_the_features_of_corrupted_images(labels, probe):
    table = rg.robustness.corruption_robustness(pixels, IMAGES, labels, probe=probe, k=3, seed=4, confidence=0.9, **TWO)
    moved = {(name, s): pixels(corrupt(IMAGES, name, s, seed=4)) for name, s in CELLS}
    same(
        table, rg.robustness.feature_robustness(pixels(IMAGES), moved, labels, probe=probe, k=3, seed=4, confidence=0.9)
    )
    assert list(table.columns) == ["corruption", "severity", "measure", "value", "low", "high", "n", "note"]
    assert list(dict.fromkeys(zip(table.corruption, table.severity, strict=True))) == [("clean", 0), *CELLS]
    assert not table.duplicated(["corruption", "severity", "measure"]).any()


def test_accuracy_is_that_of_the_probe_and_drops_are_paired(probe):
    table = rg.robustness.corruption_robustness(pixels, IMAGES, LABELS, probe=probe, **TWO)
    before, after = (probe.correct(pixels(x), LABELS).double() for x in (IMAGES, corrupt(IMAGES, "contrast", 3)))
    rows = of_cell(table, "contrast", 3)
    assert rows.value["accuracy"] == after.mean()
    assert rows.value["accuracy_drop"] == pytest.approx(float(before.mean() - after.mean()))
    paired = tango(before - after, scipy.stats.norm.ppf(0.975))
    assert rows.loc["accuracy_drop", ["low", "high"]].tolist() == pytest.approx(paired)
    assert of_cell(table, "clean", 0).value["accuracy"] == before.mean()


@pytest.mark.parametrize(("corruptions", "n"), [("all", 19), ("mCE", 15), ("fog", 1), (("fog", "fog", "snow"), 2)])
def test_corruptions_are_named_alone_together_and_once(corruptions, n):
    table = rg.robustness.corruption_robustness(means, IMAGES[:4], corruptions=corruptions, severities=1, k=2)
    names = set(table.corruption) - {"clean"}
    assert len(names) == n
    assert "frost" not in names  # without photographs it is another corruption
    if n == 19:
        assert "frost_procedural" in names


@pytest.mark.parametrize("batch_size", [1, 5, 24, 1000])
def test_the_answer_does_not_depend_on_the_batch_size(batch_size, probe):
    encoder = Counted()
    table = rg.robustness.corruption_robustness(encoder, IMAGES, LABELS, probe=probe, batch_size=batch_size, **TWO)
    same(table, rg.robustness.corruption_robustness(pixels, IMAGES, LABELS, probe=probe, **TWO))
    assert max(len(x) for x in encoder.seen) == min(batch_size, 24)


def test_image_kinds():
    bytes_ = (IMAGES * 255).to(torch.uint8)
    table = rg.robustness.corruption_robustness(pixels, bytes_, **TWO)
    last = torch.channels_last
    for images in (bytes_.numpy(), bytes_.float() / 255, bytes_.contiguous(memory_format=last), bytes_.flip(0).flip(0)):
        same(table, rg.robustness.corruption_robustness(pixels, images, **TWO))
    assert rg.robustness.corruption_robustness(pixels, IMAGES.half(), **TWO).value.notna().all()
    wide = rg.robustness.corruption_robustness(lambda x: pixels(x).numpy().astype(np.float64), bytes_, **TWO)
    same(table, wide)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_encoders_are_compared_in_float64(dtype):
    def half(x):
        return pixels(x).to(getattr(torch, dtype))

    moved = {(name, s): half(corrupt(IMAGES, name, s)).double() for name, s in CELLS}
    same(
        rg.robustness.corruption_robustness(half, IMAGES, **TWO),
        rg.robustness.feature_robustness(half(IMAGES).double(), moved),
    )


# --- noise ------------------------------------------------------------------------------------------------------------


def test_noise_in_normalised_space_is_pixel_noise_times_std():
    same_noise = [
        rg.robustness.noise_robustness(
            pixels, IMAGES, sigmas=[0.4], space="normalized", std=(0.25, 0.25, 0.25), seed=3
        ),
        rg.robustness.noise_robustness(pixels, IMAGES, sigmas=[0.1], clip=False, seed=3, batch_size=5),
    ]
    left, right = (table[table.corruption != "clean"].reset_index(drop=True) for table in same_noise)
    same(left.drop(columns=["corruption", "severity"]), right.drop(columns=["corruption", "severity"]))
    assert (set(left.corruption), set(right.corruption)) == ({"normalized_noise"}, {"pixel_noise"})


@pytest.mark.parametrize(
    ("settings", "rms"),
    [({}, 0.2), ({"space": "normalized", "std": CLIP_STD}, 0.2 * math.sqrt(np.mean(np.square(CLIP_STD))))],
)
def test_noise_is_as_strong_as_its_row_says(settings, rms):
    encoder = Counted()
    table = rg.robustness.noise_robustness(encoder, IMAGES, **settings, sigmas=[0.2, 0.05], clip=False)
    rows = table[table.measure == "noise_rms"].set_index("severity").value
    assert rows.to_dict() == pytest.approx({0.2: rms, 0.05: rms / 4})
    clean, strong, weak = encoder.seen
    assert (strong - clean).square().mean().sqrt() == pytest.approx(rms, rel=4 / math.sqrt(2 * clean.numel()))
    assert torch.allclose(strong - clean, 4 * (weak - clean), atol=1e-5)  # the same draws at every level


def test_pixel_noise_stays_in_0_to_1_and_normalised_noise_does_not():
    for settings, inside in (({}, True), ({"space": "normalized", "std": (1, 1, 1)}, False)):
        encoder = Counted()
        rg.robustness.noise_robustness(encoder, IMAGES, sigmas=[0.5], **settings)
        assert (encoder.seen[1].min() >= 0 and encoder.seen[1].max() <= 1) == inside


# --- bad input --------------------------------------------------------------------------------------------------------

BAD = {
    "too bright": ({"images": IMAGES * 255}, ValueError, r"`images` must lie in \[0, 1\], got values from"),
    "NaN": ({"images": IMAGES * np.nan}, ValueError, r"`images` must lie in \[0, 1\], got values from nan"),
    "one image": ({"images": IMAGES[0]}, ValueError, r"got \(3, 16, 16\). For one image add a first dimension"),
    "channels": ({"images": IMAGES.permute(0, 2, 3, 1)}, ValueError, r"got \(24, 16, 16, 3\). Channels come second"),
    "grey": ({"images": IMAGES[:, :1]}, ValueError, r"got \(24, 1, 16, 16\). Grey images"),
    "dtype": ({"images": IMAGES.long()}, TypeError, "`images` must be uint8 or floats .* got torch.int64"),
    "none": ({"images": IMAGES[:0]}, ValueError, "at least 4"),
    "few": ({"images": IMAGES[:3]}, ValueError, "at least 4"),
    "small": ({"images": IMAGES[..., :7]}, ValueError, "of 16 x 7 pixels are too small for contrast at severity 1"),
    "name": ({"corruptions": "gausian_noise"}, ValueError, "'gausian_noise'. Did you mean 'gaussian_noise'"),
    "no name": ({"corruptions": []}, ValueError, "`corruptions` is empty"),
    "severity": ({"severities": [1, 6]}, ValueError, "from 0 .* to 5 .*, got 6"),
    "NaN severity": ({"severities": [np.nan]}, ValueError, "got nan"),
    "severity 0": ({"severities": [0, 1]}, ValueError, r"above 0 and up to 5, got \[0, 1\]"),
    "no severity": ({"severities": []}, ValueError, r"above 0 and up to 5, got \[\]"),
    "table": ({"strengths": "coco"}, ValueError, "coco"),
    "labels": ({"labels": LABELS[:23]}, ValueError, "`labels` has 23 entries .* 24 rows"),
    "batch": ({"batch_size": 0}, ValueError, "`batch_size` must be a whole number of at least 1, got 0"),
    "k": ({"k": 0}, ValueError, "`k` must be a whole number from 1 to 22 here, got 0"),
    "confidence": ({"confidence": 95}, ValueError, "`confidence` .* 95"),
    "constant": ({"encoder": lambda x: x[:, 0, :2, 0] * 0}, ValueError, "zero variance: all rows are equal"),
    "no features": ({"encoder": lambda x: x[:, 0, 0, :0]}, ValueError, r"\(24, 0\)"),
    "a dict": ({"encoder": lambda x: {"features": x}}, TypeError, "the encoder's features.* dict"),
}


@pytest.mark.parametrize(("change", "kind", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named(change, kind, message):
    with pytest.raises(kind, match=message):
        rg.robustness.corruption_robustness(**{"encoder": pixels, "images": IMAGES} | TWO | change)


@pytest.mark.parametrize("name", ["too bright", "dtype", "small", "name", "severity", "table", "batch"])
def test_what_can_be_known_beforehand_is_said_before_any_work(name):
    encoder = Counted()
    change, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        rg.robustness.compare_robustness(encoder, encoder, **{"images": IMAGES} | TWO | change)
    assert encoder.seen == []


NOISE = {
    "negative": ({"sigmas": [0.1, -0.1]}, "`sigma` must be a finite number of at least 0, got -0.1"),
    "zero": ({"sigmas": [0.0, 0.1]}, "`sigmas` must be numbers above 0"),
    "none": ({"sigmas": []}, "`sigmas` must be numbers above 0"),
    "infinite": ({"sigmas": [np.inf]}, "got inf"),
    "space": ({"space": "latent"}, "`space` must be .* got 'latent'"),
    "no std": ({"space": "normalized"}, "needs `std`, three numbers"),
}


@pytest.mark.parametrize(("change", "message"), NOISE.values(), ids=NOISE)
def test_bad_noise_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        rg.robustness.noise_robustness(pixels, IMAGES, **change)
