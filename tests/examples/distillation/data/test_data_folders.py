"""Folders of class folders with images."""

import itertools

import pytest
import torch
from conftest import photographs
from PIL import Image

from repgeom_examples.distillation.data.folders import load_folder

from ..image_files import colored, pillow, random_images, save_image


def test_folder_with_halves(tmp_path):
    for half, n, blue in (("train", 3, 1), ("test", 2, 2)):
        for green, name in enumerate(("ant", "bee")):
            for i in range(n):
                save_image(tmp_path / half / name / "deeper" / f"{i}.png", (10 * i, 100 * green, blue))
    dataset = load_folder(tmp_path, 16)
    assert dataset.classes == ("ant", "bee")
    for images, n, blue in ((dataset.train, 3, 1), (dataset.test, 2, 2)):
        assert images.labels.tolist() == [0] * n + [1] * n
        assert images.pixels.shape == (2 * n, 3, 16, 16)
        colors = [[10 * i, 100 * green, blue] for green in (0, 1) for i in range(n)]
        assert torch.equal(
            images.pixels, torch.tensor(colors, dtype=torch.uint8)[:, :, None, None].expand(-1, 3, 16, 16)
        )


def test_folder_with_val_in_the_place_of_test(tmp_path):
    for half, n in (("train", 3), ("val", 1)):
        colored(tmp_path / half, "ant", n, 0)
        colored(tmp_path / half, "bee", n, 100)
    dataset = load_folder(tmp_path, 8)
    assert (len(dataset.train), len(dataset.test), dataset.classes) == (6, 2, ("ant", "bee"))


@pytest.mark.parametrize("n", [2, 5, 20])
def test_folder_without_halves_splits_every_class(n, tmp_path):
    colored(tmp_path, "ant", n, 0)
    colored(tmp_path, "bee", n, 100)
    dataset = load_folder(tmp_path, 8, seed=1)
    n_test = {2: 1, 5: 1, 20: 4}[n]  # a fifth, one at least
    assert torch.bincount(dataset.train.labels).tolist() == [n - n_test] * 2
    assert torch.bincount(dataset.test.labels).tolist() == [n_test] * 2
    both = [images.pixels[:, :2, 0, 0] for images in (dataset.train, dataset.test)]
    assert all(
        torch.equal(color[:, 1], 100 * x.labels) for color, x in zip(both, (dataset.train, dataset.test), strict=True)
    )
    seen = sorted(map(tuple, torch.cat(both).tolist()))
    assert seen == sorted((10 * i, green) for i in range(n) for green in (0, 100))
    assert dataset.train.digest() == load_folder(tmp_path, 8, seed=1).train.digest()
    if n == 20:
        assert dataset.train.digest() != load_folder(tmp_path, 8, seed=2).train.digest()


@pytest.mark.parametrize("halves", [("train", "validation"), ("train",), ("training", "test")])
def test_halves_under_other_names_are_not_taken_for_classes(halves, tmp_path):
    """FOLDER/train and FOLDER/validation would pass for a set of two classes, "train" and "validation"."""
    for half in halves:
        colored(tmp_path / half, "ant", 4, 0)
        colored(tmp_path / half, "bee", 4, 100)
    try:
        classes = load_folder(tmp_path, 8).classes
    except (ValueError, FileNotFoundError) as error:
        assert "train" in str(error) and "test" in str(error)  # noqa: PT017, PT018 both readings are right
        return
    assert classes == ("ant", "bee")


def test_pixels_of_a_folder_are_pillows_square_in_the_middle(tmp_path):
    photo = photographs(64)[0, :, :64, :48]
    for name in ("ant", "bee"):
        for half in ("train", "test"):
            (tmp_path / half / name).mkdir(parents=True)
            Image.fromarray(photo.permute(1, 2, 0).numpy()).save(tmp_path / half / name / "a.png")
    found = load_folder(tmp_path, 24).train.pixels[0]
    assert (found.int() - pillow(photo, (32, 24))[:, 4:28].int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("L", 77, (77, 77, 77)),
        ("RGBA", (9, 8, 7, 255), (9, 8, 7)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 128 * 257, (128, 128, 128)),
    ],
)
def test_images_of_other_modes_become_colour(mode, color, expected, tmp_path):
    for half, name in itertools.product(("train", "test"), ("ant", "bee")):
        save_image(tmp_path / half / name / "a.PNG", color, mode=mode)
    assert load_folder(tmp_path, 8).train.pixels[0, :, 4, 4].tolist() == list(expected)


@pytest.mark.filterwarnings("ignore:(Corrupt EXIF|Truncated)")  # Pillow's own, of TIFF
@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "webp", "tiff"])
def test_a_cut_image_is_named(ending, tmp_path, rng):
    path = tmp_path / "train" / "ant" / f"cut.{ending}"
    for half, name in itertools.product(("train", "test"), ("ant", "bee")):
        save_image(tmp_path / half / name / "whole.png", (1, 2, 3))
    Image.fromarray(random_images(rng, 1)[0].permute(1, 2, 0).numpy()).save(path)
    whole = path.read_bytes()
    for n in (0, 1, 20, 30, len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match="cannot be read as an image") as caught:
            load_folder(tmp_path, 8)
        assert str(path) in str(caught.value)


def test_folders_that_hold_no_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        load_folder(tmp_path / "nowhere", 8)
    with pytest.raises(FileNotFoundError, match="no images in class folders"):
        load_folder(tmp_path, 8)
    colored(tmp_path, "ant", 3, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="1 class folder with images"):
        load_folder(tmp_path, 8)
    colored(tmp_path, "bee", 1, 0)
    with pytest.raises(ValueError, match="class bee has one image only"):
        load_folder(tmp_path, 8)


def test_classes_in_one_half_only_are_named(tmp_path):
    for half, names in (("train", "abc"), ("test", "abd")):
        for name in names:
            colored(tmp_path / half, name, 1, 0)
    with pytest.raises(ValueError, match=r"classes only in one half: c, d\."):
        load_folder(tmp_path, 8)
