"""Every layer of every kind of model against a loop of single, unpadded inputs in float64, pooled by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import IMAGE, TEXT, clip, images, made, text_batches, texts

import repgeom as rg
from repgeom import models
from repgeom.models.paths import modules_by_path

POOLS = {
    "mean": lambda x: x.mean(0),
    "cls": lambda x: x[0],
    "last": lambda x: x[-1],
}


def single(model, inputs, layer, pool):
    """(n, d): the layer's output for each input alone, pooled by `pool`, with a hook of this test's own."""
    kept, found = [], []
    module = model if layer == "output" else modules_by_path(model)[layer]
    handle = module.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    model.eval()
    with torch.no_grad():
        for one in inputs:
            kept.clear()
            model(**one)
            output = kept[0]
            if hasattr(output, "last_hidden_state"):
                output = output.last_hidden_state
            x = output[0] if isinstance(output, tuple) else output
            found.append(x[0] if x.ndim == 2 else pool(x[0]))
    handle.remove()
    model.train()
    return torch.stack(found).numpy()


def expected_layers(kind):
    blocks = {"bert": "encoder.layer.{}", "gpt2": "h.{}", "llama": "layers.{}"}.get(kind, "encoder.layer.{}")
    first = {"bert": "embeddings", "gpt2": "wte", "llama": "embed_tokens"}.get(kind, "embeddings")
    after = {"bert": ["pooler"], "gpt2": ["ln_f"], "llama": ["norm"]}.get(kind, ["layernorm"])
    return [first, *(blocks.format(i) for i in range(3)), *after, "output"]


@pytest.mark.parametrize("kind", TEXT)
def test_text_is_pooled_over_what_is_not_padding(kind):
    model, ids = made(TEXT[kind]), texts()
    alone = [{"input_ids": one[None], "attention_mask": torch.ones_like(one)[None]} for one in ids]
    # Positions of a model that counts them from the left depend on the side of the padding, whatever we do.
    sides = [False, True] if kind == "llama" else [False]
    layers = [layer for layer in expected_layers(kind) if layer != "pooler"]
    for name, pool in POOLS.items():
        for layer in layers:
            expected = single(model, alone, layer, pool)
            for left in sides:
                x = models.extract_features(model, text_batches(ids, 7, left=left, extra=2), layer=layer, pool=name)
                # Llama turns by angles in float32, so that a shift of all positions leaves 1e-8.
                np.testing.assert_allclose(x.numpy(), expected, atol=1e-6 if left else 1e-10)


@pytest.mark.parametrize("kind", TEXT)
def test_a_profile_of_text_is_the_same_for_any_batches(kind):
    model, ids = made(TEXT[kind]), texts()
    profiles = [
        models.layer_profile(model, batches)
        for batches in (text_batches(ids, 40), text_batches(ids, 3), text_batches(ids[::-1], 11, extra=5))
    ]
    assert list(profiles[0]) == expected_layers(kind)
    for other in profiles[1:]:
        for layer, report in profiles[0].items():
            for name in ("effective_rank", "participation_ratio", "mean_cosine"):
                assert other[layer][name].in_these_rows == pytest.approx(report[name].in_these_rows, rel=1e-6)
    # An estimate halves the rows by their places; in the same order it is the same for any batches.
    assert profiles[1]["output"]["effective_rank"].low == pytest.approx(profiles[0]["output"]["effective_rank"].low)
    x = models.extract_features(model, text_batches(ids, 5), layer=expected_layers(kind)[2])
    report = profiles[0][expected_layers(kind)[2]]
    assert report["effective_rank"].in_these_rows == pytest.approx(rg.effective_rank(x.numpy()), rel=1e-9)
    assert report.convention["pool"] == "mean of tokens"


@pytest.mark.parametrize("kind", IMAGE)
def test_images_are_pooled_by_class_token_or_patches(kind):
    model, x = made(IMAGE[kind]), images()
    prefix = 5 if "registers" in kind else 1
    alone = [{"pixel_values": one[None]} for one in x]
    by_hand = {"cls": lambda t: t[0], "patches": lambda t: t[prefix:].mean(0), "mean": lambda t: t[prefix:].mean(0)}
    for layer in expected_layers(kind)[1:]:
        for pool, hand in by_hand.items():
            found = models.extract_features(model, x.split(9), layer=layer, pool=pool).numpy()
            np.testing.assert_allclose(found, single(model, alone, layer, hand), atol=1e-8, rtol=1e-8)
    profile = models.layer_profile(model, x.split(9))
    assert list(profile) == expected_layers(kind)
    assert profile["encoder.layer.0"].convention["pool"] == "class token"
    # Before the first block the class token is the same for all images: its rank would say nothing.
    assert profile["embeddings"].convention["pool"] == "mean of patches"


def test_the_last_hidden_state_is_the_final_norm():
    model, x = made(IMAGE["dinov2"]), images(8)
    with torch.no_grad():
        expected = model.eval()(pixel_values=x).last_hidden_state[:, 0]
    for layer in ("layernorm", "output"):
        assert torch.equal(models.extract_features(model, [x], layer=layer), expected)


def test_both_towers_of_clip():
    model, ids, x = made(clip), texts(), images()
    batches = [{**text, "pixel_values": part} for text, part in zip(text_batches(ids, 8), x.split(8), strict=True)]
    profile = models.layer_profile(model, batches)
    for layer in (
        "vision_model.encoder.layers.0",
        "vision_model.post_layernorm",
        "visual_projection",
        "text_model.encoder.layers.1",
        "text_model.final_layer_norm",
        "text_projection",
    ):
        assert layer in profile
    alone = [
        {"input_ids": one[None], "attention_mask": torch.ones_like(one)[None], "pixel_values": image[None]}
        for one, image in zip(ids, x, strict=True)
    ]
    found = models.extract_features(model, batches, layer="vision_model.encoder.layers.1", pool="cls")
    np.testing.assert_allclose(found, single(model, alone, "vision_model.encoder.layers.1", lambda t: t[0]), atol=1e-8)
    found = models.extract_features(model, batches, layer="text_model.encoder.layers.1", pool="mean")
    np.testing.assert_allclose(
        found, single(model, alone, "text_model.encoder.layers.1", lambda t: t.mean(0)), atol=1e-8
    )


def test_tokens_are_rows_that_carry_their_text_as_a_group():
    model, ids = made(TEXT["bert"]), texts(120)
    layer = "encoder.layer.1"
    tokens = models.extract_features(model, text_batches(ids, 7), layer=layer, pool="tokens").numpy()
    alone = [{"input_ids": one[None], "attention_mask": torch.ones_like(one)[None]} for one in ids]
    expected = np.concatenate([single(model, [one], layer, lambda t: t.flatten())[0].reshape(-1, 16) for one in alone])
    np.testing.assert_allclose(tokens, expected, atol=1e-8)
    report = models.layer_profile(model, text_batches(ids, 7), layers=layer, pool="tokens")[layer]
    groups = np.repeat(np.arange(len(ids)), [len(one) for one in ids])
    by_groups = rg.audit(expected, groups=groups)
    assert report.n_samples == len(expected)
    for end in ("low", "high"):
        assert getattr(report["effective_rank"], end) == pytest.approx(
            getattr(by_groups["effective_rank"], end), rel=1e-6
        )
