"""Corruptions by name: what their answer depends on and what not, severities, and what is refused."""

import math

import numpy as np
import pytest
import torch
from conftest import photographs
from corruption_cases import NAMES, STILL
from torch.nn import functional as F

import repgeom as rg
from repgeom import corruptions
from repgeom.corruptions import images as images_module
from repgeom.corruptions import strengths

# --- the answer depends on nothing else -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (37, 45)])
def test_one_image_alone_equals_the_same_in_a_batch_bit_for_bit(name, height, width, monkeypatch):
    x = photographs(224).float()[:, :, :height, :width].div(255)
    x = torch.cat([x, x.flip(3), x.flip(2), (x * 0.7) ** 1.5])
    numbers = torch.tensor([5, 3, 11, 2**40, 0, 9, 1, 4])
    whole = corruptions.corrupt(x, name, 4, seed=3, indices=numbers, quantize=None)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        for i in range(len(x)):
            alone = corruptions.corrupt(x[i : i + 1], name, 4, seed=3, indices=numbers[i : i + 1], quantize=None)
            assert torch.equal(alone[0], whole[i])
    finally:
        torch.set_num_threads(threads)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    shuffled = corruptions.corrupt(x[order], name, 4, seed=3, indices=numbers[order], quantize=None)
    assert torch.equal(shuffled, whole[order])
    monkeypatch.setattr(images_module, "CPU_VALUES", 3 * 3 * height * width)
    assert torch.equal(corruptions.corrupt(x, name, 4, seed=3, indices=numbers, quantize=None), whole)


@pytest.mark.parametrize("name", NAMES)
def test_kind_dtype_and_values_do_not_depend_on_how_images_come(name):
    x = photographs(32)
    bytes_ = corruptions.corrupt(x, name, 2)
    assert bytes_.dtype == torch.uint8
    floats = corruptions.corrupt(x / 255, name, 2)
    assert floats.dtype == torch.float32
    assert torch.equal((floats * 255).round(), bytes_.float())
    assert corruptions.corrupt(x.double() / 255, name, 2).dtype == torch.float64
    array = corruptions.corrupt(x.numpy(), name, 2)
    assert isinstance(array, np.ndarray)
    assert np.array_equal(array, bytes_.numpy())
    assert len(corruptions.corrupt(x[:0], name, 2)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_settings_of_the_process_change_no_bit(name):
    x = photographs(64)
    photos = None
    if name == "frost":
        photos = list(photographs(224)[:, :, :, :220].repeat_interleave(2, 2))
    severities = (1, 2.5, 4)
    plain = [corruptions.corrupt(x, name, s, storage_jpeg=60, frost_images=photos) for s in severities]
    try:
        torch.set_default_dtype(torch.float64)
        with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
            again = [corruptions.corrupt(x, name, s, storage_jpeg=60, frost_images=photos) for s in severities]
    finally:
        torch.set_default_dtype(torch.float32)
    for a, b in zip(plain, again, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in STILL])
def test_seed_and_index_change_what_is_random(name):
    x = photographs(32)[:1].expand(2, -1, -1, -1)
    first = corruptions.corrupt(x, name, 3, seed=0)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(first, corruptions.corrupt(x, name, 3, seed=0))
    assert not torch.equal(first, corruptions.corrupt(x, name, 3, seed=1))
    assert torch.equal(corruptions.corrupt(x[:1], name, 3, indices=[1])[0], first[1])


@pytest.mark.parametrize("name", STILL)
def test_eight_are_without_randomness(name):
    assert corruptions.draw(name, (32, 32)) == {}


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pixels", [32, 224])
def test_cpu_and_gpu_agree_given_the_parameters(name, pixels, device):
    x = photographs(pixels)
    params = corruptions.draw(name, (pixels, pixels), 4, indices=range(len(x)))
    here = corruptions.apply(x, name, params, 4)
    there = corruptions.apply(x.to(device), name, params, 4)
    assert there.device.type == device
    away = (here.int() - there.cpu().int()).abs()
    if name in ("jpeg_compression", "pixelate", "motion_blur", "impulse_noise"):
        assert away.max() == 0
    elif name != "spatter":
        assert away.max() <= 1
    assert (away > 1).float().mean() < 0.01


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_draws_are_the_same_on_a_gpu(name, device):
    here = corruptions.draw(name, (32, 32), 4, indices=[3, 5])
    there = corruptions.draw(name, (32, 32), 4, indices=[3, 5], device=device)
    for key, value in here.items():
        if value.is_floating_point():
            # Logarithms and sines differ in their last bit.
            torch.testing.assert_close(there[key].cpu(), value, rtol=1e-5, atol=1e-5)
        else:
            assert torch.equal(there[key].cpu(), value)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["uniform", "uniform64", "symmetric", "below"])
def test_uniform_draws_are_the_same_to_the_last_bit_on_a_gpu(kind, device):
    shape = (7, 1000) if kind == "below" else (1000,)
    places = [torch.arange(9, device=place) for place in ("cpu", device)]
    here, there = (getattr(corruptions.Draws(5, place, "test"), kind)(*shape).cpu() for place in places)
    assert torch.equal(here, there)


# --- severity -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_severity_0_is_the_identity_and_small_ones_come_near(name):
    x = photographs(32)
    assert torch.equal(corruptions.corrupt(x, name, 0), x)
    away = [float((corruptions.corrupt(x, name, s).float() - x.float()).abs().mean()) for s in (0.02, 1)]
    if name != "jpeg_compression":  # its chroma has half the size at any quality
        assert away[0] < 0.35 * away[1] + 0.6  # a grey level is lost to the floor


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table", strengths.SIZES)
def test_severities_between_lie_between(name, table):
    for severity in (0.5, 1.25, 2.5, 3.75, 4.5):
        low, here, high = (
            list(corruptions.strength(name, s, table).values())
            for s in (math.floor(severity), severity, math.ceil(severity))
        )
        for a, b, c in zip(low, here, high, strict=True):
            assert b in (a, c) if isinstance(a, str) else min(a, c) <= b <= max(a, c)
    corruptions.corrupt(photographs(224)[:1], name, 2.5, strengths=table)


def test_auto_takes_the_table_by_size():
    chosen = [strengths.table_for("auto", n, n) for n in (8, 32, 45, 46, 64, 120, 121, 224, 256, 260, 299, 512)]
    assert chosen == ["cifar"] * 3 + ["tiny"] * 3 + ["imagenet"] * 3 + ["inception"] * 3


# --- refusals -------------------------------------------------------------------------------------------------------

GOOD = torch.full((2, 3, 32, 32), 0.5)


@pytest.mark.parametrize(("images", "error", "message"), [
    (GOOD * 255, ValueError, r"127.5.*Divide floats up to 255"),
    (GOOD - 1, ValueError, "normalisation"),
    (GOOD * math.nan, ValueError, "nan"),
    (GOOD[0], ValueError, r"images\[None\]"),
    (GOOD.permute(0, 2, 3, 1), ValueError, "Channels come second"),
    (GOOD[:, :1], ValueError, "repeat"),
    (GOOD.long(), TypeError, "int64"),
    (GOOD > 0, TypeError, "bool"),
    (np.array(["a"]), TypeError, "uint8 or floats"),
    (GOOD[..., :7, :7], ValueError, "7 x 7 pixels are too small"),
])  # fmt: skip
def test_images_that_are_refused(images, error, message):
    with pytest.raises(error, match=message):
        corruptions.corrupt(images, "fog")


@pytest.mark.parametrize(("options", "message"), [
    ({"name": "glas_blur"}, r"'glas_blur'. Did you mean 'glass_blur'\? There are: gaussian_noise.*saturate"),
    ({"name": "?!"}, "there is no corruption '[?]!'. There are"),
    ({"name": "fog", "severity": 6}, "from 0 .* to 5"), ({"name": "fog", "severity": -0.1}, "-0.1"),
    ({"name": "fog", "severity": math.nan}, "nan"), ({"name": "fog", "severity": "3"}, "'3'"),
    ({"name": "fog", "severity": True}, "True"), ({"name": "fog", "strengths": "mnist"}, "cifar, tiny"),
    ({"name": "fog", "quantize": "ceil"}, "ceil"), ({"name": "fog", "indices": [1]}, "2 whole numbers"),
    ({"name": "fog", "indices": [0.5, 1]}, "whole numbers"), ({"name": "fog", "storage_jpeg": 0}, "1 to 100"),
    ({"name": "frost", "frost_images": []}, "empty"),
    ({"name": "frost", "frost_images": [torch.rand(3, 100, 100)]}, "100 x 100 pixels, 20 x 20"),
])  # fmt: skip
def test_options_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        corruptions.corrupt(GOOD, **options)


def test_more_refusals():
    with pytest.raises(ValueError, match="too small for defocus_blur at severity 5"):
        corruptions.corrupt(GOOD[..., :10, :10], "defocus_blur", 5, strengths="imagenet")
    with pytest.raises(ValueError, match="must be floats"):
        corruptions.corrupt(photographs(32), "fog", quantize=None)
    with pytest.raises(ValueError, match="needs the size"):
        corruptions.strength("fog", 1, "auto")
    with pytest.raises(ValueError, match=r"shape \(2, 32, 32\).*got nothing"):
        corruptions.apply(GOOD, "snow", {})
    with pytest.raises(ValueError, match=r"got \(3, 32, 32\)"):
        corruptions.apply(GOOD, "spatter", {"normal": torch.zeros(3, 32, 32)})


def test_names_mark_the_four_extra():
    assert [n for n, kind in rg.corruptions.names().items() if kind == "extra"] == NAMES[15:]


def test_input_is_left_as_it_was():
    x = photographs(32)
    before = x.clone()
    floats = F.interpolate(x.float(), 32).div(255)
    kept = floats.clone()
    for name in NAMES:
        corruptions.corrupt(x, name, 5)
        corruptions.corrupt(floats, name, 5)
    assert torch.equal(x, before)
    assert torch.equal(floats, kept)
