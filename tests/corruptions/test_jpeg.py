"""JPEG without a codec: every value is that of the file that libjpeg writes and reads."""

import io

import numpy as np
import pytest
import torch
from conftest import photographs
from PIL import Image

from repgeom import corruptions
from repgeom.corruptions import jpeg


def through_pillow(images, quality):
    """Images (b, 3, h, w) uint8 as files and back."""
    read = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        read.append(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1))
    return torch.stack(read)


def ours(images, quality):
    return (jpeg.jpeg_compression(images / 255, (quality,), {}) * 255).round().to(torch.uint8)


def kinds(h, w, seed):
    """Of each size: photographs, one in grey, noise, black and white pixels at random, a checkerboard, a slope."""
    random = np.random.default_rng(seed)
    photos = photographs(224)[:, :, seed % 50 : seed % 50 + h, seed % 37 : seed % 37 + w]
    noise = torch.from_numpy(random.integers(0, 256, (2, 3, h, w), dtype=np.uint8))
    board = torch.from_numpy(np.indices((h, w)).sum(0) // 3 % 2 * random.integers(0, 256, (3, 1, 1))).to(torch.uint8)
    slope = torch.linspace(0, 255, h)[:, None] * torch.linspace(1, 0.3, w) * torch.tensor([1, 0.8, 0.9])[:, None, None]
    return torch.cat(
        [photos, photos[:1, 1:2].expand(-1, 3, -1, -1), noise[:1], (noise[1:] > 127) * 255, board[None], slope[None]]
    ).to(torch.uint8)


@pytest.mark.parametrize("quality", [1, 5, 10, 25, 40, 49, 50, 58, 75, 85, 95, 100])
@pytest.mark.parametrize(
    "size", [(32, 32), (8, 8), (9, 23), (15, 16), (17, 17), (33, 48), (40, 31), (64, 64), (57, 90)]
)
def test_every_value_is_libjpegs(size, quality):
    x = kinds(*size, seed=quality + size[0])
    assert torch.equal(ours(x, quality), through_pillow(x, quality))


@pytest.mark.parametrize("size", [224, 211])
def test_every_value_is_libjpegs_in_large_images(size):
    x = photographs(224)[:, :, :size, -size:]
    for quality in (7, 25, 85):
        assert torch.equal(ours(x, quality), through_pillow(x, quality))


@pytest.mark.parametrize("quality", [5, 50, 85, 100])
def test_storage_as_jpeg_comes_last_and_is_a_files(quality):
    x = photographs(64)
    plain = corruptions.corrupt(x, "brightness", 1)
    stored = corruptions.corrupt(x, "brightness", 1, storage_jpeg=quality)
    assert torch.equal(stored, through_pillow(plain, quality))
    assert not torch.equal(stored, plain)


def test_where_a_gradient_is_wanted_the_values_stay_and_it_is_that_of_smooth_colours():
    x = (photographs(32).float() / 255)[:, :, :31, :29].clone().requires_grad_()
    y = jpeg.jpeg_compression(x, (40,), {})
    assert torch.equal(y, jpeg.jpeg_compression(x.detach(), (40,), {}))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.sum() == pytest.approx(x.numel(), rel=1e-4)  # a brighter image is brighter afterwards
    (red,) = torch.autograd.grad(jpeg.jpeg_compression(x, (40,), {})[:, 0, 10, 10].sum(), x)
    assert (red[:, :, 10, 10].sum(1) > 0.9).all()  # of grey, a pixel keeps its own
    assert 0.2 < float(red[0, 0, 10, 10]) < 0.9  # of red, it shares with its neighbours
