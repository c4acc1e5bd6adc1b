"""What a batch of a loader is: how the model takes it, how many samples it holds, and what is known of their positions."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from repgeom.data.masks import as_mask
from repgeom.models.pooling import Positions

_TEXT = ("input_ids", "token_ids", "tokens")
_MASKS = ("attention_mask", "mask")
_NOT_FOR_THE_MODEL = ("labels", "label", "groups")


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch on the model's device: what to call the model with, and what stands beside its samples."""

    content: Any
    n: int
    positions: Positions
    labels: Any = None
    groups: Any = None
    image_positions: Positions | None = None  # of the image tower, where a batch holds text as well

    def positions_of(self, path: str) -> Positions:
        """What is known of the positions that the layer at this path gives."""
        if self.image_positions is not None and re.search(r"vision|visual|image", path):
            return self.image_positions
        return self.positions


def batch_of(content: Any, model: nn.Module, *, mask: Any = None, labelled: bool = False) -> Batch:
    """What a loader gave, looked at.

    Args:
        content: a tensor; a tuple, of which the first item goes to the model and the second is the labels if `labelled`; or a dict,
            which goes to the model as keywords, but for "labels" and "groups".
        model: whose configuration says of class tokens and registers.
        mask: (n, positions), bools or 0 and 1, or a function from `content` to it, where the batch itself has none.

    Raises TypeError for anything else, ValueError for an empty batch and a mask of other values.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    labels = groups = None
    first: Any
    if isinstance(content, Mapping):
        labels = next((content[name] for name in ("labels", "label") if name in content), None)
        groups = content.get("groups")
        tensors = [v for k, v in content.items() if isinstance(v, Tensor) and k not in _NOT_FOR_THE_MODEL]
        if not tensors:
            raise TypeError(
                f"a batch is a dict without tensors ({', '.join(map(str, content))}): the model takes tensors."
            )
        first = tensors[0]
    elif isinstance(content, (tuple, list)):
        first = content[0] if content else None
        labels = content[1] if labelled and len(content) > 1 else None
    else:
        first = content
    if not isinstance(first, Tensor):
        raise TypeError(
            f"a batch is a {type(content).__name__}"
            + (f" of {type(first).__name__}" if first is not content else "")
            + "; give tensors, tuples that begin with one, or dicts of them, or say how the model takes it: `forward=lambda model, batch: ...`."
        )
    if first.ndim == 0 or not len(first):
        raise ValueError("a batch holds no samples.")
    content = over_tensors(content, lambda x: x.to(device))
    given = mask(content) if callable(mask) else mask
    positions = _positions(content, model, given)
    image = None
    if positions.is_text and isinstance(content, Mapping) and "pixel_values" in content:
        image = Positions(None, False, *_prefix(model))
    return Batch(content, len(first), positions, labels, groups, image)


def over_tensors(content: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same batch with every tensor in it changed, however deep in dicts, tuples and lists it lies."""
    if isinstance(content, Tensor):
        return change(content)
    if isinstance(content, Mapping):
        return {key: over_tensors(value, change) for key, value in content.items()}
    if isinstance(content, tuple) and hasattr(content, "_fields"):
        return type(content)(*(over_tensors(value, change) for value in content))
    if isinstance(content, (tuple, list)):
        return type(content)(over_tensors(value, change) for value in content)
    return content


def first_samples(content: Any, n: int, k: int) -> Any:
    """The first `k` of the `n` samples of a batch, in every tensor that has a row for each."""
    return over_tensors(content, lambda x: x[:k] if x.ndim and len(x) == n else x)


def _positions(content: Any, model: nn.Module, mask: Any) -> Positions:
    is_text = False
    if isinstance(content, Mapping):
        is_text = any(name in content for name in _TEXT)
        if mask is None:
            mask = next((content[name] for name in _MASKS if isinstance(content.get(name), Tensor)), None)
    first = content if isinstance(content, Tensor) else None
    if isinstance(content, (tuple, list)):
        first = content[0]
    # Whole numbers in two dimensions go to an embedding: they are tokens.
    if isinstance(first, Tensor) and first.ndim == 2 and not first.is_floating_point():
        is_text = True
    if mask is not None and mask.ndim != 2:
        mask = None  # of pixels, or of attention between positions: not of padding
    if mask is not None:
        mask = as_mask(mask)
    if is_text:
        return Positions(mask, True)
    return Positions(mask, False, *_prefix(model))


def _prefix(model: nn.Module) -> tuple[int, bool]:
    """How many positions of an image model stand before its patches, and whether the first is a class token."""
    for module in model.modules():
        if isinstance(getattr(module, "cls_token", None), Tensor) or isinstance(
            getattr(module, "class_embedding", None), Tensor
        ):
            registers = int(getattr(getattr(model, "config", None), "num_register_tokens", 0) or 0)
            return 1 + registers, True
    return 0, False


def call(model: nn.Module, content: Any) -> Any:
    """The model's answer to a batch."""
    if isinstance(content, Mapping):
        takes = inspect.signature(model.forward).parameters
        anything = any(p.kind is p.VAR_KEYWORD for p in takes.values())
        given = {k: v for k, v in content.items() if k not in _NOT_FOR_THE_MODEL and (anything or k in takes)}
        if getattr(getattr(model, "config", None), "use_cache", False) and (anything or "use_cache" in takes):
            given["use_cache"] = False  # the keys of all positions are of no use here
        return model(**given)
    if isinstance(content, (tuple, list)):
        return model(content[0])
    return model(content)
