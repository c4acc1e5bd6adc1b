"""From positions to rows: how a sequence or a map of features becomes one row for each sample, or one for each token."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from repgeom.data.settings import own_settings

POOLS = ("auto", "mean", "cls", "last", "patches", "tokens")


@dataclasses.dataclass(frozen=True)
class Positions:
    """What is known of the positions of a batch.

    Args:
        mask: (n, positions), True where there is something and not padding; None where none was given.
        is_text: the batch holds token ids, of which some may be padding.
        prefix: positions before the patches of an image: the class token and registers; 0 where there are none.
        has_class_token: the first of these is a class token.
    """

    mask: Tensor | None = None
    is_text: bool = False
    prefix: int = 0
    has_class_token: bool = False


@dataclasses.dataclass(frozen=True)
class Pooled:
    """Rows (m, d) in float32 or float64; `how` says in words what was done; `groups` (m,) gives the sample of each token."""

    rows: Tensor
    how: str
    groups: np.ndarray | None = None


class Pooling:
    """Pools what layers give batch by batch. What "auto" means for a layer is settled by its first batch.

    Args:
        pool: as `pooled`.
        finite: whether values must be finite.
    """

    def __init__(self, pool: str, *, finite: bool = True) -> None:
        self._pool, self._finite = pool, finite
        self._of_layers: dict[str, str] = {}

    def __call__(self, x: Tensor, positions: Positions, layer: str) -> Pooled:
        found = pooled(x, self._of_layers.get(layer, self._pool), positions, layer, finite=self._finite)
        if layer in self._of_layers:
            return found
        self._of_layers[layer] = self._pool
        if self._pool == "auto" and x.ndim == 3 and positions.has_class_token and _all_equal(found.rows):
            # Before the first block a class token has seen nothing and is the same for all images.
            self._of_layers[layer] = "patches"
            return pooled(x, "patches", positions, layer, finite=self._finite)
        return found


def _all_equal(rows: Tensor) -> bool:
    return len(rows) > 1 and bool((rows == rows[:1]).all())


@own_settings
def pooled(x: Tensor, pool: str, positions: Positions, layer: str, *, finite: bool = True) -> Pooled:
    """Rows of features from what a layer gave.

    Args:
        x: (n, d), (n, positions, d) or (n, channels, height, width), or more dimensions of places.
        pool: "mean" (over what is not padding, and not class token or registers), "cls" (the first position that is not padding),
            "last" (the last that is not), "patches" (mean without class token and registers), "tokens" (each position that is
            not padding a row), or "auto": cls for images with a class token, else mean.
        positions: what is known of the positions.
        layer: its path, for errors.
        finite: whether values must be finite.

    Raises:
        ValueError: an unknown `pool`; padding that cannot be told from text; another length than the mask's; values that are not
            finite, with the layer and its type.
    """
    if pool not in POOLS:
        raise ValueError(f"`pool` must be one of {', '.join(POOLS)}, got {pool!r}.")
    found = _pooled(x, pool, positions, layer)
    if finite and not bool(torch.isfinite(found.rows).all()):
        dtype = str(x.dtype).removeprefix("torch.")
        raise ValueError(
            f"layer {layer!r} gave values that are not finite (its type is {dtype}). "
            + (
                "float16 overflows beyond 65,504: run the model in float32 or bfloat16."
                if x.dtype == torch.float16
                else ""
            )
        )
    return found


def _pooled(x: Tensor, pool: str, positions: Positions, layer: str) -> Pooled:
    # In float32 before any mean: pooling in half precision moves a rank by a percent.
    x = x.detach()
    x = x if x.dtype in (torch.float32, torch.float64) else x.float()
    if x.ndim == 2:
        return Pooled(x, "as it is")
    if x.ndim > 3:
        return _of_maps(x, pool)
    if pool == "auto":
        pool = "cls" if positions.has_class_token else "mean"
    return _of_sequences(x, pool, positions, layer)


def _of_maps(x: Tensor, pool: str) -> Pooled:
    if pool == "tokens":
        places = x.flatten(2).transpose(1, 2)
        return Pooled(places.flatten(0, 1), "each place of the map", np.repeat(np.arange(len(x)), places.shape[1]))
    return Pooled(x.flatten(2).mean(2), "mean over the map")


def _of_sequences(x: Tensor, pool: str, positions: Positions, layer: str) -> Pooled:
    mask = positions.mask
    n, length, _ = x.shape
    if mask is not None and mask.shape[1] != length:
        raise ValueError(
            f"layer {layer!r} gave {length} positions and the mask has {mask.shape[1]}: it cannot be told which are padding. Leave "
            "the layer out, or pass `forward` and a `mask` that fit it."
        )
    if mask is None and positions.is_text:
        raise ValueError(
            f"layer {layer!r} gave {length} positions of text and the batch has no `attention_mask`: padding would count. Give the "
            "mask that the tokenizer makes, or `mask=` (of ones where nothing is padded)."
        )
    if mask is None:
        mask = torch.ones((n, length), dtype=torch.bool, device=x.device)
    mask = mask.to(device=x.device, dtype=torch.bool)
    if not bool(mask.any(1).all()):
        row = int((~mask.any(1)).nonzero()[0])
        raise ValueError(f"sample {row} of a batch has no position that is not padding.")
    if pool == "cls":
        first = mask.to(torch.uint8).argmax(1)  # with padding on the left it is not position 0
        return Pooled(x[torch.arange(n, device=x.device), first], "class token" if positions.prefix else "first token")
    if pool == "last":
        last = length - 1 - mask.flip(1).to(torch.uint8).argmax(1)
        return Pooled(x[torch.arange(n, device=x.device), last], "last token")
    if positions.prefix and pool in ("mean", "patches", "tokens"):
        if length <= positions.prefix:
            raise ValueError(f"layer {layer!r} gave {length} positions, of which {positions.prefix} are no patches.")
        x, mask = x[:, positions.prefix :], mask[:, positions.prefix :]
    what = "patches" if positions.prefix else "tokens" if positions.is_text else "positions"
    if pool == "tokens":
        samples = torch.arange(n, device=x.device)[:, None].expand(mask.shape)[mask]
        return Pooled(x[mask], f"each of the {what}", samples.cpu().numpy())
    if pool == "patches" and not positions.prefix:
        raise ValueError(f'`pool="patches"` needs an image model with a class token; layer {layer!r} has none.')
    weights = mask[..., None].to(x.dtype)
    # Padding may hold anything, NaN included: it is put to zero, not multiplied by it.
    total = torch.where(mask[..., None], x, torch.zeros((), dtype=x.dtype, device=x.device)).sum(1)
    return Pooled(total / weights.sum(1), f"mean of {what}")
