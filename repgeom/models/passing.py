"""One pass of a loader through a model, of which chosen layers hand over their rows batch by batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from repgeom.data.kinds import Forward
from repgeom.data.settings import from_caller
from repgeom.models.batches import Batch, batch_of
from repgeom.models.layers import Layer, chosen_layers, survey
from repgeom.models.layout import arranged
from repgeom.models.outputs import first_tensor
from repgeom.models.paths import OUTPUT, bare, modules_by_path
from repgeom.models.pooling import POOLS, Pooled, Pooling
from repgeom.models.running import check_watchable, inference, run, watched

# A layer's path, its rows for a batch, the batch, and the number of its first sample.
Receive = Callable[[str, Pooled, Batch, int], None]


class Pass:
    """A model and a loader; `run` sends every batch through. Arguments and errors as `repgeom.models.layer_profile`.

    A few samples of the first batch go through beforehand, which shows what layers there are: `found` holds them all, `chosen`
    the paths of those that were asked for.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[Any],
        layers: str | Sequence[str],
        pool: str,
        *,
        forward: Forward | None = None,
        mask: Any = None,
        labelled: bool = False,
        autocast: torch.dtype | None = None,
        max_samples: int | None = None,
    ) -> None:
        if isinstance(batches, (str, bytes, Mapping)) or not hasattr(batches, "__iter__"):
            raise TypeError(
                f"`batches` is a {type(batches).__name__}; this takes an iterable of batches, such as a DataLoader or a list."
            )
        if isinstance(batches, Tensor) and batches.ndim == 2 and batches.is_floating_point():
            raise TypeError(
                f"`batches` is one tensor {tuple(batches.shape)}, whose rows would be taken for batches: give `x.split(64)` or a list."
            )
        if pool not in POOLS:
            raise ValueError(f"`pool` must be one of {', '.join(POOLS)}, got {pool!r}.")
        if max_samples is not None and max_samples < 1:
            raise ValueError(f"`max_samples` must be at least 1, got {max_samples}.")
        if autocast is not None and not isinstance(autocast, torch.dtype):
            raise TypeError(f"`autocast` must be a type such as torch.bfloat16, got {autocast!r}.")
        self.model = bare(check_watchable(model))
        self._batches = from_caller(batches)
        self._pool, self._forward, self._mask = pool, forward, mask
        self._labelled, self._autocast, self._most = labelled, autocast, max_samples
        first = next(self._batches, None)
        if first is None:
            raise ValueError("`batches` is empty: no batch came out of it.")
        self._held = [first]
        self.found = survey(self.model, first, self._looked_at(first), forward, few=True, autocast=autocast)
        self.chosen = chosen_layers(self.model, layers, self.found)

    def run(self, receive: Receive) -> int:
        """Send every batch through the model and hand over the rows of each chosen layer. Returns the number of samples.

        Rows are handed over while the model still runs: what comes after a layer may overwrite what it gave.
        """
        modules = modules_by_path(self.model)
        watching = _Watching(self._pool, self.found, receive)
        with inference(self.model), watched({path: modules[path] for path in self.chosen}, watching.receive):
            for batch in self._all_batches():
                watching.begin(batch)
                output = run(self.model, batch, self._forward, self._autocast)
                if OUTPUT in self.chosen:
                    watching.receive(OUTPUT, output)
                watching.end(self.chosen)
        return watching.n_samples

    def _all_batches(self) -> Iterator[Batch]:
        n_samples = 0
        for content in itertools.chain(self._held, self._batches):
            batch = self._looked_at(content)
            if self._labelled and batch.labels is None:
                raise ValueError(
                    '`labels` are "in_stream", and a batch has none: give tuples of two, or dicts with "labels".'
                )
            n_samples += batch.n
            yield batch
            if self._most is not None and n_samples >= self._most:
                return

    def _looked_at(self, content: Any) -> Batch:
        return batch_of(content, self.model, mask=self._mask, labelled=self._labelled)


class _Watching:
    """Takes what layers give for the present batch, and sees to it that each gives it once."""

    def __init__(self, pool: str, layers: Mapping[str, Layer], receive: Receive) -> None:
        self._pooling, self._layers, self._receive = Pooling(pool), layers, receive
        self._batch: Batch | None = None
        self._seen: set[str] = set()
        self.n_samples = 0  # of batches that are through

    def begin(self, batch: Batch) -> None:
        self._batch, self._seen = batch, set()

    def receive(self, path: str, output: Any) -> None:
        batch = self._batch
        assert batch is not None
        if path in self._seen:
            raise ValueError(f"layer {path!r} ran twice in a batch, and once in the first: its rows would be mixed.")
        self._seen.add(path)
        x = first_tensor(output)
        if x is None:
            raise ValueError(f"layer {path!r} gave no tensor for a batch, and one for the first.")
        positions = batch.positions_of(path)
        layer = self._layers[path]
        x = arranged(x, batch.n, layer.samples, layer.unusual_features, path)
        rows = self._pooling(x, positions, path)
        self._receive(path, rows, batch, self.n_samples)

    def end(self, chosen: Sequence[str]) -> None:
        assert self._batch is not None
        if silent := [path for path in chosen if path not in self._seen]:
            raise ValueError(f"layer {silent[0]!r} did not run in a batch, and did in the first.")
        self.n_samples += self._batch.n
