"""Patches of photographs, on pictures whose pixels say where they are."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from repgeom_examples.distillation.data.load import load_dataset
from repgeom_examples.distillation.data.photos import load_photos
from repgeom_examples.distillation.settings.configs import Setting

HEIGHT, WIDTH = 71, 120


@pytest.fixture
def pictures(tmp_path):
    """Two pictures: red is a pixel's row, green its column, blue the picture's number."""
    for number, name in enumerate(("a.png", "deep/b.png")):
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.stack([y, x, np.full_like(x, number)], 2).astype(np.uint8)).save(tmp_path / name)
    return tmp_path


def places(images):
    """(picture, row, column) of every pixel of every patch."""
    return {tuple(place) for place in images.pixels.permute(0, 2, 3, 1).flatten(0, 2)[:, [2, 0, 1]].tolist()}


def test_no_pixel_is_both_trained_and_tested_on(pictures):
    dataset = load_photos(str(pictures), 600, 300)
    train, test = places(dataset.train), places(dataset.test)
    assert not train & test
    # Left 62 % and right 35 % of 120 columns, to the last of each.
    assert {column for _, _, column in train} == set(range(74))
    assert {column for _, _, column in test} == set(range(78, 120))
    assert {row for _, row, _ in train} == {row for _, row, _ in test} == set(range(HEIGHT))
    assert (dataset.real, dataset.mirrored) == (True, True)


def test_a_patch_is_a_square_of_its_picture_and_its_label_says_which_and_where(pictures):
    dataset = load_photos(str(pictures), 61, 30)
    assert dataset.classes[3:6] == ("a.png, band 4", "a.png, band 5", "deep/b.png, band 1")
    for images in (dataset.train, dataset.test):
        assert images.pixels.shape[1:] == (3, 32, 32)
        counts = torch.bincount(images.labels)
        assert counts.max() - counts.min() <= 1
        for patch, label in zip(images.pixels.int(), images.labels.tolist(), strict=True):
            top, left, picture = patch[:, 0, 0].tolist()
            assert torch.equal(patch[0], torch.arange(top, top + 32)[:, None].expand(32, 32))
            assert torch.equal(patch[1], torch.arange(left, left + 32).expand(32, 32))
            assert picture == label // 5
            # 40 rows where a patch may begin, eight to each band.
            assert top // 8 == label % 5


def test_places_are_drawn_by_the_seed(pictures):
    first = load_photos(str(pictures), 60, 30)
    assert first.train.digest() == load_photos(str(pictures), 60, 30).train.digest()
    assert first.train.digest() != load_photos(str(pictures), 60, 30, seed=1).train.digest()


def test_the_default_is_scikit_learns_two_photographs():
    dataset = load_dataset(Setting("x", "photos"))
    assert (len(dataset.train), len(dataset.test)) == (3_000, 1_000)
    assert [name.partition(",")[0] for name in dataset.classes] == ["china"] * 5 + ["flower"] * 5
    photographs = load_sample_images().images
    for i in range(10):
        patch, whole = dataset.test.pixels[i].numpy(), photographs[i // 5]
        # The patch lies somewhere in the right of its photograph.
        hits = np.argwhere((whole[:-31, -224:-31] == patch[:, 0, 0]).all(2))
        assert any(np.array_equal(whole[t : t + 32, x + 416 : x + 448].transpose(2, 0, 1), patch) for t, x in hits)


def test_photographs_that_cannot_be_cut_are_named(tmp_path, pictures):
    with pytest.raises(ValueError, match="2 photographs in 5 bands are 10 labels; ask for as many patches"):
        load_photos(str(pictures), 60, 9)
    for size, side in (((91, 70), "70 × 91"), ((120, 35), "35 × 120")):
        Image.new("RGB", size).save(pictures / "c.png")
        with pytest.raises(
            ValueError, match=rf"^c\.png has {side} pixels; patches need a height of 36 and a width of 92"
        ):
            load_photos(str(pictures), 60, 30)
    Image.new("RGB", (92, 36)).save(pictures / "c.png")
    assert len(load_photos(str(pictures), 60, 30).classes) == 15
    (pictures / "c.png").write_text("no image")
    with pytest.raises(ValueError, match=r"c\.png cannot be read as an image"):
        load_photos(str(pictures), 60, 30)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no photographs in"):
        load_photos(str(tmp_path / "empty"), None, None)
    with pytest.raises(FileNotFoundError, match="is not a folder of photographs"):
        load_photos(str(tmp_path / "nowhere"), None, None)
