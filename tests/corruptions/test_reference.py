"""Corruptions against a slow reference written from the published tables, replayed draw by draw, and against others' code."""

import io
import math

import corruption_reference
import incumbent
import numpy as np
import pytest
import torch
from conftest import photographs
from corruption_cases import NAMES
from PIL import Image

from repgeom import corruptions
from repgeom.corruptions import jpeg, strengths
from repgeom.corruptions.frost import scaled_photos

TABLE_OF = {32: "cifar", 64: "tiny", 224: "imagenet", 299: "inception"}


def frost_of(height, width, scale, seed=0):
    """Photographs whose scaled versions are known: every pixel of the small ones fills a square of the large ones."""
    rng, times = np.random.default_rng(seed), round(1 / scale)
    small = [rng.integers(0, 256, (height + 9 + 7 * i, width + 30 - 11 * i, 3), dtype=np.uint8) for i in range(3)]
    large = [np.ascontiguousarray(np.repeat(np.repeat(s, times, 0), times, 1).transpose(2, 0, 1)) for s in small]
    return small, [torch.from_numpy(photo) for photo in large]


def published(name, x, severity, table, params, photos=None):
    """Grey levels of the reference, (b, 3, h, w)."""
    done = []
    for i, image in enumerate(x):
        draws = {key: value[i].numpy() for key, value in params.items()}
        y = corruption_reference.reference(name, image.permute(1, 2, 0).numpy(), severity, table, draws, photos)
        done.append(np.floor(y * 255).transpose(2, 0, 1))
    return np.array(done)


def psnr(a, b):
    return 10 * math.log10(255**2 / max(1e-9, float(((a - b) ** 2).mean())))


def pair(name, x, severity, table):
    """Ours and the reference's grey levels with the same draws."""
    scale = strengths.interpolated("frost", severity, table)[2]
    small, photos = frost_of(*x.shape[2:], {0.2: 0.2, 0.3: 1 / 3}.get(scale, 1)) if name == "frost" else (None, None)
    if scale == 0.3 and name == "frost":
        pytest.skip("0.3 has no whole inverse; the scaling has a test of its own")
    size = tuple(x.shape[2:])
    params = corruptions.draw(name, size, severity, indices=range(len(x)), seed=7, strengths=table, frost_images=photos)
    ours = corruptions.apply(x, name, params, severity, strengths=table, frost_images=photos).numpy()
    return ours.astype(float), published(name, x, severity, table, params, small)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [32, 224])
def test_replayed_draws_give_the_reference(size, name, severity):
    ours, theirs = pair(name, photographs(size), severity, TABLE_OF[size])
    if name == "jpeg_compression":
        assert min(psnr(a, b) for a, b in zip(ours, theirs, strict=True)) >= 45
    elif name == "spatter" and severity <= 3:  # distances to thinned edges: close, not equal
        assert psnr(ours, theirs) >= 35
        assert abs(ours - theirs).mean() < 0.1
    else:
        assert abs(ours - theirs).max() <= 1
        assert (ours == theirs).mean() > 0.87  # ties at whole grey levels, which floor divides


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width", "table"), [(64, 64, "tiny"), (40, 56, "cifar"), (160, 120, "inception")])
def test_other_tables_and_shapes_give_the_reference(height, width, table, name):
    x = photographs(224)[:, :, :height, :width].contiguous()
    for severity in (1, 4):
        ours, theirs = pair(name, x, severity, table)
        if name == "jpeg_compression":
            assert psnr(ours, theirs) >= 45
        elif name == "spatter" and severity == 1:
            assert psnr(ours, theirs) >= 35
        else:
            assert abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("name", incumbent.NAMES)
def test_imagecorruptions_agrees_where_it_is_right(name):
    pytest.importorskip("imagecorruptions")
    x = photographs(224)[:1]
    for severity in (1, 3, 5):
        theirs, draws = incumbent.incumbent(name, x[0].permute(1, 2, 0).numpy(), severity, seed=0)
        params = {key: torch.as_tensor(np.array(value))[None] for key, value in draws.items()}
        photos = None
        if name == "frost":
            photos = [torch.tensor(photo.transpose(2, 0, 1).copy()) for photo in incumbent.frost_images(224, 224)]
        ours = corruptions.apply(x, name, params, severity, frost_images=photos)[0].permute(1, 2, 0).numpy()
        away = abs(ours.astype(int) - theirs.astype(int))
        # It blurs snow before rounding and does not cut its layer back, and measures water's distances by chamfers.
        assert away.mean() < (0.6 if name in ("snow", "motion_blur", "spatter") else 0.12)
        if name not in ("snow", "spatter", "jpeg_compression"):
            assert away.max() <= 1


@pytest.mark.parametrize("table", strengths.SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_both_transcriptions_of_the_tables_agree(name, table):
    for severity in range(1, 6):
        mine = list(corruptions.strength(name, severity, table).values())
        theirs = list(corruption_reference.TABLES[table][name][severity - 1])
        if name == "zoom_blur":
            factors = np.arange(1, mine[0] + mine[1] / 2, mine[1])
            assert list(factors) == theirs
        elif name == "elastic_transform":
            size = {"cifar": 32, "tiny": 64, "imagenet": 244, "inception": 360}[table]
            assert mine == pytest.approx([size * v for v in theirs])
        else:
            assert mine[: len(theirs)] == theirs


def test_frost_photographs_are_scaled_by_the_table():
    small, large = frost_of(40, 48, 0.2)
    for want, got in zip(small, scaled_photos([p / 255 for p in large], 0.2, 32, 32), strict=True):
        assert torch.equal((got * 255).round(), torch.tensor(want).permute(2, 0, 1).float())


@pytest.mark.parametrize(("size", "quality"), [(32, 5), (56, 30), (45, 75), (224, 95), (33, 100)])
def test_jpeg_is_libjpegs(size, quality):

    x = photographs(224)[:, :, :size, :size].contiguous()
    ours = jpeg.jpeg_compression(x / 255, (quality,), {}) * 255
    for image, got in zip(x, ours, strict=True):
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        assert psnr(np.array(Image.open(file)), got.permute(1, 2, 0).numpy()) >= 45


def test_storage_as_jpeg_comes_last():
    x = photographs(32)
    stored = corruptions.corrupt(x, "contrast", 1, storage_jpeg=85)
    plain = corruptions.corrupt(x, "contrast", 1)
    again = (jpeg.jpeg_compression(plain / 255, (85,), {}) * 255).round()
    assert torch.equal(stored, again.to(torch.uint8))
    assert not torch.equal(stored, plain)
