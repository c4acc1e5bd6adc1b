"""Which dimension of what a layer gives counts the samples, and which holds the features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

# Modules that give (n, channels, positions).
_OVER_POSITIONS = (
    nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d, nn.InstanceNorm1d, nn.GroupNorm,
    nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d,
)  # fmt: skip


def dimension_of_samples(
    shape: Sequence[int], n: int, fewer: Sequence[int] | None, length: int | None = None
) -> int | None:
    """The dimension that counts the samples, 0 or 1; None where none does, as in position embeddings.

    Args:
        shape: of what a layer gave for `n` samples.
        fewer: its shape for one sample less, which tells for sure; None where the model could not be run with less.
        length: positions of a sequence, where a mask says how many there are.
    """
    dimensions = [i for i in range(2 if len(shape) == 3 else 1) if shape[i] == n]
    if fewer is not None and len(fewer) == len(shape):
        dimensions = [i for i in dimensions if fewer[i] == n - 1]
    elif len(dimensions) == 2 and length is not None and length != n:
        dimensions = [i for i in dimensions if shape[1 - i] == length]
    return dimensions[0] if dimensions else None


def has_unusual_features(module: nn.Module, shape: Sequence[int], before: Sequence[int] | None) -> bool:
    """Whether features lie in another dimension than usual, which is the last of a sequence and the second of a map.

    Args:
        module: that gave a tensor of this shape.
        before: the shape last seen of which this was true. What comes after in the same shape, such as the activation behind a
            convolution or the block around it, has its features where that had them.
    """
    if len(shape) < 3:
        return False
    if before is not None and tuple(shape[1:]) == tuple(before[1:]):
        return True
    if len(shape) == 3:
        return isinstance(module, _OVER_POSITIONS)
    # Subclasses of LayerNorm turn maps around.
    return type(module) in (nn.Linear, nn.LayerNorm)


def arranged(x: Tensor, n: int, samples: int | None, unusual_features: bool, layer: str) -> Tensor:
    """The same as (n, d), (n, positions, d) or (n, channels, ...).

    Args:
        x: what a layer gave for `n` samples.
        samples: the dimension that counts them.
        unusual_features: see `has_unusual_features`.
        layer: its path, for errors.

    Raises:
        ValueError: that dimension has another length.
    """
    if x.is_nested:
        raise ValueError(
            f"layer {layer!r} gave a nested tensor; run the model without its fast path for padded batches."
        )
    if x.ndim < 2:
        raise ValueError(f"layer {layer!r} gave shape {tuple(x.shape)}; features need a row for each of {n} samples.")
    if samples is None or x.ndim <= samples or x.shape[samples] != n:
        raise ValueError(
            f"layer {layer!r} gave shape {tuple(x.shape)} for a batch of {n} samples: no dimension counts them. Leave the layer "
            "out, or give `batches` so that each forward pass is one batch."
        )
    x = x.transpose(0, samples)
    if not unusual_features:
        return x
    if x.ndim == 3:
        return x.transpose(1, 2)
    return x.movedim(-1, 1)


def arranged_by_sight(x: Tensor, n: int, length: int | None, module: nn.Module, layer: str) -> Tensor:
    """The same where a layer is only watched: no run of fewer samples tells which dimension counts them.

    Args:
        x: what `module` gave for `n` samples.
        length: positions of a sequence, where a mask says how many there are.
        layer: its path, for errors.

    Raises:
        ValueError: no dimension has `n` entries, or it cannot be told which one counts the samples.
    """
    if x.is_nested:
        return arranged(x, n, None, False, layer)
    samples = dimension_of_samples(x.shape, n, None, length)
    return arranged(x, n, samples, has_unusual_features(module, x.shape, None), layer)
