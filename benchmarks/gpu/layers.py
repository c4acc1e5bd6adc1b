"""What a profile of a model's layers costs beside its bare forward passes, and a monitor beside its bare training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu.measuring import Number, Setting, profile, seconds_of
from benchmarks.models import forward
from repgeom import models
from repgeom.monitors import Monitor

PROFILE = 1.2  # times the bare forward passes
EVERY = 100  # steps, a monitor's default


def profiled(setting: Setting, kind: str) -> Iterator[Number]:
    """`layer_profile` of a transformer or a convolutional network with random weights."""
    model, batches = {"transformer": transformer, "cnn": cnn}[kind](setting)
    model.to(setting.device).eval()
    forward(model, batches[:4])
    bare = seconds_of(lambda: forward(model, batches), 2)
    yield Number("seconds of the forward passes", bare)
    yield Number("samples", sum(len(batch["input_ids"] if isinstance(batch, dict) else batch) for batch in batches))
    measured = models.layer_profile(model, batches[:4])
    yield Number("layers", len(measured))
    took = seconds_of(lambda: models.layer_profile(model, batches), 2)
    yield Number("seconds of layer_profile", took)
    yield Number("layer_profile, times the forward passes", took / bare, most=PROFILE)
    yield from profile(setting, "layer_profile", lambda: models.layer_profile(model, batches), took)
    if setting.left > 3 * bare:
        layer = list(measured)[-1]
        extracted = seconds_of(lambda: models.extract_features(model, batches, layer=layer), 1)
        yield Number("extract_features, times the forward passes", extracted / bare)


def transformer(setting: Setting) -> tuple[nn.Module, list[Any]]:
    """A BERT of 12 layers of width 768, and padded batches of tokens: 8,192 texts of up to 128."""
    import transformers

    torch.manual_seed(0)
    width, layers = setting.size(768, 32), setting.size(12, 2)
    config = transformers.BertConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 16, intermediate_size=4 * width, vocab_size=1000
    )  # fmt: skip
    if not setting.tiny:
        config.num_attention_heads = 12
    length, size = setting.size(128, 8), setting.size(256, 16)
    batches = []
    for _ in range(setting.size(8_192, 48) // size):
        lengths = torch.randint(length // 2, length + 1, (size,))
        mask = (torch.arange(length)[None] < lengths[:, None]).long()
        batch = {"input_ids": torch.randint(1, 1000, (size, length)) * mask, "attention_mask": mask}
        batches.append({name: values.to(setting.device) for name, values in batch.items()})
    return transformers.BertModel(config), batches


def cnn(setting: Setting) -> tuple[nn.Module, list[Any]]:
    """A ResNet-50 of transformers with random weights, and noise for images: 4,096 of 224 pixels."""
    import transformers

    torch.manual_seed(0)
    config = transformers.ResNetConfig()
    if setting.tiny:
        config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    side, size = setting.size(224, 32), setting.size(128, 16)
    one = torch.randn(size, 3, side, side, device=setting.device)
    # The same noise, shifted: as many different batches as would not lie in memory.
    batches = [one.roll(i, 0) + 0.01 * i for i in range(setting.size(4_096, 32) // size)]
    return transformers.ResNetModel(config), batches


def monitor(setting: Setting) -> Iterator[Number]:
    """Seconds of a training step, bare and with a monitor: in steps that are not measured, and in those that are."""
    width, size = setting.size(1_024, 16), setting.size(1_024, 64)
    steps = setting.size(200, 8)
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(8))).to(setting.device)
    data = torch.randn(8, size, width, device=setting.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step(batch: Tensor) -> None:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()

    def train(watching: Monitor | None) -> None:
        for i in range(steps):
            if watching is None:
                step(data[i % 8])
                continue
            # From 1 on: step 0 is measured whatever `every` says.
            with watching.step(i + 1):
                step(data[i % 8])

    def watched(every: int) -> Monitor:
        return Monitor(model, layers=["2", "5", "output"], every=every)

    bare = seconds_of(lambda: train(None), 3) / steps
    yield Number("seconds of a step", bare)
    idle = seconds_of(lambda: train(watched(10**9)), 3) / steps
    yield Number("seconds of a step with a monitor that does not measure", idle)
    rarely = seconds_of(lambda: train(watched(EVERY)), 3) / steps
    yield Number(f"seconds of a step with a monitor of three layers at every {EVERY}th", rarely)
    yield Number(f"a monitor of three layers at every {EVERY}th step, times the bare step", rarely / bare)

    def one_reading() -> None:
        with watched(1).step():
            step(data[0])

    took = seconds_of(one_reading)
    yield Number("seconds of a measured step", took)
    yield from profile(setting, "a measured step", one_reading, took)
