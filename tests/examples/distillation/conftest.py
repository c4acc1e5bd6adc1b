"""Fixtures that tests of several modules of the distillation experiments share."""

import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # it is read where the hub's client is first imported

import shutil

import torch

from repgeom_examples.distillation import cli

from .small_runs import PLANTED, arguments


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Folders of tiny checkpoints with random weights, and the models that were saved there."""
    import transformers as tr

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("checkpoints")
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    small = {**size, "intermediate_size": 64, "image_size": 32, "patch_size": 8}
    vision = tr.CLIPVisionConfig(**small, projection_dim=24)
    text = {**size, "intermediate_size": 64, "vocab_size": 99}
    whole = tr.CLIPConfig(vision_config=vision.to_dict(), text_config=text, projection_dim=24)
    models = {
        "clip": tr.CLIPVisionModelWithProjection(vision),
        "clip-whole": tr.CLIPModel(whole),
        "clip-half": tr.CLIPVisionModelWithProjection(vision).half(),
        "clip-without-projection": tr.CLIPVisionModel(vision),
        "dinov2": tr.Dinov2Model(tr.Dinov2Config(**size, image_size=32, patch_size=8)),
        "dinov2-224": tr.Dinov2Model(tr.Dinov2Config(**size, image_size=224, patch_size=56)),
        "dinov2-518": tr.Dinov2Model(tr.Dinov2Config(**size, image_size=518, patch_size=74)),
        "dinov2-registers": tr.Dinov2WithRegistersModel(
            tr.Dinov2WithRegistersConfig(**size, image_size=32, patch_size=8)
        ),
    }
    for name, model in models.items():
        for parameter in model.parameters():  # else biases and the class token are all zero
            torch.nn.init.normal_(parameter, std=0.3)
        model.eval().save_pretrained(root / name)
    return root, models


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """A folder with a module of teachers, importable here and, by PYTHONPATH, elsewhere."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "planted_teachers.py").write_text(PLANTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="session")
def whole(planted, tmp_path_factory):
    """A run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "small"
    assert cli.main(arguments(out)) == 0
    return out


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of it with its cache, to be damaged."""
    shutil.copytree(whole.parent, tmp_path / "copy")
    return tmp_path / "copy" / whole.name
