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
