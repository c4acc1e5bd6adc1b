"""Models of a few thousand weights of every kind that users have, made on the spot, and batches for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from torch import Tensor, nn

WIDTH = 16
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
PATCHES = {"image_size": 28, "patch_size": 14}
TOKENS = {"vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def bert() -> nn.Module:
    return transformers.BertModel(transformers.BertConfig(**SIZES, vocab_size=100))


def gpt2() -> nn.Module:
    config = transformers.GPT2Config(vocab_size=100, n_embd=WIDTH, n_layer=3, n_head=2, bos_token_id=1, eos_token_id=2)
    return transformers.GPT2Model(config)


def llama() -> nn.Module:
    return transformers.LlamaModel(transformers.LlamaConfig(**SIZES, **TOKENS))


def dinov2() -> nn.Module:
    return transformers.Dinov2Model(transformers.Dinov2Config(**SIZES, **PATCHES))


def dinov2_with_registers() -> nn.Module:
    return transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**SIZES, **PATCHES))


def clip() -> nn.Module:
    text = SIZES | TOKENS | {"max_position_embeddings": 20}
    config = transformers.CLIPConfig(text_config=text, vision_config=SIZES | PATCHES, projection_dim=8)
    return transformers.CLIPModel(config)


TEXT: dict[str, Callable[[], nn.Module]] = {"bert": bert, "gpt2": gpt2, "llama": llama}
IMAGE: dict[str, Callable[[], nn.Module]] = {"dinov2": dinov2, "dinov2_with_registers": dinov2_with_registers}


def made(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """The model in float64, with weights far enough from zero that layers differ."""
    torch.manual_seed(seed)
    model = make().double().train()
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.mul_(4)
    return model


def texts(n: int = 40, seed: int = 0) -> list[Tensor]:
    """Token ids of different lengths; 0 is padding and 1, 2 are special, so that they do not occur."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 12, (n,), generator=random).tolist()
    return [torch.randint(3, 100, (length,), generator=random) for length in lengths]


def text_batches(ids: list[Tensor], size: int, *, left: bool = False, extra: int = 0) -> Iterator[dict[str, Tensor]]:
    """Padded batches with their masks; `extra` positions of padding more than needed."""
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        length = max(map(len, part)) + extra
        tokens, mask = (
            torch.zeros(len(part), length, dtype=torch.long),
            torch.zeros(len(part), length, dtype=torch.long),
        )
        for i, one in enumerate(part):
            place = slice(length - len(one), length) if left else slice(0, len(one))
            tokens[i, place], mask[i, place] = one, 1
        yield {"input_ids": tokens, "attention_mask": mask}


def images(n: int = 40, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, 28, 28, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(width, width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(torch.relu(self.linear(x)))


def network(blocks: int = 3, width: int = 12, inputs: int = 8) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(inputs, width), nn.Sequential(*(Block(width) for _ in range(blocks))), nn.LayerNorm(width)
    )


def rows(n: int = 200, inputs: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(n, inputs, generator=torch.Generator().manual_seed(seed))
