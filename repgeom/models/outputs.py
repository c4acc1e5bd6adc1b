"""What a module returned, as one tensor with a row, or a sequence of rows, for each sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

# Fields of a model's own output, most wanted first.
FIELDS = (
    "sentence_embedding",
    "image_embeds",
    "text_embeds",
    "last_hidden_state",
    "pooler_output",
    "logits",
)


def first_tensor(output: Any) -> Tensor | None:
    """The tensor that a module's output stands for: of a tuple the first, of a record the field that holds features.

    A loss, of no dimension, stands for features only where there is nothing else.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        for field in FIELDS:
            if isinstance(output.get(field), Tensor):
                return output[field]
        output = tuple(output.values())
    if not isinstance(output, (tuple, list)):
        return None
    tensors = [part for part in output if isinstance(part, Tensor)]
    for part in tensors:
        if part.is_nested or (part.ndim > 1 and part.is_floating_point()):
            return part
    return tensors[0] if tensors else None


def batch_first(x: Tensor, n: int, length: int | None, layer: str) -> Tensor:
    """The same with samples in its first dimension.

    Args:
        x: what a layer gave for `n` samples.
        length: positions of a sequence, where a mask says how many there are.
        layer: its path, for errors.

    Raises:
        ValueError: no dimension has `n` entries, or it cannot be told which one counts the samples.
    """
    if x.is_nested:
        raise ValueError(
            f"layer {layer!r} gave a nested tensor; run the model without its fast path for padded batches."
        )
    if x.ndim < 2:
        raise ValueError(f"layer {layer!r} gave shape {tuple(x.shape)}; features need a row for each of {n} samples.")
    first, second = x.shape[0] == n, x.ndim == 3 and x.shape[1] == n
    if length is not None and x.ndim == 3 and first and second and length != n:
        first, second = x.shape[1] == length, x.shape[0] == length
    if first:
        return x
    if second:
        return x.transpose(0, 1)
    raise ValueError(
        f"layer {layer!r} gave shape {tuple(x.shape)} for a batch of {n} samples: no dimension counts them. Leave the layer "
        "out, or give `batches` so that each forward pass is one batch."
    )
