"""The rows that layers give in one step of training, whoever calls the model and however often."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repgeom.models.batches import Batch, batch_of
from repgeom.models.layout import arranged_by_sight
from repgeom.models.outputs import first_tensor
from repgeom.models.paths import OUTPUT, modules_by_path
from repgeom.models.pooling import Pooling, Positions


@dataclasses.dataclass
class Rows:
    """What one layer gave in a step.

    Attributes:
        rows: (n, d), float32 or float64.
        groups: (n,), equal for rows of one sample: its tokens, or its views; None where each row is a sample of its own.
        rounding: relative, of the type in which the layer gave them.
    """

    rows: Tensor
    groups: np.ndarray | None
    rounding: float


class Collector:
    """The rows that layers of a model give while hooks are on them.

    Args:
        model: which may be called as a whole or in parts.
        paths: of its layers.
        pool: as `repgeom.models.layer_profile`.
        mask: (n, positions), or a function from a batch to it; a batch is what the model is called with.
    """

    def __init__(self, model: nn.Module, paths: Sequence[str], pool: str, mask: Any) -> None:
        self.model, self.paths, self._mask = model, paths, mask
        # What "auto" means for a layer stays as it was at first: a class token that collapses later must be seen.
        self._pooling = Pooling(pool, finite=False)
        self._most, self._views = 0, True
        # Of the calls that run now, outermost first: what the first one says of its samples; of the others nothing is asked.
        self._calls: list[Batch | None] = []
        self._parts: dict[str, list[Rows]] = {}

    @contextlib.contextmanager
    def hooked(self, most: int, *, views: bool) -> Iterator[None]:
        """Put hooks on, and keep the first `most` rows of each layer. After an error nothing is kept.

        `views`: row i of each forward pass may be of the same sample.
        """
        self._calls, self._most, self._views = [], most, views
        modules = modules_by_path(self.model)
        with contextlib.ExitStack() as hooks:
            # Around each layer stand modules of which one is called with the batch: the whole model, or a tower of it.
            for path in self._around():
                begin = modules[path].register_forward_pre_hook(self._begin_call, prepend=True, with_kwargs=True)
                hooks.callback(begin.remove)
            for path in self.paths:
                hook = modules[path].register_forward_hook(self._hook(path), with_kwargs=True)
                hooks.callback(hook.remove)
            for path in self._around():
                # Called after a failure too, so that the next call of a part is not taken for one inside this call.
                end = modules[path].register_forward_hook(self._end_call, always_call=True)
                hooks.callback(end.remove)
            try:
                yield
            except BaseException:
                self._parts = {}
                raise

    def collected(self) -> dict[str, Rows]:
        """The rows of each layer that gave some, in the order of `paths`; they are no longer held here."""
        parts, self._parts = self._parts, {}
        return {path: joined(parts[path], path, self._views) for path in self.paths if path in parts}

    def _around(self) -> list[str]:
        """The whole model and every module around a layer."""
        found = [OUTPUT]
        for path in self.paths:
            parts = path.split(".")
            found += [".".join(parts[:k]) for k in range(1, len(parts))]
        return list(dict.fromkeys(found))

    def _begin_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._calls.append(None if self._calls else self._looked_at(module, args, kwargs))

    def _end_call(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        if self._calls:
            self._calls.pop()

    def _hook(self, path: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            # Gradient checkpointing runs a layer a second time, in the backward pass: those rows are here already.
            if not _in_backward():
                batch = self._calls[0] if self._calls else None
                self._take(path, module, output, batch or self._looked_at(module, args, kwargs))

        return hook

    def _looked_at(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Batch | None:
        """What a call says of samples and padding; None where it holds no tensors or no samples."""
        try:
            return batch_of(_content(module, args, kwargs), self.model, mask=self._mask)
        except (TypeError, ValueError):
            return None

    def _take(self, path: str, module: nn.Module, output: Any, batch: Batch | None) -> None:
        before = self._parts.setdefault(path, [])
        room = self._most - sum(len(part.rows) for part in before)
        if room <= 0:
            return
        x = first_tensor(output)
        if x is None:
            raise ValueError(f"layer {path!r} gave no tensor, so a monitor cannot watch it.")
        positions = Positions() if batch is None else batch.positions_of(path)
        length = None if positions.mask is None else positions.mask.shape[1]
        x = arranged_by_sight(x, len(x) if batch is None else batch.n, length, module, path)
        found = self._pooling(x, positions, path)
        groups = None if found.groups is None else found.groups[:room]
        rounding = torch.finfo(x.dtype).eps
        if found.how.startswith("mean"):
            # A mean over m positions has their rounding over √m.
            rounding /= (x[0].numel() / found.rows.shape[1]) ** 0.5
        # A copy: what comes after the layer may overwrite its output.
        before.append(Rows(found.rows[:room].clone(), groups, rounding))


def _content(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call as a batch: what it is called with by name, or the one tensor that it takes."""
    if len(args) == 1 and not kwargs:
        return args[0] if isinstance(args[0], (Tensor, Mapping)) else args
    named = dict(inspect.signature(module.forward).bind(*args, **kwargs).arguments)
    for extra in ("args", "kwargs"):
        if isinstance(named.get(extra), dict):
            named.update(named.pop(extra))
    first = next((name for name, value in named.items() if isinstance(value, Tensor)), None)
    if first is not None and named[first].ndim == 2 and not named[first].is_floating_point():
        # Whole numbers in two dimensions go to an embedding, whatever the model calls them.
        named = {"input_ids": named.pop(first), **named}
    return named


def _in_backward() -> bool:
    return torch._C._current_graph_task_id() != -1


def joined(parts: Sequence[Rows], path: str, views: bool) -> Rows:
    """The rows of several forward passes, or processes, of one layer.

    Args:
        parts: of each pass.
        path: of the layer, for errors.
        views: row i of each may be of the same sample. Views of one sample are alike; rows of different samples are not, and then
            grouping them costs nothing, since their likeness is measured.

    Raises:
        ValueError: rows of different widths.
    """
    widths = sorted({part.rows.shape[1] for part in parts})
    if len(widths) > 1:
        raise ValueError(
            f"layer {path!r} gave rows of different widths in one step: {', '.join(map(str, widths))}. It cannot be read."
        )
    if len(parts) == 1:
        return parts[0]
    rows = torch.cat([part.rows.to(parts[0].rows.device) for part in parts])
    rounding = max(part.rounding for part in parts)
    if not views and all(part.groups is None for part in parts):
        return Rows(rows, None, rounding)
    groups, start = [], 0
    for part in parts:
        own = np.arange(len(part.rows)) if part.groups is None else part.groups
        groups.append(own + start)
        if not views:
            start += int(own.max(initial=-1)) + 1
    return Rows(rows, np.concatenate(groups), rounding)
