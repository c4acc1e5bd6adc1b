"""Folders of tiny models as users have them: a tokenizer, a configuration and weights, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tiny_models
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "mat",
    "tree",
    "red",
    "blue",
    "house",
    "river",
    "and",
    "then",
    "slowly",
    "fast",
    "away",
    "again",
]


def lines(n: int = 120, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(2, 12))) for _ in range(n)]


def write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", *WORDS])}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert trainers is not None
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", model_max_length=32
    )
    fast.save_pretrained(folder)


def bert_folder(folder: Path, kind: str = "BertModel") -> Path:
    torch.manual_seed(0)
    config = transformers.BertConfig(**tiny_models.SIZES, vocab_size=100)
    getattr(transformers, kind)(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def dinov2_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    tiny_models.dinov2().save_pretrained(folder)
    settings = {"size": {"shortest_edge": 32}, "crop_size": {"height": 28, "width": 28}}
    (folder / "preprocessor_config.json").write_text(
        json.dumps(settings | {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]})
    )
    return folder


def image_folder(folder: Path, n: int = 60) -> Path:
    random = np.random.default_rng(0)
    for i in range(n):
        kind = folder / ("light" if i % 2 else "dark")
        kind.mkdir(parents=True, exist_ok=True)
        height, width = random.integers(32, 50, 2)
        pixels = random.integers(0, 120, (height, width, 3)) + (i % 2) * 100
        Image.fromarray(pixels.astype(np.uint8)).save(kind / f"{i}.png")
    return folder
