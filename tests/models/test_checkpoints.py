"""From a folder to a model: whole or refused, with what makes its input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from model_folders import bert_folder, dinov2_folder, image_folder, lines, write_tokenizer
from PIL import Image
from safetensors.torch import load_file, save_file

from repgeom import models
from repgeom.models.inputs import images_from, texts_from


def test_a_text_model_is_loaded_whole_with_its_tokenizer(tmp_path):
    found = models.load_checkpoint(str(bert_folder(tmp_path / "bert")), device="cpu", dtype=torch.float64)
    assert (found.takes, found.name) == ("texts", "bert")
    assert next(found.model.parameters()).dtype == torch.float64
    batch = found.collate(["the cat sat", "a dog ran on the mat"])
    assert batch["attention_mask"].sum(1).tolist() == [3, 6]
    weights = load_file(tmp_path / "bert" / "model.safetensors")
    for name, value in found.model.state_dict().items():
        if name in weights:
            assert torch.equal(value, weights[name].double())


def test_an_image_model_is_fed_as_its_own_settings_say(tmp_path):
    found = models.load_checkpoint(str(dinov2_folder(tmp_path / "dino")), device="cpu")
    inputs = images_from(str(image_folder(tmp_path / "images")))
    pixels = found.collate([inputs.item(0), inputs.item(1)])["pixel_values"]
    assert pixels.shape == (2, 3, 28, 28)
    # The middle of an image that is brought to 32 pixels, by Pillow.
    image = Image.open(sorted((tmp_path / "images").rglob("0.png"))[0]).convert("RGB")
    width, height = image.size
    size = (32, round(height * 32 / width)) if width <= height else (round(width * 32 / height), 32)
    whole = np.asarray(image.resize(size, Image.Resampling.BICUBIC), dtype=float)
    top, left = round((size[1] - 28) / 2), round((size[0] - 28) / 2)
    expected = (whole[top : top + 28, left : left + 28] / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    np.testing.assert_allclose(pixels[0].permute(1, 2, 0), expected, atol=1.01 / 255 / 0.2)


def test_a_model_that_was_trained_to_fill_in_words_has_no_pooler_made_up(tmp_path):
    found = models.load_checkpoint(str(bert_folder(tmp_path / "mlm", "BertForMaskedLM")), device="cpu")
    assert found.model.pooler is None


def test_missing_weights_are_an_error_and_never_random(tmp_path):
    folder = bert_folder(tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    removed = [name for name in weights if "layer.1.output.dense" in name]
    save_file({k: v for k, v in weights.items() if k not in removed}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ValueError, match=r"lacks 2 weights that its BertModel needs, such as encoder\.layer\.1\.output\.dense"
    ):
        models.load_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("break_it", "kind", "message"),
    [
        (lambda f: (f / "config.json").unlink(), FileNotFoundError, r"has no config\.json"),
        (lambda f: (f / "model.safetensors").unlink(), FileNotFoundError, "has no weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x08" * 50), OSError, "cannot be loaded"),
        (lambda f: (f / "config.json").write_text('{"model_type": "nobody"}'), OSError, "cannot be loaded"),
        (lambda f: [p.unlink() for p in f.glob("token*")], FileNotFoundError, r"and no tokenizer\.json"),
    ],
)
def test_damaged_folders_are_refused(tmp_path, break_it, kind, message):
    folder = bert_folder(tmp_path / "bert")
    break_it(folder)
    with pytest.raises(kind, match=message):
        models.load_checkpoint(str(folder))


def test_an_index_that_leads_out_of_the_folder_is_refused(tmp_path):
    folder = bert_folder(tmp_path / "bert")
    index = {"weight_map": {"a": "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"names '\.\./outside\.safetensors', which lies outside"):
        models.load_checkpoint(str(folder))


def test_code_of_a_checkpoint_is_not_run(tmp_path):
    folder = bert_folder(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}
    config["model_type"] = "evil"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(OSError, match="cannot be loaded"):
        models.load_checkpoint(str(folder))
    assert not (tmp_path / "ran").exists()


def test_a_function_gives_a_model(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def plain(): return nn.Flatten()\n"
        "def paired(): return nn.Linear(3, 2), lambda items: torch.tensor([[len(t), 1.0, 2.0] for t in items])\n"
        "def wrong(): return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    found = models.load_checkpoint("my_nets:paired")
    assert found.model(found.collate(["abc", "d"])).shape == (2, 2)
    images = [torch.full((3, 4, 4), 255, dtype=torch.uint8)] * 2
    assert models.load_checkpoint("my_nets:plain").collate(images).max() == 1
    for spec, kind, message in (
        ("my_nets:nothing", ImportError, "has no function 'nothing'"),
        ("no_such_nets:f", ImportError, "no_such_nets cannot be imported"),
        ("my_nets:wrong", ValueError, "gave a int"),
        ("no-such-folder", FileNotFoundError, "is no folder, no name on the hub"),
    ):
        with pytest.raises(kind, match=message):
            models.load_checkpoint(spec)


# sentence-transformers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["mean", "cls", "max", "lasttoken", "mean_sqrt_len_tokens"])
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_sentence_model_gives_what_its_own_library_gives(tmp_path, mode, dense):
    import sentence_transformers as st
    from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

    bert_folder(tmp_path / "bert")
    torch.manual_seed(1)
    parts = [Transformer(str(tmp_path / "bert"), max_seq_length=7), Pooling(16, mode)]
    parts += [Dense(16, 8, activation_function=torch.nn.Tanh())] if dense else []
    model = st.SentenceTransformer(modules=[*parts, Normalize()], device="cpu", truncate_dim=5)
    model.save(str(tmp_path / "st"))
    config = tmp_path / "st" / "config_sentence_transformers.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"truncate_dim": 5}))
    texts = lines(30)
    found = models.load_checkpoint(str(tmp_path / "st"), device="cpu")
    x = models.extract_features(found.model, [found.collate(texts[:13]), found.collate(texts[13:])])
    np.testing.assert_allclose(x, model.encode(texts), atol=1e-6)
    layers = models.layers(found.model, found.collate(texts)).name.tolist()
    assert "parts.1_pooling" in layers
    assert mode.removesuffix("_tokens") in found.notes[0]


def test_modules_that_are_not_supported_are_refused(tmp_path):
    folder = bert_folder(tmp_path / "bert")
    entries = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for more, message in (
        ([{"path": "1", "type": "sentence_transformers.models.CNN"}], "the kind CNN, which is not supported"),
        ([], "no Transformer followed by a Pooling"),
        ([{"path": "../..", "type": "sentence_transformers.models.Pooling"}], "lies outside the folder"),
    ):
        (folder / "modules.json").write_text(json.dumps(entries + more))
        with pytest.raises(ValueError, match=message):
            models.load_checkpoint(str(folder))


# Texts and images -------------------------------------------------------------------------------------------------


def test_texts_come_from_lines_and_from_columns(tmp_path):
    (tmp_path / "a.txt").write_text("one text\n\n  another \n")
    found = texts_from(str(tmp_path / "a.txt"))
    assert [found.item(i) for i in range(found.n)] == ["one text", "another"]
    assert found.notes == ("1 empty texts were passed over.",)
    rows = [
        {"body": "one", "title": "x", "kind": 1},
        {"body": None, "title": "y", "kind": 2},
        {"body": "two", "title": "z", "kind": 3},
    ]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = texts_from(str(tmp_path / "b.jsonl"), "body", "kind")
    assert [found.item(i) for i in range(found.n)] == ["one", "two"]
    assert found.labels.tolist() == [1, 3]
    with pytest.raises(ValueError, match=r"has 2 columns of text \(body, title\): name the one with `--text-column`"):
        texts_from(str(tmp_path / "b.jsonl"))
    with pytest.raises(ValueError, match="no column 'text'"):
        texts_from(str(tmp_path / "b.jsonl"), "text")
    (tmp_path / "c.csv").write_text("id,text\n1,hello there\n2,again\n")
    assert texts_from(str(tmp_path / "c.csv")).item(1) == "again"
    for name, content, message in (
        ("d.txt", "one\n", "holds 1 texts"),
        ("e.jsonl", "{not json", "cannot be read"),
        ("f.docx", "x", "cannot be read as texts"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=message):
            texts_from(str(tmp_path / name))


def test_images_come_in_natural_order_with_their_folders_as_labels(tmp_path):
    folder = image_folder(tmp_path / "images", 24)
    found = images_from(str(folder), labelled=True)
    assert found.n == 24
    assert found.labels.tolist() == ["dark"] * 12 + ["light"] * 12
    assert found.item(0).dtype == torch.uint8
    (folder / "dark" / "1000.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"1000\.png is no image that can be read"):
        images_from(str(folder)).item(12)
    with pytest.raises(ValueError, match="holds 0 images"):
        images_from(str(tmp_path / "images" / "..") + "/empty") if (tmp_path / "empty").mkdir() is None else None
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        images_from(str(tmp_path / "nowhere"))
    assert write_tokenizer is not None


def test_settings_of_an_image_processor_are_read_in_either_form(tmp_path):
    usual = models.Preprocessing(256, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert models.preprocessing_of(tmp_path, None) is None
    flat = {"size": 40, "crop_size": {"height": 32, "width": 32}, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3]}
    for name, content in (("preprocessor_config.json", flat), ("processor_config.json", {"image_processor": flat})):
        (tmp_path / name).write_text(json.dumps(content))
        assert models.preprocessing_of(tmp_path, None) == models.Preprocessing(40, 32, (0.1, 0.2, 0.3), (1, 2, 3))
        (tmp_path / name).write_text(
            json.dumps(content | {"do_center_crop": False, "image_processor": flat | {"do_center_crop": False}})
        )
        assert models.preprocessing_of(tmp_path, usual).crop == 40
        (tmp_path / name).write_text("[1, 2]")
        with pytest.raises(ValueError, match="not the settings of an image processor"):
            models.preprocessing_of(tmp_path, usual)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": []}', "{", '{"weight_map": {"a": []}}'])
def test_an_index_that_is_none_is_refused(tmp_path, content):
    folder = bert_folder(tmp_path / "bert")
    (folder / "model.safetensors.index.json").write_text(content)
    for look in (models.check_weight_files, lambda f: models.load_checkpoint(str(f))):
        with pytest.raises(ValueError, match=r"index\.json is not an index of weights"):
            look(folder)


def test_transformers_is_as_loud_as_before():
    from transformers.utils import logging

    def fails():
        with models.quiet_transformers():
            assert logging.get_verbosity() == logging.ERROR
            raise RuntimeError("no weights")

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with pytest.raises(RuntimeError, match="no weights"):
        fails()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
