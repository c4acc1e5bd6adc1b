"""A fixed set of inputs that goes through the model in evaluation mode, and leaves no trace in the training."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repgeom.data.kinds import Forward
from repgeom.data.settings import from_caller
from repgeom.models.batches import Batch, batch_of
from repgeom.models.layers import chosen_layers, dry_run
from repgeom.models.running import inference, run


class Probe:
    """Batches that are the same at every reading.

    Args:
        given: one batch (a tensor, a tuple that begins with one, a dict), or a list or another collection of batches.
        forward, mask: as `repgeom.models.layer_profile`.

    Raises TypeError for another kind, ValueError for no batches.
    """

    def __init__(self, given: Any, forward: Forward | None, mask: Any) -> None:
        self._forward, self._mask = forward, mask
        if isinstance(given, (Tensor, Mapping, tuple)):
            given = [given]
        if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
            raise TypeError(f"`probe` is a {type(given).__name__}; give a batch or a list of batches.")
        if iter(given) is given:
            given = list(given)  # it can be read once, and is needed at every reading
        if hasattr(given, "__len__") and not len(given):
            raise ValueError("`probe` holds no batches.")
        self._batches: Iterable[Any] = given

    def chosen(self, model: nn.Module, layers: str | list[str]) -> list[str]:
        """The layers that are meant, of those that give features for the first batch. Raises as `layer_profile`."""
        with undisturbed(model):
            for batch in self._looked_at(model):
                return chosen_layers(model, layers, dry_run(model, batch, self._forward))
        raise ValueError("`probe` holds no batches.")

    def run(self, model: nn.Module, most: int) -> None:
        """Send batches through the model until there are `most` samples; hooks on it see what layers give."""
        n_samples = 0
        with undisturbed(model):
            for batch in self._looked_at(model):
                run(model, batch, self._forward)
                n_samples += batch.n
                if n_samples >= most:
                    return

    def _looked_at(self, model: nn.Module) -> Iterator[Batch]:
        for content in from_caller(self._batches):
            yield batch_of(content, model, mask=self._mask)


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each submodule's mode, its buffers and the states of random numbers are put back, also after an error."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002, modules of users draw from it
    # Some modules count their calls in a buffer, in whichever mode.
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.random.fork_rng(devices=_devices(model)), inference(model):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            with torch.no_grad():
                for name, buffer in model.named_buffers():
                    if (
                        name in buffers
                        and buffers[name].shape == buffer.shape
                        and not torch.equal(buffers[name], buffer)
                    ):
                        buffer.copy_(buffers[name])


def _devices(model: nn.Module) -> list[int]:
    """CUDA devices on which random numbers may be drawn."""
    found = {p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"}
    if found:
        found.add(torch.cuda.current_device())
    return sorted(found)
