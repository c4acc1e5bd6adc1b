"""Every data set by its name."""

import pytest

from repgeom_examples.distillation.data.load import DATASETS, load_dataset
from repgeom_examples.distillation.settings.configs import Setting

from ..cifar_files import cifar_files, write_folder
from ..image_files import colored


def test_data_by_name_says_what_is_wrong(tmp_path):
    with pytest.raises(
        ValueError,
        match="unknown data 'cifar'; there are cifar10, cifar100, folder, digits, photos, shapes10, shapes100",
    ):
        load_dataset(Setting("clip", "cifar"))
    for name in ("cifar10", "cifar100", "folder"):
        with pytest.raises(ValueError, match=f"{name} needs --data-path"):
            load_dataset(Setting("clip", name))


@pytest.mark.parametrize("name", ["digits", "shapes10", "shapes100"])
def test_a_path_where_none_belongs_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="path"):
        load_dataset(Setting("clip", name, data_path=str(tmp_path), n_train=4, n_test=4))


def test_as_many_images_as_asked(rng, tmp_path):
    files, expected = cifar_files("cifar10", True, rng)
    dataset = load_dataset(
        Setting("clip", "cifar10", data_path=str(write_folder(tmp_path, files)), n_train=7, n_test=2)
    )
    assert (len(dataset.train), len(dataset.test), dataset.real) == (7, 2, False)
    rows = {(p.numpy().tobytes(), int(c)) for p, c in zip(*expected[:2], strict=True)}
    assert all(
        (p.numpy().tobytes(), int(c)) in rows for p, c in zip(dataset.train.pixels, dataset.train.labels, strict=True)
    )


def test_a_folder_at_the_size_of_the_setting(tmp_path):
    colored(tmp_path, "ant", 5, 0)
    colored(tmp_path, "bee", 5, 100)
    assert load_dataset(Setting("clip", "folder", data_path=str(tmp_path), image_size=20)).test.pixels.shape == (
        2,
        3,
        20,
        20,
    )


def test_mirror_images_keep_the_label_of_photographs_alone(rng, tmp_path):
    files, _ = cifar_files("cifar10", True, rng)
    colored(tmp_path / "mine", "ant", 5, 0)
    colored(tmp_path / "mine", "bee", 5, 100)
    paths = {"cifar10": str(write_folder(tmp_path / "cifar", files)), "folder": str(tmp_path / "mine")}
    asked = [
        Setting("clip", name, data_path=paths.get(name), n_train=10, n_test=10)
        for name in DATASETS
        if name != "cifar100"
    ]
    found = {setting.data: load_dataset(setting).mirrored for setting in asked}
    # A shape at the top left is one at the top right in the mirror, and a 2 is no digit there.
    assert found == {
        "cifar10": True,
        "folder": True,
        "digits": False,
        "photos": True,
        "shapes10": False,
        "shapes100": False,
    }
