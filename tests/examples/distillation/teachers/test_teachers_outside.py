"""A teacher's folder whose files lead out of it, or are no files."""

import json
import os

import pytest

from repgeom_examples.distillation.teachers.pretrained import load_dinov2


@pytest.fixture
def folder(tmp_path):
    import transformers as tr

    small = tr.Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8)
    tr.Dinov2Model(small).save_pretrained(tmp_path / "teacher")
    os.rename(tmp_path / "teacher" / "model.safetensors", tmp_path / "teacher" / "part.safetensors")
    return tmp_path / "teacher"


def index(folder, part):
    import safetensors

    with safetensors.safe_open(folder / "part.safetensors", "pt") as file:
        names = list(file.keys())
    content = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, part)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def test_weights_in_parts_are_read(folder):
    index(folder, "part.safetensors")
    assert load_dinov2(str(folder), "cpu").width == 32


@pytest.mark.parametrize(
    "part", ["../outside.safetensors", "a/../../outside.safetensors", "{}", 5, None, "..\\outside"]
)
def test_weights_outside_the_folder_are_refused(part, folder):
    os.link(folder / "part.safetensors", folder.parent / "outside.safetensors")
    if part == "{}":
        part = str(folder.parent / "outside.safetensors")
    index(folder, part)
    with pytest.raises(ValueError, match=r"index\.json names .* which lies outside"):
        load_dinov2(str(folder), "cpu")


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": []}', "{", '{"weight_map": {"a": []}}'])
def test_an_index_that_is_none(content, folder):
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match=r"index\.json is not an index of weights"):
        load_dinov2(str(folder), "cpu")


@pytest.mark.parametrize("name", ["part.safetensors", "preprocessor_config.json"])
def test_a_file_that_is_none(name, folder):
    index(folder, "part.safetensors")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(ValueError, match=f"{name} is a named pipe"):
        load_dinov2(str(folder), "cpu")
