"""Oblong images under the corruptions whose public scripts assume square ones; and other oracles at any size."""

from importlib.util import find_spec

import incumbent
import numpy as np
import pytest
import torch
from conftest import photographs
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F

from repgeom import corruptions

OBLONG = photographs(224)[:, :, 60:100, 50:106].contiguous()  # 40 × 56
SQUARE = F.pad(OBLONG.float(), (0, 0, 0, 16), mode="replicate").to(torch.uint8)
SEVERITIES = (1, 3, 5)


@pytest.mark.parametrize("name", ["fog", "frost"])
def test_what_is_laid_over_an_oblong_image_is_cut_from_the_square(name):
    photos = [F.interpolate(photo[None].float(), scale_factor=3)[0] / 255 for photo in photographs(224)[:, :, :200, 4:]]
    for severity in SEVERITIES:
        options = {"strengths": "cifar", "frost_images": photos}
        params = corruptions.draw(name, (56, 56), severity, indices=[4, 5], **options)
        whole = corruptions.apply(SQUARE, name, params, severity, **options)
        part = corruptions.apply(OBLONG, name, params, severity, **options)
        assert torch.equal(part, whole[:, :, :40])


def test_zoom_treats_both_sides_alike():
    for severity in SEVERITIES:
        away = corruptions.corrupt(OBLONG, "zoom_blur", severity).int()
        turned = corruptions.corrupt(OBLONG.mT.contiguous(), "zoom_blur", severity).mT.int()
        assert (away - turned).abs().max() <= 1


@pytest.mark.parametrize("size", [(40, 56), (56, 40), (33, 80), (9, 8)])
def test_pixelate_is_pillows(size):
    x = photographs(224)[:, :, : size[0], -size[1] :]
    for table in ("cifar", "tiny", "imagenet", "inception"):
        for severity in range(1, 6):
            scale = corruptions.strength("pixelate", severity, table)["scale"]
            ours = corruptions.corrupt(x, "pixelate", severity, strengths=table)
            for image, got in zip(x, ours, strict=True):
                small = tuple(max(1, int(n * scale)) for n in (size[1], size[0]))
                photo = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(small, Image.Resampling.BOX)
                theirs = photo.resize((size[1], size[0]), Image.Resampling.BOX)
                assert np.array_equal(got.permute(1, 2, 0).numpy(), np.asarray(theirs))


def test_glass_is_scanned_pixel_by_pixel():
    h, w = OBLONG.shape[2:]
    for severity, table in ((5, "imagenet"), (3, "inception"), (2, "cifar")):
        params = corruptions.draw("glass_blur", (h, w), severity, strengths=table, indices=[0, 1])
        sigma, delta, iterations = corruptions.strength("glass_blur", severity, table).values()
        ours = corruptions.apply(OBLONG, "glass_blur", params, severity, strengths=table)
        for i, image in enumerate(OBLONG):
            levels = np.floor(blurred(image.permute(1, 2, 0).numpy() / 255, sigma) * 255)
            for k in range(iterations):
                across, down = params["offset_x"][i, k], params["offset_y"][i, k]
                for row in range(h - delta, delta, -1):
                    for column in range(w - delta, delta, -1):
                        levels[row, column] = levels[row + int(down[row, column]), column + int(across[row, column])]
            wanted = np.floor(blurred(levels / 255, sigma) * 255)
            assert np.array_equal(ours[i].permute(1, 2, 0).numpy(), wanted)


def blurred(image, sigma):
    return ndimage.gaussian_filter(image, sigma, mode="nearest", axes=(0, 1))


def test_snow_falls_on_both_sides_alike():
    normal = corruptions.draw("snow", (40, 56), indices=[0, 1])["normal"]
    straight = {"normal": normal, "angle": torch.full((2,), -90.0)}
    for severity in SEVERITIES:
        y = corruptions.apply(OBLONG, "snow", straight, severity).int()
        turned = corruptions.apply(OBLONG.flip(2, 3), "snow", straight, severity).flip(2, 3).int()
        assert torch.equal(y, turned)  # flakes are laid over the image and its half turn, so that only the image turns
        assert y.float().mean() > OBLONG.float().mean()


@pytest.mark.parametrize("name", incumbent.NAMES)
def test_imagecorruptions_agrees_where_it_is_right(name):
    if find_spec("imagecorruptions") is None:
        pytest.skip("imagecorruptions is not installed")
    images = [photographs(224)[0]]
    if name not in (
        "snow",
        "pixelate",
    ):  # of oblong ones it cuts snow and enlarges pixels otherwise than the scripts do
        images.append(photographs(224)[1, :, :200, :150])
    for image in images:
        for severity in (1, 3, 5):
            theirs, draws = incumbent.incumbent(name, image.permute(1, 2, 0).numpy(), severity, seed=0)
            params = {key: torch.as_tensor(np.array(value))[None] for key, value in draws.items()}
            photos = None
            if name == "frost":
                photos = [torch.tensor(p.transpose(2, 0, 1).copy()) for p in incumbent.frost_images(*image.shape[1:])]
            options = {"strengths": "imagenet", "frost_images": photos}
            ours = corruptions.apply(image[None], name, params, severity, **options)[0].permute(1, 2, 0).numpy()
            away = abs(ours.astype(int) - theirs.astype(int))
            # Its snow is blurred without a cut to 8 bits, and rounded.
            assert away.mean() < 0.3
            assert away.max() <= (2 if name == "snow" else 1)
