"""Folders of every kind of architecture on the command line: the part that takes what was given, in the type that was asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny_models
import torch
import transformers
from model_folders import bert_folder, dinov2_folder, image_folder, lines, write_tokenizer
from PIL import Image

from repgeom import models
from repgeom.cli.main import main

SETTINGS = {"size": {"height": 32, "width": 32}, "crop_size": 32, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def saved(folder, model, *, texts=False, images=False):
    model.save_pretrained(folder)
    if texts:
        write_tokenizer(folder)
    if images:
        (folder / "preprocessor_config.json").write_text(json.dumps(SETTINGS))
    return folder


def clip_folder(folder):
    torch.manual_seed(0)
    saved(folder, tiny_models.clip(), texts=True)
    small = SETTINGS | {"size": 28, "crop_size": 28}
    (folder / "preprocessor_config.json").write_text(json.dumps(small))
    return folder


def t5():
    sizes = {"vocab_size": 100, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    return transformers.T5Model(transformers.T5Config(**sizes, decoder_start_token_id=0))


def convnext():
    return transformers.ConvNextModel(transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2))


def swin():
    sizes = {"image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 2}
    return transformers.SwinModel(transformers.SwinConfig(**sizes))


def test_each_tower_of_clip_is_taken_with_its_projection(tmp_path):
    folder = str(clip_folder(tmp_path / "clip"))
    whole = transformers.CLIPModel.from_pretrained(folder).eval()
    images = models.load_checkpoint(folder, device="cpu", takes="images")
    pixels = images.collate(list(torch.randint(0, 255, (6, 3, 40, 50), dtype=torch.uint8)))
    texts = models.load_checkpoint(folder, device="cpu", takes="texts")
    tokens = texts.collate(lines(6))
    with torch.no_grad():
        pooled = whole.vision_model(**pixels).pooler_output
        expected = whole.visual_projection(pooled)
        np.testing.assert_allclose(models.extract_features(images.model, [pixels]), expected, atol=1e-6)
        one = {name: value[:1, : int(tokens["attention_mask"][0].sum())] for name, value in tokens.items()}
        given = whole.text_projection(whole.text_model(**one).pooler_output)
    np.testing.assert_allclose(models.extract_features(texts.model, [tokens])[:1], given, atol=1e-6)
    assert "images" in images.notes[0]
    profile = models.layer_profile(images.model, [pixels])
    assert profile["model.vision_model.encoder.layers.0"].convention["pool"] == "class token"


def test_of_an_encoder_with_a_decoder_the_encoder_is_taken(tmp_path):
    found = models.load_checkpoint(str(saved(tmp_path / "t5", t5(), texts=True)), device="cpu")
    assert found.notes == ("The encoder, without the decoder.",)
    frame = models.layers(found.model, found.collate(lines(8)))
    assert frame[frame.auto].name.tolist() == ["embed_tokens", "block.0", "block.1", "final_layer_norm", "output"]


@pytest.mark.parametrize("make", [convnext, swin])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_images_come_in_the_type_of_the_weights(make, dtype, tmp_path):
    torch.manual_seed(0)
    folder = str(saved(tmp_path / "model", make(), images=True))
    pixels = list(torch.randint(0, 255, (8, 3, 40, 50), dtype=torch.uint8))
    exact = models.load_checkpoint(folder, device="cpu")
    other = models.load_checkpoint(folder, device="cpu", dtype=dtype)
    expected = models.extract_features(exact.model, [exact.collate(pixels)])
    found = models.extract_features(other.model, [other.collate(pixels)])
    np.testing.assert_allclose(found, expected, atol=0.1 if dtype == torch.bfloat16 else 1e-4)


def test_what_takes_neither_texts_nor_images_is_refused_with_a_way_out(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    layers = {"conv_dim": (8,), "conv_stride": (5,), "conv_kernel": (10,), "num_feat_extract_layers": 1}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**sizes, **layers, **positions))
    with pytest.raises(ValueError, match=r"takes input_values; texts and images can be given\. Write a function"):
        models.load_checkpoint(str(saved(tmp_path / "sound", model)), device="cpu")


def test_a_block_that_is_used_again_is_named_in_a_note():
    sizes = tiny_models.SIZES | {"vocab_size": 100, "embedding_size": 8}
    model = transformers.AlbertModel(transformers.AlbertConfig(**sizes))
    profile = models.layer_profile(model, list(tiny_models.text_batches(tiny_models.texts(), 9)))
    assert any("Ran more than once a batch and not taken: encoder.albert_layer_groups.0." in n for n in profile.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--texts", "lines.txt", "--labels", "folders"], "--labels folders takes the folder of each image"),
        (["--texts", "lines.txt", "--max-samples", "0"], "--max-samples takes a whole number of at least 2, got 0"),
        (["--texts", "lines.txt", "--max-samples", "1"], "--max-samples takes a whole number of at least 2, got 1"),
        (["--texts", "lines.txt", "--device", "cudaX"], "the device 'cudaX' cannot be used"),
        (["--texts", "lines.txt", "--device", "cuda:99"], "the device 'cuda:99' cannot be used"),
        (["--texts", "nothing.txt"], "There is no file nothing.txt"),
        (["--images", "img", "--labels-column", "kind"], "--labels-column names a column of --texts"),
    ],
)
def test_bad_options_are_one_line(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bert_folder(tmp_path / "bert")
    (tmp_path / "lines.txt").write_text("\n".join(lines(20)))
    capsys.readouterr()
    assert main(["audit-model", "bert", *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert message in error[0]


@pytest.mark.parametrize("kind", ["RuntimeError", "KeyError", "AttributeError", "IndexError", "AssertionError"])
@pytest.mark.parametrize("place", ["forward", "function"])
def test_what_a_model_raises_is_said_to_be_its_own(kind, place, tmp_path, monkeypatch, capsys):
    name = f"mine_{kind}_{place}".lower()
    fails = f"raise {kind}('it broke')"
    body = "pass" if place == "forward" else fails
    (tmp_path / f"{name}.py").write_text(
        f"from torch import nn\n\nclass Net(nn.Module):\n    def forward(self, x):\n        {fails}\n\n"
        f"def make():\n    {body}\n    return Net()\n"
    )
    for i in range(4):
        Image.new("RGB", (20, 20), (i, i, i)).save(tmp_path / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    for command in ("layers", "audit-model"):
        assert main([command, f"{name}:make", "--images", "."]) == 2
        error = capsys.readouterr().err
        assert f"{name}:make failed" in error
        assert kind in error
        assert "report it" not in error


def test_images_of_several_sizes_need_a_collate_function(tmp_path, capsys):
    images = image_folder(tmp_path / "img", 8)
    assert main(["audit-model", "torch.nn:Flatten", "--images", str(images)]) == 2
    assert "images differ in size" in capsys.readouterr().err


def test_images_with_half_precision_from_the_command_line(tmp_path, capsys):
    folder, images = dinov2_folder(tmp_path / "dino"), image_folder(tmp_path / "img", 24)
    arguments = ["audit-model", str(folder), "--images", str(images), "--labels", "folders", "--dtype", "bfloat16"]
    assert main(arguments) == 0
    assert "class token" in capsys.readouterr().out
