"""Features of one layer for all samples, in memory or in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from repgeom.data.kinds import Forward, LoaderBatch, Mask
from repgeom.data.saving import check_writable
from repgeom.data.settings import own_settings
from repgeom.models.batches import Batch
from repgeom.models.npy_file import NpyFile
from repgeom.models.passing import Pass
from repgeom.models.pooling import Pooled

__all__ = ["extract_features"]


@own_settings
def extract_features(
    model: nn.Module,
    batches: Iterable[LoaderBatch],
    *,
    layer: str = "output",
    pool: str = "auto",
    forward: Forward | None = None,
    mask: Mask = None,
    autocast: torch.dtype | None = None,
    max_samples: int | None = None,
    out: str | os.PathLike[str] | None = None,
) -> Tensor | str:
    """The features that one layer of a model gives for every sample of a loader.

    Args:
        model, batches, pool, forward, mask, autocast, max_samples: as `repgeom.models.layer_profile`.
        layer: the module path of the layer; "output" is what the model returns.
        out: a `.npy` file to write; rows then go to it batch by batch and are never held together.

    Returns:
        (n_samples, width) in float32 on the CPU, float64 where the layer gives that; with `pool="tokens"` a row per token. With
        `out` its path; `numpy.load(path, mmap_mode="r")` and `repgeom.audit(path)` read it in pieces.

    Raises:
        TypeError, ValueError: as `layer_profile`; a pattern that fits several layers; an `out` that is no `.npy`.
        OSError: `out` cannot be written; nothing is left there then.

    >>> import torch
    >>> from torch import nn
    >>> tuple(extract_features(nn.Linear(8, 3), [torch.ones(5, 8), torch.ones(2, 8)]).shape)
    (7, 3)
    """
    if out is not None:
        _check_npy(os.fspath(out))  # before the model runs
    one_pass = Pass(model, batches, layer, pool, forward=forward, mask=mask, autocast=autocast, max_samples=max_samples)
    if len(one_pass.chosen) > 1:
        raise ValueError(f"`layer` fits {len(one_pass.chosen)} layers: {', '.join(one_pass.chosen[:8])}. Give one.")
    sink: _Held | NpyFile = _Held() if out is None else NpyFile(os.fspath(out))

    def receive(_path: str, rows: Pooled, _batch: Batch, _start: int) -> None:
        sink.add(rows.rows)

    try:
        one_pass.run(receive)
        return sink.result()
    except BaseException:
        sink.discard()
        raise


def _check_npy(path: str) -> None:
    if not path.lower().endswith(".npy"):
        raise ValueError(f"`out` must be a .npy file, got {path}.")
    check_writable(path)


class _Held:
    """Rows in memory."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        self._parts.append(rows.to("cpu", copy=True))

    def result(self) -> Tensor:
        return torch.cat(self._parts)

    def discard(self) -> None:
        self._parts.clear()
