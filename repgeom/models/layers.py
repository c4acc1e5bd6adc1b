"""What is in a model: the layers that give features, with their shapes, and what "auto" would take of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from repgeom.data.kinds import Forward, LoaderBatch
from repgeom.data.settings import own_settings
from repgeom.models.batches import Batch, batch_of, first_samples
from repgeom.models.layout import dimension_of_samples, has_unusual_features
from repgeom.models.outputs import first_tensor
from repgeom.models.paths import OUTPUT, automatic, bare, matching, modules_by_path
from repgeom.models.running import check_watchable, inference, run, watched

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["layers"]

FEW = 3  # samples of a first look


@dataclasses.dataclass
class Layer:
    """A module that gave features: its class, their shape and type in the first batch, and how often it ran in it."""

    path: str
    kind: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    n: int  # samples of the batch
    samples: int | None = 0  # the dimension that counts them; position embeddings, of one entry for all, have none
    unusual_features: bool = False
    fires: int = 1


@own_settings
def layers(model: nn.Module, batch: LoaderBatch, *, forward: Forward | None = None) -> pd.DataFrame:
    """The layers of a model that give features, in the order in which they run.

    Args:
        model: any module; compiled and parallel ones are looked into.
        batch: one batch, as a loader gives it: a tensor, a tuple that begins with one, or a dict of keywords.
        forward: how the model takes a batch, where that is not `model(batch)`: a function of both.

    Returns:
        A data frame with one row per layer: name (its module path; "output" is what the model returns), kind (its class),
        shape and dtype (of what it gave for this batch), fires (how often it ran in one pass), auto (whether "auto" takes it).

    Raises:
        TypeError: a scripted or exported model; a batch of another kind.
        ValueError: an empty batch.

    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> layers(model, torch.ones(3, 8))[["name", "kind", "shape"]].values.tolist()
    [['0', 'Linear', (3, 4)], ['1', 'ReLU', (3, 4)], ['2', 'Linear', (3, 2)], ['output', 'Sequential', (3, 2)]]
    """
    import pandas as pd

    model = bare(check_watchable(model))
    found = survey(model, batch, batch_of(batch, model), forward)
    chosen = set(chosen_layers(model, "auto", found))
    rows = [
        (one.path, one.kind, one.shape, str(one.dtype).removeprefix("torch."), one.fires, one.path in chosen)
        for one in found.values()
    ]
    return pd.DataFrame(rows, columns=["name", "kind", "shape", "dtype", "fires", "auto"])


def survey(
    model: nn.Module,
    content: Any,
    batch: Batch,
    forward: Forward | None,
    *,
    few: bool = False,
    autocast: torch.dtype | None = None,
) -> dict[str, Layer]:
    """The layers that give features, and in which dimension they count the samples.

    That is seen by a second run with one sample less: a sequence may be as long as the batch is large.

    Args:
        model, forward, autocast: as `dry_run`.
        content: of the batch, as the loader gave it.
        batch: the same, looked at.
        few: run the model on a few samples only, where it can be, since one batch may be a large share of all.
    """

    def shortened(k: int) -> dict[str, Layer] | None:
        if not 0 < k < batch.n:
            return None
        try:
            part = batch_of(first_samples(content, batch.n, k), model)
            return dry_run(model, part, forward, autocast) if part.n == k else None
        except Exception:  # a model may want its batches whole; what is wrong with them will be seen then
            return None

    found = shortened(FEW) if few else None
    if found is None:
        found = dry_run(model, batch, forward, autocast)
    n = next((one.n for one in found.values()), 1)
    fewer = shortened(n - 1) or {}
    for path, one in found.items():
        if one.shape and path in fewer:
            one.samples = dimension_of_samples(one.shape, one.n, fewer[path].shape)
    return found


def dry_run(
    model: nn.Module, batch: Batch, forward: Forward | None, autocast: torch.dtype | None = None
) -> dict[str, Layer]:
    """Every layer that gives floats in two dimensions or more when the model sees this batch, in the order of running."""
    modules = modules_by_path(model)
    found: dict[str, Layer] = {}
    mask = batch.positions.mask
    length = None if mask is None else mask.shape[1]
    unusual: tuple[int, ...] | None = None

    def receive(path: str, output: Any) -> None:
        nonlocal unusual
        x = first_tensor(output)
        if x is None or not x.is_floating_point() or (not x.is_nested and x.ndim < 2):
            return
        if path in found:
            found[path].fires += 1
            return
        shape = () if x.is_nested else tuple(x.shape)
        is_unusual = has_unusual_features(modules[path], shape, unusual)
        unusual = shape if is_unusual else None
        samples = dimension_of_samples(shape, batch.n, None, length) if shape else 0
        kind = type(modules[path]).__name__
        found[path] = Layer(path, kind, shape, x.dtype, batch.n, samples, is_unusual)

    with inference(model), watched(modules, receive):
        receive(OUTPUT, run(model, batch, forward, autocast))
    return found


def chosen_layers(model: nn.Module, wanted: str | Sequence[str], found: dict[str, Layer]) -> list[str]:
    """The paths of the layers that were asked for.

    Raises ValueError for a pattern that fits no module, a layer that never ran, and one that runs several times a batch.
    """
    modules = modules_by_path(model)
    if isinstance(wanted, str) and wanted == "auto":
        once = [path for path, one in found.items() if one.fires == 1 and one.samples is not None]
        chosen = automatic(modules, once)
        if not chosen:
            raise ValueError(f"no layer of this {type(model).__name__} gave floats with a row for each sample.")
        return chosen
    patterns = [wanted] if isinstance(wanted, str) else list(wanted)
    if not patterns:
        raise ValueError("`layers` is empty.")
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"`layers` takes module paths and patterns of them, got {pattern!r}.")
    paths = matching(patterns, modules)
    silent = [path for path in paths if path not in found]
    by_name = [path for path in silent if path in patterns]
    if by_name or len(silent) == len(paths):
        name = (by_name or silent)[0]
        inside = [path for path in found if path.startswith(f"{name}.")]
        raise ValueError(
            f"layer {name!r} gave no features when the model ran: it is a container, is not used, or its class hands "
            f"out no floats. Layers that did are {_shortened(inside or list(found))}."
        )
    # A pattern also fits containers and the like; what it fits and ran is meant.
    paths = [path for path in found if path in paths]
    if repeated := [path for path in paths if found[path].fires > 1]:
        path = repeated[0]
        raise ValueError(
            f"layer {path!r} ran {found[path].fires} times in one batch (a module that is used twice, or a loop): its rows would be "
            "mixed. Choose layers that run once."
        )
    return paths


def _shortened(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:8])
    return shown + f" and {len(paths) - 8} more" * (len(paths) > 8)
