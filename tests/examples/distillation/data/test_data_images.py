"""Images as arrays: resizing against Pillow, cropping as torchvision does, parts and checksums."""

import pytest
import torch
from conftest import photographs

from repgeom.models.preprocessing import center_cropped, resized
from repgeom_examples.distillation.data import shapes
from repgeom_examples.distillation.data.images import Images

from ..image_files import pillow, random_images


def contents(rng, kind, h, w):
    if kind == "photograph":
        return photographs(64)[:, :, :h, :w]
    if kind == "shapes":
        return next(shapes.rendered(8, 1))[1][:, :, :h, :w]
    images = random_images(rng, 2, h, w)
    return (images > 127).to(torch.uint8) * 255 if kind == "black and white" else images


@pytest.mark.parametrize(("shape", "size"), [((32, 32), 224), ((30, 20), 16), ((21, 32), 48)])
@pytest.mark.parametrize("kind", ["photograph", "shapes", "noise", "black and white"])
def test_resized_is_within_one_of_pillow(kind, shape, size, rng):
    images = contents(rng, kind, *shape)
    found = resized(images, size)
    assert found.dtype == torch.uint8
    assert min(found.shape[2:]) == size
    expected = torch.stack([pillow(image, tuple(found.shape[2:])) for image in images])
    assert (found.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("h", "w", "size", "expected"), [(20, 30, 40, (40, 60)), (30, 20, 10, (15, 10)), (7, 7, 7, (7, 7))]
)
def test_resized_keeps_the_shape_of_the_image(h, w, size, expected, rng):
    images = random_images(rng, 1, h, w)
    assert resized(images, size).shape[2:] == expected
    assert torch.equal(resized(images, min(h, w)), images)


@pytest.mark.parametrize("shape", [(8, 8), (9, 8), (8, 9), (11, 10), (12, 13)])
@pytest.mark.parametrize("size", [1, 4, 5, 8])
def test_center_crop_is_torchvisions(shape, size):
    image = torch.arange(shape[0] * shape[1]).reshape(1, 1, *shape)
    # torchvision.transforms.functional.center_crop: int(round((image_height - crop_height) / 2.0)), and so for the width.
    top, left = (int(round((n - size) / 2.0)) for n in shape)  # noqa: RUF046
    assert torch.equal(center_cropped(image, size), image[:, :, top : top + size, left : left + size])
    assert center_cropped(image, size).shape[2:] == (size, size)


def test_a_crop_larger_than_the_image_is_not_cut_to_a_corner():
    """torchvision pads; an error would do as well; an 8 × 8 corner of a 32 × 32 image would not."""
    try:
        found = center_cropped(torch.ones(1, 3, 32, 32), 48)
    except ValueError:
        return
    assert found.shape[2:] == (48, 48)


def test_part_is_a_seeded_draw_in_the_old_order(rng):
    images = Images(random_images(rng, 50, 2, 2), torch.arange(50))
    part = images.part(20, seed=3)
    assert part.labels.tolist() == sorted(set(part.labels.tolist()))
    assert torch.equal(part.pixels, images.pixels[part.labels])
    assert part.labels.tolist() != list(range(20))
    assert torch.equal(part.labels, images.part(20, seed=3).labels)
    assert not torch.equal(part.labels, images.part(20, seed=4).labels)
    assert len(images.part(None)) == len(images.part(50)) == len(images.part(51)) == 50


def test_digest_changes_with_any_pixel_label_and_the_shape(rng):
    images = Images(random_images(rng, 4, 2, 6), torch.arange(4))
    pixels, labels = images.pixels.clone(), images.labels.clone()
    pixels[3, 2, 1, 5] ^= 1
    labels[2] = 7
    others = [Images(pixels, images.labels), Images(images.pixels, labels)]
    others += [Images(images.pixels.reshape(4, 3, 6, 2), images.labels), Images(images.pixels[:3], images.labels[:3])]
    assert len({images.digest(), *(other.digest() for other in others)}) == 5
    assert images.digest() == Images(images.pixels.clone(), images.labels.clone()).digest()
