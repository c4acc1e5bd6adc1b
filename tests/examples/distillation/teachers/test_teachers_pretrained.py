"""CLIP and DINOv2 from tiny checkpoints with random weights."""

import copy
import json
import sys

import pytest
import torch
from conftest import photographs

from repgeom_examples.distillation.teachers import pretrained
from repgeom_examples.distillation.teachers.features import encoded
from repgeom_examples.distillation.teachers.pretrained import load_clip, load_dinov2
from repgeom_examples.distillation.teachers.teacher import Preprocessing

from ..image_files import CLIP, IMAGENET, pillow


def direct(model, pixels):
    with torch.no_grad():
        if type(model).__name__ == "CLIPModel":
            return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        found = model(pixel_values=pixels)
        return found.image_embeds if "image_embeds" in found else found.last_hidden_state[:, 0]


def by_pillow(images, resize, crop, mean, std):
    whole = torch.stack([pillow(image, (resize, resize)) for image in images])
    top = (resize - crop) // 2
    cut = whole[:, :, top : top + crop, top : top + crop].float() / 255
    return (cut - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


@pytest.mark.parametrize(
    ("load", "name", "resize", "crop", "norm", "width"),
    [
        (load_clip, "clip", 32, 32, CLIP, 24),
        (load_clip, "clip-whole", 32, 32, CLIP, 24),
        (load_dinov2, "dinov2", 32, 32, IMAGENET, 32),
        (load_dinov2, "dinov2-224", 256, 224, IMAGENET, 32),
        (load_dinov2, "dinov2-518", 256, 224, IMAGENET, 32),
    ],
)
def test_features_of_a_checkpoint_are_the_models_own(load, name, resize, crop, norm, width, checkpoints):
    root, models = checkpoints
    teacher = load(str(root / name), "cpu")
    kind = "clip" if load is load_clip else "dinov2"
    assert (teacher.name, teacher.width, teacher.pretrained) == (kind, width, True)
    assert teacher.preprocessing == Preprocessing(resize, crop, *norm)
    if name == "dinov2-518":  # 224 is not a whole number of its patches of 74
        return
    images = photographs(32)
    expected = direct(models[name], by_pillow(images, resize, crop, *norm))
    found = encoded(teacher, teacher.preprocessing(images))
    assert found.shape == (2, width)
    exact = resize == 32  # else pixels may differ by one
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 if exact else 0.02 * float(expected.std()))
    assert torch.dist(found[0], found[1]) > 0.1 * found.norm()  # the two images are told apart


def test_a_checkpoint_is_told_by_its_weights(checkpoints, tmp_path):
    root, models = checkpoints
    models["dinov2"].save_pretrained(tmp_path / "dinov2")
    again = load_dinov2(str(tmp_path / "dinov2"), "cpu")
    assert again.recipe == load_dinov2(str(root / "dinov2"), "cpu").recipe
    recipes = [load_clip(str(root / name), "cpu").recipe for name in ("clip", "clip-whole")]
    assert recipes[0]["weights"] != recipes[1]["weights"]


def test_a_checkpoint_is_frozen_and_in_evaluation(checkpoints):
    import transformers as tr

    dropping = tr.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8, hidden_dropout_prob=0.5,
    )  # fmt: skip
    root, _ = checkpoints
    tr.Dinov2Model(dropping).save_pretrained(root / "dropping")
    teacher = load_dinov2(str(root / "dropping"), "cpu")
    pixels = teacher.preprocessing(photographs(32))
    found = teacher.encode(pixels)
    assert not found.requires_grad
    assert torch.equal(found, teacher.encode(pixels))


PREPROCESSORS = {
    "now": {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}},
    "of old": {"size": 40, "crop_size": 32},
    "square": {"size": {"height": 40, "width": 40}, "crop_size": {"height": 32, "width": 32}},
}


@pytest.mark.parametrize("written", PREPROCESSORS.values(), ids=PREPROCESSORS)
def test_a_checkpoints_own_preprocessing_is_respected(written, checkpoints, tmp_path):
    _, models = checkpoints
    for name, load in (("clip", load_clip), ("dinov2", load_dinov2)):
        models[name].save_pretrained(tmp_path / name)
        own = {**written, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], "resample": 3}
        (tmp_path / name / "preprocessor_config.json").write_text(json.dumps(own))
        teacher = load(str(tmp_path / name), "cpu")
        assert teacher.preprocessing == Preprocessing(40, 32, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
        (tmp_path / name / "preprocessor_config.json").write_text("{}")
        assert load(str(tmp_path / name), "cpu").preprocessing == Preprocessing(
            32, 32, *(CLIP if name == "clip" else IMAGENET)
        )


def test_the_preprocessing_that_transformers_5_writes_is_respected(checkpoints, tmp_path):
    """Since version 5 a processor is saved as processor_config.json with its image processor within."""
    _, models = checkpoints
    models["clip"].save_pretrained(tmp_path)
    own = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], **PREPROCESSORS["now"]}
    (tmp_path / "processor_config.json").write_text(
        json.dumps({"image_processor": own, "processor_class": "CLIPProcessor"})
    )
    assert load_clip(str(tmp_path), "cpu").preprocessing == Preprocessing(40, 32, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))


def test_a_damaged_preprocessor_file_is_named(checkpoints, tmp_path):
    _, models = checkpoints
    models["clip"].save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"size": ')
    with pytest.raises((ValueError, OSError), match=r"preprocessor_config\.json"):
        load_clip(str(tmp_path), "cpu")


def test_a_checkpoint_in_half_precision_is_computed_in_float32(checkpoints):
    """transformers 5 keeps a checkpoint's own dtype unless told; rounding to half is not the teacher's geometry."""
    root, models = checkpoints
    teacher = load_clip(str(root / "clip-half"), "cpu")
    pixels = teacher.preprocessing(photographs(32))
    expected = direct(copy.deepcopy(models["clip-half"]).float(), pixels)
    found = encoded(teacher, pixels)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (load_clip, "clip-without-projection"),
        (load_clip, "dinov2"),
        (load_dinov2, "clip"),
        (load_dinov2, "clip-whole"),
        (load_dinov2, "dinov2-registers"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(load, name, checkpoints):
    """transformers fills in random weights for what a checkpoint lacks, and only warns."""
    root, _ = checkpoints
    with pytest.raises((OSError, ValueError), match=r"another kind|lacks|missing") as caught:
        load(str(root / name), "cpu")
    assert str(root / name) in str(caught.value)


def test_a_folder_without_weights_or_config(checkpoints, tmp_path):
    _, models = checkpoints
    models["dinov2"].save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"it has no weights \(model.safetensors\)\. .*Dinov2Model as M.*save_pretrained"
    ):
        load_dinov2(str(tmp_path), "cpu")
    (tmp_path / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"it has no config\.json and no weights") as caught:
        load_clip(str(tmp_path), "cpu")
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", None], ids=["empty", "pointer", "cut"]
)
def test_weights_that_are_not_whole(content, checkpoints, tmp_path):
    _, models = checkpoints
    models["clip"].save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000] if content is None else content)
    with pytest.raises(OSError, match="could not be loaded as CLIPVisionModelWithProjection") as caught:
        load_clip(str(tmp_path), "cpu")
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(("load", "name"), [(load_clip, None), (load_dinov2, None), (load_clip, "nobody/no-such-clip")])
def test_a_hub_name_without_a_network(load, name, monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    asked = name or (pretrained.CLIP if load is load_clip else pretrained.DINOV2)
    with pytest.raises(
        OSError, match=f"{asked} could not be loaded.*hf download {asked} --local-dir DIR.*--teacher-path DIR"
    ):
        load(name, "cpu")


@pytest.mark.parametrize("name", ["/no/such/folder", "./folder", "~/folder", "folder", "a/b/c"])
def test_neither_a_folder_nor_a_hub_name(name):
    with pytest.raises(FileNotFoundError, match=f"{name} is no folder, and no name on the hub either"):
        load_clip(name, "cpu")


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    for load in (load_clip, load_dinov2):
        with pytest.raises(ModuleNotFoundError, match=r"need transformers.*pip install 'repgeom\[distill\]'"):
            load(None, "cpu")
